import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { beforeEach, describe, expect, test } from "vitest";
import { parseModuleVersion } from "../../gomod/version.ts";
import { sha256Of } from "../../mirror/body.ts";
import { goClient } from "../go-client.ts";
import { describeWithGo } from "../go-command.ts";
import { buildZip } from "../gomod/zip-builder.ts";
import { MadeMirror } from "./made-mirror.ts";
import { MadeUpstream } from "./made-upstream.ts";

const NAME = "corp.example/a@v1.0.0";
const VERSION = parseModuleVersion(NAME);
const MOD = "corp.example/a/@v/v1.0.0.mod";
const zipWith = (goMod: string | undefined) =>
  buildZip([
    ...(goMod === undefined ? [] : [{ name: `${NAME}/go.mod`, content: goMod }]),
    { name: `${NAME}/a.go`, content: "package a\n" },
  ]);

let upstream: MadeUpstream;
let mirror: MadeMirror;
beforeEach(() => {
  upstream = new MadeUpstream();
  upstream.database.grow(5);
  upstream.add(NAME, {}, false);
  mirror = new MadeMirror(upstream, { unproven: "corp.example" });
});
const record = async (of = VERSION) => (await mirror.ledger.read([of]))[0];
const send = (mod: string | undefined, zip?: Uint8Array) => {
  if (mod !== undefined) upstream.wrong.set(`mod ${NAME}`, Buffer.from(mod));
  if (zip !== undefined) upstream.wrong.set(`zip ${NAME}`, zip);
};

/** Bytes for a `.mod`, and whether go reads a requirement on a module that has them. */
const DEPENDENCIES: readonly [string, string, boolean][] = [
  ["its own module line", "module corp.example/a\n", true],
  ["no newline at its end", "module corp.example/a", true],
  ["words of a newer go", 'module corp.example/a\n\nfuture (\n\tx "y"\n)\n', true],
  ["a replace that is none", "module corp.example/a\n\nreplace x\n", true],
  ["a go version that is none", "module corp.example/a\n\ngo future\n", false],
  ["JSON", '{"errors":[{"status":404,"message":"not found"}]}\n', false],
  ["JSON on many lines", '{\n  "error": "no such module"\n}\n', false],
  ["words", "upstream is being maintained\n", false],
  ["bytes", "\u0000\u0001\u0002PK\u0003\u0004", false],
  ["nothing", "", false],
  ["no module line", "go 1.21\n", false],
  ["two module lines", "module corp.example/a\nmodule corp.example/a\n", false],
  ["a require that is none", "module corp.example/a\n\nrequire corp.example/b\n", false],
  ["another module's line", "module corp.example/other\n", false],
  ["another letter's case", "module corp.example/A\n", false],
];

describe("a .mod that no checksum database proves", () => {
  for (const extent of ["whole", "mod"] as const)
    test.each(DEPENDENCIES)(`of a version that is wanted ${extent}, with %s`, async (_what, text, taken) => {
      send(text, taken ? zipWith(text) : undefined);
      const wishes = extent === "whole" ? [NAME] : [];
      const files = {
        "go.mod":
          "module m.example\n\ngo 1.16\n\nrequire (\n\tcorp.example/a v1.0.0\n\tcorp.example/b v1.0.0\n)\n",
      };
      upstream.add("corp.example/a@v1.1.0", {}, false);
      upstream.add("corp.example/b@v1.0.0", { requires: ["corp.example/a@v1.1.0"] }, false);
      await mirror.request({ wishes, files });
      expect(await mirror.text(MOD)).toBe(taken ? text : undefined);
      if (taken) return expect(await record()).toMatchObject({ state: "READY", held: extent });
      expect(await record()).toMatchObject({
        state: "FAILED",
        held: "nothing",
        lastError: {
          class: "malformed",
          message: expect.stringMatching(/^corp\.example\/a@v1\.0\.0: \.mod: /),
        },
      });
      const raw = Buffer.from(text);
      if (raw.byteLength > 0)
        expect(await mirror.vault.get(`evidence/malformed/${sha256Of(raw)}`, 1 << 20)).toEqual(raw);
      // Upstream has been put right.
      upstream.wrong.clear();
      await mirror.request({ wishes: [NAME] });
      expect(await record()).toMatchObject({ state: "READY", held: "whole" });
    });

  test("is not taken where it is another one than in the zip", async () => {
    send("module corp.example/a\n\ngo 1.20\n");
    await mirror.request({ wishes: [NAME] });
    // The graph was loaded from the .mod alone; the zip that came behind it differs.
    expect(await record()).toMatchObject({ state: "CONFLICT", held: "mod" });
    expect((await record())?.lastError?.message).toMatch(
      /go\.mod in the zip is h1:.*, but the \.mod that is held is h1:/,
    );
    expect(await mirror.text("corp.example/a/@v/v1.0.0.zip")).toBeUndefined();
  });

  test("is held against the zip where both come at once", async () => {
    send("module corp.example/a\n\ngo 1.20\n");
    const { path, version } = VERSION;
    await mirror.request({ exact: [`${path}@${version}`] });
    expect(await record()).toMatchObject({
      state: "FAILED",
      held: "nothing",
      lastError: { class: "malformed" },
    });
    expect((await record())?.lastError?.message).toMatch(/is not the go\.mod that is in the zip/);
    expect(await mirror.text(MOD)).toBeUndefined();
  });

  test("is taken of a fork that declares the path of what it replaces, if the zip says the same", async () => {
    const fork = "module upstream.example/a\n\ngo 1.16\n";
    send(fork, zipWith(fork));
    await mirror.request({ wishes: [NAME] });
    expect(await record()).toMatchObject({ state: "READY", held: "whole" });
    expect(await mirror.text(MOD)).toBe(fork);
  });

  test("is taken of a module from before modules, whose zip has none", async () => {
    send("module corp.example/a\n", zipWith(undefined));
    await mirror.request({ wishes: [NAME] });
    expect(await record()).toMatchObject({ state: "READY", held: "whole" });
  });

  test("does not have to be any good where a checksum database proves it", async () => {
    upstream.add("example.com/odd@v1.0.0", { text: "no go.mod at all\n" });
    await mirror.request({ exact: ["example.com/odd@v1.0.0"] });
    expect(await record(parseModuleVersion("example.com/odd@v1.0.0"))).toMatchObject({ state: "READY" });
  });
});

describeWithGo("what go says of a dependency with such a go.mod", () => {
  test("is what we take", { timeout: 240_000 }, async () => {
    const folder = await mkdtemp(join(tmpdir(), "modferry-unproven-"));
    const client = await goClient({ goproxy: pathToFileURL(join(folder, "proxy")).href, gosumdb: "off" });
    try {
      for (const [at, [what, text, taken]] of DEPENDENCIES.entries()) {
        const versions = join(folder, "proxy/corp.example/a/@v");
        await mkdir(versions, { recursive: true });
        await writeFile(join(versions, `v1.0.${at}.mod`), text);
        await writeFile(join(versions, `v1.0.${at}.info`), JSON.stringify({ Version: `v1.0.${at}` }));
        const project = join(client.home, `p${at}`);
        await mkdir(project);
        await writeFile(
          join(project, "go.mod"),
          `module m.example\n\ngo 1.16\n\nrequire corp.example/a v1.0.${at}\n`,
        );
        const { code, stderr } = await client.run(["list", "-mod=mod", "-m", "all"], { cwd: project });
        expect([what, code === 0], stderr).toEqual([what, taken]);
      }
    } finally {
      await client.dispose();
      await rm(folder, { recursive: true, force: true });
    }
  });
});
