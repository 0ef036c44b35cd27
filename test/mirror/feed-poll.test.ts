import { describe, expect, test } from "vitest";
import { stampOf } from "../../gomod/index-stamp.ts";
import { modulePath } from "../../gomod/module-path.ts";
import { moduleVersion } from "../../gomod/version.ts";
import { completeUntil } from "../../mirror/complete-until.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { PollSchedule, readSchedule } from "../../mirror/feed-schedule.ts";
import type { Subscriptions } from "../../mirror/subscription.ts";
import { tick } from "../../mirror/tick.ts";
import { subscribed } from "./made-index.ts";
import { MadeMirror, MINUTE } from "./made-mirror.ts";
import { MadeUpstream } from "./made-upstream.ts";

const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

async function poll(mirror: MadeMirror, subscriptions: Subscriptions, modulesPerTick?: number) {
  const budget = modulesPerTick === undefined ? {} : { modulesPerTick };
  const ticked = await tick(mirror.parts, { subscriptions, indexes: [], poll: budget }, "one");
  if (ticked.outcome !== "ticked" || ticked.poll === undefined) throw new Error("not polled");
  return ticked.poll;
}

function upstreamOf(...names: string[]): MadeUpstream {
  const upstream = new MadeUpstream();
  for (const name of names) upstream.add(name);
  return upstream;
}

const list = (mirror: MadeMirror, path: string) => mirror.text(`${path}/@v/list`);

