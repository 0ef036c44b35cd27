import { describe, expect, test } from "vitest";
import { moduleVersion } from "../../gomod/version.ts";
import { acceptRequest } from "../../mirror/accept.ts";
import { noDeadline } from "../../mirror/parts.ts";
import { closeRequest } from "../../mirror/resolve.ts";
import { settle } from "../../mirror/settle.ts";
import { parseWishes } from "../../mirror/wishes.ts";
import { work } from "../../mirror/work.ts";
import { MadeMirror, requestBody } from "./made-mirror.ts";
import { MadeUpstream } from "./made-upstream.ts";

const A = "example.com/a@v1.0.0";
const B = "example.com/b@v1.0.0";
const C = "example.com/c@v1.0.0";

/** a and b require c; c requires d. */
function diamond(): MadeUpstream {
  const upstream = new MadeUpstream();
  upstream.database.grow(40);
  upstream.add("example.com/d@v1.0.0");
  upstream.add(C, { requires: ["example.com/d@v1.0.0"] });
  upstream.add(A, { requires: [C] });
  upstream.add(B, { requires: [C] });
  return upstream;
}
const record = async (mirror: MadeMirror, name: string) => {
  const [path = "", version = ""] = name.split("@");
  return (await mirror.ledger.read([moduleVersion(path, version)]))[0];
};
const mostAsked = (upstream: MadeUpstream) => Math.max(...upstream.asked.values());

