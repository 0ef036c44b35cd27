import type { ModulePath } from "../../gomod/module-path.ts";
import type { Verifier } from "../../sumdb/note.ts";
import type { BlockParts } from "../block.ts";
import { MirrorError } from "../errors.ts";
import { openSnapshot } from "../snapshot/open-snapshot.ts";
import { type SnapshotName, snapshotName } from "../snapshot/snapshot-name.ts";
import {
  type BundleSnapshot,
  type BundleSource,
  type BundleStage,
  type BundleStages,
  withVulndb,
} from "./bundle-ports.ts";
import { chainOf, type ImportStep, pastError } from "./import-chain.ts";
import { checkPacks } from "./import-packs.ts";
import { proveGiven, type ReadGiven } from "./import-proofs.ts";
import { publishStep } from "./import-publish.ts";
import {
  forgetWaiting,
  keepSnapshot,
  type OpenSnapshot,
  type SpoolChunks,
  targetSnapshot,
} from "./import-snapshot.ts";
import { type GivenFile, RememberedFiles, walk } from "./import-walk.ts";
import { KeptFiles } from "./kept-files.ts";
import { type Mark, moveMark, readMark } from "./mark.ts";
import type { Needs } from "./needs.ts";
import { type OpenedBundle, openBundle } from "./opened-bundle.ts";
import { requireSame } from "./received-record.ts";
import { readSigners, trustSigner } from "./signers.ts";
import type { SnapshotFile } from "./snapshot-files.ts";

/** Records compared with what the ledger holds, in one call. */
const RECORDS_AT_ONCE = 500;

export interface ImportParts extends BlockParts {
  readonly stages: BundleStages;
  readonly spool: SpoolChunks;
  readonly verifiers: readonly Verifier[];
  readonly covering: (path: ModulePath) => readonly string[];
  /** What is being done, and the bytes of each file that was checked or published. */
  readonly progress: (phase: "check" | "publish", bytes: number) => void;
}

/** What an import did with one bundle. */
export interface Imported {
  readonly name: string;
  readonly to: SnapshotName;
  readonly outcome: "imported" | "held already";
  readonly files: number;
  readonly bytes: number;
}

/** Bundles do not lead on from what this mirror holds. */
export class ImportGap extends MirrorError {
  readonly needs: Needs;

  constructor(message: string, needs: Needs) {
    super("mismatch", "bundle", message);
    this.needs = needs;
  }
}

/**
 * Imports bundles, given in any order: the signature and list of each, then how they lead on from what this mirror holds,
 * then of each in turn every hash, h1 and proof, and only then its files. The mark is the last write. What is refused
 * leaves the mirror as it was; what dies is finished by the same call.
 * @throws MirrorError of the first thing that is wrong; ImportGap with what is missing where a bundle was skipped.
 */
export async function importBundles(
  parts: ImportParts,
  sources: readonly BundleSource[],
): Promise<Imported[]> {
  const trusted = await readSigners(parts.ledger);
  const bundles: OpenedBundle[] = [];
  for (const source of sources) bundles.push(await openBundle(source, trusted));
  const mark = await readMark(parts.ledger);
  const { steps, past, gap } = chainOf(mark, bundles);
  const again = past.filter(({ header }) => header.to.name === mark?.snapshot);
  const back = past.find((bundle) => !again.includes(bundle));
  // Of a chain, what is held already is no harm: the same call, after a crash, finds all of it held.
  if (back !== undefined && steps.length === 0 && again.length === 0 && mark !== undefined)
    throw pastError(mark, back);
  const [skipped] = gap;
  if (skipped !== undefined) throw await gapError(parts, steps.at(-1)?.bundles[0], mark, skipped);
  await parts.stages.sweep(bundles.map(({ id }) => id));
  const imported = past.map((bundle) => resultOf(bundle, "held already"));
  for (const step of steps) imported.push(await importStep(parts, step));
  for (const bundle of again) await (await parts.stages.open(bundle.id, bundle.source)).clear();
  return imported;
}

const resultOf = ({ header }: OpenedBundle, outcome: Imported["outcome"]): Imported => ({
  name: header.name,
  to: snapshotName(header.to.name),
  outcome,
  files: header.counts.files,
  bytes: header.counts.bytes,
});

