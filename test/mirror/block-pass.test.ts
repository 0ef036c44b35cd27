import { describe, expect, test } from "vitest";
import { formatModuleVersion, parseModuleVersion } from "../../gomod/version.ts";
import { applyBlock, block, handInBlock } from "../../mirror/block.ts";
import { parseBlock } from "../../mirror/blocks.ts";
import { sweepPolicy } from "../../mirror/policy-sweep.ts";
import { reconcile } from "../../mirror/reconcile.ts";
import { closureVaultKey, parseClosureKey } from "../../mirror/requests.ts";
import { unblock } from "../../mirror/unblock.ts";
import { MadeMirror, MINUTE } from "./made-mirror.ts";
import { MadeUpstream } from "./made-upstream.ts";

const DEP = "example.com/dep@v1.0.0";
const BY = "op@host";
const zipOf = (name: string) => `${name.replace("@", "/@v/")}.zip`;
const listOf = (name: string) => `${name.slice(0, name.indexOf("@"))}/@v/list`;

/** Time for so many looks at it, then none. */
function enoughFor(looks: number) {
  let left = looks;
  return { remaining: () => (left-- > 0 ? 300_000 : 0) };
}

async function mirrorOf(roots: number, name = "test") {
  const upstream = new MadeUpstream();
  upstream.add(DEP);
  const names = Array.from({ length: roots }, (_, n) => `example.com/r${n}@v1.0.0`);
  for (const root of names) upstream.add(root, { requires: [DEP] });
  const mirror = new MadeMirror(upstream);
  for (const root of names) await mirror.request({ wishes: [root] }, name);
  const listed = async () =>
    (await Promise.all(names.map(async (root) => ((await mirror.text(listOf(root))) ?? "") !== ""))).filter(
      Boolean,
    ).length;
  return { upstream, mirror, names, listed };
}

describe("a request's name", () => {
  test.each(["app", "team/app", "org/team/app", "a/b/c/d"])(
    "%s is found by blocks and unblocks alike",
    async (name) => {
      const key = { name, time: "20261123T093000000Z" };
      expect(parseClosureKey(closureVaultKey(key))).toEqual(key);
      const { mirror, listed } = await mirrorOf(1, name);
      expect(await listed()).toBe(1);
      expect(await block(mirror.parts, DEP, "bad", BY)).toEqual({ versions: 1, roots: 1 });
      expect(await listed()).toBe(0);
      await unblock(mirror.parts, DEP, BY);
      await mirror.drain();
      expect(await listed()).toBe(1);
    },
  );
});