describe("the poll feed with subscriptions", () => {
  test("all, a range and latest take what they say, and only once", async () => {
    const versions = ["v1.0.0", "v1.1.0", "v1.2.0-rc.1", "v2.0.0+incompatible"];
    const upstream = upstreamOf(
      ...["a", "b", "c"].flatMap((name) => versions.map((version) => `example.com/${name}@${version}`)),
    );
    const mirror = new MadeMirror(upstream);
    const subscriptions = subscribed(
      { modules: ["example.com/a"], versions: "all" },
      { modules: ["example.com/b"], versions: ">=v1.1.0" },
      { modules: ["example.com/c"] },
    );
    expect(await poll(mirror, subscriptions)).toMatchObject({ asked: 3, failed: [], unreached: 0 });
    await mirror.drain();
    expect(await list(mirror, "example.com/a")).toBe(`${versions.join("\n")}\n`);
    expect(await list(mirror, "example.com/b")).toBe("v1.1.0\nv2.0.0+incompatible\n");
    // Whether v2 counts hangs on v1.1.0's go.mod, which was not here: both are taken.
    expect(await list(mirror, "example.com/c")).toBe("v1.1.0\nv2.0.0+incompatible\n");
    expect((await poll(mirror, subscriptions)).found).toBe(0);
    upstream.add("example.com/c@v1.0.5");
    upstream.add("example.com/c@v1.3.0");
    expect((await poll(mirror, subscriptions)).found).toBe(1);
    expect((await completeUntil(mirror.ledger, "poll", mirror.clock.ms))?.open).toBe(1);
    await mirror.drain();
    expect(await list(mirror, "example.com/c")).toBe("v1.1.0\nv1.3.0\nv2.0.0+incompatible\n");
    expect((await completeUntil(mirror.ledger, "poll", mirror.clock.ms))?.open).toBe(0);
  });

  test("retracted versions are skipped as soon as the highest says so, which itself is kept", async () => {
    const upstream = upstreamOf("example.com/a@v1.0.0", "example.com/a@v1.1.0");
    upstream.add("example.com/a@v1.2.0", {
      text: "module example.com/a\n\ngo 1.16\n\nretract [v1.1.0, v1.2.0]\n",
    });
    const mirror = new MadeMirror(upstream);
    const subscriptions = subscribed({ modules: ["example.com/a"], versions: "all", retracted: "skip" });
    expect((await poll(mirror, subscriptions)).found).toBe(1);
    await mirror.drain();
    expect((await poll(mirror, subscriptions)).found).toBe(1);
    await mirror.drain();
    expect(await list(mirror, "example.com/a")).toBe("v1.0.0\nv1.2.0\n");
    expect((await poll(mirror, subscriptions)).found).toBe(0);
  });

  test("a highest version that never comes keeps the others out no longer than it may heal", async () => {
    const upstream = upstreamOf("example.com/a@v1.0.0", "example.com/a@v1.2.0");
    upstream.wrong.set("mod example.com/a@v1.2.0", new MirrorError("absent", "a", "a: 404"));
    const mirror = new MadeMirror(upstream);
    const subscriptions = subscribed({ modules: ["example.com/a"], versions: "all", retracted: "skip" });
    await poll(mirror, subscriptions);
    await mirror.drain();
    await poll(mirror, subscriptions);
    await mirror.drain();
    expect(await list(mirror, "example.com/a")).toBe("v1.0.0\n");
  });

  test("with follow none a version is listed by itself, whatever it requires", async () => {
    const upstream = new MadeUpstream();
    upstream.add("example.com/a@v1.0.0", { requires: ["example.com/gone@v1.0.0"] });
    const mirror = new MadeMirror(upstream);
    await poll(mirror, subscribed({ modules: ["example.com/a"], versions: "all", follow: "none" }));
    await mirror.drain();
    expect(await list(mirror, "example.com/a")).toBe("v1.0.0\n");
    expect(upstream.asked.get("mod example.com/gone@v1.0.0")).toBeUndefined();
  });

  test("a request may name roots alone too, and what it names must be module@version", async () => {
    const upstream = upstreamOf("example.com/a@v1.0.0", "golang.org/toolchain@v0.0.1-go1.22.0.linux-arm64");
    upstream.add("golang.org/toolchain@v0.0.1-go1.22.0.linux-amd64");
    const mirror = new MadeMirror(upstream);
    const alone = ["example.com/a@v1.0.0", "golang.org/toolchain@v0.0.1-go1.22.0.linux-arm64"];
    const request = await mirror.request({ alone });
    expect(await mirror.ledger.readRequest(request)).toMatchObject({ state: "DONE", total: 3 });
    expect(await list(mirror, "example.com/a")).toBe("v1.0.0\n");
    expect(await list(mirror, "golang.org/toolchain")).toBe("v0.0.1-go1.22.0.linux-arm64\n");
    await expect(mirror.accept({ alone: ["example.com/a@latest"] })).rejects.toThrow(/example.com\/a/);
  });

  test("a module with pseudo-versions alone is known by @latest", async () => {
    const pseudo = "v0.0.0-20240102030405-0123456789ab";
    const upstream = upstreamOf(`example.com/a@${pseudo}`);
    upstream.wrong.set("list example.com/a", Buffer.from(""));
    upstream.wrong.set("latest example.com/a", Buffer.from(JSON.stringify({ Version: pseudo })));
    const mirror = new MadeMirror(upstream);
    expect((await poll(mirror, subscribed({ modules: ["example.com/a"] }))).found).toBe(1);
    await mirror.drain();
    expect(JSON.parse((await mirror.text("example.com/a/@latest")) ?? "{}").Version).toBe(pseudo);
  });

  test("toolchains come for the named platforms and versions, with linux-amd64's .info and lookup", async () => {
    const names = ["1.21.0", "1.22.0", "1.22.1", "1.23rc1"].flatMap((go) =>
      ["linux-amd64", "linux-arm64", "darwin-arm64"].map(
        (platform) => `golang.org/toolchain@v0.0.1-go${go}.${platform}`,
      ),
    );
    const mirror = new MadeMirror(upstreamOf(...names));
    await poll(mirror, subscribed({ toolchains: { platforms: ["linux-arm64"], go: ">=1.22" } }));
    await mirror.drain();
    expect(await list(mirror, "golang.org/toolchain")).toBe(
      "v0.0.1-go1.22.0.linux-arm64\nv0.0.1-go1.22.1.linux-arm64\n",
    );
    const stat = moduleVersion("golang.org/toolchain", "v0.0.1-go1.22.1.linux-amd64");
    const keys = await mirror.keys();
    const about = keys
      .filter((key) => key.includes("go1.22.1.linux-amd64"))
      .map((key) => key.replace(/.*\//, ""));
    expect(about).toEqual([
      `${stat.version}.info`,
      `${stat.version}.mod`,
      `golang.org/toolchain@${stat.version}`.replace(/.*\//, ""),
    ]);
    expect((await mirror.ledger.read([stat]))[0]).toMatchObject({ state: "READY", held: "mod" });
    expect(keys.some((key) => key.includes("darwin") || key.includes("1.21"))).toBe(false);
    const newest = new MadeMirror(upstreamOf(...names));
    await poll(newest, subscribed({ toolchains: { platforms: ["linux-amd64"], go: "latest" } }));
    await newest.drain();
    expect(await list(newest, "golang.org/toolchain")).toBe("v0.0.1-go1.22.1.linux-amd64\n");
  });

  test("modules that a pattern matches are polled once the ledger knows them", async () => {
    const upstream = upstreamOf(
      "corp.example/x/a@v1.0.0",
      "corp.example/x/a@v1.1.0",
      "other.example/b@v1.0.0",
    );
    const mirror = new MadeMirror(upstream);
    const subscriptions = subscribed({ modules: ["corp.example/*"], versions: "all" });
    await mirror.request({ wishes: ["corp.example/x/a@v1.0.0", "other.example/b@v1.0.0"] });
    expect((await poll(mirror, subscriptions)).asked).toBe(0);
    expect(await poll(mirror, subscriptions)).toMatchObject({ asked: 1, found: 1 });
    expect(
      (await poll(mirror, subscribed({ modules: ["none.example"] }))).failed.map(({ module }) => module),
    ).toEqual(["none.example"]);
  });

  test("a budget asks the longest overdue first, and all in their turn", async () => {
    const names = Array.from({ length: 10 }, (_, i) => `example.com/m${i}`);
    const upstream = upstreamOf(...names.map((name) => `${name}@v1.0.0`));
    const mirror = new MadeMirror(upstream);
    const subscriptions = subscribed({ modules: names, versions: "all" });
    const asked: number[] = [];
    for (let i = 0; i < 4; i++) {
      const { asked: now, unreached } = await poll(mirror, subscriptions, 3);
      asked.push(now);
      expect(unreached).toBe([7, 7, 7, 7][i]);
      mirror.clock.ms += MINUTE;
    }
    expect(asked).toEqual([3, 3, 3, 3]);
    expect([...upstream.asked].filter(([name]) => name.startsWith("list")).length).toBe(10);
    // As far as the one whose last answer is the oldest: asked in the first of the four.
    const until = async () => (await completeUntil(mirror.ledger, "poll", mirror.clock.ms))?.until ?? "";
    await mirror.drain();
    expect((await until()).slice(0, 16)).toBe(stampOf(mirror.clock.ms - 4 * MINUTE).slice(0, 16));
  });

  test("more active modules than the budget: the watermark follows them in their turn", async () => {
    const names = Array.from({ length: 12 }, (_, i) => `example.com/m${i}`);
    const upstream = upstreamOf(...names.map((name) => `${name}@v1.0.0`));
    const mirror = new MadeMirror(upstream);
    const subscriptions = subscribed({ modules: names, versions: "all" });
    for (let i = 0; i < 300; i++) {
      mirror.clock.ms += 10 * MINUTE;
      if (i % 72 === 0) for (const name of names) upstream.add(`${name}@v1.${i + 1}.0`);
      await poll(mirror, subscriptions, 10);
      await mirror.drain();
      const complete = await completeUntil(mirror.ledger, "poll", mirror.clock.ms);
      // Two of them have never been asked after the first tick.
      if (i === 0) expect(complete).toBeUndefined();
      else expect(mirror.clock.ms - Date.parse(complete?.until ?? "")).toBeLessThan(21 * MINUTE);
    }
  });

  test("a new mirror whose upstream does not answer is complete until no time; a module that is mended is read at the next tick", async () => {
    const upstream = upstreamOf("example.com/a@v1.0.0", "example.com/b@v1.0.0");
    upstream.wrong.set("list example.com/a", new MirrorError("transient", "a", "a: 502"));
    const mirror = new MadeMirror(upstream);
    const subscriptions = subscribed({ modules: ["example.com/a", "example.com/b"], versions: "all" });
    const found: (number | undefined)[] = [];
    const tick = async () => {
      mirror.clock.ms += 10 * MINUTE;
      found.push((await poll(mirror, subscriptions)).found);
      await mirror.drain();
    };
    await tick();
    expect(await completeUntil(mirror.ledger, "poll", mirror.clock.ms)).toBeUndefined();
    upstream.wrong.clear();
    await tick();
    expect(found).toEqual([1, 1]);
    expect(await completeUntil(mirror.ledger, "poll", mirror.clock.ms)).toBeDefined();
  });

  test("a module that does not answer holds the feed at its last answer; one that upstream lacks for two days only", async () => {
    const upstream = upstreamOf("example.com/a@v1.0.0", "example.com/b@v1.0.0");
    const mirror = new MadeMirror(upstream);
    const subscriptions = subscribed({ modules: ["example.com/a", "example.com/b"], versions: "all" });
    const behind = async () => {
      const complete = await completeUntil(mirror.ledger, "poll", mirror.clock.ms);
      return Math.round((mirror.clock.ms - Date.parse(complete?.until ?? "")) / HOUR);
    };
    const hours = async (count: number) => {
      for (let hour = 0; hour < count; hour++) {
        mirror.clock.ms += HOUR;
        await poll(mirror, subscriptions);
        await mirror.drain();
      }
    };
    await hours(3);
    expect(await behind()).toBe(0);
    upstream.wrong.set("list example.com/a", new MirrorError("malformed", "a", "a: HTML"));
    await hours(100);
    expect(await behind()).toBe(100);
    upstream.wrong.set("list example.com/a", new MirrorError("absent", "a", "a: 404"));
    upstream.wrong.set("latest example.com/a", new MirrorError("absent", "a", "a: 404"));
    await hours(40);
    expect(await behind()).toBe(140);
    await hours(20);
    expect(await behind()).toBe(0);
    expect((await poll(mirror, subscriptions)).failing).toEqual([]);
    // Not from when it was last there, which is long ago and was made good by its absence.
    upstream.wrong.set("list example.com/a", new MirrorError("transient", "a", "a: 503"));
    await hours(5);
    expect(await behind()).toBeLessThanOrEqual(6);
    upstream.wrong.clear();
    await hours(2);
    expect(await behind()).toBe(0);
  });

  test("where the schedule is lost, what does not answer counts from the watermark on, not from now", async () => {
    const upstream = upstreamOf("example.com/a@v1.0.0");
    const mirror = new MadeMirror(upstream);
    const subscriptions = subscribed({ modules: ["example.com/a"], versions: "all" });
    await poll(mirror, subscriptions);
    await mirror.drain();
    const { ms } = mirror.clock;
    upstream.allWrong = (_, subject) => new MirrorError("transient", subject, `${subject}: 502`);
    mirror.clock.ms += 5 * HOUR;
    await mirror.vault.put("feeds/poll.json.zst", Buffer.from("damaged"));
    await poll(mirror, subscriptions);
    const complete = await completeUntil(mirror.ledger, "poll", mirror.clock.ms);
    expect(Date.parse(complete?.until ?? "")).toBeLessThanOrEqual(ms);
  });

  test("a module that fails is tried again within the hour and holds none of the others", async () => {
    const upstream = upstreamOf("example.com/a@v1.0.0", "example.com/b@v1.0.0");
    upstream.wrong.set("list example.com/a", new MirrorError("transient", "a", "a: 503"));
    const mirror = new MadeMirror(upstream);
    const subscriptions = subscribed({ modules: ["example.com/a", "example.com/b"], versions: "all" });
    expect(await poll(mirror, subscriptions)).toMatchObject({
      found: 1,
      failed: [{ module: "example.com/a" }],
    });
    upstream.wrong.clear();
    mirror.clock.ms += HOUR;
    expect(await poll(mirror, subscriptions)).toMatchObject({ found: 1, failed: [] });
  });
});

describe("when a module is asked again", () => {
  const path = modulePath("example.com/a");
  const NOW = Date.UTC(2026, 10, 23);
  test.each([
    ["changed today: each tick", HOUR, 0],
    ["changed this week: each hour", 3 * DAY, HOUR],
    ["changed this month: four times a day", 20 * DAY, 6 * HOUR],
    ["quiet: once a day", 400 * DAY, DAY],
  ])("%s", (_, quietFor, interval) => {
    const schedule = new PollSchedule([[path, { asked: NOW, changed: NOW - quietFor, known: NOW }]]);
    expect(schedule.due([path], NOW + interval)).toEqual([path]);
    if (interval > 0) expect(schedule.due([path], NOW + interval - 1)).toEqual([]);
  });

  test("what is written is read again; what is damaged is as good as none", async () => {
    const { vault } = new MadeMirror(new MadeUpstream());
    const schedule = new PollSchedule();
    schedule.add(path, NOW);
    schedule.asked(path, NOW, NOW - 400 * DAY);
    schedule.swept(NOW);
    await schedule.write(vault);
    const again = await readSchedule(vault);
    expect(again.known()).toEqual([path]);
    expect(again.due([path], NOW + DAY - 1)).toEqual([]);
    expect(again.wantsSweep(NOW + DAY - 1)).toBe(false);
    await vault.put("feeds/poll.json.zst", Buffer.from("damaged"));
    expect((await readSchedule(vault)).known()).toEqual([]);
  });
});
