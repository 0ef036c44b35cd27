import { FormatError } from "../gomod/format-error.ts";
import type { TrustedSigner } from "../mirror/bundle/bundle-signer.ts";
import { misuse } from "../mirror/errors.ts";
import { parseVerifierKey } from "../sumdb/note.ts";

/** What the verbs of bundles take, as it was given. */
export interface BundleOptions {
  readonly since: string | undefined;
  readonly full: boolean;
  readonly needs: string | undefined;
  /** In bytes. */
  readonly volumeSize: number | undefined;
  readonly format: BundleFormat;
  /** A signer's key file. */
  readonly key: string | undefined;
  readonly introduces: readonly TrustedSigner[];
  readonly trust: readonly TrustedSigner[];
  readonly report: "html" | "json" | undefined;
}

/** A folder of tar packs, or an OCI image layout. */
type BundleFormat = "tar" | "oci";

const UNITS: Readonly<Record<string, number>> = { MB: 1e6, GB: 1e9, TB: 1e12, MiB: 2 ** 20, GiB: 2 ** 30 };

/** `4.7GB` in bytes. @throws MirrorError misuse, here and below, naming the flag and what would be right. */
export function parseVolumeSize(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const [, number = "", unit = ""] = /^(\d{1,6}(?:\.\d{1,3})?)(MB|GB|TB|MiB|GiB)$/.exec(text) ?? [];
  const bytes = Math.floor(Number(number) * (UNITS[unit] ?? 0));
  if (bytes >= 1e6) return bytes;
  throw misuse("--volume-size", `--volume-size ${text}: give a size such as 700MB, 4.7GB or 25GB`);
}

/** `VKEY[,notBefore=TIME][,notAfter=TIME]`, TIME as RFC 3339 has it or a day. */
export function parseTrusted(flag: string, text: string): TrustedSigner {
  const [verifierKey = "", ...times] = text.split(",");
  try {
    parseVerifierKey(verifierKey);
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause;
    throw misuse(flag, `${flag}: ${cause.message}; give what \`modferry keygen\` has printed`, cause);
  }
  const found: { notBefore?: number; notAfter?: number } = {};
  for (const time of times) {
    const [, name, stamp = ""] = /^(notBefore|notAfter)=(.+)$/.exec(time) ?? [];
    const at = /^\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?$/.test(stamp) ? Date.parse(stamp) : Number.NaN;
    if (name === undefined || Number.isNaN(at))
      throw misuse(
        flag,
        `${flag}: ${time}: give notBefore=TIME or notAfter=TIME, such as 2027-01-01T00:00:00Z`,
      );
    found[name as "notBefore" | "notAfter"] = at;
  }
  return { verifierKey, ...found };
}

export function parseBundleFormat(text: string | undefined, volumeSize: string | undefined): BundleFormat {
  if (text !== undefined && text !== "tar" && text !== "oci")
    throw misuse("--format", `--format ${text}: give tar or oci`);
  if (text === "oci" && volumeSize !== undefined)
    throw misuse(
      "--volume-size",
      "--volume-size: not with --format oci, whose layout is one folder; leave one of them out",
    );
  return text ?? "tar";
}

export function parseReport(text: string | undefined): "html" | "json" | undefined {
  if (text === undefined || text === "html" || text === "json") return text;
  throw misuse("--report", `--report ${text}: give html or json`);
}
