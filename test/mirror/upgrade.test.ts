import { describe, expect, test } from "vitest";
import { MirrorError } from "../../mirror/errors.ts";
import { missingOf } from "../../mirror/settle.ts";
import { MadeMirror } from "./made-mirror.ts";
import { MadeUpstream } from "./made-upstream.ts";

const PSEUDO = "v0.0.0-20240102030405-0123456789ab";
const NEWER_PSEUDO = "v0.0.0-20250102030405-0123456789ab";
const GO_MOD = "module example.com/main\n\ngo 1.21\n\nrequire example.com/a v1.0.0\n";
const FILES = { "go.mod": GO_MOD };

/** a v1.0.0 requires b v1.0.0; both have newer versions, and those of a bring in c. */
function upstreamWithNewer(): MadeUpstream {
  const upstream = new MadeUpstream();
  upstream.add("example.com/c@v1.0.0");
  upstream.add("example.com/c@v1.1.0");
  upstream.add("example.com/b@v1.0.0");
  upstream.add("example.com/b@v1.5.0");
  upstream.add("example.com/a@v1.0.0", { requires: ["example.com/b@v1.0.0"] });
  upstream.add("example.com/a@v1.1.0", { requires: ["example.com/b@v1.0.0", "example.com/c@v1.0.0"] });
  upstream.add("example.com/a@v1.2.0", {
    text: "module example.com/a\n\ngo 1.21\n\nrequire example.com/b v1.0.0\n\nretract v1.2.0\n",
  });
  return upstream;
}

const withheld = (subject: string) => new MirrorError("withheld", subject, `${subject}: refused (403)`);
const transient = (subject: string) => new MirrorError("transient", subject, `${subject}: 503`);

async function missing(mirror: MadeMirror, body: Parameters<MadeMirror["request"]>[0]): Promise<string[]> {
  const request = await mirror.request(body);
  return (await missingOf(mirror.parts, request)).map(({ subject, state, message }) => {
    expect(message, "is one line").not.toContain("\n");
    return `${subject} ${state}`;
  });
}

const lists = async (mirror: MadeMirror, ...modules: string[]) =>
  Object.fromEntries(
    await Promise.all(modules.map(async (name) => [name, await mirror.text(`example.com/${name}/@v/list`)])),
  );

