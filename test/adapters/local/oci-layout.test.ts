import { spawnSync } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { layoutBundles } from "../../../adapters/local/oci-layout-source.ts";
import { OciLayout } from "../../../adapters/local/oci-layout-target.ts";
import { MirrorError } from "../../../mirror/errors.ts";
import { filesOf } from "../../e2e/bundle-world.ts";
import { madeFiles, putMade, writeBlob } from "./oci-world.ts";

const CHILD = resolve(import.meta.dirname, "oci-layout-kill-child.ts");

let own: string;
let layout: string;
beforeAll(async () => {
  own = await mkdtemp(join(tmpdir(), "modferry-oci-"));
});
afterAll(() => rm(own, { recursive: true, force: true }));

async function folder(): Promise<string> {
  return await mkdtemp(join(own, "layout-"));
}

async function contentOf(root: string): Promise<Record<string, Record<string, string>>> {
  const found: Record<string, Record<string, string>> = {};
  for (const { source } of await layoutBundles(root)) {
    const files: Record<string, string> = {};
    for (const name of Object.keys(madeFiles(""))) {
      const stored = await source.open(name);
      files[name] = Buffer.from((await stored?.read(0, stored.size)) ?? []).toString();
      await stored?.close();
    }
    found[source.name.slice(root.length + 1)] = files;
  }
  return found;
}

interface IndexJson {
  manifests: { mediaType: string; digest: string; size: number; annotations?: Record<string, string> }[];
}
interface ManifestJson {
  artifactType?: string;
  config: { mediaType: string; digest: string; size: number };
  layers: { mediaType: string; digest: string; size: number; annotations?: Record<string, string> }[];
}

const indexOf = async (root: string) =>
  JSON.parse(await readFile(join(root, "index.json"), "utf8")) as IndexJson;
const blobPath = (root: string, digest: string) => join(root, "blobs/sha256", digest.replace("sha256:", ""));

describe("bundles put into a layout", () => {
  beforeEach(async () => {
    layout = await folder();
  });

  test("several stand in one, each with its own files; nothing else is left in it", async () => {
    await putMade(layout, "one", "1");
    await putMade(layout, "two", "2");
    expect(await contentOf(layout)).toEqual({ one: madeFiles("1"), two: madeFiles("2") });
    expect((await readdir(layout)).sort()).toEqual(["blobs", "index.json", "oci-layout"]);
    // The README and the empty config are shared.
    expect(await readdir(join(layout, "blobs/sha256"))).toHaveLength(1 + 1 + 2 * 5);
  });

  test("the same bundles in the same order are the same bytes, put in once or twice", async () => {
    for (const [name, seed] of ["one", "two"].entries()) await putMade(layout, seed, String(name));
    const other = await folder();
    for (const [name, seed] of ["one", "two", "one"].map((text) => [text === "one" ? 0 : 1, text] as const))
      await putMade(other, seed, String(name));
    expect(await filesOf(other)).toEqual(await filesOf(layout));
  });

  test("one of a name that was there takes its place, and what only that one had goes", async () => {
    await putMade(layout, "one", "1");
    await putMade(layout, "two", "2");
    await putMade(layout, "one", "3");
    expect(await contentOf(layout)).toEqual({ one: madeFiles("3"), two: madeFiles("2") });
    expect(
      (await indexOf(layout)).manifests.map(({ annotations = {} }) => Object.values(annotations)[0]),
    ).toEqual(["one", "two"]);
    expect(await readdir(join(layout, "blobs/sha256"))).toHaveLength(1 + 1 + 2 * 5);
  });

  test("what another tool has in index.json stays as it is, and nothing takes its name", async () => {
    await putMade(layout, "one", "1");
    const index = await indexOf(layout);
    const image = await writeBlob(layout, '{"schemaVersion":2}');
    const foreign = {
      mediaType: "application/vnd.oci.image.index.v1+json",
      ...image,
      platform: { os: "linux", architecture: "amd64" },
      annotations: { "org.opencontainers.image.ref.name": "two" },
    };
    index.manifests.unshift(foreign);
    await writeFile(join(layout, "index.json"), JSON.stringify({ ...index, annotations: { a: "b" } }));
    await putMade(layout, "three", "3");
    await putMade(layout, "one", "4");
    const after = await indexOf(layout);
    expect(after.manifests[0]).toEqual(foreign);
    expect(after).toMatchObject({ annotations: { a: "b" } });
    expect(after.manifests).toHaveLength(3);
    await expect(putMade(layout, "two", "2")).rejects.toMatchObject({ class: "misuse" });
    expect(await indexOf(layout)).toEqual(after);
  });

  test("a folder with other files, or whose index is lost, is not written into", async () => {
    await writeFile(join(layout, "letter.txt"), "");
    await expect(putMade(layout, "one", "1")).rejects.toThrow("no OCI image layout");
    expect(await readdir(layout)).toEqual(["letter.txt"]);
    const other = await folder();
    await putMade(other, "one", "1");
    await rm(join(other, "index.json"));
    await expect(putMade(other, "two", "2")).rejects.toThrow("is lost");
    await writeFile(join(other, "index.json"), "{}");
    await expect(putMade(other, "two", "2")).rejects.toMatchObject({ class: "malformed" });
  });

  test("one export at a time writes into it", async () => {
    const first = await OciLayout.open(layout);
    await expect(OciLayout.open(layout)).rejects.toThrow("another export");
    first.close();
    (await OciLayout.open(layout)).close();
    expect((await readdir(layout)).sort()).toEqual(["blobs", "index.json", "oci-layout"]);
  });

  test("killed before and after each change: no bundle is lost, and the next export ends with the same bytes", async () => {
    const run = (nth: number, root: string, name: string, seed: string, count = "") =>
      spawnSync(process.execPath, [CHILD, String(nth), count, root, name, seed], { encoding: "utf8" });
    await putMade(layout, "one", "1");
    await putMade(layout, "two", "2");
    const whole = await folder();
    await cp(layout, whole, { recursive: true });
    const count = join(own, "count");
    expect(run(0, whole, "one", "3", count).status).toBe(0);
    const target = await filesOf(whole);
    const changes = Number(await readFile(count, "utf8"));
    expect(changes).toBeGreaterThan(15);
    for (let nth = 2; nth < 2 * changes + 2; nth++) {
      const root = await folder();
      await cp(layout, root, { recursive: true });
      expect(run(nth, root, "one", "3").signal, `moment ${nth}`).toBe("SIGKILL");
      // Whatever was there can be read; index.json names it, before or after.
      const named = (await indexOf(root)).manifests;
      expect(named, `moment ${nth}`).toHaveLength(2);
      for (const { digest } of named) {
        const manifest = JSON.parse(await readFile(blobPath(root, digest), "utf8")) as ManifestJson;
        for (const layer of manifest.layers)
          expect(await readFile(blobPath(root, layer.digest)), `moment ${nth}`).toHaveLength(layer.size);
      }
      await putMade(root, "one", "3");
      expect(await filesOf(root), `moment ${nth}`).toEqual(target);
    }
    console.log(`killed at ${2 * changes} moments`);
  }, 300_000);
});

