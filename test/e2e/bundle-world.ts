import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findBundles } from "../../adapters/local/bundle-source.ts";
import { FolderStages } from "../../adapters/local/bundle-stages.ts";
import { openFolderMirror } from "../../adapters/local/folder-mirror.ts";
import { MemoryQueue } from "../../adapters/local/memory-queue.ts";
import { zipChecker } from "../../adapters/local/zip-checker.ts";
import { parseModuleVersion } from "../../gomod/version.ts";
import { sha256Of } from "../../mirror/body.ts";
import { type Imported, importBundles } from "../../mirror/bundle/import.ts";
import { type KnownSigner, trustSigner } from "../../mirror/bundle/signers.ts";
import { removing } from "../../mirror/garbage/removal.ts";
import { unpublish } from "../../mirror/publish.ts";
import { takeSnapshot } from "../../mirror/snapshot/take.ts";
import { updateRecords } from "../../mirror/update.ts";
import { parseVerifierKey } from "../../sumdb/note.ts";
import { MadeVulndb } from "../mirror/made-vulndb.ts";
import { fillModuleCache } from "../upstream/module-cache.ts";
import { expectSuccess, type MirrorWorld, mirrorWorld } from "./mirror-world.ts";
import { type CommandRun, modferry } from "./modferry-command.ts";

/** An outside mirror whose content grows, the bundles of it, and islands that take them. */
export interface BundleWorld {
  readonly world: MirrorWorld;
  readonly outside: string;
  readonly key: string;
  readonly vkey: string;
  /** By the order in which they were taken. */
  readonly snapshots: readonly string[];
  /** The bundles between them: the first is full. */
  readonly bundles: readonly string[];
  /** What the outside tree held at each snapshot, by path. */
  readonly trees: readonly Readonly<Record<string, string>>[];
  export(...flags: readonly string[]): Promise<string>;
  import(island: string, ...bundles: readonly string[]): Promise<CommandRun>;
  close(): Promise<void>;
}

/** Versions of a module of our own: the last one retracts the one before. */
const LIB = "example.com/lib";
const LIB_FILES: Readonly<Record<string, string>> = {
  "v1.0.0": `module ${LIB}\n\ngo 1.21\n`,
  "v1.1.0": `module ${LIB}\n\ngo 1.21\n\nrequire example.com/extra v1.0.0\n`,
  "v1.2.0": `module ${LIB}\n\ngo 1.21\n\nretract v1.1.0 // it was wrong\n`,
};

const PROJECTS = ["modern", "shouting"];

/** Made once for a suite: four states of one mirror, each with the bundle from the one before. */
export async function bundleWorld(): Promise<BundleWorld> {
  const own = await mkdtemp(join(tmpdir(), "modferry-bundles-"));
  const tree = join(own, "proxy");
  for (const [version, goMod] of Object.entries(LIB_FILES)) await makeModule(own, tree, LIB, version, goMod);
  await makeModule(own, tree, "example.com/extra", "v1.0.0", "module example.com/extra\n\ngo 1.21\n");
  await makeModule(own, tree, "example.com/old", "v1.0.0", "module example.com/old\n\ngo 1.21\n");
  const world = await mirrorWorld(PROJECTS, {
    synthetic: 600,
    trees: [await fillModuleCache(...PROJECTS), tree],
  });
  const outside = await world.folder();
  const key = join(own, "key");
  const made = await modferry(["keygen", "outside.example", "--to", key]);
  expectSuccess(made, "keygen");
  const vkey = made.stdout.trim();
  const discs = join(own, "discs");
  await mkdir(discs);
  const sumdb = ["--sumdb", world.upstream.vkey];
  const exportOne: BundleWorld["export"] = async (...flags) => {
    const to = flags.includes("--to") ? [] : ["--to", discs];
    const run = await modferry(["export", ...flags, "--mirror", outside, ...to, "--key", key]);
    expectSuccess(run, `export ${flags.join(" ")}`);
    return run.stdout.trim();
  };
  const client = await world.client("off");
  const [modern, shouting] = [await client.copyProject("modern"), await client.copyProject("shouting")];
  const snapshots: string[] = [];
  const bundles: string[] = [];
  const trees: Record<string, string>[] = [];
  const vulndb = new MadeVulndb();
  const served = await vulndb.serve();
  const step = async (...wishes: readonly string[]) => {
    // An entry more with each step, about the second one's version.
    const id = `GO-2026-${String(1_000 + snapshots.length)}`;
    const events = [{ introduced: "1.1.0" }, { fixed: "1.2.0" }];
    vulndb.add({ id, module: LIB, modified: `2026-01-0${1 + snapshots.length}T00:00:00Z`, events });
    const more = ["--vulndb", served.url];
    expectSuccess(await world.sync(outside, wishes, { more }), `sync ${wishes.join(" ")}`);
    const since = snapshots.at(-1);
    snapshots.push(await snapshotOf(outside));
    bundles.push(await exportOne(...(since === undefined ? ["--full"] : ["--since", since])));
    trees.push(await filesOf(join(outside, "tree")));
  };
  await step(join(modern, "go.mod"), `${LIB}@v1.0.0`, "example.com/old@v1.0.0");
  await step(join(shouting, "go.mod"), `${LIB}@v1.1.0`);
  await world.upstream.grow(5_000);
  await step(`${LIB}@v1.2.0`);
  await collect(outside, "example.com/old@v1.0.0");
  const block = ["block", "example.com/extra@v1.0.0", "--reason", "it is bad", "--mirror", outside];
  expectSuccess(await modferry(block), "block");
  await world.upstream.grow(300);
  await step(`${LIB}@v1.2.0`);
  return {
    world,
    outside,
    key,
    vkey,
    snapshots,
    bundles,
    trees,
    export: exportOne,
    import: (island, ...given) =>
      modferry([
        "import",
        ...given,
        "--mirror",
        island,
        "--trust",
        vkey,
        ...sumdb,
        "--to",
        join(own, "needs.json"),
      ]),
    close: async () => {
      await served[Symbol.asyncDispose]();
      await world.close();
      await rm(own, { recursive: true, force: true });
    },
  };
}

