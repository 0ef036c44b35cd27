import { execFileSync } from "node:child_process";
import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { cp, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { generateKeys } from "../../adapters/local/file-signer.ts";
import { openFolderMirror } from "../../adapters/local/folder-mirror.ts";
import { sha256Of } from "../../mirror/body.ts";
import { ImportGap } from "../../mirror/bundle/import.ts";
import { printNeeds } from "../../mirror/bundle/needs.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { describeWithGo } from "../go-command.ts";
import { type BundleWorld, bundleWorld, filesOf, importInProcess, stateOf } from "./bundle-world.ts";
import { expectSuccess } from "./mirror-world.ts";
import { modferry } from "./modferry-command.ts";

const TIMEOUT = 900_000;
/** In each volume; `MODFERRY_FLIPS=200` is what a release is tried with. */
const FLIPS = Number(process.env.MODFERRY_FLIPS ?? 20);

describeWithGo("bundles that are refused", () => {
  let outside: BundleWorld;
  /** An island that has taken the full bundle. */
  let base: string;
  beforeAll(async () => {
    outside = await bundleWorld();
    base = join(await outside.world.folder(), "island");
    await importInProcess(base, [outside.bundles[0] as string], outside);
  }, TIMEOUT);
  afterAll(() => outside?.close());

  /** A copy of the island. */
  async function island(): Promise<string> {
    const copy = join(await outside.world.folder(), "island");
    await cp(base, copy, { recursive: true });
    return copy;
  }

  async function refusal(
    at: string,
    folders: readonly string[],
    trust?: Parameters<typeof importInProcess>[3],
  ) {
    const before = await stateOf(at);
    const error = await importInProcess(at, folders, outside, trust).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(await stateOf(at), "the mirror is as it was").toBe(before);
    expect(error, "refused").toBeInstanceOf(MirrorError);
    const { message } = error as MirrorError;
    expect(message, "one line").not.toContain("\n");
    return error as MirrorError;
  }

  const bundle = (at: number) => outside.bundles[at] as string;

  async function copyOf(folder: string): Promise<string> {
    const copy = join(await outside.world.folder(), "bundle");
    await cp(folder, copy, { recursive: true });
    return copy;
  }

  test(
    "a lost bundle: needs.json says what is missing, and what is exported for it heals",
    async () => {
      const at = await island();
      await importInProcess(at, [bundle(1)], outside);
      const gap = await refusal(at, [bundle(3)]);
      expect(gap).toBeInstanceOf(ImportGap);
      const { needs } = gap as ImportGap;
      expect(needs.have).toBe(outside.snapshots[1]);
      expect(needs.want).toBe(outside.snapshots[3]);
      const target = outside.trees[3] as Record<string, string>;
      const held = outside.trees[1] as Record<string, string>;
      const listed = (
        JSON.parse(await readFile(join(bundle(3), "bundle.json"), "utf8")) as {
          files: { path: string }[];
        }
      ).files.map(({ path }) => path);
      // A list that becomes shorter, or empty, is made here from the snapshot.
      const lacking = Object.keys(target).filter(
        (path) => target[path] !== held[path] && !listed.includes(path),
      );
      expect([...needs.files].sort()).toEqual(lacking.sort());
      const file = join(await outside.world.folder(), "needs.json");
      await writeFile(file, printNeeds(needs));
      const healing = await outside.export("--needs", file);
      // By itself it lacks what the other one has.
      await refusal(at, [healing]);
      expect(await importInProcess(at, [bundle(3), healing], outside)).toMatchObject([
        { outcome: "imported" },
      ]);
      expect(await filesOf(join(at, "tree"))).toEqual(target);
    },
    TIMEOUT,
  );

  test(
    "what was blocked since cannot be exported for a gap: the way to the newest state can",
    async () => {
      const at = await island();
      const { needs } = (await refusal(at, [bundle(2)])) as ImportGap;
      expect(needs.files).toContain("example.com/extra/@v/v1.0.0.zip");
      const file = join(await outside.world.folder(), "needs.json");
      await writeFile(file, printNeeds(needs));
      const refused = await modferry([
        "export",
        "--needs",
        file,
        "--mirror",
        outside.outside,
        "--to",
        join(file, ".."),
        "--key",
        outside.key,
      ]);
      expect(refused.code).toBe(1);
      expect(refused.stderr).toContain("export --since");
      const healing = await outside.export("--since", needs.have as string, "--to", join(file, ".."));
      await importInProcess(at, [healing], outside);
      expect(withoutEmptyLists(await filesOf(join(at, "tree")))).toEqual(withoutEmptyLists(outside.trees[3]));
    },
    TIMEOUT,
  );

  test(
    "several bundles are taken in any order; one of the past, or taken already, changes nothing",
    async () => {
      const at = await island();
      const done = await importInProcess(at, [bundle(3), bundle(1), bundle(2)], outside);
      expect(done.map(({ to }) => to)).toEqual(outside.snapshots.slice(1));
      expect(await filesOf(join(at, "tree"))).toEqual(outside.trees[3]);
      expect((await refusal(at, [bundle(1)])).message).toContain("already");
      expect(await importInProcess(at, [bundle(3)], outside)).toMatchObject([{ outcome: "held already" }]);
    },
    TIMEOUT,
  );

  test(
    "a signer that is not trusted, not yet, or no more",
    async () => {
      const other = generateKeys("stranger.example").verifierKey;
      const fresh = join(await outside.world.folder(), "island");
      await mkdir(fresh);
      expect(
        await importInProcess(fresh, [bundle(0)], outside, [{ verifierKey: other, by: "test" }]).catch(
          (thrown) => thrown,
        ),
      ).toMatchObject({ class: "mismatch" });
      expect(await filesOf(join(fresh, "tree"))).toEqual({});
      const at = await island();
      const key = { verifierKey: outside.vkey, by: "test" };
      expect(
        (await refusal(at, [bundle(1)], [{ ...key, notAfter: Date.parse("2020-01-01") }])).message,
      ).toContain("until");
      expect(
        (await refusal(at, [bundle(1)], [{ ...key, notBefore: Date.parse("2100-01-01") }])).message,
      ).toContain("from");
      await importInProcess(at, [bundle(1)], outside, [
        { ...key, notAfter: Date.parse("2100-01-01"), notBefore: 0 },
      ]);
    },
    TIMEOUT,
  );

  test(
    "a new key is taken from a bundle that an old one has signed, and then signs",
    async () => {
      const folder = await outside.world.folder();
      const made = await modferry(["keygen", "next.example", "--to", join(folder, "next")]);
      expectSuccess(made, "keygen");
      const at = await island();
      const old = { verifierKey: outside.vkey, by: "test" };
      const mirror = ["--mirror", outside.outside];
      const introduced = await modferry([
        "export",
        "--since",
        outside.snapshots[0] as string,
        ...mirror,
        "--to",
        folder,
        "--key",
        outside.key,
        "--introduce",
        made.stdout.trim(),
      ]);
      expectSuccess(introduced, "export");
      const signed = await modferry([
        "export",
        "--full",
        ...mirror,
        "--to",
        folder,
        "--key",
        join(folder, "next"),
      ]);
      expectSuccess(signed, "export");
      await refusal(at, [signed.stdout.trim()]);
      await importInProcess(at, [introduced.stdout.trim()], outside, [old]);
      // Held already, but its signature is believed now.
      expect(await importInProcess(at, [signed.stdout.trim()], outside)).toMatchObject([
        { outcome: "held already" },
      ]);
    },
    TIMEOUT,
  );

  test(
    "an extra file, a missing file, a missing volume",
    async () => {
      const at = await island();
      const extra = await copyOf(bundle(1));
      await writeFile(join(extra, "autorun.inf"), "");
      expect((await refusal(at, [extra])).message).toContain("autorun.inf");
      const lacking = await copyOf(bundle(1));
      await rm(join(lacking, "pack-0001.tar"));
      expect((await refusal(at, [lacking])).message).toContain("missing");
      for (const name of ["bundle.json.note", "README.txt"]) {
        const without = await copyOf(bundle(1));
        await rm(join(without, name));
        expect((await refusal(at, [without])).message).toContain("missing");
      }
    },
    TIMEOUT,
  );

  describe("in volumes", () => {
    let volumes: readonly string[];
    beforeAll(async () => {
      const to = await outside.world.folder();
      const folder = await outside.export(
        "--since",
        outside.snapshots[0] as string,
        "--volume-size",
        "14MB",
        "--to",
        to,
      );
      volumes = (await readdir(folder)).sort().map((name) => join(folder, name));
    }, TIMEOUT);

    test(
      "each is below the size, and they are taken together, or one by one",
      async () => {
        expect(volumes.length).toBeGreaterThan(1);
        for (const volume of volumes) {
          const sizes = await Promise.all(
            (await readdir(volume)).map(async (name) => (await stat(join(volume, name))).size),
          );
          expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(14e6);
        }
        const at = await island();
        // The first alone: what it holds is checked and kept, and the mirror is as it was.
        expect((await refusal(at, [volumes[0] as string])).message).toContain("pack-0002.tar");
        const moved = await copyOf(volumes[0] as string);
        await rm(join(moved, "pack-0001.tar"));
        await importInProcess(at, [moved, ...volumes.slice(1)], outside);
        expect(withoutEmptyLists(await filesOf(join(at, "tree")))).toEqual(
          withoutEmptyLists(outside.trees[3]),
        );
      },
      TIMEOUT,
    );

    test(
      `each file of each volume corrupted at ${FLIPS} random places: every one is refused, and the mirror as it was`,
      async () => {
        const at = await island();
        const before = await stateOf(at);
        let tried = 0;
        for (const volume of volumes)
          for (const name of await readdir(volume)) {
            const file = join(volume, name);
            const { size } = await stat(file);
            const flips = name.endsWith(".tar") ? FLIPS : Math.min(20, FLIPS);
            for (let flip = 0; flip < flips; flip++) {
              const place = Math.floor(Math.random() * size);
              flipBit(file, place);
              const error = await importInProcess(at, volumes, outside).catch((thrown: unknown) => thrown);
              flipBit(file, place);
              tried++;
              expect(error, `${file} at ${place}`).toBeInstanceOf(MirrorError);
              if (flip % 20 === 0) expect(await stateOf(at), `${file} at ${place}`).toBe(before);
            }
          }
        expect(await stateOf(at)).toBe(before);
        console.log(`${tried} flipped bits in ${volumes.length} volumes, each refused`);
        await importInProcess(at, volumes, outside);
        expect(withoutEmptyLists(await filesOf(join(at, "tree")))).toEqual(
          withoutEmptyLists(outside.trees[3]),
        );
      },
      TIMEOUT,
    );
  });

  test(
    "a full disk pauses the import, and it goes on when there is room",
    async () => {
      const folder = await outside.world.folder();
      const mount = join(folder, "small");
      await mkdir(mount);
      try {
        execFileSync("mount", ["-t", "tmpfs", "-o", "size=14m", "tmpfs", mount], { stdio: "ignore" });
      } catch {
        console.log("skipped: this user may mount no tmpfs");
        return;
      }
      try {
        const at = join(mount, "island");
        await mkdir(at);
        const run = await outside.import(at, bundle(0));
        expect(run.code, run.stderr).toBe(1);
        expect(run.stderr).toContain("no space left");
        expect(
          Object.keys(await filesOf(join(at, "tree"))).filter((path) => path.endsWith("/@v/list")),
        ).toEqual([]);
        execFileSync("mount", ["-o", "remount,size=200m", mount]);
        expectSuccess(await outside.import(at, bundle(0)), "import with room");
        expect(await filesOf(join(at, "tree"))).toEqual(outside.trees[0]);
      } finally {
        execFileSync("umount", [mount]);
      }
    },
    TIMEOUT,
  );

  test(
    "a version that the mirror holds with other content",
    async () => {
      const at = await island();
      const { ledger, close } = await openFolderMirror(at, { mode: "write" });
      for await (const record of ledger.records())
        if (record.path === "example.com/lib")
          await ledger.write([
            { record: { ...record, version: "v1.1.0" as typeof record.version, revision: 0 } },
          ]);
      await close();
      expect((await refusal(at, [bundle(1)])).message).toContain("example.com/lib@v1.1.0");
    },
    TIMEOUT,
  );
});

/** A module of which nothing is whole any more has an empty list where it once was; an island that skips that has none. */
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
