import { z } from "zod";
import { type H1, isH1 } from "../../gomod/dirhash.ts";
import type { ModulePath } from "../../gomod/module-path.ts";
import { type ModuleVersion, moduleVersion, type Version } from "../../gomod/version.ts";
import type { Sha256 } from "../body.ts";
import { keepsInfo } from "../garbage/removal.ts";
import { dependable, type Extent, type VersionRecord } from "../records.ts";
import { isRefused } from "../refusal.ts";

/** One served version of a snapshot. */
export interface SnapshotEntry {
  readonly path: ModulePath;
  readonly version: Version;
  /** What is served of it; of what a policy or a block keeps out, its `.mod` (and `.info`) alone. */
  readonly held: Extent;
  /** Whether the snapshot's `@v/list` and `@latest` may name it: its closure is in the snapshot too. */
  readonly listed: boolean;
  readonly modH1: H1;
  readonly zipH1?: H1;
  readonly modSha256: Sha256;
  readonly zipSha256?: Sha256;
  readonly infoSha256?: Sha256;
  readonly modSize: number;
  readonly zipSize?: number;
  /** `.info`'s Time, verbatim. */
  readonly time?: string;
  /** The ids of its records by the checksum databases that have proven it. */
  readonly sumdb?: Readonly<Record<string, number>>;
}

/**
 * What a snapshot has of a record; undefined where nothing of it is served: nothing is held, it is in CONFLICT, or
 * collected. Also where a field that every held file has is missing, which only a foreign hand can bring about.
 */
export function entryOf(record: VersionRecord): SnapshotEntry | undefined {
  const { path, version, modH1, modSha256, modSize } = record;
  const held = dependable(record);
  if (held === "nothing") return undefined;
  if (modH1 === undefined || modSha256 === undefined || modSize === undefined) return undefined;
  const { zipH1, zipSha256, zipSize, sumdbRecords } = record;
  // Of what is being collected but for its `.mod`, the `.info` goes too.
  const { infoSha256, time } = record.state === "REMOVING" && !keepsInfo(record) ? {} : record;
  const zip =
    zipH1 === undefined || zipSha256 === undefined || zipSize === undefined || infoSha256 === undefined
      ? undefined
      : { zipH1, zipSha256, zipSize };
  const whole = held === "whole" && zip !== undefined && !isRefused(record);
  return {
    path,
    version,
    held: whole ? "whole" : "mod",
    listed: whole && record.listed,
    modH1,
    modSha256,
    modSize,
    ...(whole ? zip : {}),
    ...(infoSha256 === undefined ? {} : { infoSha256 }),
    ...(time === undefined ? {} : { time }),
    ...(sumdbRecords === undefined ? {} : { sumdb: sumdbRecords }),
  };
}

/**
 * An entry as its one line of NDJSON, without the line end: fixed order of fields, absent ones left out. Paths,
 * versions and hashes hold nothing that JSON would escape.
 */
export function printEntry(entry: SnapshotEntry): string {
  const { path, version, held, listed, modH1, zipH1, modSha256, zipSha256, infoSha256 } = entry;
  const { modSize, zipSize, time, sumdb } = entry;
  const text = (name: string, value: string | undefined) =>
    value === undefined ? "" : `,"${name}":"${value}"`;
  return (
    `{"module":"${path}","version":"${version}","held":"${held}","listed":${listed},"modH1":"${modH1}"` +
    text("zipH1", zipH1) +
    `,"modSha256":"${modSha256}"` +
    text("zipSha256", zipSha256) +
    text("infoSha256", infoSha256) +
    `,"modSize":${modSize}` +
    (zipSize === undefined ? "" : `,"zipSize":${zipSize}`) +
    (time === undefined ? "" : `,"time":${JSON.stringify(time)}`) +
    (sumdb === undefined ? "" : `,"sumdb":${printProofs(sumdb)}`) +
    "}"
  );
}

function printProofs(sumdb: Readonly<Record<string, number>>): string {
  const names = Object.keys(sumdb);
  if (names.length > 1) names.sort();
  return `{${names.map((name) => `${JSON.stringify(name)}:${sumdb[name]}`).join(",")}}`;
}

const h1 = z.string().refine(isH1);
const sha256 = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .transform((text) => text as Sha256);
const size = z.int().min(0);
const shape = z.strictObject({
  module: z.string(),
  version: z.string(),
  held: z.enum(["mod", "whole"]),
  listed: z.boolean(),
  modH1: h1,
  zipH1: z.exactOptional(h1),
  modSha256: sha256,
  zipSha256: z.exactOptional(sha256),
  infoSha256: z.exactOptional(sha256),
  modSize: size,
  zipSize: z.exactOptional(size),
  time: z.exactOptional(z.string().max(100)),
  sumdb: z.exactOptional(z.record(z.string().max(200), size)),
});

/**
 * Reads one line. Attacker-controlled: a snapshot may come off a disc.
 * @throws Error (of JSON, zod or FormatError) where it is none, or is not spelled as printEntry spells it.
 */
export function parseEntry(line: string): SnapshotEntry {
  const { module, version, ...fields } = shape.parse(JSON.parse(line));
  const entry = { ...moduleVersion(module, version), ...fields };
  const { held, listed, zipH1, zipSha256, zipSize, infoSha256 } = entry;
  const hasZip = zipH1 !== undefined && zipSha256 !== undefined && zipSize !== undefined;
  if (held === "whole" ? !hasZip || infoSha256 === undefined : listed)
    throw new Error("whole without its files' hashes, or listed without being whole");
  if (printEntry(entry) !== line) throw new Error("not in the one spelling of a snapshot's entry");
  return entry;
}

const START = '{"module":"';
const MIDDLE = '","version":"';

/** Which version a line is about, without reading the rest of it. @throws Error where it is no entry's line. */
export function versionOfLine(line: string): ModuleVersion {
  const pathEnd = line.indexOf('"', START.length);
  const versionEnd = line.indexOf('"', pathEnd + MIDDLE.length);
  if (!line.startsWith(START) || !line.startsWith(MIDDLE, pathEnd) || versionEnd < 0)
    throw new Error("not a snapshot's entry");
  const path = line.slice(START.length, pathEnd) as ModulePath;
  return { path, version: line.slice(pathEnd + MIDDLE.length, versionEnd) as Version };
}

/** The order of entries: module path, then version, each by bytes; both are ASCII. */
export function compareEntries(a: ModuleVersion, b: ModuleVersion): number {
  if (a.path !== b.path) return a.path < b.path ? -1 : 1;
  return a.version === b.version ? 0 : a.version < b.version ? -1 : 1;
}