async function importStep(parts: ImportParts, { bundles }: ImportStep): Promise<Imported> {
  const [first] = bundles as readonly [OpenedBundle];
  const { ledger, vault } = parts;
  const mark = await readMark(ledger);
  const before = await heldSnapshot(parts, mark);
  requireBegin(first, before);
  const to = await targetSnapshot(first, vault, parts.spool);
  const stages = new Map<OpenedBundle, BundleStage>();
  try {
    const from = first.header.kind === "full" ? undefined : before;
    const listed = await checkLists(parts, first, from, to, bundles, mark);
    for (const bundle of bundles) stages.set(bundle, await parts.stages.open(bundle.id, bundle.source));
    const given = () => listed?.again() ?? walk(from, to, bundles, NOTHING);
    const stageOf = (bundle: OpenedBundle) => stages.get(bundle) as BundleStage;
    const heads = await checkFiles(parts, to, stages, given);
    await publishStep(
      {
        ...parts,
        body: ({ bundle, file }) => stageOf(bundle).body(file),
        stored: (bytes, { bundle, file }) => {
          stageOf(bundle).published?.(file);
          parts.progress("publish", bytes);
        },
        isStored: ({ bundle, file }) => stageOf(bundle).isPublished?.(file) === true,
      },
      { before, to, heads, given },
    );
    await keepSnapshot(first, vault, parts.spool);
    for (const { key, ...times } of first.header.introduces)
      await trustSigner(ledger, { verifierKey: key, ...times, by: first.signer.verifierKey });
    await moveMark(ledger, { snapshot: snapshotName(first.header.to.name), at: parts.now() });
    for (const stage of stages.values()) await stage.clear();
    for (const bundle of bundles) await forgetWaiting(bundle, vault);
    return resultOf(first, "imported");
  } finally {
    await to.close();
    await before?.close();
    for (const stage of stages.values()) await stage.close();
  }
}

/**
 * Every hash and h1, and all proofs, side by side: a proof follows as soon as the files that it reads are kept. Of both
 * kinds of faults that of a file is told.
 */
async function checkFiles(
  parts: ImportParts,
  to: BundleSnapshot,
  stages: ReadonlyMap<OpenedBundle, BundleStage>,
  given: () => AsyncGenerator<GivenFile>,
): ReturnType<typeof proveGiven> {
  const kept = new Map([...stages.keys()].map((bundle) => [bundle, new KeptFiles()]));
  const check = async () => {
    try {
      for (const [bundle, stage] of stages)
        await checkPacks(
          bundle,
          stage,
          given(),
          (bytes) => parts.progress("check", bytes),
          kept.get(bundle) as KeptFiles,
        );
    } catch (thrown) {
      for (const files of kept.values()) files.fail(thrown);
      throw thrown;
    }
  };
  const isProven = [...stages.values()].every((stage) => stage.isProven?.() === true);
  const proofs = onlyProofs(given(), isProven ? REPROVEN : PROVEN);
  const read: ReadGiven = async ({ bundle, file }) => {
    await kept.get(bundle)?.reached(file);
    return await (stages.get(bundle) as BundleStage).bytes(file);
  };
  const [checked, heads] = await Promise.allSettled([check(), proveGiven(parts, to, proofs, read)]);
  if (checked.status === "rejected") throw checked.reason;
  if (heads.status === "rejected") throw heads.reason;
  if (!isProven) for (const stage of stages.values()) await stage.proven?.();
  return heads.value;
}

const NOTHING = { missing: () => undefined, extra: () => undefined };

/** Names hold the beginning of a hash; here it is the whole. */
function requireBegin({ source, header }: OpenedBundle, before: OpenSnapshot | undefined): void {
  if (header.from === null || header.from.hash === before?.header.hash) return;
  const what = `begins at another ${header.from.name} than this mirror holds; nothing was taken over`;
  throw new MirrorError("mismatch", source.name, `${source.name}: ${what}`);
}

/** What is proven once all of it is at hand. */
const PROVEN: ReadonlySet<SnapshotFile["kind"]> = new Set(["tile", "lookup", "mod", "vulndb"] as const);
/** And once more in each run: this mirror may have a newer head of its own by now. */
const REPROVEN: typeof PROVEN = new Set(["tile"] as const);

