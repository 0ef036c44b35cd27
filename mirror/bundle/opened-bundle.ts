import { type Sha256, sha256Of, sha256Stream } from "../body.ts";
import { MirrorError } from "../errors.ts";
import type { StoredObject } from "../ports.ts";
import {
  BUNDLE_JSON,
  BUNDLE_NOTE,
  BUNDLE_README,
  type BundleFile,
  type BundleHeader,
  type BundlePack,
  bundleName,
  readBundle,
} from "./bundle-json.ts";
import type { BundleSource } from "./bundle-ports.ts";
import { bundleText, openSigned, type TrustedSigner } from "./bundle-signer.ts";
import { snapshotFolder } from "./export-plan.ts";
import { TAR_BLOCK, TAR_END, tarExtent, tarHeaderLength } from "./tar-format.ts";

/** A note on a name and a hash, with some signatures. */
const LARGEST_NOTE = 64 * 1024;
/** 300 bytes each for 50 million files. */
const LARGEST_BUNDLE_JSON = 16 * 1024 ** 3;
/** A snapshot has a handful of objects. */
const MOST_OBJECTS = 1_000;

/** A bundle whose bundle.json is what a trusted key has signed, and is sound in itself. */
export interface OpenedBundle {
  readonly source: BundleSource;
  /** Of bundle.json. */
  readonly id: Sha256;
  readonly header: BundleHeader;
  readonly packs: readonly BundlePack[];
  readonly signer: TrustedSigner;
  /** The target snapshot's objects, by name. */
  readonly objects: ReadonlyMap<string, BundleFile>;
  removed(): AsyncGenerator<string>;
  /** All files, those of the target snapshot first; each as it must lie in its pack. */
  files(): AsyncGenerator<BundleFile>;
}

/**
 * Opens a bundle: its signature, then its list. Attacker-controlled until the signature has been checked.
 * @throws MirrorError mismatch where no trusted key has signed it, or not in its time; absent or malformed where it is
 * none.
 */
export async function openBundle(
  source: BundleSource,
  trusted: readonly TrustedSigner[],
): Promise<OpenedBundle> {
  const note = await wholeOf(source, BUNDLE_NOTE, LARGEST_NOTE);
  const id = await sha256OfList(source);
  const subject = `${source.name}/${BUNDLE_JSON}`;
  const { text, signer } = openSigned(note, trusted, source.name);
  const { header, packs } = await readList(source, (reader) => reader);
  if (text !== bundleText(header.name, id))
    throw wrong(source, "its signature is over another bundle.json; it was damaged or exchanged");
  checkHeader(source, header, signer);
  await checkReadmes(source, header);
  refuseOthers(source, packs);
  checkDigests(source, packs);
  const objects = new Map<string, BundleFile>();
  const folder = snapshotFolder(header.name);
  const bundle: OpenedBundle = {
    source,
    id,
    header,
    packs,
    signer,
    objects,
    removed: () => list(source, (reader) => reader.removed()),
    files: () => placed(list(source, passRemoved), packs, header, subject),
  };
  for await (const file of bundle.files()) {
    if (!file.path.startsWith(folder)) break;
    objects.set(file.path.slice(folder.length), file);
    if (objects.size > MOST_OBJECTS) throw wrong(source, "its snapshot has too many objects");
  }
  return bundle;
}

type Reader = Awaited<ReturnType<typeof readBundle>>;

async function* passRemoved(reader: Reader): AsyncGenerator<BundleFile> {
  for await (const _ of reader.removed());
  yield* reader.files();
}

async function* list<T>(
  source: BundleSource,
  part: (reader: Reader) => AsyncGenerator<T>,
): AsyncGenerator<T> {
  const stored = await opened(source, BUNDLE_JSON);
  try {
    yield* part(await readBundle(stored.stream(), `${source.name}/${BUNDLE_JSON}`));
  } finally {
    await stored.close();
  }
}

async function readList<T>(source: BundleSource, part: (reader: Reader) => T): Promise<T> {
  const stored = await opened(source, BUNDLE_JSON);
  try {
    return part(await readBundle(stored.stream(), `${source.name}/${BUNDLE_JSON}`));
  } finally {
    await stored.close();
  }
}

function checkHeader(source: BundleSource, header: BundleHeader, signer: TrustedSigner): void {
  const { name, from, to, kind } = header;
  if (
    name !== bundleName(from?.name, to.name, kind) ||
    (kind === "full") !== (from === null && kind !== "needs")
  )
    throw wrong(source, "its name is not that of its snapshots");
  const at = new Date(to.until).toISOString();
  const key = signer.verifierKey.split("+", 1)[0];
  if (signer.notBefore !== undefined && to.until < signer.notBefore)
    throw wrong(
      source,
      `its state is of ${at}, and ${key} is trusted only from ${stamp(signer.notBefore)} on`,
    );
  if (signer.notAfter !== undefined && to.until > signer.notAfter)
    throw wrong(source, `its state is of ${at}, and ${key} was trusted only until ${stamp(signer.notAfter)}`);
}