describe("a block's pass", () => {
  test("takes a zip out only when no list names what needs it, at each of its steps", async () => {
    const { mirror, names } = await mirrorOf(3);
    const wrong: string[] = [];
    const look = async (when: string) => {
      if ((await mirror.keys()).includes(zipOf(DEP))) return;
      for (const root of names)
        if ((await mirror.text(listOf(root))) !== "") wrong.push(`${when}: ${root} is listed without ${DEP}`);
    };
    for (const store of [mirror.tree, mirror.vault, mirror.ledger] as const)
      for (const method of ["remove", "replace", "put", "write", "writeRequest"]) {
        const port = store as unknown as Record<
          string,
          ((...args: unknown[]) => Promise<unknown>) | undefined
        >;
        const call = port[method]?.bind(store);
        if (call === undefined) continue;
        port[method] = async (...args) => {
          const result = await call(...args);
          await look(method);
          return result;
        };
      }
    await block(mirror.parts, DEP, "bad", BY);
    expect(await mirror.keys()).not.toContain(zipOf(DEP));
    expect(wrong).toEqual([]);
  });

  test("that is out of time goes on where it was, in this process or another, and looks at no closure twice", async () => {
    const { mirror, listed } = await mirrorOf(100);
    const read: string[] = [];
    const get = mirror.vault.get.bind(mirror.vault);
    const handed = await handInBlock(mirror.parts, "example.com/dep*", "bad", BY);
    mirror.vault.get = async (key, limit) => {
      if (key.endsWith("closure.ndjson.zst")) read.push(key);
      return await get(key, limit);
    };
    let units = 0;
    for (let unfinished = true; unfinished && units < 50; units++) {
      const item = await mirror.ledger.readItem("block", handed.name);
      if (item === undefined) throw new Error("no block");
      const done = await applyBlock(mirror.parts, parseBlock(item), enoughFor(3));
      unfinished = done.unfinished === true;
      if (await listed()) expect(await mirror.keys()).toContain(zipOf(DEP));
    }
    expect(units).toBeGreaterThan(3);
    expect(units).toBeLessThan(20);
    expect(await listed()).toBe(0);
    expect(await mirror.keys()).not.toContain(zipOf(DEP));
    // Once looked into, once by the settling that this leads to, and once more at most for each batch that was cut.
    expect(read.length).toBeLessThanOrEqual(2 * 100);
    const item = await mirror.ledger.readItem("block", handed.name);
    expect(item?.value).toMatchObject({ applied: expect.any(Number) });
    expect(item?.value.progress).toBeUndefined();
  });

  test("looks into closures side by side, a bounded number at a time", async () => {
    const { mirror } = await mirrorOf(40);
    let [now, most] = [0, 0];
    const get = mirror.vault.get.bind(mirror.vault);
    mirror.vault.get = async (key, limit) => {
      now++;
      most = Math.max(most, now);
      await new Promise((resolve) => setTimeout(resolve, 2));
      now--;
      return await get(key, limit);
    };
    await block(mirror.parts, "example.com/nobody@v1.0.0", "bad", BY);
    expect(most).toBe(16);
  });

  test("that was out of time in reconcile is ended by the next ones, and counts at the endpoint meanwhile", async () => {
    const { mirror, listed } = await mirrorOf(60);
    await handInBlock(mirror.parts, DEP, "bad", BY);
    let ticks = 0;
    for (; (await listed()) > 0 && ticks < 40; ticks++) {
      mirror.clock.ms += MINUTE;
      await reconcile(mirror.parts, { onlyWriter: false, deadline: enoughFor(4) });
    }
    expect(ticks).toBeGreaterThan(1);
    expect(ticks).toBeLessThan(40);
    await mirror.pass(2);
    expect(await mirror.keys()).not.toContain(zipOf(DEP));
    await mirror.pass(12);
    expect((await mirror.ledger.readItem("block", DEP))?.value).toMatchObject({
      applied: expect.any(Number),
    });
  });

  test("that fails holds up neither another block nor an unblock", async () => {
    const { mirror, listed } = await mirrorOf(2);
    await handInBlock(mirror.parts, "example.com/r0@v1.0.0", "bad", BY);
    await handInBlock(mirror.parts, DEP, "bad", BY);
    const put = mirror.vault.put.bind(mirror.vault);
    mirror.vault.put = async (key, bytes) => {
      if (key.startsWith("quarantine/example.com/dep/")) throw new Error(`${key}: is read-only`);
      await put(key, bytes);
    };
    const { failed } = await reconcile(mirror.parts, { onlyWriter: false });
    expect(failed).toHaveLength(1);
    expect(await listed()).toBe(1);
    mirror.vault.put = put;
    await mirror.pass(2);
    expect(await listed()).toBe(0);
  });

  test("of an unblock goes on in the same way, until all that needs the version is listed again", async () => {
    const { mirror, listed } = await mirrorOf(60);
    await block(mirror.parts, DEP, "bad", BY);
    expect(await listed()).toBe(0);
    expect(await unblock(mirror.parts, DEP, BY, enoughFor(3))).toMatchObject({ unfinished: true });
    expect(await listed()).toBeLessThan(60);
    for (let ticks = 0; ticks < 15; ticks++) {
      mirror.clock.ms += MINUTE;
      await reconcile(mirror.parts, { onlyWriter: false, deadline: enoughFor(5) });
    }
    expect(await listed()).toBe(60);
    await mirror.pass(15);
    expect(await mirror.ledger.readItem("block", DEP)).toBeUndefined();
  });
});

