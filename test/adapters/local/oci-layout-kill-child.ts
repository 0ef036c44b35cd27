// Run by oci-layout.test.ts: `oci-layout-kill-child.ts N FILE LAYOUT NAME SEED` puts a made bundle into LAYOUT, and sends
// itself SIGKILL right before (N even) or right after its change number N/2 of the folder. With N = 0 it writes their count
// into FILE.
import fs, { writeFileSync } from "node:fs";
import promises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import type { putMade } from "./oci-world.ts";

const [nth = "", countFile = "", root = "", name = "", seed = ""] = process.argv.slice(2);
const fatal = Math.floor(Number(nth) / 2);
const before = Number(nth) % 2 === 0;
let changes = 0;

function counted(run: () => unknown): unknown {
  const isLast = ++changes === fatal;
  const kill = (result: unknown) => {
    if (isLast) process.kill(process.pid, "SIGKILL");
    return result;
  };
  if (isLast && before) process.kill(process.pid, "SIGKILL");
  const result = run();
  return result instanceof Promise ? result.then(kill) : kill(result);
}

for (const holder of [fs, promises] as unknown as Record<string, (...args: unknown[]) => unknown>[])
  for (const method of ["renameSync", "rename", "rmSync", "rmdirSync"]) {
    const inner = holder[method];
    // Of node:fs, `rename` takes a callback, and nobody here calls it.
    if (inner !== undefined && !(holder === (fs as unknown) && method === "rename"))
      holder[method] = (...args) => counted(() => inner.apply(holder, args));
  }
syncBuiltinESMExports();
process.once("exit", () => {
  if (fatal === 0) writeFileSync(countFile, String(changes));
});

const world = (await import("./oci-world.ts")) as { putMade: typeof putMade };
await world.putMade(root, name, seed);
