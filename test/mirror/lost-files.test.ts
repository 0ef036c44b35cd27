import { chmod, mkdtemp, rm, truncate, unlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type FolderMirror, openFolderMirror } from "../../adapters/local/folder-mirror.ts";
import { MemoryQueue } from "../../adapters/local/memory-queue.ts";
import { zipChecker } from "../../adapters/local/zip-checker.ts";
import { moduleVersion } from "../../gomod/version.ts";
import { acceptRequest } from "../../mirror/accept.ts";
import { handIn } from "../../mirror/inbox.ts";
import { noDeadline } from "../../mirror/parts.ts";
import { verifyMirror } from "../../mirror/verify.ts";
import { work } from "../../mirror/work.ts";
import { MadeMirror, processOf, requestBody, TestClock } from "./made-mirror.ts";
import { MadeUpstream } from "./made-upstream.ts";

const VERSION = "example.com/a@v1.0.0";

describe("files that were taken out of a tree by hand", () => {
  let folder: string;
  let mirror: FolderMirror;
  let upstream: MadeUpstream;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "modferry-lost-"));
    mirror = await openFolderMirror(join(folder, "mirror"), { mode: "write" });
    upstream = new MadeUpstream();
    upstream.add(VERSION);
  });
  afterEach(async () => {
    await mirror.close();
    await rm(folder, { recursive: true, force: true });
  });

  async function sync(): Promise<void> {
    const queue = new MemoryQueue();
    const { tree, vault, ledger } = mirror;
    const parts = processOf({ tree, vault, ledger, queue, upstream }, upstream, new TestClock());
    await acceptRequest(parts, await handIn(parts, "test", requestBody({ wishes: [VERSION] })));
    await queue.drain((order) => work(parts, order, noDeadline), { concurrency: 2 });
  }

  async function findings(): Promise<string[]> {
    const { tree, ledger } = mirror;
    const verifiers = [upstream.database.verifier];
    const verified = await verifyMirror({ tree, ledger, zips: zipChecker, verifiers, progress: () => {} });
    return verified.findings.map(({ subject }) => subject);
  }

  test.each([
    ["its zip", "example.com/a/@v/v1.0.0.zip"],
    ["its .info", "example.com/a/@v/v1.0.0.info"],
    ["its .mod", "example.com/a/@v/v1.0.0.mod"],
    ["its lookup", "sumdb/NAME/lookup/example.com/a@v1.0.0"],
  ])("%s: verify names it, and syncing the version again brings it back", async (_name, file) => {
    await sync();
    expect(await findings()).toEqual([]);
    const key = file.replace("NAME", upstream.database.verifier.name);
    await unlink(join(folder, "mirror", "tree", key));
    expect(await findings()).toContain(key);
    await sync();
    expect(await findings()).toEqual([]);
  });

  test.each(["zip", "mod"])("a .%s of another size is no longer served, but in CONFLICT", async (file) => {
    await sync();
    const path = join(folder, "mirror", "tree", `example.com/a/@v/v1.0.0.${file}`);
    await chmod(path, 0o644);
    await truncate(path, 20);
    await sync();
    const [record] = await mirror.ledger.read([moduleVersion("example.com/a", "v1.0.0")]);
    expect(record?.state).toBe("CONFLICT");
    expect(record?.lastError?.message).toMatch(/is not what is proven/);
  });

  test("a sync that goes on while verify reads is no damage", async () => {
    await sync();
    upstream.add("example.com/b@v1.0.0");
    const { tree, ledger } = mirror;
    let synced: Promise<void> | undefined;
    const progress = () => {
      synced ??= (async () => {
        const queue = new MemoryQueue();
        const parts = processOf({ ...mirror, queue, upstream }, upstream, new TestClock());
        await acceptRequest(
          parts,
          await handIn(parts, "more", requestBody({ wishes: ["example.com/b@v1.0.0"] })),
        );
        await queue.drain((order) => work(parts, order, noDeadline), { concurrency: 2 });
      })();
    };
    const verifiers = [upstream.database.verifier];
    const { findings: found } = await verifyMirror({ tree, ledger, zips: zipChecker, verifiers, progress });
    await synced;
    expect(found).toEqual([]);
    expect(await findings()).toEqual([]);
  });
});

test("what a feed's new root needs and is held is not looked at again in the tree; what people ask for is", async () => {
  const upstream = new MadeUpstream();
  const requires = Array.from({ length: 40 }, (_, n) => `example.com/d${n}@v1.0.0`);
  for (const name of requires) upstream.add(name);
  for (const name of ["a", "b", "c"]) upstream.add(`example.com/${name}@v1.0.0`, { requires });
  const mirror = new MadeMirror(upstream);
  await mirror.request({ wishes: ["example.com/a@v1.0.0"] }, "index");
  const opened: string[] = [];
  const open = mirror.tree.open.bind(mirror.tree);
  mirror.tree.open = async (key) => {
    opened.push(key);
    return await open(key);
  };
  await mirror.request({ wishes: ["example.com/b@v1.0.0"] }, "index");
  expect(opened.filter((key) => key.startsWith("example.com/d"))).toEqual([]);
  await mirror.request({ wishes: ["example.com/c@v1.0.0"] }, "team/app");
  for (const name of requires) expect(opened).toContain(`${name.replace("@", "/@v/")}.zip`);
});
