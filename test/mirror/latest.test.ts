import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { modulePath } from "../../gomod/module-path.ts";
import { publish } from "../../mirror/publish.ts";
import { infoKey, modKey, zipKey } from "../../mirror/tree-keys.ts";
import { type GoClient, goClient } from "../go-client.ts";
import { describeWithGo } from "../go-command.ts";
import { MadeMirror } from "./made-mirror.ts";
import { MadeUpstream } from "./made-upstream.ts";

/** Module by module: its versions, and the go.mod text of some of them. */
const MODULES: Record<string, readonly (readonly [version: string, goMod?: string])[]> = {
  "example.com/plain": [["v1.0.0"], ["v1.10.0"], ["v1.9.0"]],
  "example.com/pre": [["v1.0.0"], ["v1.1.0-rc.1"]],
  "example.com/onlypre": [["v1.0.0-beta"], ["v1.0.0-alpha"]],
  "example.com/legacy": [
    ["v1.2.0", "module example.com/legacy\n"],
    ["v2.0.0+incompatible", "module example.com/legacy\n"],
    ["v10.1.0+incompatible", "module example.com/legacy\n"],
  ],
  "example.com/turned": [["v1.2.0"], ["v2.0.0+incompatible", "module example.com/turned\n"]],
  "example.com/turnedpre": [["v1.2.0-rc"], ["v2.0.0+incompatible", "module example.com/turnedpre\n"]],
  "example.com/retracted": [
    ["v1.0.0"],
    ["v1.1.0"],
    ["v1.1.1", "module example.com/retracted\n\ngo 1.16\n\nretract [v1.1.0, v1.1.1]\n"],
  ],
  "example.com/allgone": [["v1.0.0", "module example.com/allgone\n\ngo 1.16\n\nretract v1.0.0\n"]],
  "example.com/pre0": [["v0.0.0-20200101000000-0123456789ab"], ["v0.1.0-alpha"]],
  "example.com/major/v3": [["v3.0.0"], ["v3.0.1"]],
};

/** What a list has nothing to take of: the list, `@latest`, the go.mod text of some versions, and what go then takes. */
const FALL_BACKS: Record<
  string,
  { list: string; latest?: string; goMods: Record<string, string | undefined> }
> = {
  "example.com/lefttolatest": {
    list: "v1.0.0\n",
    latest: "v0.0.0-20240102030405-0123456789ab",
    goMods: {
      "v1.0.0": "module example.com/lefttolatest\n\ngo 1.16\n\nretract v1.0.0\n",
      "v0.0.0-20240102030405-0123456789ab": undefined,
    },
  },
  "example.com/retractsitself": {
    list: "",
    latest: "v0.0.0-20240102030405-0123456789ab",
    goMods: {
      "v0.0.0-20240102030405-0123456789ab":
        "module example.com/retractsitself\n\ngo 1.16\n\nretract [v0.0.0-0, v0.1.0]\n",
    },
  },
  "example.com/retractednamed": {
    list: "v1.0.0\n",
    latest: "v1.0.0",
    goMods: { "v1.0.0": "module example.com/retractednamed\n\ngo 1.16\n\nretract v1.0.0\n" },
  },
  "example.com/listedpseudo": {
    list: "v0.0.0-20240102030405-0123456789ab\nv0.0.0-20230102030405-0123456789ab\n",
    goMods: {
      "v0.0.0-20240102030405-0123456789ab": undefined,
      "v0.0.0-20230102030405-0123456789ab": undefined,
    },
  },
};

