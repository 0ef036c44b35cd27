import { describe, expect, test } from "vitest";
import { zipChecker } from "../../adapters/local/zip-checker.ts";
import { parseModuleVersion } from "../../gomod/version.ts";
import { block } from "../../mirror/block.ts";
import { BLOCKS_FRESH } from "../../mirror/blocks.ts";
import { answer } from "../../mirror/serve.ts";
import { parseTreeKey } from "../../mirror/tree-keys.ts";
import { unblock } from "../../mirror/unblock.ts";
import { verifyMirror } from "../../mirror/verify.ts";
import { CrashingPorts, Killed, type Trouble } from "./crashing-ports.ts";
import { MadeMirror, processOf } from "./made-mirror.ts";
import { MadeUpstream } from "./made-upstream.ts";

const A = "example.com/a@v1.0.0";
const A1 = "example.com/a@v1.1.0";
const DEP = "example.com/dep@v1.0.0";
const BY = "op@host";
/** More than either takes; the last of these schedules die at no call. */
const MOST_CALLS = 90;

function universe(): MadeUpstream {
  const upstream = new MadeUpstream();
  upstream.add(DEP);
  upstream.add(A, { requires: [DEP] });
  upstream.add(A1);
  return upstream;
}

/** One for all, for its database has a key of its own. */
const upstream = universe();

async function filled(): Promise<MadeMirror> {
  const mirror = new MadeMirror(upstream);
  await mirror.request({ wishes: [A, A1] });
  return mirror;
}

/** All that a client or an operator sees of it, without revisions and times. */
async function seen(mirror: MadeMirror): Promise<object> {
  const files: Record<string, string | undefined> = {};
  for (const key of await mirror.keys()) {
    const kind = parseTreeKey(key)?.kind;
    files[key] = kind === "list" || kind === "latest" ? await mirror.text(key) : "there";
  }
  const records = await mirror.ledger.read([A, A1, DEP].map(parseModuleVersion));
  const states = records.map((record) => {
    const {
      revision: _revision,
      wantedAt: _wanted,
      due: _due,
      ...rest
    } = record ?? { revision: 0, wantedAt: 0 };
    return rest;
  });
  const answers: Record<string, string> = {};
  mirror.clock.ms += BLOCKS_FRESH;
  for (const name of [A, A1, DEP]) {
    const reply = await answer(mirror.parts, `${name.replace("@", "/@v/")}.zip`, 1 << 20);
    answers[name] = reply.kind === "text" ? `${reply.status} ${reply.text}` : "there";
    if (reply.kind === "object") await reply.object.close();
  }
  const quarantined: string[] = [];
  for await (const key of mirror.vault.keys("quarantine/")) quarantined.push(key);
  return { files, states, answers, quarantined };
}

async function verified(mirror: MadeMirror): Promise<void> {
  const { tree, ledger } = mirror;
  const verifiers = [upstream.database.verifier];
  const { findings } = await verifyMirror({ tree, ledger, zips: zipChecker, verifiers, progress: () => {} });
  expect(findings).toEqual([]);
}

/** Runs one command in a process of its own that has this trouble. @returns how far it came. */
async function run(
  mirror: MadeMirror,
  trouble: Trouble | undefined,
  command: (parts: ReturnType<typeof processOf>) => Promise<unknown>,
): Promise<"done" | "died" | "failed"> {
  const { tree, vault, ledger, queue } = mirror;
  const crashing = new CrashingPorts({ tree, vault, ledger, queue, upstream }, () => 0);
  crashing.plan(trouble === undefined ? [] : [trouble]);
  try {
    await command(processOf(crashing.ports, upstream, mirror.clock));
    return "done";
  } catch (thrown) {
    if (thrown instanceof Killed || crashing.dead) return "died";
    return "failed";
  }
}

/** While anything is half done, no list names what cannot be fetched, unless it is the blocked version itself. */
async function readerSees(mirror: MadeMirror): Promise<void> {
  const text = (await mirror.text("example.com/a/@v/list")) ?? "";
  const keys = await mirror.keys();
  for (const version of text.split("\n").filter((line) => line !== ""))
    expect(keys).toContain(`example.com/a/@v/${version}.zip`);
  const latest = await mirror.text("example.com/a/@latest");
  if (latest !== undefined) {
    const { Version } = JSON.parse(latest);
    expect(keys).toContain(`example.com/a/@v/${Version}.zip`);
  }
}

const troubles = (["die", "fail"] as const).flatMap((kind) =>
  [false, true].map((applied) => ({ kind, applied })),
);

describe.each([
  { name: A1, what: "a version" },
  { name: DEP, what: "a dependency" },
  { name: "example.com/*", what: "a pattern" },
])("$what that is blocked, and dies at any call", ({ name }) => {
  test.each(troubles)(
    "ends as if nothing had happened when it is run again ($kind, applied: $applied)",
    async (kind) => {
      const clean = await filled();
      await block(clean.parts, name, "bad", BY);
      const expected = await seen(clean);
      let died = 0;
      for (let at = 0; at < MOST_CALLS; at++) {
        const mirror = await filled();
        const how = await run(mirror, { at, ...kind }, (parts) => block(parts, name, "bad", BY));
        if (how !== "done") died++;
        await readerSees(mirror);
        expect(await run(mirror, undefined, (parts) => block(parts, name, "bad", BY))).toBe("done");
        await readerSees(mirror);
        expect([at, await seen(mirror)]).toEqual([at, expected]);
        await verified(mirror);
        const lines = mirror.ledger.journalLines.filter(({ event }) => event === "blocked");
        expect(new Set(lines.map(({ version }) => `${version.path}@${version.version}`)).size).toBe(
          lines.length,
        );
      }
      expect(died).toBeGreaterThan(10);
      expect(died).toBeLessThan(MOST_CALLS);
    },
  );

  test("is finished by reconcile once the block itself is written", async () => {
    const clean = await filled();
    await block(clean.parts, name, "bad", BY);
    await clean.pass(15);
    const expected = await seen(clean);
    for (let at = 0; at < MOST_CALLS; at++) {
      const mirror = await filled();
      await run(mirror, { at, kind: "die", applied: true }, (parts) => block(parts, name, "bad", BY));
      if ((await mirror.ledger.readItem("block", name)) === undefined) continue;
      await mirror.pass(15);
      expect([at, await seen(mirror)]).toEqual([at, expected]);
      await verified(mirror);
    }
  });

  test.each(troubles)(
    "comes back whole when its unblock dies anywhere and is run again ($kind, applied: $applied)",
    async (kind) => {
      const { files, states, answers } = (await seen(await filled())) as Record<string, unknown>;
      let died = 0;
      for (let at = 0; at < MOST_CALLS; at++) {
        const mirror = await filled();
        await block(mirror.parts, name, "bad", BY);
        const how = await run(mirror, { at, ...kind }, (parts) => unblock(parts, name, BY));
        if (how !== "done") died++;
        await readerSees(mirror);
        // The lease of who died runs out.
        mirror.clock.ms += 3 * 60_000;
        const again = await run(mirror, undefined, (parts) => unblock(parts, name, BY));
        // "not blocked" where the first try came to its end.
        if (again !== "done") expect(await mirror.ledger.inState("BLOCKED", { limit: 1 })).toEqual([]);
        await mirror.pass(15);
        expect([at, await seen(mirror)]).toMatchObject([at, { files, states, answers }]);
        await verified(mirror);
      }
      expect(died).toBeGreaterThan(10);
      expect(died).toBeLessThan(MOST_CALLS);
    },
  );
});
