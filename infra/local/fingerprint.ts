import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { checkout } from "./workplace.ts";

/** All that bundles and templates are made of; infra/local is what makes them, and no part of them. */
const ROOMS = ["functions", "adapters", "mirror", "sumdb", "gomod", "infra"];
const FILES = ["package-lock.json", "cdk.json"];

/** Names what would be deployed, without the 10 s that a synth takes: the same sources give the same stacks. */
export async function fingerprint(configuration: string): Promise<string> {
  const hash = createHash("sha256").update(configuration);
  const files = [...FILES];
  for (const room of ROOMS) {
    for (const name of await readdir(join(checkout, room), { recursive: true })) {
      if (name.endsWith(".ts") && !join(room, name).startsWith("infra/local/")) files.push(join(room, name));
    }
  }
  for (const file of files.sort()) hash.update(`\0${file}\0`).update(await readFile(join(checkout, file)));
  return hash.digest("hex");
}
