import { formatModuleVersion } from "../../gomod/version.ts";
import type { Sha256 } from "../body.ts";
import { sha256Of, sha256Stream } from "../body.ts";
import { MirrorError } from "../errors.ts";
import {
  BUNDLE_FORMAT,
  BUNDLE_JSON,
  BUNDLE_NOTE,
  BUNDLE_README,
  type BundleHeader,
  type BundlePack,
  bundleName,
  type Introduced,
  printBundle,
  type SnapshotRef,
} from "./bundle-json.ts";
import type { BundleTarget, KeptSnapshot } from "./bundle-ports.ts";
import { type BundleSigner, bundleText, signedNote } from "./bundle-signer.ts";
import { type ExportTree, readAhead, sourceFiles } from "./export-files.ts";
import { Packs, passingOver } from "./export-packs.ts";
import { packLimit, snapshotFolder } from "./export-plan.ts";
import { ExportProgress } from "./export-progress.ts";
import { packName } from "./pack-writer.ts";
import { readmeText } from "./readme.ts";
import { filesBetween, removedBetween } from "./snapshot-files.ts";

export interface ExportParts {
  readonly tree: ExportTree;
  readonly target: BundleTarget;
  readonly signer: BundleSigner;
  /** Called with the bytes of each file that is in its pack. */
  readonly progress: (bytes: number) => void;
}

export interface ExportOrder {
  /** What the receiving mirror holds; undefined for a full bundle. */
  readonly from: KeptSnapshot | undefined;
  readonly to: KeptSnapshot;
  /** In bytes; undefined for one folder of packs. */
  readonly volumeSize?: number;
  readonly introduces?: readonly Introduced[];
  /** Of what is between the snapshots these tree keys alone: what a mirror lacks besides another bundle to `to`. */
  readonly only?: ReadonlySet<string>;
}

export interface Exported {
  readonly name: string;
  readonly counts: BundleHeader["counts"];
  readonly packs: readonly BundlePack[];
}

/**
 * Writes the bundle from one snapshot to another: packs, each finished before the next; then README.txt, bundle.json and
 * last its signed note, without which no mirror takes it. Deterministic: the same snapshots, key and volume size give the
 * same bytes. Run again after a crash it keeps the packs that are whole.
 * @throws MirrorError misuse where both snapshots are the same, or a volume is too small; absent or mismatch where the
 * tree does not have what the snapshot says.
 */
export async function exportBundle(parts: ExportParts, order: ExportOrder): Promise<Exported> {
  const { from, to } = order;
  const kind = order.only === undefined ? (from === undefined ? "full" : "increment") : "needs";
  const name = bundleName(from?.header.name, to.header.name, kind);
  if (from !== undefined && from.header.until >= to.header.until)
    throw new MirrorError(
      "misuse",
      "--since",
      `--since ${from.header.name}: not older than ${to.header.name}, the newest snapshot; there is nothing to export`,
    );
  const between = () => chosen(filesBetween(from, to), order.only);
  const limit = await packLimit(planned(name, to, between()), names(from, to), order.volumeSize);
  const progress = new ExportProgress(parts.target, `${name} ${limit.bytes}`);
  const at = (number: number) =>
    `${order.volumeSize === undefined ? "" : volumeFolder(number)}${packName(number)}`;
  const finished = await progress.finished(at);
  const packs = new Packs(parts, progress, finished, { limit: limit.bytes, at, time: to.header.until });
  const sources = sourceFiles(parts.tree, snapshotFolder(name), to, between());
  for await (const file of readAhead(passingOver(sources, finished))) await packs.add(file);
  await packs.finish();
  const counts = { ...(await countVersions(from, to)), ...packs.counts };
  const fields: Omit<BundleHeader, "readme"> = {
    format: BUNDLE_FORMAT,
    name,
    kind,
    from: from === undefined ? null : refOf(from),
    to: refOf(to),
    signer: parts.signer.verifierKey,
    introduces: [...(order.introduces ?? [])],
    heads: { ...to.header.heads },
    counts,
  };
  const readme = Buffer.from(readmeText(fields, packs.packs.length));
  const header: BundleHeader = { ...fields, readme: { size: readme.byteLength, sha256: sha256Of(readme) } };
  const folders = order.volumeSize === undefined ? [""] : packs.packs.map((_, at) => volumeFolder(at));
  for (const folder of folders) await writeWhole(parts.target, `${folder}${BUNDLE_README}`, [readme]);
  let sha256: Sha256 | undefined;
  for (const folder of folders) {
    const text = printBundle(header, packs.packs, names(from, to), progress.lines(packs.packs.length));
    sha256 = await writeWhole(parts.target, `${folder}${BUNDLE_JSON}`, encoded(text));
  }
  const note = await signedNote(bundleText(name, sha256 ?? ""), parts.signer);
  for (const folder of folders) await writeWhole(parts.target, `${folder}${BUNDLE_NOTE}`, [note]);
  await progress.remove(packs.packs.length);
  return { name, counts, packs: packs.packs };
}

const refOf = ({ header: { name, hash, until } }: KeptSnapshot): SnapshotRef => ({
  name,
  hash: hash as Sha256,
  until,
});

/** With volumes each pack lies in a folder of its own, which is to become one disc. */
function volumeFolder(pack: number): string {
  return `volume-${pack + 1}/`;
}

async function* chosen(
  files: ReturnType<typeof filesBetween>,
  only: ReadonlySet<string> | undefined,
): ReturnType<typeof filesBetween> {
  for await (const file of files) if (only === undefined || only.has(file.key)) yield file;
}

async function* planned(bundle: string, to: KeptSnapshot, files: ReturnType<typeof filesBetween>) {
  for await (const { name, open } of to.objects()) {
    const object = await open();
    await object.close();
    yield { path: `${snapshotFolder(bundle)}${name}`, size: object.size };
  }
  for await (const { key, size } of files) yield { path: key, ...(size === undefined ? {} : { size }) };
}

async function* names(from: KeptSnapshot | undefined, to: KeptSnapshot): AsyncGenerator<string> {
  for await (const { entry } of removedBetween(from, to)) yield formatModuleVersion(entry);
}

async function countVersions(
  from: KeptSnapshot | undefined,
  to: KeptSnapshot,
): Promise<Pick<BundleHeader["counts"], "modules" | "versions" | "removed">> {
  let modules = 0;
  let versions = 0;
  let removed = 0;
  let last: { path: string; version: string } | undefined;
  for await (const file of filesBetween(from, to)) {
    if (!("entry" in file)) continue;
    const { path, version } = file.entry;
    if (last?.path !== path) modules++;
    if (last?.path !== path || last.version !== version) versions++;
    last = { path, version };
  }
  for await (const _ of names(from, to)) removed++;
  return { modules, versions, removed };
}

async function* encoded(texts: AsyncIterable<string>): AsyncGenerator<Uint8Array> {
  for await (const text of texts) yield Buffer.from(text);
}

async function writeWhole(
  target: BundleTarget,
  name: string,
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<Sha256> {
  const writer = await target.create(name);
  const running = sha256Stream();
  try {
    for await (const chunk of chunks) {
      running.update(chunk);
      await writer.write(chunk);
    }
    await writer.finish();
  } catch (thrown) {
    await writer.discard();
    throw thrown;
  }
  return running.digest();
}
