import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { cp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { openFolderMirror } from "../../adapters/local/folder-mirror.ts";
import { sha256Of } from "../../mirror/body.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { describeWithGo } from "../go-command.ts";
import {
  type BundleWorld,
  bundleWorld,
  filesOf,
  importInProcess,
  snapshotOf,
  stateOf,
} from "./bundle-world.ts";
import { expectSuccess } from "./mirror-world.ts";
import { modferry, spawnModferry } from "./modferry-command.ts";
import { ociSchemas, ociTool } from "./oci-tools.ts";

const TIMEOUT = 600_000;
vi.setConfig({ testTimeout: TIMEOUT });
/** In each pack. */
const FLIPS = Number(process.env.MODFERRY_FLIPS ?? 20);
const KILLS = Number(process.env.MODFERRY_KILLS ?? 8);

describeWithGo("bundles in an OCI image layout", () => {
  let outside: BundleWorld;
  /** A full bundle and an increment. */
  let layout: string;
  /** The full one alone. */
  let onlyFull: string;
  let names: readonly string[];
  let since: string;
  let target: Record<string, string>;
  beforeAll(async () => {
    outside = await bundleWorld();
    layout = join(await outside.world.folder(), "layout");
    expect(await outside.export("--full", "--to", layout, "--format", "oci")).toBe(layout);
    onlyFull = join(await outside.world.folder(), "layout");
    await cp(layout, onlyFull, { recursive: true });
    since = outside.snapshots[3] as string;
    await outside.world.upstream.grow(100);
    expectSuccess(await outside.world.sync(outside.outside, ["example.com/old@v1.0.0"]), "sync");
    const to = await snapshotOf(outside.outside);
    await outside.export("--since", since, "--to", layout, "--format", "oci");
    names = [`full_${since}`, `${since}_${to}`];
    target = withoutEmptyLists(await filesOf(join(outside.outside, "tree")));
  }, TIMEOUT);
  afterAll(() => outside?.close());

  async function expectImported(folder: string): Promise<void> {
    const island = join(await outside.world.folder(), "island");
    expectSuccess(await outside.import(island, folder), "import");
    expect(withoutEmptyLists(await filesOf(join(island, "tree")))).toEqual(target);
  }

  interface Descriptor {
    readonly digest: string;
    readonly annotations: Readonly<Record<string, string>>;
  }
  const manifestsOf = async (root: string): Promise<readonly Descriptor[]> =>
    (JSON.parse(await readFile(join(root, "index.json"), "utf8")) as { manifests: Descriptor[] }).manifests;
  const blobOf = (root: string, { digest }: Pick<Descriptor, "digest">) =>
    join(root, "blobs/sha256", digest.slice("sha256:".length));
  async function layersOf(
    root: string,
  ): Promise<{ readonly title: string; readonly path: string; readonly ref: string }[]> {
    const found: { title: string; path: string; ref: string }[] = [];
    for (const one of await manifestsOf(root)) {
      const text = await readFile(blobOf(root, one), "utf8");
      for (const layer of (JSON.parse(text) as { layers: Descriptor[] }).layers)
        found.push({
          title: layer.annotations["org.opencontainers.image.title"] ?? "",
          path: blobOf(root, layer),
          ref: one.annotations["org.opencontainers.image.ref.name"] ?? "",
        });
    }
    return found;
  }

  test("a full one and an increment stand in one layout, and an island takes both at once, byte for byte", async () => {
    const refs = (await manifestsOf(layout)).map(
      ({ annotations }) => annotations["org.opencontainers.image.ref.name"],
    );
    expect(refs).toEqual(names);
    expect((await readdir(layout)).sort()).toEqual(["blobs", "index.json", "oci-layout"]);
    for (const name of await readdir(join(layout, "blobs/sha256")))
      expect(sha256Of(await readFile(join(layout, "blobs/sha256", name)))).toBe(name);
    await expectImported(layout);
  });

  test("its files are what the specification's schemas take", async () => {
    const check = ociSchemas();
    const manifests = (await manifestsOf(layout)).map((one) => ({
      kind: "manifest" as const,
      path: blobOf(layout, one),
    }));
    const files = [
      { kind: "layout" as const, path: join(layout, "oci-layout") },
      { kind: "index" as const, path: join(layout, "index.json") },
      ...manifests,
    ];
    expect(check(files)).toEqual(files.map(() => "ok"));
    const wrong = join(await outside.world.folder(), "wrong");
    await writeFile(
      wrong,
      (await readFile(manifests[0]?.path ?? "", "utf8")).replaceAll("sha256:", "sha256-"),
    );
    expect(check([{ kind: "manifest", path: wrong }])).not.toEqual(["ok"]);
  });

  test("the same snapshots are the same manifest, and the packs those of --format tar", async () => {
    const other = join(await outside.world.folder(), "layout");
    await outside.export("--since", since, "--to", other, "--format", "oci");
    const [, second] = await manifestsOf(layout);
    expect(await manifestsOf(other)).toEqual([second]);
    const folder = await outside.export("--since", since, "--to", await outside.world.folder());
    const files = await filesOf(folder);
    const blobs = await layersOf(other);
    expect(
      Object.fromEntries(blobs.map(({ title, path }) => [title, path.slice(path.lastIndexOf("/") + 1)])),
    ).toEqual(files);
  });

  test("skopeo copies it to another layout and back, and the island takes the copy", async () => {
    const skopeo = ociTool("skopeo", "skopeo carries a layout");
    if (skopeo === undefined) return;
    const folder = await outside.world.folder();
    for (const name of names) {
      skopeo("copy", `oci:${layout}:${name}`, `dir:${join(folder, name)}`);
      skopeo("copy", `dir:${join(folder, name)}`, `oci:${join(folder, "copy")}:${name}`);
    }
    expect(await filesOf(join(folder, "copy/blobs"))).toEqual(await filesOf(join(layout, "blobs")));
    await expectImported(join(folder, "copy"));
  });

  test("oras copies it, and pulls from it a folder that can be imported as it is", async () => {
    const oras = ociTool("oras", "oras carries a layout");
    if (oras === undefined) return;
    const folder = await outside.world.folder();
    const copy = join(folder, "copy");
    for (const name of names) {
      oras("cp", "--from-oci-layout", `${layout}:${name}`, "--to-oci-layout", `${copy}:${name}`);
      oras("pull", "--oci-layout", `${copy}:${name}`, "-o", join(folder, "pulled", name));
    }
    await expectImported(copy);
    await expectImported(join(folder, "pulled"));
  });

  test("inspect and rebuild-tree read it", async () => {
    const inspected = await modferry(["inspect", layout, "--trust", outside.vkey]);
    expectSuccess(inspected, "inspect");
    for (const name of names) expect(inspected.stdout).toContain(`bundle     ${name} `);
    expect(inspected.stdout).not.toContain("NOT TRUSTED");
    const island = join(await outside.world.folder(), "island");
    expectSuccess(await outside.import(island, layout), "import");
    const before = await filesOf(join(island, "tree"));
    await rm(join(island, "tree/example.com/lib/@v/v1.2.0.zip"));
    const to = names[1]?.split("_")[1] as string;
    const sumdb = ["--sumdb", outside.world.upstream.vkey];
    const rebuilt = ["rebuild-tree", "--from", to, "--bundles", layout, "--mirror", island, ...sumdb];
    expectSuccess(await modferry(rebuilt), "rebuild-tree");
    expect(withoutEmptyLists(await filesOf(join(island, "tree")))).toEqual(withoutEmptyLists(before));
  });

  test(`bits flipped in every blob, ${FLIPS} in each pack: each refused, and the mirror as it was`, async () => {
    const copy = join(await outside.world.folder(), "layout");
    await cp(layout, copy, { recursive: true });
    // An island that has nothing, for the full one; and one that has that, and so looks at the increment alone.
    const empty = join(await outside.world.folder(), "island");
    await (await openFolderMirror(empty, { mode: "write" })).close();
    const held = join(await outside.world.folder(), "island");
    await importInProcess(held, [onlyFull], outside);
    let flips = 0;
    for (const { title, path, ref } of await layersOf(copy)) {
      const island = ref === names[0] ? empty : held;
      const before = await stateOf(island);
      const { size } = await stat(path);
      for (let flip = 0; flip < (title.endsWith(".tar") ? FLIPS : 5); flip++) {
        const at = Math.floor(Math.random() * size);
        flipBit(path, at);
        const error = await importInProcess(island, [copy], outside).catch((thrown: unknown) => thrown);
        flipBit(path, at);
        expect(error, `${title} of ${ref} at ${at}`).toBeInstanceOf(MirrorError);
        flips++;
      }
      expect(await stateOf(island), `${title} of ${ref}`).toBe(before);
    }
    console.log(`${flips} flipped bits, each refused`);
    await expectImported(copy);
  });

  test("packs exchanged for each other, each under its true digest, and one left out", async () => {
    const island = join(await outside.world.folder(), "island");
    const other = join(await outside.world.folder(), "layout");
    await cp(layout, other, { recursive: true });
    const [full, increment] = (await layersOf(other)).filter(({ title }) => title === "pack-0001.tar");
    const [first] = await manifestsOf(other);
    const path = blobOf(other, first as Descriptor);
    const manifest = JSON.parse(await readFile(path, "utf8")) as {
      layers: { digest: string; size: number; annotations: Record<string, string> }[];
    };
    const rewrite = async () => {
      const text = JSON.stringify(manifest);
      const hex = sha256Of(Buffer.from(text));
      await writeFile(join(other, "blobs/sha256", hex), text);
      const index = JSON.parse(await readFile(join(other, "index.json"), "utf8")) as {
        manifests: { digest: string; size: number }[];
      };
      const old = index.manifests[0] as { digest: string; size: number };
      await rm(blobOf(other, old));
      Object.assign(old, { digest: `sha256:${hex}`, size: text.length });
      await writeFile(join(other, "index.json"), JSON.stringify(index));
    };
    const pack = manifest.layers[0] as (typeof manifest.layers)[number];
    const hex = increment?.path.slice(-64) ?? "";
    Object.assign(pack, { digest: `sha256:${hex}`, size: (await stat(increment?.path ?? "")).size });
    await rewrite();
    await rm(full?.path ?? "");
    await expect(importInProcess(island, [other], outside)).rejects.toThrow("another one than was signed");
    manifest.layers.shift();
    await rewrite();
    await expect(importInProcess(island, [other], outside)).rejects.toThrow("names no pack-0001.tar");
    expect(await filesOf(join(island, "tree"))).toEqual({});
  });

  test(`an export killed ${KILLS} times goes on, and the layout is what it would have been`, async () => {
    const root = join(await outside.world.folder(), "layout");
    const mirror = ["--mirror", outside.outside, "--key", outside.key, "--to", root, "--format", "oci"];
    const whole = await filesOf(layout);
    await cp(layout, root, { recursive: true });
    for (let kill = 0; kill < KILLS; kill++) {
      const child = spawnModferry(["export", "--since", since, ...mirror]);
      const timer = setTimeout(() => child.kill("SIGKILL"), 300 + Math.random() * 1_500);
      await new Promise((resolve) => child.once("close", resolve));
      clearTimeout(timer);
      expect(await manifestsOf(root)).toEqual(await manifestsOf(layout));
    }
    expectSuccess(await modferry(["export", "--since", since, ...mirror]), "export");
    expect(await filesOf(root)).toEqual(whole);
  });

  test("--volume-size with it, another format, and a folder with other files are refused in one line", async () => {
    const folder = await outside.world.folder();
    await writeFile(join(folder, "letter.txt"), "");
    const run = (...flags: readonly string[]) =>
      modferry([
        "export",
        "--full",
        "--mirror",
        outside.outside,
        "--key",
        outside.key,
        "--to",
        folder,
        ...flags,
      ]);
    for (const flags of [
      ["--format", "oci", "--volume-size", "700MB"],
      ["--format", "zip"],
      ["--format", "oci"],
    ]) {
      const { code, stderr } = await run(...flags);
      expect(code, stderr).toBe(2);
      expect(stderr.trim().split("\n"), stderr).toHaveLength(1);
    }
    expect(await readdir(folder)).toEqual(["letter.txt"]);
    expectSuccess(await run("--format", "tar"), "tar");
  });
});

/** An island that skips what was collected meanwhile has no empty list of it. */
function withoutEmptyLists(tree: Readonly<Record<string, string>> = {}): Record<string, string> {
  const empty = sha256Of(new Uint8Array());
  return Object.fromEntries(
    Object.entries(tree).filter(([path, sha256]) => !path.endsWith("/@v/list") || sha256 !== empty),
  );
}

function flipBit(path: string, at: number): void {
  const file = openSync(path, "r+");
  try {
    const byte = Buffer.alloc(1);
    readSync(file, byte, 0, 1, at);
    byte[0] = (byte[0] as number) ^ (1 << (at % 8));
    writeSync(file, byte, 0, 1, at);
  } finally {
    closeSync(file);
  }
}
