// Run by kill.test.ts: writes to the mirror in argv[2] without end, and says on stdout what it was told is durable.
import { writeSync } from "node:fs";
import { openFolderMirror } from "../../adapters/local/folder-mirror.ts";
import { moduleVersion } from "../../gomod/version.ts";
import { sha256Of } from "../../mirror/body.ts";
import { listKey, zipKey } from "../../mirror/tree-keys.ts";
import { expectedBytes } from "./kill-bytes.ts";
import { freshRecord } from "./ledger-samples.ts";

const [, , folder = "", round = ""] = process.argv;
const { tree, vault, ledger } = await openFolderMirror(folder, { mode: "write" });
const say = (line: string) => writeSync(1, `${line}\n`);

async function writeModule(worker: number): Promise<void> {
  const path = `example.com/round${round}/worker${worker}`;
  for (let n = 0; ; n++) {
    const version = moduleVersion(path, `v1.${n}.0`);
    const key = zipKey(version);
    await tree.create(key, expectedBytes(key), sha256Of(expectedBytes(key)));
    say(`tree ${key}`);
    const [stored] = await ledger.write([
      { record: freshRecord(version), journal: { event: "held", version, at: 0 } },
    ]);
    say(`ledger ${path} ${version.version} ${stored === "changed" ? 0 : stored?.revision}`);
    const list = listKey(version.path);
    const previous = (await tree.get(list, 1 << 20))?.etag;
    await tree.replace(list, Buffer.from(`v1.${n}.0\n`.repeat(50)), previous);
    say(`list ${list} ${n}`);
    await vault.put(`${path}/${n % 3}`, expectedBytes(`${n}`));
    say(`vault ${path}/${n % 3} ${n}`);
  }
}

say("ready");
await Promise.all([0, 1, 2, 3].map(writeModule));
