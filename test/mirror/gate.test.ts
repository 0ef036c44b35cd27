import { beforeEach, describe, expect, test } from "vitest";
import { parseModuleVersion } from "../../gomod/version.ts";
import { noDeadline } from "../../mirror/parts.ts";
import type { VersionRecord } from "../../mirror/records.ts";
import { answer } from "../../mirror/serve.ts";
import { missingOf } from "../../mirror/settle.ts";
import { work } from "../../mirror/work.ts";
import { MadeMirror, MINUTE, type ProcessOptions } from "./made-mirror.ts";
import { MadeUpstream } from "./made-upstream.ts";

const A = "example.com/a@v1.0.0";
const DEP = "example.com/dep@v1.0.0";
const DATABASE = "sum.example.org";
const DAY = 24 * 60 * MINUTE;
const COOL = { cooldown: { age: "2d" } } as const;

describe("what the policy keeps out", () => {
  let upstream: MadeUpstream;
  let mirror: MadeMirror;

  beforeEach(() => {
    upstream = new MadeUpstream();
    upstream.add(DEP);
    upstream.add(A, { requires: [DEP] });
    upstream.add("example.com/a@v1.1.0");
  });
  const start = (options: ProcessOptions) => {
    mirror = new MadeMirror(upstream, options);
  };
  /** The same mirror under another configuration. */
  const restart = (options: ProcessOptions) => {
    mirror = new MadeMirror(upstream, options, mirror);
  };
  const recordOf = async (name: string): Promise<VersionRecord> => {
    const [record] = await mirror.ledger.read([parseModuleVersion(name)]);
    if (record === undefined) throw new Error(`${name} has no record`);
    return record;
  };
  const status = async (path: string) => {
    const reply = await answer(mirror.parts, path, 1 << 20);
    if (reply.kind === "object") await reply.object.close();
    return reply.kind === "text" ? reply.status : 200;
  };
  const file = (name: string, ending: string) => name.replace("@", "/@v/") + ending;

  test("a young version is HELD until it is old enough: .mod, .info and lookup are served, its zip is 403, no list names it", async () => {
    start({ policy: COOL });
    const request = await mirror.request({ wishes: [A] });
    const first = await recordOf(A);
    expect(first).toMatchObject({
      state: "HELD",
      held: "mod",
      wanted: "whole",
      listed: false,
      rule: "cooldown",
    });
    expect(first.due).toBe(first.firstSeen + 2 * DAY);
    expect(first.lastError).toMatchObject({
      class: "denied",
      message: expect.stringContaining("younger than 2d"),
    });
    for (const path of [file(A, ".mod"), file(A, ".info"), `sumdb/${DATABASE}/lookup/${A}`])
      expect([path, await status(path)]).toEqual([path, 200]);
    expect(await mirror.keys()).not.toContain(file(A, ".zip"));
    expect(upstream.count("zip")).toBe(0);
    const reply = await answer(mirror.parts, file(A, ".zip"), 1);
    expect(reply).toMatchObject({
      status: 403,
      text: expect.stringMatching(
        /^example.com\/a@v1.0.0: HELD until 2026-11-25T.*by rule cooldown: younger than 2d.*\n$/,
      ),
    });
    expect(await answer(mirror.parts, "example.com/a/@v/list", 1)).toMatchObject({ status: 200, text: "" });
    expect(await status("example.com/a/@latest")).toBe(404);
    expect(await missingOf(mirror.parts, request)).toContainEqual(
      expect.objectContaining({ subject: A, state: "HELD", class: "denied", due: first.due }),
    );
    expect((await mirror.ledger.readRequest(request))?.state).toBe("INCOMPLETE");

    await mirror.pass(5);
    expect((await recordOf(A)).state).toBe("HELD");
    mirror.clock.ms += 2 * DAY;
    await mirror.pass(3);
    expect(await recordOf(A)).toMatchObject({ state: "READY", held: "whole", listed: true });
    expect((await recordOf(A)).rule).toBeUndefined();
    expect(await mirror.text("example.com/a/@v/list")).toBe("v1.0.0\n");
    expect((await mirror.ledger.readRequest(request))?.state).toBe("DONE");
    expect(upstream.asked.get(`mod ${A}`)).toBe(1);
  });

  test("asking again for what is HELD costs upstream nothing, and lets nothing in", async () => {
    start({ policy: COOL });
    await mirror.request({ wishes: [A] });
    const asked = new Map(upstream.asked);
    await mirror.request({ wishes: [A] }, "again");
    expect((await recordOf(A)).state).toBe("HELD");
    expect(Object.fromEntries(upstream.asked)).toEqual(Object.fromEntries(asked));
  });

  test("a root is not listed while its closure has what stays out; what stays out only as a go.mod does no harm", async () => {
    start({ policy: { rules: [{ name: "no-dep", deny: ["example.com/dep"], reason: "no" }] } });
    await mirror.request({ wishes: [A, "example.com/a@v1.1.0"] });
    expect(await recordOf(DEP)).toMatchObject({ state: "DENIED", held: "mod", rule: "no-dep" });
    expect((await recordOf(DEP)).due).toBeUndefined();
    expect(await recordOf(A)).toMatchObject({ state: "READY", held: "whole", listed: false });
    expect(await mirror.text("example.com/a/@v/list")).toBe("v1.1.0\n");
    expect(await status("example.com/dep/@v/list")).toBe(404);
    expect(await answer(mirror.parts, file(DEP, ".zip"), 1)).toMatchObject({
      status: 403,
      text: `${DEP}: DENIED by rule no-dep: no\n`,
    });
    expect(await status(file(DEP, ".mod"))).toBe(200);
    expect(await status(file(DEP, ".info"))).toBe(200);
  });

  test("a rule that is lifted lets in what it kept out, by reconcile alone; while nothing changes, that is one read a tick", async () => {
    const policy = { rules: [{ name: "no-dep", deny: ["example.com/dep"], reason: "no" }] };
    start({ policy });
    await mirror.request({ wishes: [A] });
    await mirror.pass(25);
    expect((await recordOf(DEP)).state).toBe("DENIED");
    const before = upstream.count();
    await mirror.pass(5);
    expect(upstream.count()).toBe(before);
    // An old request looks for itself ever more seldom.
    mirror.clock.ms += 20 * DAY;
    await mirror.pass(2);
    restart({});
    await mirror.pass(3);
    expect(await recordOf(DEP)).toMatchObject({ state: "READY", held: "whole" });
    await mirror.pass(15);
    expect(await mirror.text("example.com/a/@v/list")).toBe("v1.0.0\n");
  });

  test("what a worker under the old policy refused after the sweep is asked again, too", async () => {
    start({ policy: { rules: [{ name: "no-a", deny: ["example.com/a"], reason: "no" }] } });
    const late = mirror;
    await mirror.request({ wishes: [DEP] });
    await mirror.pass(1);
    restart({});
    await mirror.pass(1);
    await late.request({ wishes: [A] });
    expect((await recordOf(A)).state).toBe("DENIED");
    await mirror.pass(12);
    expect((await recordOf(A)).state).toBe("READY");
  });

  test("a zip above the largest is DENIED once its size is known, stored nowhere, and not fetched again", async () => {
    start({ policy: { largestZip: 100 } });
    await mirror.request({ wishes: [DEP] });
    expect(await recordOf(DEP)).toMatchObject({ state: "DENIED", held: "mod", rule: "largest-zip" });
    expect(await mirror.keys()).not.toContain(file(DEP, ".zip"));
    expect(await status(file(DEP, ".mod"))).toBe(200);
    expect(await status(file(DEP, ".info"))).toBe(200);
    await mirror.pass(20);
    expect(upstream.asked.get(`zip ${DEP}`)).toBe(1);
  });

  test("what is pinned by the request's own go.sum comes in at once; what it only needs does not", async () => {
    start({ policy: { cooldown: { age: "2d", exempt: "gosum" } } });
    const made = upstream.made.get(A);
    const files = {
      "go.mod": `module example.org/main\n\ngo 1.16\n\nrequire example.com/a v1.0.0\n`,
      "go.sum": `example.com/a v1.0.0 ${made?.zipH1}\nexample.com/a v1.0.0/go.mod ${made?.modH1}\n`,
    };
    await mirror.request({ files });
    expect(await recordOf(A)).toMatchObject({ state: "READY", held: "whole", rule: "cooldown.exempt" });
    expect((await recordOf(DEP)).state).toBe("HELD");
  });

  test("a request that pins it lets in what an earlier one left HELD", async () => {
    start({ policy: { cooldown: { age: "2d", exempt: "gosum" } } });
    await mirror.request({ wishes: [DEP] });
    expect((await recordOf(DEP)).state).toBe("HELD");
    const zipH1 = upstream.made.get(DEP)?.zipH1;
    await mirror.request({
      files: {
        "go.mod": "module example.org/main\n\ngo 1.16\n\nrequire example.com/dep v1.0.0\n",
        "go.sum": `example.com/dep v1.0.0 ${zipH1}\n`,
      },
    });
    expect((await recordOf(DEP)).state).toBe("READY");
  });

  describe("a pin of a request's go.sum", () => {
    const EXEMPT = { cooldown: { age: "2d", exempt: "gosum" } } as const;
    const FORGED = `h1:${"A".repeat(43)}=`;
    const NEW = "example.com/new@v1.0.0";
    const pinning = (name: string, ...hashes: (string | undefined)[]) => ({
      files: {
        "go.mod": "module example.org/main\n\ngo 1.16\n",
        "go.sum": hashes.map((hash) => `${name.replace("@", " ")} ${hash}\n`).join(""),
      },
      exact: [name],
    });
    beforeEach(() => void upstream.add(NEW));
    const right = (name = NEW) => upstream.made.get(name)?.zipH1;
    const zipKeyOf = (name: string) => file(name, ".zip");

    test("that is not what the checksum database has proven lets nothing in, for nobody", async () => {
      start({ policy: EXEMPT });
      await mirror.request(pinning(NEW, FORGED), "forged");
      expect(await recordOf(NEW)).toMatchObject({ state: "HELD", held: "mod", rule: "cooldown" });
      expect(upstream.count("zip")).toBe(0);
      await mirror.request({ wishes: [NEW] });
      await mirror.request(pinning(NEW, FORGED), "again");
      expect(await recordOf(NEW)).toMatchObject({ state: "HELD", rule: "cooldown", listed: false });
      expect(await mirror.keys()).not.toContain(zipKeyOf(NEW));
      await mirror.request(pinning(NEW, right()), "right");
      expect(await recordOf(NEW)).toMatchObject({ state: "READY", held: "whole", rule: "cooldown.exempt" });
    });

    test("counts whether its hash is known before, or proven only now, and beside a wrong one", async () => {
      start({ policy: EXEMPT });
      await mirror.request(pinning(NEW, right()));
      expect(await recordOf(NEW)).toMatchObject({ state: "READY", rule: "cooldown.exempt" });
      await mirror.request({ wishes: [DEP] });
      expect((await recordOf(DEP)).state).toBe("HELD");
      await mirror.request(pinning(DEP, FORGED, right(DEP)));
      expect((await recordOf(DEP)).state).toBe("READY");
    });

    test("that is wrong takes no right one's place, once the hash is proven", async () => {
      start({ policy: EXEMPT });
      await mirror.request({ wishes: [NEW] });
      await mirror.accept(pinning(NEW, right()), "right");
      await mirror.accept(pinning(NEW, FORGED), "forged");
      await mirror.drain();
      expect((await recordOf(NEW)).state).toBe("READY");
    });

    test("that comes while the version's age keeps it out counts all the same", async () => {
      start({ policy: EXEMPT });
      await mirror.accept({ wishes: [NEW] });
      let pinned = false;
      await mirror.queue.drain(
        async (order) => {
          const { write } = mirror.ledger;
          // The refusal is just being written down.
          if (order.kind === "fetch" && !pinned)
            mirror.ledger.write = async (changes) => {
              mirror.ledger.write = write;
              const request = await mirror.accept(pinning(NEW, right()), "right");
              await work(mirror.parts, { kind: "resolve", request }, noDeadline);
              pinned = true;
              return await mirror.ledger.write(changes);
            };
          await work(mirror.parts, order, noDeadline);
        },
        { concurrency: 1 },
      );
      expect(pinned).toBe(true);
      expect(await recordOf(NEW)).toMatchObject({ state: "READY", rule: "cooldown.exempt" });
      expect(mirror.events.filter(({ event }) => event === "refusedByPolicy")).toEqual([]);
    });

    test("that is wrong does not make one forget that the version was retracted while it was kept out", async () => {
      start({ policy: EXEMPT, unproven: "example.com/new" });
      await mirror.request({ wishes: [NEW] });
      mirror.clock.ms += DAY;
      upstream.add("example.com/new@v1.0.1", {
        text: "module example.com/new\n\ngo 1.16\n\nretract v1.0.0\n",
      });
      await mirror.request({ exact: ["example.com/new@v1.0.1"] });
      mirror.clock.ms += 5 * DAY;
      await mirror.request(pinning(NEW, FORGED));
      expect(await recordOf(NEW)).toMatchObject({ state: "DENIED", rule: "retracted" });
    });

    test("of a path that no checksum database covers counts where upstream's bytes are those: of others nothing is stored", async () => {
      start({ policy: EXEMPT, unproven: "example.com/new" });
      await mirror.request(pinning(NEW, FORGED), "forged");
      expect(await recordOf(NEW)).toMatchObject({ state: "HELD", held: "mod", rule: "cooldown" });
      expect(await mirror.keys()).not.toContain(zipKeyOf(NEW));
      expect((await recordOf(NEW)).zipH1).toBeUndefined();
      await mirror.request(pinning(NEW, right()), "right");
      expect(await recordOf(NEW)).toMatchObject({ state: "READY", held: "whole", rule: "cooldown.exempt" });
    });

    test("lets nothing in past another rule", async () => {
      start({ policy: { ...EXEMPT, rules: [{ name: "no", deny: ["example.com/new"], reason: "no" }] } });
      await mirror.request(pinning(NEW, right()));
      expect(await recordOf(NEW)).toMatchObject({ state: "DENIED", rule: "no" });
    });
  });

  test("a policy that was lifted before anybody reconciled leaves nothing kept out", async () => {
    start({ policy: { rules: [{ name: "no-dep", deny: ["example.com/dep"], reason: "no" }] } });
    await mirror.request({ wishes: [DEP] });
    expect((await recordOf(DEP)).state).toBe("DENIED");
    restart({});
    await mirror.pass(3);
    expect(await recordOf(DEP)).toMatchObject({ state: "READY", held: "whole" });
    // And once more, over what was swept before.
    restart({ policy: { rules: [{ name: "no-a", deny: ["example.com/a"], reason: "no" }] } });
    await mirror.request({ exact: [A] });
    expect((await recordOf(A)).state).toBe("DENIED");
    restart({});
    await mirror.pass(3);
    expect((await recordOf(A)).state).toBe("READY");
  });

  test("a record below a head that is known to be old is old: a new mirror is not empty on its first day", async () => {
    upstream.database.grow(50);
    const time = new Date(Date.UTC(2026, 10, 1)).toISOString();
    start({ policy: { cooldown: { age: "2d", anchors: [{ database: DATABASE, size: 2, time }] } } });
    // Records 0 and 1 are below the head of 2, record 2 is not.
    await mirror.request({ wishes: [A, "example.com/a@v1.1.0"] });
    expect((await recordOf(DEP)).state).toBe("READY");
    expect((await recordOf(A)).state).toBe("READY");
    expect((await recordOf("example.com/a@v1.1.0")).state).toBe("HELD");
  });

  test("a head that this mirror saw itself counts from then on", async () => {
    start({ policy: COOL });
    await mirror.request({ wishes: [DEP] });
    await (await import("../../mirror/advance-heads.ts")).advanceHeads(mirror.parts, mirror.parts.databases);
    mirror.clock.ms += 3 * DAY;
    await mirror.request({ wishes: [A] });
    expect(await recordOf(A)).toMatchObject({ state: "READY" });
  });

  test.each([
    [true, "READY"],
    [false, "HELD"],
  ])(".info's Time counts only where it is trusted (%s: %s)", async (trustTime, state) => {
    start({ policy: { cooldown: { age: "2d", trustTime } } });
    await mirror.request({ wishes: [DEP] });
    expect((await recordOf(DEP)).state).toBe(state);
  });

  test("the feed's stamp counts", async () => {
    start({ policy: COOL });
    await mirror.request({ exact: [DEP] });
    const held = await recordOf(DEP);
    const due = mirror.clock.ms;
    await mirror.ledger.write([
      { record: { ...held, state: "PENDING", feed: "index", feedTime: "2026-11-20T00:00:00.000001Z", due } },
    ]);
    await mirror.pass(1);
    expect((await recordOf(DEP)).state).toBe("READY");
  });

  test("a retraction that comes while it is kept out keeps it out; the one that retracts comes in", async () => {
    start({ policy: COOL });
    await mirror.request({ exact: ["example.com/a@v1.1.0"] });
    expect((await recordOf("example.com/a@v1.1.0")).state).toBe("HELD");
    mirror.clock.ms += DAY;
    upstream.add("example.com/a@v1.1.1", {
      text: "module example.com/a\n\ngo 1.16\n\nretract [v1.1.0, v1.1.1] // it deletes files\n",
    });
    await mirror.request({ exact: ["example.com/a@v1.1.1"] });
    mirror.clock.ms += DAY;
    await mirror.pass(3);
    expect(await recordOf("example.com/a@v1.1.0")).toMatchObject({
      state: "DENIED",
      rule: "retracted",
      lastError: { message: expect.stringContaining("retracted by v1.1.1") },
    });
    mirror.clock.ms += DAY;
    await mirror.pass(3);
    expect((await recordOf("example.com/a@v1.1.1")).state).toBe("READY");
    expect((await recordOf("example.com/a@v1.1.0")).state).toBe("DENIED");
  });

  test("a policy that asks for vulnerabilities lets nothing in while there is no database of them", async () => {
    start({ policy: { vulnerabilities: {} } });
    await mirror.request({ exact: [DEP] });
    expect(await recordOf(DEP)).toMatchObject({
      state: "FAILED",
      lastError: { message: expect.stringContaining("no vulnerability database") },
    });
    restart({ policy: { vulnerabilities: {} }, vulnerabilities: [] });
    mirror.clock.ms += DAY;
    await mirror.pass(2);
    expect((await recordOf(DEP)).state).toBe("READY");
  });

  test("where .mod cannot be had, that is said, and it is tried again: the policy hides nothing", async () => {
    start({ policy: { rules: [{ name: "no", deny: ["example.com"], reason: "no" }] } });
    upstream.made.delete(DEP);
    await mirror.request({ exact: [DEP] });
    expect((await recordOf(DEP)).state).toBe("GONE");
  });

  test("what was let in before a rule came stays; a policy is about who comes in", async () => {
    start({});
    await mirror.request({ exact: [DEP] });
    restart({ policy: { rules: [{ name: "no", deny: ["example.com"], reason: "no" }] } });
    await mirror.request({ exact: [DEP] });
    await mirror.pass(15);
    expect((await recordOf(DEP)).state).toBe("READY");
    expect(await status(file(DEP, ".zip"))).toBe(200);
  });
});
