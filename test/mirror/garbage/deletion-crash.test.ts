import { describe, expect, test } from "vitest";
import { parseModuleVersion } from "../../../gomod/version.ts";
import { collectGarbage } from "../../../mirror/garbage/collect.ts";
import { dropRequest } from "../../../mirror/garbage/drops.ts";
import { reconcile } from "../../../mirror/reconcile.ts";
import { answer } from "../../../mirror/serve.ts";
import { CrashingPorts, randomFrom } from "../crashing-ports.ts";
import { MadeMirror, MINUTE, processOf } from "../made-mirror.ts";
import { MadeUpstream } from "../made-upstream.ts";
import { DAY, optionsOf, run, runs, stateOf } from "./garbage-runs.ts";

const A = "example.com/a@v1.0.0";
const version = parseModuleVersion(A);
const zip = "example.com/a/@v/v1.0.0.zip";

async function chosen(): Promise<{ readonly mirror: MadeMirror; readonly upstream: MadeUpstream }> {
  const upstream = new MadeUpstream();
  upstream.database.grow(3);
  upstream.add(A);
  const mirror = new MadeMirror(upstream);
  await mirror.request({ wishes: [A] }, "one");
  await dropRequest(mirror.parts, "one", "op@host");
  mirror.clock.ms += DAY;
  await run(mirror);
  mirror.clock.ms += DAY;
  return { mirror, upstream };
}

/** A run in a process that is killed at its call number `at`. @returns whether it got so far. */
async function killedRun(
  mirror: MadeMirror,
  upstream: MadeUpstream,
  at: number,
  applied: boolean,
): Promise<boolean> {
  const { tree, vault, ledger, queue, clock } = mirror;
  const crashing = new CrashingPorts({ tree, vault, ledger, queue, upstream }, randomFrom(at), {
    deep: true,
  });
  crashing.plan([{ at, kind: "die", applied }]);
  const parts = processOf(crashing.ports, upstream, clock, { owner: "killed" });
  const options = { ...optionsOf(), owner: "killed" };
  await collectGarbage({ ...parts, provable: () => true }, options).catch(() => undefined);
  return crashing.dead;
}

describe.each([false, true])(
  "a run that is killed at each of its calls (the call applied: %s)",
  (applied) => {
    test("leaves what the next ones go on from", async () => {
      let at = 0;
      for (; ; at++) {
        const { mirror, upstream } = await chosen();
        const wasKilled = await killedRun(mirror, upstream, at, applied);
        await runs(mirror);
        expect(`${at} ${JSON.stringify(await stateOf(mirror, A))}`).toBe(
          `${at} {"state":"REMOVED","held":"nothing","listed":false}`,
        );
        expect(await mirror.text("example.com/a/@v/list")).toBe("");
        expect((await mirror.keys()).filter((key) => key.startsWith("example.com/a/@v/v"))).toEqual([]);
        if (!wasKilled) break;
      }
      expect(at).toBeGreaterThan(15);
    }, 60_000);
  },
);

test("while files go, a wish is noted, a client is told to wait, and reconcile has the version fetched again", async () => {
  const { mirror, upstream } = await chosen();
  await run(mirror);
  mirror.clock.ms += DAY;
  // Killed right after the record says that its files are going.
  for (let at = 0; (await mirror.ledger.read([version]))[0]?.removal?.deleting === undefined; at++)
    await killedRun(mirror, upstream, at, true);
  expect(await stateOf(mirror, A)).toMatchObject({ state: "REMOVING", held: "nothing" });

  const request = await mirror.request({ wishes: [A] }, "again");
  const [record] = await mirror.ledger.read([version]);
  expect(record?.removal?.wanted).toBe("whole");
  const stored = await mirror.tree.open(zip as never);
  if (stored !== undefined) await mirror.tree.remove(zip as never, stored.etag);
  const { tree, ledger, clock } = mirror;
  expect(await answer({ tree, ledger, now: clock.now }, zip, 1 << 24)).toMatchObject({ status: 503 });

  mirror.clock.ms += 16 * MINUTE;
  await reconcile(mirror.parts, { onlyWriter: false });
  await mirror.drain();
  await mirror.pass(20);
  expect(await stateOf(mirror, A)).toEqual({ state: "READY", held: "whole", listed: true });
  expect((await ledger.readRequest(request))?.state).toBe("DONE");
});

test("a list that is not as it was written is not acted upon", async () => {
  const { mirror } = await chosen();
  const keys: string[] = [];
  for await (const key of mirror.vault.keys("garbage/")) keys.push(key);
  const [key = ""] = keys;
  const text = Buffer.from((await mirror.vault.get(key, 1 << 20)) ?? []).toString("utf8");
  await mirror.vault.put(key, Buffer.from(text.replaceAll("example.com/a", "example.com/b")));
  const { acted, list } = await run(mirror);
  expect(acted).toMatchObject({ removing: 0, problem: expect.stringContaining("not as it was written") });
  expect(await stateOf(mirror, A)).toMatchObject({ state: "READY" });
  // And the next one is chosen at once.
  expect(list?.versions).toBe(1);
});

test("what no database covers cannot come back with other bytes", async () => {
  const upstream = new MadeUpstream();
  upstream.add("corp.example/x@v1.0.0", {}, false);
  const mirror = new MadeMirror(upstream, { unproven: "corp.example" });
  await mirror.request({ wishes: ["corp.example/x@v1.0.0"] }, "one");
  await dropRequest(mirror.parts, "one", "op@host");
  await runs(mirror, { settings: { largestShare: 1, internal: "collect" } });
  expect(await stateOf(mirror, "corp.example/x@v1.0.0")).toMatchObject({ state: "REMOVED" });
  upstream.add("corp.example/x@v1.0.0", { text: "module corp.example/x\n\ngo 1.20\n" }, false);
  await mirror.request({ wishes: ["corp.example/x@v1.0.0"] }, "again");
  expect(await stateOf(mirror, "corp.example/x@v1.0.0")).toMatchObject({
    state: "CONFLICT",
    held: "nothing",
  });
});
