import { z } from "zod";
import { isSnapshotName, type SnapshotName } from "../snapshot/snapshot-name.ts";
import { parseJson } from "../vulnerability.ts";

const FORMAT = "modferry-needs/1";
/** 200 bytes each for a million files. */
export const LARGEST_NEEDS = 512 * 1024 * 1024;

const name = z.string().refine(isSnapshotName, "not a snapshot's name");
const shape = z.strictObject({
  format: z.literal(FORMAT),
  have: name.nullable(),
  want: name,
  files: z.array(z.string().max(2048)),
});

/** What a mirror lacks on its way to a snapshot, for `modferry export --needs` on the other side. */
export interface Needs {
  readonly have: SnapshotName | null;
  readonly want: SnapshotName;
  /** Tree keys that are neither held nor in the bundle that was brought. */
  readonly files: readonly string[];
}

export function printNeeds({ have, want, files }: Needs): Uint8Array {
  const lines = files.map((file) => JSON.stringify(file)).join(",\n");
  const head = JSON.stringify({ format: FORMAT, have, want }).slice(0, -1);
  return Buffer.from(`${head},"files":[\n${lines}\n]}\n`);
}

/** Attacker-controlled. @throws MirrorError malformed naming the field. */
export function parseNeeds(bytes: Uint8Array, subject: string): Needs {
  const { have, want, files } = parseJson(shape, bytes, subject);
  return { have: have as SnapshotName | null, want: want as SnapshotName, files };
}