async function makeModule(
  own: string,
  tree: string,
  path: string,
  version: string,
  goMod: string,
): Promise<void> {
  const source = join(own, "source", path, version);
  await mkdir(source, { recursive: true });
  await writeFile(join(source, "go.mod"), goMod);
  await writeFile(
    join(source, "LICENSE"),
    "MIT License\n\nPermission is hereby granted, free of charge, to any person\n",
  );
  await writeFile(join(source, "lib.go"), `package lib\n\nconst Version = "${version}"\n`);
  expectSuccess(
    await modferry(["zip", source, "--module", path, "--version", version, "--to", tree]),
    `zip ${path}@${version}`,
  );
}

/** As `modferry gc` begins it: off its list, and to be deleted later. */
async function collect(mirror: string, name: string): Promise<void> {
  const { tree, ledger, close } = await openFolderMirror(mirror, { mode: "write" });
  try {
    const version = parseModuleVersion(name);
    await unpublish({ tree, ledger }, version.path, [version.version]);
    await updateRecords(
      ledger,
      [version],
      (record) => record && removing(record, "nothing", Date.now()),
      () => ({ event: "removed", version, at: Date.now() }),
    );
  } finally {
    await close();
  }
}

/** As `modferry import`, in this process. @throws what it refuses. */
export async function importInProcess(
  island: string,
  folders: readonly string[],
  { vkey, world }: Pick<BundleWorld, "vkey" | "world">,
  trust: readonly KnownSigner[] = [{ verifierKey: vkey, by: "test" }],
): Promise<Imported[]> {
  const sources = await findBundles(folders);
  const { tree, vault, ledger, spools, close } = await openFolderMirror(island, { mode: "write" });
  const stages = new FolderStages(join(island, "import"));
  try {
    for (const signer of trust) await trustSigner(ledger, signer);
    const parts = { tree, vault, ledger, queue: new MemoryQueue(), zips: zipChecker, now: Date.now };
    const verifier = parseVerifierKey(world.upstream.vkey);
    return await importBundles(
      {
        ...parts,
        stages,
        report: () => undefined,
        spool: (chunks, limit, subject) => spools.spool(chunks, limit, subject),
        verifiers: [verifier],
        covering: () => [verifier.name],
        progress: () => undefined,
      },
      sources,
    );
  } finally {
    await stages.close();
    await close();
  }
}

/** All that a mirror's readers can see, and its records, as one text. */
export async function stateOf(island: string): Promise<string> {
  const { ledger, close } = await openFolderMirror(island, { mode: "read" });
  try {
    const lines: string[] = [];
    for await (const record of ledger.records()) lines.push(JSON.stringify(record));
    for (const kind of ["control", "block"] as const)
      for await (const item of ledger.items(kind)) lines.push(JSON.stringify(item));
    const files = Object.entries(await filesOf(join(island, "tree"))).map((file) => file.join(" "));
    return [...lines.sort(), ...files].join("\n");
  } finally {
    await close();
  }
}

/** Takes a snapshot of a folder mirror as it is now. @returns its name. */
export async function snapshotOf(mirror: string, { full = false } = {}): Promise<string> {
  const { tree, vault, ledger, spools, close } = await openFolderMirror(mirror, { mode: "write" });
  try {
    const taken = await takeSnapshot(
      {
        tree,
        vault,
        ledger,
        now: Date.now,
        spool: (chunks, limit, subject) => spools.spool(chunks, limit, subject),
      },
      { owner: "test", closedAfter: 0, full },
    );
    if (taken.outcome === "taken") return taken.header.name;
    if (taken.outcome === "unchanged" && taken.name !== undefined) return taken.name;
    throw new Error(`no snapshot: ${taken.outcome}`);
  } finally {
    await close();
  }
}

/** Every file of a folder by its path, with its SHA-256. */
export async function filesOf(folder: string): Promise<Record<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const hashed = await Promise.all(
    files.map(async (file) => [file.slice(folder.length + 1), sha256Of(await readFile(file))] as const),
  );
  return Object.fromEntries(hashed.sort(([a], [b]) => (a < b ? -1 : 1)));
}
