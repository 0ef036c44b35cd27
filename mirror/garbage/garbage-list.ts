import { createHash } from "node:crypto";
import { z } from "zod";
import { type ModuleVersion, moduleVersion } from "../../gomod/version.ts";
import { type Sha256, sha256Of } from "../body.ts";
import { MirrorError } from "../errors.ts";
import type { MirrorParts } from "../parts.ts";
import { requestTimeOf } from "../requests.ts";
import type { Needed } from "./removal.ts";

/** As many lines has one list: what is beyond comes with the next. */
export const MOST_LISTED = 100_000;
const LARGEST_LIST = 64 * 1024 * 1024;

/** A version of which more is held than anything refers to. */
export interface SurplusVersion {
  readonly version: ModuleVersion;
  /** What of it stays: the `.mod`, where other graphs read it. */
  readonly keeps: Exclude<Needed, "whole">;
  /** As its record had it: where it has moved since, somebody has wanted the version again. */
  readonly wantedAt: number;
  readonly state: string;
  /** What goes, in bytes. */
  readonly bytes: number;
  /** One who wanted it, and since when it is known (ms since the epoch): for whoever reviews the list. */
  readonly wish: string;
  readonly firstSeen: number;
}

/** An object of the vault that nothing needs any more. */
export interface SurplusObject {
  readonly object: string;
  readonly why: string;
}

export interface GarbageList {
  readonly run: string;
  readonly versions: readonly SurplusVersion[];
  readonly objects: readonly SurplusObject[];
}

/** A run's name: when it chose, as a request's time, so that names sort by it. */
export function runName(at: number): string {
  return requestTimeOf(at);
}

export function isRunName(text: string): boolean {
  return /^\d{8}T\d{9}Z$/.test(text);
}

export function listKeyOf(run: string): string {
  return `garbage/${run}.ndjson`;
}

const count = z.int().min(0);
const line = z.union([
  z.strictObject({
    module: z.string(),
    version: z.string(),
    keeps: z.enum(["nothing", "mod"]),
    state: z.string(),
    bytes: count,
    wantedAt: count,
    firstSeen: count,
    wish: z.string(),
  }),
  z.strictObject({ object: z.string(), why: z.string() }),
]);
const header = z.strictObject({
  format: z.literal("modferry-garbage/1"),
  run: z.string(),
  versions: count,
  objects: count,
  bytes: count,
});

/**
 * Writes what a run has chosen: a line that counts, then a line of JSON for each version, by module and version, then the
 * objects. For people to review, and for the run that acts upon it.
 * @returns its SHA-256.
 */
export async function writeList(parts: Pick<MirrorParts, "vault">, list: GarbageList): Promise<Sha256> {
  const bytes = list.versions.reduce((sum, version) => sum + version.bytes, 0);
  const first = {
    format: "modferry-garbage/1",
    run: list.run,
    versions: list.versions.length,
    objects: list.objects.length,
    bytes,
  };
  const lines = [
    first,
    ...list.versions.map(({ version, keeps, state, bytes: size, wantedAt, firstSeen, wish }) => ({
      module: version.path,
      version: version.version,
      keeps,
      state,
      bytes: size,
      wantedAt,
      firstSeen,
      wish,
    })),
    ...list.objects.map(({ object, why }) => ({ object, why })),
  ];
  const text = Buffer.from(lines.map((entry) => `${JSON.stringify(entry)}\n`).join(""));
  await parts.vault.put(listKeyOf(list.run), text);
  return sha256Of(text);
}

/**
 * @param sha256 of the list as it was written.
 * @throws MirrorError malformed where it is missing, or another one by now: then nothing of it is done.
 */
export async function readList(
  parts: Pick<MirrorParts, "vault">,
  run: string,
  sha256: string,
): Promise<GarbageList> {
  const key = listKeyOf(run);
  const bytes = await parts.vault.get(key, LARGEST_LIST);
  if (bytes === undefined)
    throw new MirrorError("malformed", key, `${key}: not in the vault; the next run chooses anew`);
  if (createHash("sha256").update(bytes).digest("hex") !== sha256)
    throw new MirrorError("malformed", key, `${key}: not as it was written; the next run chooses anew`);
  try {
    const [first = "", ...rest] = Buffer.from(bytes).toString("utf8").split("\n").slice(0, -1);
    const { versions: expected, objects: others } = header.parse(JSON.parse(first));
    const versions: SurplusVersion[] = [];
    const objects: SurplusObject[] = [];
    for (const text of rest) {
      const entry = line.parse(JSON.parse(text));
      if ("object" in entry) objects.push(entry);
      else {
        const { module, version, ...fields } = entry;
        versions.push({ version: moduleVersion(module, version), ...fields });
      }
    }
    if (versions.length !== expected || objects.length !== others) throw new Error("cut short");
    return { run, versions, objects };
  } catch (cause) {
    throw new MirrorError("malformed", key, `${key}: damaged; the next run chooses anew`, { cause });
  }
}