describe("requests that meet", () => {
  test("two at once that share modules are both done, with nothing fetched by each for itself for long", async () => {
    const upstream = diamond();
    const mirror = new MadeMirror(upstream);
    const requests = [await mirror.accept({ wishes: [A] }), await mirror.accept({ wishes: [B] })];
    await mirror.drain();
    for (const request of requests) expect((await mirror.ledger.readRequest(request))?.state).toBe("DONE");
    expect(await mirror.text("example.com/a/@v/list")).toBe("v1.0.0\n");
    expect(await mirror.text("example.com/b/@v/list")).toBe("v1.0.0\n");
    expect(mostAsked(upstream)).toBeLessThanOrEqual(2);
  });

  test("a wish that is held already asks upstream for nothing", async () => {
    const upstream = diamond();
    const mirror = new MadeMirror(upstream);
    await mirror.request({ wishes: [A] });
    upstream.asked.clear();
    const request = await mirror.request({ wishes: [A] });
    expect((await mirror.ledger.readRequest(request))?.state).toBe("DONE");
    expect([...upstream.asked]).toEqual([]);
  });

  test("the same request accepted and resolved twice is done once", async () => {
    const upstream = diamond();
    const mirror = new MadeMirror(upstream);
    const request = await mirror.accept({ wishes: [A] });
    await acceptRequest(mirror.parts, request);
    await mirror.drain();
    upstream.asked.clear();
    const journal = mirror.ledger.journalLines.length;
    await acceptRequest(mirror.parts, request);
    await work(mirror.parts, { kind: "resolve", request }, noDeadline);
    await mirror.drain();
    expect((await mirror.ledger.readRequest(request))?.state).toBe("DONE");
    expect(mirror.ledger.journalLines.length).toBe(journal);
    expect([...upstream.asked]).toEqual([]);
    const lines = mirror.ledger.journalLines.map(({ event, version }) => `${event} ${version.path}`);
    expect(new Set(lines).size).toBe(lines.length);
  });

  test("two handed in in one millisecond are two", async () => {
    const mirror = new MadeMirror(diamond());
    const frozen = mirror.clock.ms;
    const first = await mirror.accept({ wishes: [A] });
    mirror.clock.ms = frozen;
    const second = await mirror.accept({ wishes: [B] });
    expect(second.time).not.toBe(first.time);
    await mirror.drain();
    expect(await mirror.text("example.com/a/@v/list")).toBe("v1.0.0\n");
  });

  test("a go.mod that is held is widened to the whole without being asked for again", async () => {
    const upstream = diamond();
    const mirror = new MadeMirror(upstream);
    await mirror.request({
      files: { "go.sum": `example.com/c v1.0.0/go.mod ${upstream.made.get(C)?.modH1}\n` },
    });
    expect(await record(mirror, C)).toMatchObject({ state: "READY", wanted: "mod", held: "mod" });
    expect(await mirror.text("example.com/c/@v/list")).toBeUndefined();
    await mirror.request({ exact: [C] });
    expect(await record(mirror, C)).toMatchObject({ state: "READY", wanted: "whole", held: "whole" });
    expect(upstream.asked.get(`mod ${C}`)).toBe(1);
    expect(upstream.asked.get(`lookup ${C}`)).toBe(1);
    // Served by exact name: nobody has closed it.
    expect(await mirror.text("example.com/c/@v/list")).toBe("");
  });

  test("settling an old closure never overwrites what a resolution has noted meanwhile", async () => {
    const mirror = new MadeMirror(diamond());
    const request = await mirror.request({ wishes: [A] });
    const read = mirror.ledger.read.bind(mirror.ledger);
    mirror.ledger.read = async (versions) => {
      mirror.ledger.read = read;
      const noted = await mirror.ledger.readRequest(request);
      if (noted !== undefined) await mirror.ledger.writeRequest({ ...noted, state: "OPEN", due: 1 });
      return await read(versions);
    };
    await settle(mirror.parts, request);
    expect(await mirror.ledger.readRequest(request)).toMatchObject({ state: "OPEN", due: 1 });
  });

  test("a request's wrong go.sum is that request's trouble alone", async () => {
    const upstream = diamond();
    const mirror = new MadeMirror(upstream);
    const wrong = `${C.replace("@", " ")} h1:${"A".repeat(43)}=\n`;
    const goMod = "module x.org/main\n\ngo 1.16\n\nrequire example.com/c v1.0.0\n";
    const request = await mirror.request({ files: { "go.mod": goMod, "go.sum": wrong } });
    expect((await mirror.ledger.readRequest(request))?.state).toBe("INCOMPLETE");
    expect((await settle(mirror.parts, request)).map(({ subject, state }) => [subject, state])).toEqual([
      [C, "mismatch"],
    ]);
    expect((await record(mirror, C))?.state).toBe("READY");
  });

  test("out of time, a resolution is not done with half a graph, and goes on where it was", async () => {
    const upstream = diamond();
    const mirror = new MadeMirror(upstream);
    const request = await mirror.accept({ wishes: [A] });
    const order = { kind: "resolve", request } as const;
    mirror.queue.take();
    for (const loads of [1, 2]) {
      let looks = 0;
      await work(mirror.parts, order, { remaining: () => (looks++ < 1 ? 60_000 : 1_000) });
      expect(await mirror.ledger.readRequest(request)).toMatchObject({ state: "OPEN" });
      expect(upstream.count("mod")).toBe(loads);
    }
    await mirror.pass(1);
    expect((await mirror.ledger.readRequest(request))?.state).toBe("DONE");
    expect(await mirror.text("example.com/a/@v/list")).toBe("v1.0.0\n");
    expect(mostAsked(upstream)).toBe(1);
  });

  test("out of time, a fetch leaves its version due at once", async () => {
    const mirror = new MadeMirror(diamond());
    const request = await mirror.accept({ exact: [A] });
    await work(mirror.parts, mirror.queue.take()?.order as never, noDeadline);
    await work(mirror.parts, mirror.queue.take()?.order as never, { remaining: () => 1_000 });
    expect(await record(mirror, A)).toMatchObject({ state: "PENDING" });
    await mirror.pass(1);
    expect((await record(mirror, A))?.state).toBe("READY");
    await mirror.pass(1);
    expect((await mirror.ledger.readRequest(request))?.state).toBe("DONE");
  });
});

