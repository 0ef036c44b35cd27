import type { ModulePath } from "../../gomod/module-path.ts";
import { formatModuleVersion, type Version } from "../../gomod/version.ts";
import { MirrorError } from "../errors.ts";
import type { StoredObject } from "../ports.ts";
import type { SnapshotEntry } from "../snapshot/snapshot-entry.ts";
import { parseTreeKey, type TreeEntry } from "../tree-keys.ts";
import { affects, parseVulnerability, type Vulnerability, vulnerableName } from "../vulnerability.ts";
import { BUNDLE_JSON, type BundleFile, type BundleHeader, readBundle } from "./bundle-json.ts";
import type { BundleSource } from "./bundle-ports.ts";
import type { TrustedSigner } from "./bundle-signer.ts";
import {
  forgetWaiting,
  type OpenSnapshot,
  type SnapshotVault,
  type SpoolChunks,
  targetSnapshot,
} from "./import-snapshot.ts";
import { type OpenedBundle, openBundle } from "./opened-bundle.ts";
import { type FoundLicence, licencesOfZip } from "./zip-licences.ts";

/** What is in a bundle, for whoever has to approve it. */
export interface BundleReport {
  readonly bundle: Pick<
    BundleHeader,
    "name" | "kind" | "from" | "to" | "signer" | "introduces" | "counts"
  > & {
    readonly packs: readonly { readonly name: string; readonly size: number; readonly missing: boolean }[];
  };
  /** Whether a key that the mirror trusts, or that was given, has signed it; else it is signed by the key it names. */
  readonly trusted: boolean;
  readonly modules: readonly ReportedModule[];
  /** `module@version`: what is taken off lists, and collected. */
  readonly removed: readonly string[];
  /** What the other side has blocked. */
  readonly blocks: readonly { readonly name: string; readonly reason: string }[];
  /** When the vulnerability database in it was last modified; absent where it has none. */
  readonly vulndb?: string;
}

export interface ReportedModule {
  readonly path: ModulePath;
  /** No version of it was in the state that the bundle begins at. */
  readonly isNew: boolean;
  readonly versions: readonly ReportedVersion[];
}

export interface ReportedVersion {
  readonly version: Version;
  /** `mod`: its go.mod alone, which graphs read. */
  readonly held: "mod" | "whole";
  readonly listed: boolean;
  /** Of the files of it in this bundle. */
  readonly bytes: number;
  readonly licences: readonly FoundLicence[];
  readonly vulnerabilities: readonly { readonly id: string; readonly summary?: string }[];
}

export interface InspectParts {
  readonly vault: SnapshotVault;
  readonly spool: SpoolChunks;
  readonly trusted: readonly TrustedSigner[];
}

/**
 * Says what is in a bundle, before anyone trusts it: nothing of it is changed, and it may be wrong in every way.
 * @throws MirrorError where it is none, or was damaged.
 */
export async function inspectBundle(parts: InspectParts, source: BundleSource): Promise<BundleReport> {
  const { bundle, trusted } = await opened(parts, source);
  const snapshot = await targetSnapshot(bundle, parts.vault, parts.spool);
  try {
    const vulnerabilities = await vulnerabilitiesOf(snapshot);
    const removed: string[] = [];
    for await (const version of bundle.removed()) removed.push(version);
    const { name, kind, from, to, signer, introduces, counts } = bundle.header;
    const modified = snapshot.header.vulndbModified;
    return {
      bundle: { name, kind, from, to, signer, introduces, counts, packs: await packsOf(bundle) },
      trusted,
      modules: await modulesOf(bundle, snapshot, vulnerabilities, removed),
      removed,
      blocks: snapshot.header.blocks.map(({ name: block, reason }) => ({ name: block, reason })),
      ...(modified === undefined ? {} : { vulndb: modified }),
    };
  } finally {
    await snapshot.close();
    await forgetWaiting(bundle, parts.vault);
  }
}

/** By a trusted key, else by the one that it names itself: then it is whole, whoever made it. */
async function opened(
  { trusted }: InspectParts,
  source: BundleSource,
): Promise<{ readonly bundle: OpenedBundle; readonly trusted: boolean }> {
  try {
    return { bundle: await openBundle(source, trusted), trusted: true };
  } catch (thrown) {
    if (!(thrown instanceof MirrorError) || thrown.class !== "mismatch") throw thrown;
    const stored = await source.open(BUNDLE_JSON);
    if (stored === undefined) throw thrown;
    try {
      const { header } = await readBundle(stored.stream(), `${source.name}/${BUNDLE_JSON}`);
      return { bundle: await openBundle(source, [{ verifierKey: header.signer }]), trusted: false };
    } finally {
      await stored.close();
    }
  }
}

