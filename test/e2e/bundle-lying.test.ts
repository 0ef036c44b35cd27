import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { generateKeys } from "../../adapters/local/file-signer.ts";
import { openFolderMirror } from "../../adapters/local/folder-mirror.ts";
import { zipChecker } from "../../adapters/local/zip-checker.ts";
import { parseModuleVersion } from "../../gomod/version.ts";
import { sha256Of } from "../../mirror/body.ts";
import { MirrorError } from "../../mirror/errors.ts";
import type { VersionRecord } from "../../mirror/records.ts";
import { parseSignerKey, signNote } from "../../sumdb/note.ts";
import { formatTree } from "../../sumdb/tree-head.ts";
import { describeWithGo } from "../go-command.ts";
import { type BundleWorld, bundleWorld, importInProcess, snapshotOf, stateOf } from "./bundle-world.ts";
import { expectSuccess } from "./mirror-world.ts";
import { modferry } from "./modferry-command.ts";

const TIMEOUT = 600_000;
vi.setConfig({ testTimeout: TIMEOUT });
const LIB = "example.com/lib";
const VERSION = parseModuleVersion(`${LIB}@v1.0.0`);

/** What a checksum database covers is proven by it, whoever has signed the bundle. */
describeWithGo("a trusted signer that lies", () => {
  let outside: BundleWorld;
  beforeAll(async () => {
    outside = await bundleWorld();
  }, TIMEOUT);
  afterAll(() => outside?.close());

  /** A copy of the outside mirror in which something is exchanged, exported with the trusted key. */
  async function refusalOf(tamper: (mirror: string) => Promise<void>): Promise<MirrorError> {
    const folder = await outside.world.folder();
    const mirror = join(folder, "outside");
    await cp(outside.outside, mirror, { recursive: true });
    await tamper(mirror);
    await snapshotOf(mirror, { full: true });
    const run = await modferry([
      "export",
      "--full",
      "--mirror",
      mirror,
      "--to",
      folder,
      "--key",
      outside.key,
    ]);
    expectSuccess(run, "export");
    const island = join(folder, "island");
    await (await openFolderMirror(island, { mode: "write" })).close();
    const before = await stateOf(island);
    const error = await importInProcess(island, [run.stdout.trim()], outside).catch(
      (thrown: unknown) => thrown,
    );
    expect(await stateOf(island)).toBe(before);
    expect(error).toBeInstanceOf(MirrorError);
    return error as MirrorError;
  }

  async function changeRecord(
    mirror: string,
    change: (record: VersionRecord) => VersionRecord,
  ): Promise<void> {
    const { ledger, close } = await openFolderMirror(mirror, { mode: "write" });
    const [record] = await ledger.read([VERSION]);
    await ledger.write([{ record: change(record as VersionRecord) }]);
    await close();
  }

  const sumdb = (mirror: string, file: string) =>
    join(mirror, "tree/sumdb", outside.world.upstream.sumdbName, file);

  test("another zip, of which the snapshot has the hashes right", async () => {
    const error = await refusalOf(async (mirror) => {
      const [source, made] = [join(mirror, "../source"), join(mirror, "../made")];
      await mkdir(source);
      await writeFile(join(source, "go.mod"), `module ${LIB}\n\ngo 1.21\n`);
      await writeFile(join(source, "lib.go"), 'package lib\n\nconst Version = "evil"\n');
      const zipped = await modferry(["zip", source, "--module", LIB, "--version", "v1.0.0", "--to", made]);
      expectSuccess(zipped, "zip");
      const zip = await readFile(join(made, LIB, "@v/v1.0.0.zip"));
      await writeFile(join(mirror, "tree", LIB, "@v/v1.0.0.zip"), zip);
      const { h1 } = await zipChecker.check(zip, VERSION);
      const now = { zipH1: h1, zipSha256: sha256Of(zip), zipSize: zip.byteLength };
      await changeRecord(mirror, (record) => ({ ...record, ...now }));
    });
    expect(error.message).toContain("says other hashes");
  });

  test("a zip whose h1 is not the one that the snapshot says", async () => {
    const error = await refusalOf(async (mirror) => {
      const zip = await readFile(join(mirror, "tree/example.com/extra/@v/v1.0.0.mod"));
      const now = { zipSha256: sha256Of(zip), zipSize: zip.byteLength };
      await writeFile(join(mirror, "tree", LIB, "@v/v1.0.0.zip"), zip);
      await changeRecord(mirror, (record) => ({ ...record, ...now }));
    });
    expect(error.message).toContain(`${LIB}@v1.0.0`);
  });

  test("the lookup of another version", async () => {
    const error = await refusalOf(async (mirror) => {
      const file = sumdb(mirror, `lookup/${LIB}@v1.0.0`);
      await writeFile(file, await readFile(join(dirname(file), "lib@v1.2.0")));
    });
    expect(error).toMatchObject({ class: "mismatch", subject: `${LIB}@v1.0.0` });
  });

  test("a tile with one other bit", async () => {
    const error = await refusalOf(async (mirror) => {
      const file = sumdb(mirror, "tile/8/0/000");
      const bytes = await readFile(file);
      bytes[100] = (bytes[100] as number) ^ 1;
      await writeFile(file, bytes);
    });
    expect(error.message).toContain("tile/8/0/000");
  });

  test("a version without its proof", async () => {
    const error = await refusalOf((mirror) =>
      changeRecord(mirror, ({ sumdbRecords: _records, ...record }) => record),
    );
    expect(error.message).toContain("not proven by");
  });

  test("a head that another key has signed", async () => {
    const error = await refusalOf(async (mirror) => {
      const name = outside.world.upstream.sumdbName;
      const head = { size: 10_000_000, hash: new Uint8Array(32) };
      const note = signNote(formatTree(head), [parseSignerKey(generateKeys(name).signerKey)]);
      const { ledger, close } = await openFolderMirror(mirror, { mode: "write" });
      await ledger.addHead(name, { ...head, note });
      await close();
    });
    expect(error.class).toBe("mismatch");
  });
});