describe("what a request names", () => {
  test.each([
    "golang.org/toolchain@v0.0.1-go1.21.0.linux-amd64",
    "example.com/old@v2.1.0+incompatible",
    "example.com/Upper/v2@v2.0.0-RC1",
    "gopkg.in/x.v2@v2.0.0",
    "example.com/p@v0.0.0-20240102030405-0123456789ab",
  ])("%s is mirrored whole and can be found", async (name) => {
    const upstream = diamond();
    upstream.add(name);
    const mirror = new MadeMirror(upstream);
    const request = await mirror.request({ wishes: [name] });
    expect((await mirror.ledger.readRequest(request))?.state).toBe("DONE");
    expect(await record(mirror, name)).toMatchObject({ state: "READY", held: "whole", listed: true });
    const version = name.split("@")[1] ?? "";
    const keys = await mirror.keys();
    const list = keys.find((key) => key.endsWith("/@v/list")) ?? "";
    expect(await mirror.text(list)).toBe(version.startsWith("v0.0.0-") ? "" : `${version}\n`);
    expect(await mirror.text(list.replace("@v/list", "@latest"))).toContain(version);
  });

  const main = (name: string, more = "") => `module example.org/${name}\n\ngo 1.21\n\n${more}`;
  const built = (files: Record<string, string>) =>
    parseWishes(requestBody({ files })).builds.map((build) => build.mains.map((each) => each.name));

  test("each go.mod is a build, a go.work one of all that it uses", () => {
    expect(built({ "go.mod": main("a"), "sub/go.mod": main("b") })).toEqual([["go.mod"], ["sub/go.mod"]]);
    expect(
      built({
        "x/go.work": "go 1.21\n\nuse (\n\t.\n\t./sub\n\t../y\n)\n",
        "x/go.mod": main("a"),
        "x/sub/go.mod": main("b"),
        "y/go.mod": main("c"),
        "z/go.mod": main("d"),
      }),
    ).toEqual([["x/go.mod", "x/sub/go.mod", "y/go.mod"], ["z/go.mod"]]);
  });

  test("a folder that replaces a module is no build of its own, but modules that replace each other are built", () => {
    const replacing = (path: string, at: string) => `require ${path} v0.0.0\n\nreplace ${path} => ${at}\n`;
    const a = main("a", replacing("example.org/b", "./sub"));
    const b = main("b", replacing("example.org/a", "../"));
    expect(built({ "go.mod": a, "sub/go.mod": main("b") })).toEqual([["go.mod"]]);
    expect(built({ "go.mod": a, "sub/go.mod": b })).toEqual([["go.mod"]]);
    expect(built({ "go.mod": main("a", "replace example.org/a => ./\n") })).toEqual([["go.mod"]]);
    const build = parseWishes(requestBody({ files: { "go.mod": a, "sub/go.mod": b } })).builds[0];
    expect([...(build?.directories?.keys() ?? [])]).toEqual(["./sub"]);
  });

  test("go.sum belongs to the go.mod beside it, x.sum to x.mod, and alone it is a wish", () => {
    const sum = `example.com/c v1.0.0/go.mod h1:${"A".repeat(43)}=\n`;
    const wishes = parseWishes(
      requestBody({
        files: {
          "go.mod": main("a"),
          "go.sum": sum,
          "t/x.mod": main("b"),
          "t/x.sum": sum,
          "alone/go.sum": sum,
        },
      }),
    );
    expect(wishes.builds.map((build) => build.mains[0]?.goSum !== undefined)).toEqual([true, true]);
    expect([wishes.sums.length, wishes.allSums.length]).toEqual([1, 3]);
  });

  test("what cannot be had stops neither the other wishes nor the closure", async () => {
    const upstream = diamond();
    const mirror = new MadeMirror(upstream);
    const body = requestBody({ wishes: [A, "example.com/none@latest", "example.com/none@v1.0.0", A] });
    const closure = await closeRequest(mirror.parts, body, "test", noDeadline);
    expect(closure.unresolved.map(({ subject, class: of }) => [subject, of])).toEqual([
      ["example.com/none@latest", "absent"],
    ]);
    expect(closure.unloaded.map(({ path }) => path)).toEqual(["example.com/none"]);
    expect(closure.roots.map(({ root }) => root.path)).toEqual(["example.com/a"]);
    expect(closure.needs.map(({ version, extent }) => `${version.path} ${extent}`)).toEqual([
      "example.com/a whole",
      "example.com/c whole",
      "example.com/d whole",
      "example.com/none whole",
    ]);
  });
});