async function* onlyProofs(given: AsyncIterable<GivenFile>, kinds: typeof PROVEN): AsyncGenerator<GivenFile> {
  for await (const file of given) if (kinds.has(file.expected.kind)) yield file;
}

/** The snapshot that this mirror holds. */
async function heldSnapshot(parts: ImportParts, mark: Mark | undefined): Promise<OpenSnapshot | undefined> {
  if (mark === undefined) return undefined;
  const held = await openSnapshot(parts.vault, mark.snapshot);
  if (held !== undefined) return { ...withVulndb(held, parts.vault), close: () => held.close() };
  const message = `${mark.snapshot}: the snapshot that this mirror holds is missing in its vault; import a full bundle into a new mirror`;
  throw new MirrorError("absent", mark.snapshot, message);
}

/**
 * Before anything large is read: the bundles list just what is needed, and nothing of it contradicts this mirror.
 * @returns the files, unless there are too many to keep in mind.
 */
async function checkLists(
  parts: ImportParts,
  first: OpenedBundle,
  from: BundleSnapshot | undefined,
  to: BundleSnapshot,
  bundles: readonly OpenedBundle[],
  mark: Mark | undefined,
): Promise<RememberedFiles | undefined> {
  const missing: string[] = [];
  const remembered = new RememberedFiles();
  const alone = bundles.length === 1 && first.header.kind !== "needs";
  const faults = {
    missing: ({ key }: SnapshotFile) => void missing.push(key),
    extra: (bundle: OpenedBundle, path: string) => {
      if (!alone) return;
      const what = `${path} is an extra file, which its snapshots do not account for; nothing of it was taken over`;
      throw new MirrorError("mismatch", bundle.source.name, `${bundle.source.name}: ${what}`);
    },
  };
  let entries: Extract<SnapshotFile, { entry: unknown }>["entry"][] = [];
  const compare = async () => {
    const records = await parts.ledger.read(entries);
    for (const [at, entry] of entries.entries()) requireSame(records[at], entry);
    entries = [];
  };
  for await (const given of walk(from, to, bundles, faults)) {
    remembered.add(given);
    const { expected } = given;
    if (expected.kind !== "mod" && expected.kind !== "zip") continue;
    if (entries.push(expected.entry) >= RECORDS_AT_ONCE) await compare();
  }
  await compare();
  if (missing.length === 0) return remembered.isWhole ? remembered : undefined;
  const what = `${missing.length} files are missing that ${first.header.to.name} has, such as ${missing[0]}`;
  if (alone)
    throw new MirrorError(
      "mismatch",
      first.source.name,
      `${first.source.name}: ${what}; nothing was taken over`,
    );
  throw new ImportGap(`${first.source.name}: ${what}; give the bundle that it was made for, too`, {
    have: mark?.snapshot ?? null,
    want: snapshotName(first.header.to.name),
    files: missing,
  });
}

/** What is missing between what this mirror holds and a bundle that begins elsewhere. */
async function gapError(
  parts: ImportParts,
  reached: OpenedBundle | undefined,
  mark: Mark | undefined,
  skipped: OpenedBundle,
): Promise<ImportGap> {
  const have = reached === undefined ? mark?.snapshot : snapshotName(reached.header.to.name);
  const before =
    reached === undefined
      ? await heldSnapshot(parts, mark)
      : await targetSnapshot(reached, parts.vault, parts.spool);
  const to = await targetSnapshot(skipped, parts.vault, parts.spool);
  const files: string[] = [];
  try {
    const faults = { missing: ({ key }: SnapshotFile) => void files.push(key), extra: () => undefined };
    for await (const _ of walk(before, to, [skipped], faults));
  } finally {
    await to.close();
    await before?.close();
    await forgetWaiting(skipped, parts.vault);
  }
  const begins = skipped.header.from?.name ?? "nothing";
  const message = `${skipped.source.name}: begins at ${begins}, and this mirror holds ${mark?.snapshot ?? "nothing"}: a bundle in between is missing, with ${files.length} files; nothing was taken over`;
  return new ImportGap(message, { have: have ?? null, want: snapshotName(skipped.header.to.name), files });
}
