import { expect, test } from "vitest";
import { parseModuleVersion } from "../../gomod/version.ts";
import { block } from "../../mirror/block.ts";
import { noDeadline } from "../../mirror/parts.ts";
import { unblock } from "../../mirror/unblock.ts";
import { work } from "../../mirror/work.ts";
import { CrashingPorts } from "./crashing-ports.ts";
import { MadeMirror, processOf } from "./made-mirror.ts";
import { MadeUpstream } from "./made-upstream.ts";

/** What the property tests (test/property/) have found of blocks, each as the smallest story that shows it. */
const A = "example.com/a@v1.0.0";
const DEP = "example.com/dep@v1.0.0";
const BY = "op@host";

function universe(): MadeUpstream {
  const upstream = new MadeUpstream();
  upstream.add(DEP);
  upstream.add(A, { requires: [DEP] });
  return upstream;
}

async function recordOf(mirror: MadeMirror, name: string) {
  const [record] = await mirror.ledger.read([parseModuleVersion(name)]);
  if (record === undefined) throw new Error(`${name}: no record`);
  return record;
}

/** A process of its own, with what it has read of the blocks itself. */
function processBeside(mirror: MadeMirror, upstream: MadeUpstream): CrashingPorts {
  const { tree, vault, ledger, queue } = mirror;
  return new CrashingPorts({ tree, vault, ledger, queue, upstream }, () => 0);
}

test("a root whose publisher died after it had written the list goes off that list with what it needs", async () => {
  const mirror = new MadeMirror(universe());
  await mirror.request({ wishes: [A] });
  await mirror.ledger.write([{ record: { ...(await recordOf(mirror, A)), listed: false } }]);
  await block(mirror.parts, DEP, "bad", BY);
  expect(await mirror.text("example.com/a/@v/list")).toBe("");
  expect(await mirror.text("example.com/a/@latest")).toBeUndefined();
});

test("what a worker refuses after the unblock, by what it has read of the blocks before, comes in all the same", async () => {
  const upstream = universe();
  const mirror = new MadeMirror(upstream);
  await block(mirror.parts, A, "bad", BY);
  const { ports } = processBeside(mirror, upstream);
  const worker = processOf(ports, upstream, mirror.clock);
  await mirror.accept({ wishes: [A] });
  await mirror.queue.drain((order) => work(worker, order, noDeadline), { concurrency: 1 });
  expect((await recordOf(mirror, A)).state).toBe("BLOCKED");
  await unblock(mirror.parts, A, BY);
  const order = {
    kind: "fetch" as const,
    path: parseModuleVersion(A).path,
    versions: [parseModuleVersion(A).version],
  };
  await work(worker, order, noDeadline);
  expect((await recordOf(mirror, A)).state).toBe("BLOCKED");
  await mirror.pass(15);
  expect(await recordOf(mirror, A)).toMatchObject({ state: "READY", held: "whole", listed: true });
  expect(await mirror.text("example.com/a/@v/list")).toBe("v1.0.0\n");
  expect(await mirror.ledger.readItem("block", A)).toBeUndefined();
});

test("what is unblocked is not listed again while another block has what it needs", async () => {
  const mirror = new MadeMirror(universe());
  await mirror.request({ wishes: [A] });
  await block(mirror.parts, A, "bad", BY);
  await block(mirror.parts, DEP, "bad too", BY);
  await unblock(mirror.parts, A, BY);
  expect(await mirror.text("example.com/a/@v/list")).toBe("");
  await unblock(mirror.parts, DEP, BY);
  expect(await mirror.text("example.com/a/@v/list")).toBe("v1.0.0\n");
});

test.each([A, DEP])("a block of %s that died at any call leaves nothing once it is lifted", async (name) => {
  const upstream = universe();
  let died = 0;
  for (let at = 0; at < 60; at++) {
    const mirror = new MadeMirror(upstream);
    await mirror.request({ wishes: [A] });
    const crashing = processBeside(mirror, upstream);
    crashing.plan([{ at, kind: "die", applied: true }]);
    await block(processOf(crashing.ports, upstream, mirror.clock), name, "bad", BY).catch(() => died++);
    if ((await mirror.ledger.readItem("block", name)) !== undefined) await unblock(mirror.parts, name, BY);
    await mirror.pass(15);
    expect([at, await mirror.text("example.com/a/@v/list")]).toEqual([at, "v1.0.0\n"]);
    expect(await recordOf(mirror, A)).toMatchObject({ state: "READY", held: "whole", listed: true });
    expect(await recordOf(mirror, DEP)).toMatchObject({ state: "READY", held: "whole" });
  }
  expect(died).toBeGreaterThan(10);
});