describeWithGo("what latest means", () => {
  const upstream = new MadeUpstream();
  let folder: string;
  let go: GoClient;

  const goLatest = async (paths: readonly string[], client: GoClient): Promise<Record<string, string>> => {
    const { stdout } = await client.run([
      "list",
      "-m",
      "-e",
      "-f",
      "{{.Path}} {{.Version}}",
      ...paths.map((path) => `${path}@latest`),
    ]);
    return Object.fromEntries(
      stdout
        .trim()
        .split("\n")
        .map((line) => line.split(" ") as [string, string]),
    );
  };
  const offline = (at: string) =>
    goClient({ goproxy: pathToFileURL(at).href, gosumdb: "off", env: { GOFLAGS: "-mod=mod" } });

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "modferry-latest-"));
    for (const [path, versions] of Object.entries(MODULES))
      for (const [version, text] of versions)
        upstream.add(`${path}@${version}`, text === undefined ? {} : { text });
    for (const made of upstream.made.values())
      for (const [key, bytes] of [
        [infoKey, made.info],
        [modKey, made.mod],
        [zipKey, made.zip],
      ] as const)
        await save(join(folder, "upstream", key(made.version)), bytes);
    for (const path of Object.keys(MODULES))
      await save(join(folder, "upstream", path, "@v/list"), await upstream.list(modulePath(path)));
    go = await offline(join(folder, "upstream"));
  });
  afterAll(async () => {
    await go.dispose();
    await rm(folder, { recursive: true, force: true });
  });

  test("a wish module@latest takes the version that go takes, and none where go finds none", async () => {
    const expected = await goLatest(Object.keys(MODULES), go);
    const found: Record<string, string> = {};
    for (const path of Object.keys(MODULES)) {
      const mirror = new MadeMirror(upstream);
      await mirror.request({ wishes: [`${path}@latest`] });
      const zips = (await mirror.keys()).filter((key) => key.endsWith(".zip"));
      found[path] = zips.map((key) => key.slice(key.lastIndexOf("/") + 1, -".zip".length)).join(" ");
    }
    // What go says of a query that nothing answers: the query itself.
    expect(expected["example.com/allgone"]).toBe("latest");
    expect(found).toEqual({ ...expected, "example.com/allgone": "" });
    expect(found["example.com/legacy"]).toBe("v10.1.0+incompatible");
    expect(found["example.com/retracted"]).toBe("v1.0.0");
  });

  test("where a list has nothing to take, a wish module@latest takes what @latest names, as go does", async () => {
    const fallBacks = new MadeUpstream();
    const files = join(folder, "fall-backs");
    for (const [path, { list, latest, goMods }] of Object.entries(FALL_BACKS)) {
      for (const [version, text] of Object.entries(goMods)) {
        const made = fallBacks.add(`${path}@${version}`, text === undefined ? {} : { text });
        await save(join(files, infoKey(made.version)), made.info);
        await save(join(files, modKey(made.version)), made.mod);
        if (version === latest) {
          fallBacks.wrong.set(`latest ${path}`, made.info);
          await save(join(files, path, "@latest"), made.info);
        }
      }
      fallBacks.wrong.set(`list ${path}`, Buffer.from(list));
      await save(join(files, path, "@v/list"), Buffer.from(list));
    }
    const client = await offline(files);
    try {
      const expected = await goLatest(Object.keys(FALL_BACKS), client);
      const found: Record<string, string> = {};
      for (const path of Object.keys(FALL_BACKS)) {
        const mirror = new MadeMirror(fallBacks);
        await mirror.request({ wishes: [`${path}@latest`] });
        const zips = (await mirror.keys()).filter((key) => key.endsWith(".zip"));
        // What go says of a query that nothing answers: the query itself.
        found[path] =
          zips.map((key) => key.slice(key.lastIndexOf("/") + 1, -".zip".length)).join(" ") || "latest";
      }
      expect(found).toEqual(expected);
      expect(found).toEqual({
        "example.com/lefttolatest": "v0.0.0-20240102030405-0123456789ab",
        "example.com/retractsitself": "latest",
        "example.com/retractednamed": "latest",
        "example.com/listedpseudo": "v0.0.0-20240102030405-0123456789ab",
      });
    } finally {
      await client.dispose();
    }
  });

  test("of a tree with every version, go takes the same latest and lists the same versions as of upstream", async () => {
    const mirror = new MadeMirror(upstream);
    const pseudo = "example.com/pseudo@v0.0.0-20240102030405-0123456789ab";
    upstream.add(pseudo);
    upstream.add("example.com/pseudo@v0.0.0-20240103030405-0123456789ab");
    await mirror.request({ wishes: [...upstream.made.keys()], together: false });
    const tree = join(folder, "tree");
    for (const key of await mirror.keys())
      await save(join(tree, key), (await mirror.tree.get(key as never, 1 << 24))?.bytes ?? new Uint8Array());
    const client = await offline(tree);
    try {
      const paths = Object.keys(MODULES);
      expect(await goLatest(paths, client)).toEqual(await goLatest(paths, go));
      expect(await goLatest(["example.com/pseudo"], client)).toEqual({
        "example.com/pseudo": "v0.0.0-20240103030405-0123456789ab",
      });
      const versions = async (of: GoClient) =>
        (await of.run(["list", "-m", "-e", "-versions", ...paths.map((path) => `${path}@latest`)])).stdout;
      expect(await versions(client)).toEqual(await versions(go));
    } finally {
      await client.dispose();
    }
  });
});

test("@latest never goes back where one worker publishes between another's list and its own note of it", async () => {
  const upstream = new MadeUpstream();
  upstream.add("example.com/a@v1.0.0");
  upstream.add("example.com/a@v1.1.0");
  const mirror = new MadeMirror(upstream);
  await mirror.request({ exact: ["example.com/a@v1.0.0", "example.com/a@v1.1.0"] });
  const path = modulePath("example.com/a");
  const [older, newer] = [...upstream.made.values()].map((made) => made.version.version);
  if (older === undefined || newer === undefined) throw new Error("not made");
  // Dies after @latest and before the ledger knows.
  const died = publish({ ...mirror.parts, ledger: dying(mirror) }, path, [newer]);
  await expect(died).rejects.toThrow("died");
  await publish(mirror.parts, path, [older]);
  expect(await mirror.text("example.com/a/@latest")).toContain("v1.1.0");
  expect(await mirror.text("example.com/a/@v/list")).toBe("v1.0.0\nv1.1.0\n");
});

function dying(mirror: MadeMirror): MadeMirror["ledger"] {
  return Object.assign(Object.create(mirror.ledger), {
    readModule: async () => [],
    read: async () => Promise.reject(new Error("died")),
  });
}

async function save(path: string, bytes: Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, bytes);
}