describe("tier upgrade", () => {
  test("lists of each module the newest that is not retracted, and the highest, which says so", async () => {
    const mirror = new MadeMirror(upstreamWithNewer());
    expect(await missing(mirror, { tier: "upgrade", files: FILES })).toEqual([]);
    expect(await lists(mirror, "a", "b", "c")).toEqual({
      a: "v1.0.0\nv1.1.0\nv1.2.0\n",
      b: "v1.5.0\n",
      c: "v1.1.0\n",
    });
  });

  test("of a wish is that of a module which requires it", async () => {
    const mirror = new MadeMirror(upstreamWithNewer());
    expect(await missing(mirror, { tier: "upgrade", wishes: ["example.com/a@v1.0.0"] })).toEqual([]);
    expect(await lists(mirror, "a", "b")).toEqual({ a: "v1.0.0\nv1.1.0\nv1.2.0\n", b: "v1.5.0\n" });
  });

  test("asks each list once", async () => {
    const upstream = upstreamWithNewer();
    await new MadeMirror(upstream).request({ tier: "upgrade", files: FILES });
    const asked = [...upstream.asked].filter(([name]) => name.startsWith("list "));
    expect(asked.map(([name, count]) => `${name} ${count}`).sort()).toEqual([
      "list example.com/a 1",
      "list example.com/b 1",
      "list example.com/c 1",
    ]);
  });

  test("takes a module without releases at its @latest, and publishes that", async () => {
    const upstream = new MadeUpstream();
    upstream.add(`example.com/a@${PSEUDO}`);
    const newer = upstream.add(`example.com/a@${NEWER_PSEUDO}`);
    upstream.wrong.set("list example.com/a", new Uint8Array());
    upstream.wrong.set("latest example.com/a", newer.info);
    const mirror = new MadeMirror(upstream);
    const goMod = GO_MOD.replace("v1.0.0", PSEUDO);
    expect(await missing(mirror, { tier: "upgrade", files: { "go.mod": goMod } })).toEqual([]);
    expect(await mirror.text("example.com/a/@v/list")).toBe("");
    expect(await mirror.text("example.com/a/@latest")).toContain(NEWER_PSEUDO);
  });

  test("takes the newest that the list names with a time where there is no @latest, as go does", async () => {
    const upstream = new MadeUpstream();
    upstream.add(`example.com/a@${PSEUDO}`);
    upstream.add(`example.com/a@${NEWER_PSEUDO}`);
    upstream.wrong.set(
      "list example.com/a",
      Buffer.from(`${NEWER_PSEUDO}\n${PSEUDO} 2020-01-01T00:00:00Z\n`),
    );
    const mirror = new MadeMirror(upstream);
    const goMod = GO_MOD.replace("v1.0.0", PSEUDO);
    expect(await missing(mirror, { tier: "upgrade", files: { "go.mod": goMod } })).toEqual([]);
    expect(await mirror.text("example.com/a/@latest")).toContain(NEWER_PSEUDO);
  });

  test.each([
    ["the list is refused", "list example.com/b", withheld("example.com/b")],
    ["there is no list", "list example.com/b", new MirrorError("absent", "example.com/b", "no list (404)")],
    ["the newest version's go.mod is refused", "mod example.com/b@v1.5.0", withheld("example.com/b@v1.5.0")],
    ["the newest version's go.mod is another module's", "mod example.com/b@v1.5.0", undefined],
  ])("a module offers no upgrade, and stops no other, where %s", async (_, file, wrong) => {
    const upstream = upstreamWithNewer();
    if (wrong !== undefined) upstream.wrong.set(file, wrong);
    else upstream.add("example.com/b@v1.6.0", { text: "module example.com/renamed\n" });
    const mirror = new MadeMirror(upstream);
    expect(await missing(mirror, { tier: "upgrade", files: FILES })).toEqual([]);
    const { a, b } = await lists(mirror, "a", "b");
    expect([a, b]).toEqual(["v1.0.0\nv1.1.0\nv1.2.0\n", ""]);
  });

  test.each([
    ["files are refused", withheld("example.com/b@v1.5.0")],
    ["files are not there", new MirrorError("absent", "example.com/b@v1.5.0", "example.com/b@v1.5.0: 404")],
  ])("a version of upgrades alone whose %s is not listed, and the request is DONE", async (_, wrong) => {
    for (const file of ["zip", "info"]) {
      const upstream = upstreamWithNewer();
      upstream.wrong.set(`${file} example.com/b@v1.5.0`, wrong);
      const mirror = new MadeMirror(upstream);
      const request = await mirror.request({ tier: "upgrade", files: FILES });
      expect(await missingOf(mirror.parts, request)).toEqual([]);
      expect((await mirror.ledger.readRequest(request))?.state).toBe("DONE");
      expect((await lists(mirror, "a", "b")).b).toBe("");
    }
  });

  test("a zip that is refused is missed where the project needs it, and where it only fails for now", async () => {
    const upstream = upstreamWithNewer();
    upstream.wrong.set("zip example.com/b@v1.0.0", withheld("example.com/b@v1.0.0"));
    upstream.wrong.set("zip example.com/b@v1.5.0", transient("example.com/b@v1.5.0"));
    expect(await missing(new MadeMirror(upstream), { tier: "upgrade", files: FILES })).toEqual([
      "example.com/b@v1.0.0 WITHHELD",
      "example.com/b@v1.5.0 FAILED",
    ]);
  });

  test("of a version whose .mod the project reads, and whose zip an upgrade, only the .mod is missed", async () => {
    const goMod = GO_MOD.replace("a v1.0.0", "a v1.1.0");
    for (const [file, missed] of [
      ["mod", ["example.com/c@v1.0.0 WITHHELD"]],
      ["zip", []],
    ] as const) {
      const upstream = upstreamWithNewer();
      upstream.add("example.com/d@v1.0.0", { requires: ["example.com/c@v1.1.0"] });
      upstream.add("example.com/a@v1.1.0", { requires: ["example.com/c@v1.0.0", "example.com/d@v1.0.0"] });
      upstream.add("example.com/d@v1.1.0", { requires: ["example.com/c@v1.0.0"] });
      upstream.wrong.set(`${file} example.com/c@v1.0.0`, withheld("example.com/c@v1.0.0"));
      const mirror = new MadeMirror(upstream);
      expect(await missing(mirror, { tier: "upgrade", files: { "go.mod": goMod } })).toEqual(missed);
      expect((await lists(mirror, "d")).d, "an upgrade that lacks it").not.toContain("v1.1.0");
    }
  });

  test("a list that fails for now leaves the request to be asked again, and all else served", async () => {
    const upstream = upstreamWithNewer();
    upstream.wrong.set("list example.com/b", transient("example.com/b"));
    const mirror = new MadeMirror(upstream);
    expect(await missing(mirror, { tier: "upgrade", files: FILES })).toEqual([
      "example.com/b/@v/list transient",
    ]);
    expect((await lists(mirror, "a")).a).toBe("v1.0.0\nv1.1.0\nv1.2.0\n");
    upstream.wrong.clear();
    await mirror.pass(10);
    expect((await lists(mirror, "b")).b).toBe("v1.5.0\n");
  });

  test.each([
    ["a page instead of a list", "list example.com/b", "<html>nothing</html>"],
    ["a list without end", "list example.com/b", "v1.9.0\n".repeat(3_000_000)],
    ["@latest of a version that is not canonical", "latest example.com/b", '{"Version":"v1"}'],
    [
      "@latest of a version that can be no module's of this path",
      "latest example.com/b",
      '{"Version":"v2.0.0"}',
    ],
    ["@latest that is no JSON", "latest example.com/b", "v1.0.0"],
    ["@latest with a path for a version", "latest example.com/b", '{"Version":"../../etc/passwd"}'],
  ])("%s is refused in one line", async (_, file, text) => {
    const upstream = upstreamWithNewer();
    if (file.startsWith("latest")) {
      upstream.wrong.set("list example.com/b", new Uint8Array());
      upstream.add(`example.com/b@${PSEUDO}`);
    }
    upstream.wrong.set(file, Buffer.from(text));
    const mirror = new MadeMirror(upstream);
    const [kind] = file.split(" ");
    expect(await missing(mirror, { tier: "upgrade", files: FILES })).toEqual([
      `example.com/b/@${kind === "list" ? "v/list" : "latest"} malformed`,
    ]);
    expect(await lists(mirror, "a", "b")).toEqual({ a: "v1.0.0\nv1.1.0\nv1.2.0\n", b: "" });
  });

  test("names of a list that can be no version of the module are passed over", async () => {
    const upstream = upstreamWithNewer();
    upstream.wrong.set("list example.com/b", Buffer.from("v1.0.0\nv9.0.0\nv1\n../x\nlatest\nv1.5.0\n"));
    const mirror = new MadeMirror(upstream);
    expect(await missing(mirror, { tier: "upgrade", files: FILES })).toEqual([]);
    expect((await lists(mirror, "b")).b).toBe("v1.5.0\n");
  });
});