async function packsOf({ source, packs }: OpenedBundle): Promise<BundleReport["bundle"]["packs"]> {
  const found: { name: string; size: number; missing: boolean }[] = [];
  for (const { name, size } of packs) {
    const stored = await source.open(name);
    await stored?.close();
    found.push({ name, size, missing: stored === undefined });
  }
  return found;
}

type ByName = ReadonlyMap<string, readonly Vulnerability[]>;

async function vulnerabilitiesOf(snapshot: OpenSnapshot): Promise<ByName> {
  const byName = new Map<string, Vulnerability[]>();
  for (const { key, bytes } of await snapshot.vulndb()) {
    const id = /\/ID\/(.+)\.json$/.exec(key)?.[1];
    if (id === undefined) continue;
    const entry = parseVulnerability(bytes, id);
    for (const name of new Set(entry.affected.map((affected) => affected.package.name)))
      byName.set(name, [...(byName.get(name) ?? []), entry]);
  }
  return byName;
}

/** Files and entries stand in the same order, module by module. */
async function modulesOf(
  bundle: OpenedBundle,
  snapshot: OpenSnapshot,
  vulnerabilities: ByName,
  removed: readonly string[],
): Promise<ReportedModule[]> {
  const brought = await versionsIn(bundle);
  const modules: ReportedModule[] = [];
  let versions: ReportedVersion[] = [];
  let path: ModulePath | undefined;
  let isNew = true;
  const end = () => {
    if (path === undefined || versions.length === 0) return;
    const before = removed.some((name) => name.startsWith(`${path}@`));
    modules.push({ path, isNew: isNew && !before, versions });
  };
  for await (const entry of snapshot.entries()) {
    if (entry.path !== path) {
      end();
      [path, versions, isNew] = [entry.path, [], true];
    }
    const files = brought.get(formatModuleVersion(entry));
    if (files === undefined) isNew = false;
    else versions.push(await reported(bundle, entry, files, vulnerabilities));
    if (files?.every(({ kind }) => kind !== "mod") === true) isNew = false;
  }
  end();
  return modules;
}

interface VersionFile {
  readonly kind: TreeEntry["kind"];
  readonly file: BundleFile;
}

async function versionsIn(bundle: OpenedBundle): Promise<ReadonlyMap<string, readonly VersionFile[]>> {
  const versions = new Map<string, VersionFile[]>();
  for await (const file of bundle.files()) {
    const entry = parseTreeKey(file.path);
    if (entry === undefined || !("version" in entry)) continue;
    const name = formatModuleVersion(entry.version);
    const known = versions.get(name);
    if (known === undefined) versions.set(name, [{ kind: entry.kind, file }]);
    else known.push({ kind: entry.kind, file });
  }
  return versions;
}

async function reported(
  bundle: OpenedBundle,
  entry: SnapshotEntry,
  files: readonly VersionFile[],
  vulnerabilities: ByName,
): Promise<ReportedVersion> {
  const zip = files.find(({ kind }) => kind === "zip")?.file;
  const known = vulnerableName(entry).name.flatMap((name) => vulnerabilities.get(name) ?? []);
  const affecting = [...new Set(known)].filter((one) => entry.held === "whole" && affects(one, entry));
  return {
    version: entry.version,
    held: entry.held,
    listed: entry.listed,
    bytes: files.reduce((sum, { file }) => sum + file.size, 0),
    licences: zip === undefined ? [] : await licencesIn(bundle, entry, zip),
    vulnerabilities: affecting.map(({ id, summary }) => ({
      id,
      ...(summary === undefined ? {} : { summary }),
    })),
  };
}

async function licencesIn(
  { source, packs }: OpenedBundle,
  entry: SnapshotEntry,
  zip: BundleFile,
): Promise<readonly FoundLicence[]> {
  const stored: StoredObject | undefined = await source.open(packs[zip.pack]?.name ?? "");
  if (stored === undefined) return [{ file: "", licences: ["its volume is missing"] }];
  try {
    const read = (offset: number, length: number) => stored.read(zip.offset + offset, length);
    return await licencesOfZip({ size: zip.size, read }, entry);
  } finally {
    await stored.close();
  }
}
