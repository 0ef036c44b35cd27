import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Workplace } from "./workplace.ts";

/** LocalStack's port, which MiniStack keeps to. */
const USUAL_PORT = 4566;

/** The port that the emulator's data was made on, or the usual one where there is none yet. */
export async function portOfState(place: Workplace): Promise<number> {
  const text = await readFile(place.port, "utf8").catch(() => "");
  return /^[1-9]\d{0,4}$/.test(text) ? Number(text) : USUAL_PORT;
}

/**
 * Makes the data fit the port that the emulator will listen on: MiniStack 1.5.33 keeps its queues under URLs with the
 * port, and finds them on no other. Before it starts; a crash in between is mended by the next call.
 */
export async function moveState(place: Workplace, port: number): Promise<void> {
  const before = await portOfState(place);
  if (before !== port) {
    const [from, to] = [before, port].map((number) => `http://localhost:${number}/`) as [string, string];
    for (const name of await readdir(place.state).catch(() => [])) {
      if (!name.endsWith(".json")) continue;
      const file = join(place.state, name);
      const text = await readFile(file, "utf8");
      if (text.includes(from)) await writeFile(file, text.replaceAll(from, to));
    }
  }
  await writeFile(place.port, String(port));
}
