import { describe, expect, test } from "vitest";
import { moduleVersion } from "../../gomod/version.ts";
import { sha256Of } from "../../mirror/body.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { answer } from "../../mirror/serve.ts";
import { missingOf, settle } from "../../mirror/settle.ts";
import { MadeMirror } from "./made-mirror.ts";
import { MadeUpstream } from "./made-upstream.ts";

const A = "example.com/a@v1.0.0";
const B = "example.com/b@v1.0.0";
const C = "example.com/c@v1.0.0";

/** a requires b, b requires c. */
function chain(): MadeUpstream {
  const upstream = new MadeUpstream();
  upstream.database.grow(300);
  upstream.add(C);
  upstream.add(B, { requires: [C] });
  upstream.add(A, { requires: [B] });
  return upstream;
}

const absent = (name: string) => new MirrorError("absent", name, `${name}: not found (404)`);
const transient = (name: string) => new MirrorError("transient", name, `${name}: 503`);

async function stateOf(mirror: MadeMirror, name: string) {
  const [path = "", version = ""] = name.split("@");
  const [record] = await mirror.ledger.read([moduleVersion(path, version)]);
  return record?.state;
}

describe("what upstream does not give", () => {
  test("a closure with a GONE module asks for it ever more rarely, and never gives up the rest", async () => {
    const upstream = chain();
    upstream.wrong.set(`zip ${C}`, absent(C));
    const mirror = new MadeMirror(upstream);
    const request = await mirror.request({ wishes: [A] });
    expect(await stateOf(mirror, C)).toBe("GONE");
    expect((await missingOf(mirror.parts, request)).map(({ subject, state }) => [subject, state])).toEqual([
      [C, "GONE"],
    ]);
    expect(await mirror.text("example.com/a/@v/list")).toBe("");
    await mirror.pass(24 * 60);
    expect(upstream.asked.get(`zip ${C}`)).toBeGreaterThan(5);
    expect(upstream.asked.get(`zip ${C}`)).toBeLessThan(20);

    upstream.wrong.clear();
    await mirror.pass(24 * 60);
    expect((await mirror.ledger.readRequest(request))?.state).toBe("DONE");
    expect(await mirror.text("example.com/a/@v/list")).toBe("v1.0.0\n");
  });

  test("a module whose go.mod is GONE is asked once a try, not once for the graph and once more to fetch", async () => {
    const upstream = chain();
    upstream.wrong.set(`mod ${B}`, absent(B));
    const mirror = new MadeMirror(upstream);
    await mirror.request({ wishes: [A] });
    expect(await stateOf(mirror, B)).toBe("GONE");
    expect(upstream.asked.get(`mod ${B}`)).toBe(1);
    await mirror.pass(24 * 60);
    expect(upstream.asked.get(`mod ${B}`)).toBeLessThan(25);
  });

  test("a go.mod that comes after the graph was loaded brings its own requirements before the request is done", async () => {
    const upstream = chain();
    const mod = upstream.mod;
    upstream.mod = async (version) => {
      if (version.path !== "example.com/b") return await mod(version);
      upstream.mod = mod;
      throw transient(B);
    };
    const mirror = new MadeMirror(upstream);
    const request = await mirror.request({ wishes: [A] });
    expect((await mirror.ledger.readRequest(request))?.state).not.toBe("DONE");
    await mirror.pass(30);
    expect((await mirror.ledger.readRequest(request))?.state).toBe("DONE");
    expect(await mirror.text("example.com/a/@v/list")).toBe("v1.0.0\n");
    expect(await mirror.keys()).toContain("example.com/c/@v/v1.0.0.zip");
  });

  test("a request that lacks nothing but what a late go.mod requires is loaded again at once, not done", async () => {
    const upstream = chain();
    upstream.wrong.set(`mod ${B}`, transient(B));
    const mirror = new MadeMirror(upstream);
    const request = await mirror.request({ wishes: [A] });
    upstream.wrong.clear();
    await mirror.request({ exact: [A, B] });
    expect((await settle(mirror.parts, request)).map(({ subject }) => subject)).toEqual([B]);
    await mirror.drain();
    expect((await mirror.ledger.readRequest(request))?.state).toBe("DONE");
    expect(await mirror.text("example.com/a/@v/list")).toBe("v1.0.0\n");
  });

  test("an outage that many requests meet at once counts as one attempt, so that it heals within minutes", async () => {
    const upstream = chain();
    upstream.allWrong = (_kind, subject) => transient(subject);
    const mirror = new MadeMirror(upstream);
    for (let i = 0; i < 20; i++) await mirror.accept({ wishes: [A] });
    await mirror.drain();
    upstream.allWrong = undefined;
    await mirror.pass(3);
    expect(await mirror.text("example.com/a/@v/list")).toBe("v1.0.0\n");
  });

  test("403 on everything fails all for now, and heals by itself", async () => {
    const upstream = chain();
    upstream.allWrong = (_kind, subject) => new MirrorError("unauthorized", subject, `${subject}: 403`);
    const mirror = new MadeMirror(upstream);
    const request = await mirror.request({ wishes: [A, "example.com/c@latest"] });
    expect(await stateOf(mirror, A)).toBe("FAILED");
    expect((await mirror.ledger.readRequest(request))?.state).toBe("INCOMPLETE");
    await mirror.pass(60);
    expect(upstream.count()).toBeLessThan(100);
    upstream.allWrong = undefined;
    await mirror.pass(24 * 60);
    expect((await mirror.ledger.readRequest(request))?.state).toBe("DONE");
  });

  test("an upstream without the checksum database is a fault of the upstream, not of every version", async () => {
    const upstream = chain();
    const gone = async () => Promise.reject(absent("sumdb"));
    upstream.sumdb = () => ({ latest: gone, lookup: gone, tile: gone });
    const mirror = new MadeMirror(upstream);
    await mirror.request({ wishes: [A] });
    expect(await stateOf(mirror, A)).toBe("FAILED");
    expect(mirror.events.find((event) => event.event === "failed")).toMatchObject({
      message: expect.stringContaining("--sumdb"),
    });
  });

  test("a version that the database has no record of is GONE", async () => {
    const upstream = chain();
    upstream.add("example.com/d@v1.0.0", {}, false);
    const mirror = new MadeMirror(upstream);
    await mirror.request({ wishes: ["example.com/d@v1.0.0"] });
    expect(await stateOf(mirror, "example.com/d@v1.0.0")).toBe("GONE");
    expect(await mirror.keys()).toEqual([]);
  });

  test("a tile that the source lacks makes no version GONE", async () => {
    const upstream = chain();
    const source = upstream.database.source();
    upstream.sumdb = () => ({ ...source, tile: async () => Promise.reject(absent("tile")) });
    const mirror = new MadeMirror(upstream);
    await mirror.request({ wishes: [A] });
    expect(await stateOf(mirror, A)).toBe("FAILED");
  });

  test("an .info of another version is malformed, and kept as evidence", async () => {
    const upstream = chain();
    upstream.wrong.set(`info ${C}`, Buffer.from('{"Version":"v1.0.1"}'));
    const mirror = new MadeMirror(upstream);
    await mirror.request({ wishes: [C] });
    expect(await stateOf(mirror, C)).toBe("FAILED");
    const kept: string[] = [];
    for await (const key of mirror.vault.keys("evidence/malformed/")) kept.push(key);
    expect(kept).toHaveLength(1);
    expect((await mirror.keys()).filter((key) => key.startsWith("example.com"))).toEqual([
      "example.com/c/@v/v1.0.0.mod",
    ]);
  });

  test("a zip of other content, another module's zip and another go.mod are never served, and kept as evidence", async () => {
    const upstream = chain();
    const other = new MadeUpstream().add(A, { go: "1.15" }).zip;
    upstream.wrong.set(`zip ${A}`, other);
    upstream.wrong.set(`zip ${B}`, upstream.made.get(A)?.zip ?? other);
    upstream.wrong.set(`mod ${C}`, Buffer.from("module example.com/c\n\ngo 1.99\n"));
    const mirror = new MadeMirror(upstream);
    await mirror.request({ exact: [A, B, C] });
    expect([await stateOf(mirror, A), await stateOf(mirror, B), await stateOf(mirror, C)]).toEqual([
      "CONFLICT",
      "FAILED",
      "CONFLICT",
    ]);
    expect(await mirror.keys()).toEqual([]);
    const kept: string[] = [];
    for await (const key of mirror.vault.keys("evidence/")) kept.push(key.split("/")[1] ?? "");
    expect(kept).toEqual(["malformed", "mismatch", "mismatch"]);
    upstream.wrong.clear();
    await mirror.request({ exact: [A, B, C] });
    expect(await stateOf(mirror, A)).toBe("READY");
  });
});