describe("reconcile", () => {
  test("sends what is due before it goes on with blocks and policies, and has the time of a unit of work", async () => {
    const { mirror } = await mirrorOf(2);
    await handInBlock(mirror.parts, DEP, "bad", BY);
    const calls: string[] = [];
    for (const method of ["dueRequests", "due", "items"] as const) {
      const call = mirror.ledger[method].bind(mirror.ledger) as (...args: unknown[]) => never;
      (mirror.ledger as unknown as Record<string, unknown>)[method] = (...args: unknown[]) => {
        calls.push(method);
        return call(...args);
      };
    }
    await reconcile(mirror.parts, { onlyWriter: false });
    expect(calls.slice(0, 3)).toEqual(["dueRequests", "due", "items"]);
  });

  test("has what another policy refused asked again in parts, so that what else is due never waits behind all", async () => {
    const upstream = new MadeUpstream();
    upstream.add(DEP);
    const mirror = new MadeMirror(upstream, {
      policy: { rules: [{ name: "no", deny: ["example.com/x"], reason: "no" }] },
    });
    await mirror.request({ exact: [DEP] });
    const [record] = await mirror.ledger.read([parseModuleVersion(DEP)]);
    if (record === undefined) throw new Error("no record");
    const versions = Array.from({ length: 5_000 }, (_, n) => parseModuleVersion(`example.com/x@v1.0.${n}`));
    await mirror.ledger.write(
      versions.map((version, n) => ({
        record: {
          ...record,
          ...version,
          revision: 0,
          state: n % 2 === 0 ? "HELD" : "DENIED",
          held: "mod",
          wantedAt: n,
        },
      })),
    );
    await sweepPolicy(mirror.parts, "first");
    const free = new MadeMirror(upstream, {}, mirror);
    const asked = [];
    const pending = async () => (await free.ledger.countState("PENDING")).count;
    const begun = await pending();
    for (let calls = 0; calls < 20; calls++) asked.push(await sweepPolicy(free.parts, "second"));
    expect(begun).toBe(2_000);
    expect(asked.filter((count) => count > 0)).toEqual([2_000, 1_000]);
    expect(await pending()).toBe(5_000);
    // Those refused again meanwhile are asked again only by the second pass, once all that had begun before has ended.
    const [first] = await free.ledger.read(versions.slice(0, 1));
    if (first === undefined) throw new Error("no record");
    await free.ledger.write([{ record: { ...first, state: "HELD" } }]);
    expect(await sweepPolicy(free.parts, "second")).toBe(0);
    free.clock.ms += 11 * MINUTE;
    expect(await sweepPolicy(free.parts, "second")).toBe(1);
    expect(await sweepPolicy(free.parts, "second")).toBe(0);
    expect(formatModuleVersion(first)).toBe("example.com/x@v1.0.0");
  });

  test("ends a sweep where its time is up, and goes on behind what it has asked", async () => {
    const upstream = new MadeUpstream();
    upstream.add(DEP);
    const mirror = new MadeMirror(upstream);
    await mirror.request({ exact: [DEP] });
    const [record] = await mirror.ledger.read([parseModuleVersion(DEP)]);
    if (record === undefined) throw new Error("no record");
    const versions = Array.from({ length: 1_700 }, (_, n) => parseModuleVersion(`example.com/x@v1.0.${n}`));
    await mirror.ledger.write(
      versions.map((version, n) => ({
        record: { ...record, ...version, revision: 0, state: "HELD", held: "mod", wantedAt: n },
      })),
    );
    const policed = new MadeMirror(upstream, { policy: { cooldown: { age: "1d" } } }, mirror);
    const asked = [];
    for (let calls = 0; calls < 5; calls++) {
      asked.push(await sweepPolicy(policed.parts, "one", enoughFor(3)));
      // Workers have decided as before.
      const pending = await mirror.ledger.inState("PENDING", { limit: 5_000 });
      await mirror.ledger.write(pending.map((again) => ({ record: { ...again, state: "HELD" } })));
    }
    expect(asked).toEqual([1_000, 700, 0, 0, 0]);
  });
});