const stamp = (at: number): string => new Date(at).toISOString();

async function checkReadmes(source: BundleSource, { readme }: BundleHeader): Promise<void> {
  let count = 0;
  for await (const copy of source.copies(BUNDLE_README)) {
    try {
      count++;
      if (copy.size !== readme.size || sha256Of(await copy.read(0, copy.size)) !== readme.sha256)
        throw wrong(source, `${BUNDLE_README} is not what was signed`);
    } finally {
      await copy.close();
    }
  }
  if (count === 0) throw wrong(source, `${BUNDLE_README} is missing`);
}

/** Packs may be missing still, since volumes come one by one; but nothing else may be there. */
function refuseOthers(source: BundleSource, packs: readonly BundlePack[]): void {
  const own = new Set(packs.map(({ name }) => name));
  const other = source.others.find((path) => !own.has(path.slice(path.lastIndexOf("/") + 1)));
  if (other !== undefined)
    throw wrong(source, `${other} is no part of the bundle; remove it, or ask who put it there`);
}

/** Under their digests packs are kept whole, and by what was signed: each byte is checked with the files. */
function checkDigests(source: BundleSource, packs: readonly BundlePack[]): void {
  if (source.digest === undefined) return;
  for (const { name, sha256 } of packs) {
    const digest = source.digest(name);
    if (digest === undefined) throw wrong(source, `its manifest names no ${name}`);
    if (digest !== sha256) throw wrong(source, `${name} is another one than was signed; it was exchanged`);
  }
}

/**
 * Each file as it lies in its pack: side by side, with the headers that we ourselves would write, so that every byte of a
 * pack is accounted for.
 */
async function* placed(
  files: AsyncIterable<BundleFile>,
  packs: readonly BundlePack[],
  header: BundleHeader,
  subject: string,
): AsyncGenerator<BundleFile> {
  let pack = -1;
  let end = 0;
  let [count, bytes] = [0, 0];
  const requireEnd = () => {
    if (pack >= 0 && end + TAR_END.byteLength !== packs[pack]?.size)
      throw malformed(subject, `${packs[pack]?.name} has another size than its files make up`);
  };
  for await (const file of files) {
    if (file.pack !== pack) {
      requireEnd();
      if (file.pack !== pack + 1) throw malformed(subject, `${shown(file.path)} is out of order`);
      pack = file.pack;
      end = 0;
    }
    if (file.offset !== end + tarHeaderLength(file.path))
      throw malformed(subject, `${shown(file.path)} does not lie behind the file before it`);
    end += tarExtent(file.path, file.size);
    if (!Number.isSafeInteger(end) || end % TAR_BLOCK !== 0) throw malformed(subject, "is too large");
    count++;
    bytes += file.size;
    yield file;
  }
  requireEnd();
  if (pack !== packs.length - 1) throw malformed(subject, "lists a pack of which it names no file");
  if (count !== header.counts.files || bytes !== header.counts.bytes)
    throw malformed(subject, "counts other files than it lists");
}

async function sha256OfList(source: BundleSource): Promise<Sha256> {
  const stored = await opened(source, BUNDLE_JSON);
  try {
    if (stored.size > LARGEST_BUNDLE_JSON) throw malformed(source.name, `${BUNDLE_JSON} is too large`);
    const running = sha256Stream();
    for await (const chunk of stored.stream()) running.update(chunk);
    return running.digest();
  } finally {
    await stored.close();
  }
}

async function wholeOf(source: BundleSource, name: string, limit: number): Promise<Uint8Array> {
  const stored = await opened(source, name);
  try {
    if (stored.size > limit) throw malformed(source.name, `${name} is too large`);
    return await stored.read(0, stored.size);
  } finally {
    await stored.close();
  }
}

async function opened(source: BundleSource, name: string): Promise<StoredObject> {
  const stored = await source.open(name);
  if (stored === undefined)
    throw new MirrorError("absent", source.name, `${source.name}: ${name} is missing`);
  return stored;
}

const shown = (path: string): string => JSON.stringify(path.slice(0, 200));

function wrong(source: BundleSource, what: string): MirrorError {
  return new MirrorError("mismatch", source.name, `${source.name}: ${what}`);
}

function malformed(subject: string, what: string): MirrorError {
  return new MirrorError("malformed", subject, `${subject}: ${what}`);
}
