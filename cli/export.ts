import { readFile } from "node:fs/promises";
import { hostname, userInfo } from "node:os";
import { join } from "node:path";
import { BundleFolder } from "../adapters/local/bundle-target.ts";
import { whyUnread } from "../adapters/local/file-error.ts";
import { OciLayout } from "../adapters/local/oci-layout-target.ts";
import { bundleName } from "../mirror/bundle/bundle-json.ts";
import { keptSnapshot } from "../mirror/bundle/bundle-ports.ts";
import { type ExportOrder, exportBundle } from "../mirror/bundle/export.ts";
import { LARGEST_NEEDS, parseNeeds } from "../mirror/bundle/needs.ts";
import { misuse } from "../mirror/errors.ts";
import { newestSnapshot, unknownSnapshot } from "../mirror/snapshot/catalog.ts";
import { openSnapshot } from "../mirror/snapshot/open-snapshot.ts";
import { pinSnapshot, unpinSnapshot } from "../mirror/snapshot/pin.ts";
import type { Snapshot } from "../mirror/snapshot/snapshot.ts";
import { snapshotName } from "../mirror/snapshot/snapshot-name.ts";
import { openSigner } from "./bundle-key.ts";
import type { CliEnvironment } from "./environment.ts";
import { jsonLine } from "./json-line.ts";
import { type OpenMirror, openMirror } from "./open-mirror.ts";
import type { Options } from "./options.ts";
import type { Output } from "./output.ts";

/** A bundle in the making keeps its snapshots for so long, in ms: days of writing to slow discs. */
const LEASE = 7 * 86_400_000;

/** `modferry export`: writes a bundle from one snapshot of the mirror to its newest. */
export async function exportVerb(
  options: Options,
  environment: CliEnvironment,
  output: Output,
): Promise<number> {
  const { to: target, bundle } = options;
  if (target === undefined)
    throw misuse("--to", "--to: not given; name the folder that is to have the bundle: --to DIR");
  if (bundle.key === undefined)
    throw misuse("--key", "--key: not given; name the signer's key file, which `modferry keygen` makes");
  const modes = [bundle.full, bundle.since !== undefined, bundle.needs !== undefined].filter(
    (given) => given,
  );
  if (modes.length !== 1)
    throw misuse("--since", "--since: give one of --since SNAPSHOT, --full and --needs FILE");
  const signer = await openSigner(bundle.key, environment);
  const mirror = await openMirror(options, environment, { mode: "beside" });
  const opened: Snapshot[] = [];
  let layout: OciLayout | undefined;
  const holder = `export-${hostname()}-${process.pid}`;
  try {
    const order = await orderOf(mirror, options, opened);
    for (const { header } of opened)
      await pinSnapshot(mirror.ledger, {
        snapshot: header.name,
        holder,
        reason: "a bundle is being made of it",
        by: `${userInfo().username}@${hostname()}`,
        at: Date.now(),
        until: Date.now() + LEASE,
      });
    const kind = order.only !== undefined ? "needs" : order.from === undefined ? "full" : "increment";
    const named = bundleName(order.from?.header.name, order.to.header.name, kind);
    if (bundle.format === "oci") layout = await OciLayout.open(target);
    const folder = layout === undefined ? join(target, named) : target;
    let bytes = 0;
    const began = performance.now();
    const exported = await exportBundle(
      {
        tree: mirror.tree,
        target: (await layout?.stage(named)) ?? new BundleFolder(folder),
        signer,
        progress: (size) => {
          bytes += size;
          output.status?.(`${(bytes / 1e6).toFixed(1)} MB`);
        },
      },
      order,
    );
    const { name, counts, packs } = exported;
    const digest = await layout?.put(name, packs, order.to.header.until);
    const seconds = (performance.now() - began) / 1000;
    const where = { folder, ...(digest === undefined ? {} : { digest: `sha256:${digest}` }) };
    if (options.json)
      output.print(jsonLine({ event: "exported", name, ...where, ...counts, packs: packs.length, seconds }));
    else {
      const size = `${(counts.bytes / 1e6).toFixed(1)} MB in ${seconds.toFixed(1)} s`;
      output.error(
        `modferry: ${counts.versions} versions of ${counts.modules} modules, ${counts.files} files, ${size}`,
      );
      if (layout !== undefined) output.error(`modferry: in this OCI image layout as ${name}`);
      output.print(folder);
    }
    return 0;
  } finally {
    layout?.close();
    for (const snapshot of opened) {
      await unpinSnapshot(mirror.ledger, snapshot.header.name, holder).catch(() => undefined);
      await snapshot.close();
    }
    await mirror.close();
  }
}

async function orderOf(mirror: OpenMirror, { bundle }: Options, opened: Snapshot[]): Promise<ExportOrder> {
  const open = async (text: string) => {
    const snapshot = await openSnapshot(mirror.vault, snapshotName(text));
    if (snapshot === undefined) throw unknownSnapshot(text);
    opened.push(snapshot);
    return keptSnapshot(snapshot, mirror.vault);
  };
  const more = {
    ...(bundle.volumeSize === undefined ? {} : { volumeSize: bundle.volumeSize }),
    introduces: bundle.introduces.map(({ verifierKey: key, ...times }) => ({ key, ...times })),
  };
  if (bundle.needs !== undefined) {
    const needs = parseNeeds(await needsFile(bundle.needs), bundle.needs);
    const from = needs.have === null ? undefined : await open(needs.have);
    return { from, to: await open(needs.want), only: new Set(needs.files), ...more };
  }
  const newest = await newestSnapshot(mirror);
  if (newest === undefined)
    throw misuse("--mirror", "--mirror: it has no snapshot yet; `modferry snapshot take` takes one");
  const from = bundle.since === undefined ? undefined : await open(bundle.since);
  return { from, to: await open(newest), ...more };
}

async function needsFile(path: string): Promise<Uint8Array> {
  try {
    const bytes = await readFile(path);
    if (bytes.byteLength <= LARGEST_NEEDS) return bytes;
  } catch (thrown) {
    throw misuse("--needs", `--needs ${path}: ${whyUnread(thrown)}`, thrown);
  }
  throw misuse("--needs", `--needs ${path}: larger than any that \`modferry import\` writes`);
}