describe("a layout that somebody has brought", () => {
  beforeEach(async () => {
    layout = await folder();
    await putMade(layout, "one", "1");
  });

  async function refusal(): Promise<MirrorError> {
    const error = await layoutBundles(layout).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(MirrorError);
    expect((error as MirrorError).message).not.toContain("\n");
    return error as MirrorError;
  }

  /** Exchanges the manifest for a changed one, under its true digest. */
  async function changeManifest(change: (manifest: ManifestJson) => void): Promise<void> {
    const index = await indexOf(layout);
    const [entry] = index.manifests as [IndexJson["manifests"][number]];
    const path = blobPath(layout, entry.digest);
    const manifest = JSON.parse(await readFile(path, "utf8")) as ManifestJson;
    change(manifest);
    await rm(path);
    Object.assign(entry, await writeBlob(layout, JSON.stringify(manifest)));
    await writeFile(join(layout, "index.json"), JSON.stringify(index));
  }

  const layerOf = (manifest: ManifestJson, title: string) =>
    manifest.layers.find(
      ({ annotations }) => annotations?.["org.opencontainers.image.title"] === title,
    ) as ManifestJson["layers"][number];

  test("as other tools write it: without mediaType in index.json, with an empty folder `ingest`, hidden files", async () => {
    const { manifests } = await indexOf(layout);
    await writeFile(join(layout, "index.json"), JSON.stringify({ schemaVersion: 2, manifests }));
    await mkdir(join(layout, "ingest"));
    await writeFile(join(layout, ".DS_Store"), "");
    expect(await contentOf(layout)).toEqual({ one: madeFiles("1") });
  });

  test.each([
    "../../etc/passwd",
    "/etc/passwd",
    "pack-0001.tar/../x",
    "pack-1.tar",
    "Bundle.json",
    "constructor",
    "",
  ])("a layer titled %j", async (title) => {
    await changeManifest((manifest) => {
      layerOf(manifest, "pack-0002.tar").annotations = { "org.opencontainers.image.title": title };
    });
    expect((await refusal()).message).toContain("its title is");
  });

  test("a layer without a title, or with that of another one", async () => {
    await changeManifest((manifest) => {
      delete layerOf(manifest, "pack-0002.tar").annotations;
    });
    expect((await refusal()).class).toBe("malformed");
    layout = await folder();
    await putMade(layout, "one", "1");
    await changeManifest((manifest) => {
      layerOf(manifest, "pack-0002.tar").annotations = { "org.opencontainers.image.title": "pack-0001.tar" };
    });
    expect((await refusal()).message).toContain("a second pack-0001.tar");
  });

  test.each([
    "sha256:../../../../etc/passwd",
    `sha512:${"0".repeat(128)}`,
    `sha256:${"A".repeat(64)}`,
    `sha256:${"0".repeat(63)}`,
    "",
  ])("a digest %j, of a layer or a manifest", async (digest) => {
    await changeManifest((manifest) => {
      layerOf(manifest, "pack-0001.tar").digest = digest;
    });
    expect((await refusal()).class).toBe("malformed");
    const index = await indexOf(layout);
    (index.manifests[0] as { digest: string }).digest = digest;
    await writeFile(join(layout, "index.json"), JSON.stringify(index));
    expect((await refusal()).class).toBe("malformed");
  });

  test("a layer that was packed once more on its way", async () => {
    await changeManifest((manifest) => {
      layerOf(manifest, "pack-0001.tar").mediaType = "application/vnd.oci.image.layer.v1.tar+gzip";
    });
    expect((await refusal()).message).toContain("copy it as it is");
  });

  test("an image, or a nested index, beside the bundle", async () => {
    await changeManifest((manifest) => {
      delete manifest.artifactType;
    });
    expect((await refusal()).class).toBe("malformed");
    const index = await indexOf(layout);
    (index.manifests[0] as { mediaType: string }).mediaType = "application/vnd.oci.image.index.v1+json";
    await writeFile(join(layout, "index.json"), JSON.stringify(index));
    expect((await refusal()).message).toContain("copy the bundles alone");
  });

  test("another config than the empty one", async () => {
    const config = await writeBlob(layout, '{"a":1}');
    await changeManifest((manifest) => {
      Object.assign(manifest.config, config);
    });
    expect((await refusal()).message).toContain("config");
  });

  test.each(["oci-layout", "index.json"])(
    "%s missing, no JSON, of another version, too large, a symbolic link",
    async (file) => {
      const path = join(layout, file);
      const content = await readFile(path);
      for (const bad of [
        "",
        "[]",
        "{",
        '{"imageLayoutVersion":"2.0.0"}',
        '{"schemaVersion":1,"manifests":[]}',
      ]) {
        await writeFile(path, bad);
        await refusal();
      }
      await writeFile(path, content);
      await truncate(path, 2 ** 40);
      expect((await refusal()).message).toContain("larger than");
      await rm(path);
      expect((await refusal()).message).toContain("missing");
      await writeFile(join(own, "elsewhere"), content);
      await symlink(join(own, "elsewhere"), path);
      await refusal();
    },
  );

  test("a manifest larger than registries take", async () => {
    const [entry] = (await indexOf(layout)).manifests as [IndexJson["manifests"][number]];
    await truncate(blobPath(layout, entry.digest), 2 ** 40);
    expect((await refusal()).message).toContain("larger than");
  });

  test("each blob missing, cut, longer, or a symbolic link", async () => {
    for (const blob of await readdir(join(layout, "blobs/sha256"))) {
      const path = blobPath(layout, blob);
      const content = await readFile(path);
      await truncate(path, content.length - 1);
      await refusal();
      await writeFile(path, Buffer.concat([content, Buffer.from("x")]));
      await refusal();
      await rm(path);
      await refusal();
      const elsewhere = join(own, `elsewhere-${blob}`);
      await writeFile(elsewhere, content);
      await symlink(elsewhere, path);
      await refusal();
      await rm(path);
      await writeFile(path, content);
    }
    expect(await contentOf(layout)).toEqual({ one: madeFiles("1") });
  });

  test("each bit of a manifest, list, note or README flipped", async () => {
    const packs = new Set(["pack-0001.tar", "pack-0002.tar"].map((name) => madeFiles("1")[name]));
    let flipped = 0;
    for (const blob of await readdir(join(layout, "blobs/sha256"))) {
      const path = blobPath(layout, blob);
      const content = await readFile(path);
      if (packs.has(content.toString())) continue;
      for (let at = 0; at < content.length; at++) {
        const bad = Buffer.from(content);
        bad[at] = (bad[at] as number) ^ (1 << (at % 8));
        await writeFile(path, bad);
        await refusal();
        flipped++;
      }
      await writeFile(path, content);
    }
    expect(flipped).toBeGreaterThan(500);
    expect(await contentOf(layout)).toEqual({ one: madeFiles("1") });
  });

  test.each(["autorun.inf", "blobs/md5", `blobs/sha256/${"0".repeat(64)}`, "ingest/x"])(
    "%s, which no manifest names",
    async (name) => {
      await mkdir(join(layout, name, ".."), { recursive: true });
      await writeFile(join(layout, name), "");
      expect((await refusal()).message).toContain("no part of a bundle");
    },
  );

  test("no manifest at all", async () => {
    await writeFile(join(layout, "index.json"), '{"schemaVersion":2,"manifests":[]}');
    expect((await refusal()).class).toBe("misuse");
  });
});