describe("what no checksum database covers", () => {
  test("content that changes after first sight is in CONFLICT until a person decides, and never served", async () => {
    const upstream = chain();
    const mirror = new MadeMirror(upstream, { unproven: "example.com/c" });
    await mirror.request({
      files: { "go.sum": `example.com/c v1.0.0/go.mod ${upstream.made.get(C)?.modH1}\n` },
    });
    expect(await stateOf(mirror, C)).toBe("READY");
    const key = "example.com/c/@v/v1.0.0.zip";
    const before = upstream.made.get(C);
    await mirror.request({ wishes: [C] });
    expect(await mirror.keys()).toContain(key);

    // A crash between the zip and its record; then upstream changes it.
    const other = new MadeMirror(upstream, { unproven: "example.com/c" });
    await other.tree.create(key as never, before?.zip as Uint8Array, sha256Of(before?.zip as Uint8Array));
    upstream.add(C, { go: "1.15" }, false);
    await other.request({ wishes: [C] });
    expect(await stateOf(other, C)).toBe("CONFLICT");
    const asked = upstream.asked.get(`zip ${C}`);
    await other.request({ wishes: [C] });
    await other.pass(24 * 60);
    expect(await stateOf(other, C)).toBe("CONFLICT");
    expect(upstream.asked.get(`zip ${C}`)).toBe(asked);
  });

  test("a lookup of such a module is not found rather than about to come", async () => {
    const upstream = chain();
    const mirror = new MadeMirror(upstream, { unproven: "example.com/c" });
    await mirror.request({ wishes: [C] });
    const reply = await answer(mirror.parts, "sumdb/sum.example.org/lookup/example.com/c@v1.0.0", 1 << 20);
    expect(reply).toMatchObject({ kind: "text", status: 404 });
  });
});