describe("graph full", () => {
  /** All of go 1.21, so that a's graph stops at b. */
  function deepUpstream(): MadeUpstream {
    const upstream = new MadeUpstream();
    upstream.add("example.com/d@v1.0.0", { go: "1.21" });
    upstream.add("example.com/c@v1.0.0", { go: "1.21", requires: ["example.com/d@v1.0.0"] });
    upstream.add("example.com/b@v1.0.0", { go: "1.21", requires: ["example.com/c@v1.0.0"] });
    upstream.add("example.com/x@v1.0.0", { go: "1.21" });
    // Tidied, as the mark shows: b's own requirements are nothing to a.
    const requires = "require example.com/b v1.0.0\n\nrequire example.com/x v1.0.0 // indirect\n";
    upstream.add("example.com/a@v1.0.0", { text: `module example.com/a\n\ngo 1.21\n\n${requires}` });
    return upstream;
  }
  const D_MOD = "example.com/d/@v/v1.0.0.mod";

  test.each([
    ["a go.mod", { files: FILES }],
    ["a wish", { wishes: ["example.com/a@v1.0.0"] }],
  ])("of %s holds the .mod and lookup of what pruning leaves out", async (_, body) => {
    for (const graph of ["pruned", "full"] as const) {
      const mirror = new MadeMirror(deepUpstream());
      expect(await missing(mirror, { ...body, graph })).toEqual([]);
      const keys = await mirror.keys();
      expect(keys.includes(D_MOD)).toBe(graph === "full");
      expect(keys.some((key) => key.endsWith("/lookup/example.com/d@v1.0.0"))).toBe(graph === "full");
      expect(keys).not.toContain("example.com/d/@v/v1.0.0.zip");
    }
  });

  test("is DONE without what upstream does not have beyond the pruned graph, and waits for what fails for now", async () => {
    const upstream = deepUpstream();
    upstream.wrong.set(
      "mod example.com/d@v1.0.0",
      new MirrorError("absent", "d", "example.com/d@v1.0.0: 404"),
    );
    const without = new MadeMirror(upstream);
    const request = await without.request({ files: FILES, graph: "full" });
    expect((await without.ledger.readRequest(request))?.state).toBe("DONE");

    upstream.wrong.set("mod example.com/d@v1.0.0", transient("example.com/d@v1.0.0"));
    const waiting = new MadeMirror(upstream);
    expect(await missing(waiting, { files: FILES, graph: "full" })).toEqual(["example.com/d@v1.0.0 FAILED"]);
    upstream.wrong.clear();
    await waiting.pass(10);
    expect(await waiting.keys()).toContain(D_MOD);
  });
});
