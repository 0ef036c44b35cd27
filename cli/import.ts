import { writeFile } from "node:fs/promises";
import { findBundles } from "../adapters/local/bundle-source.ts";
import { FolderStages } from "../adapters/local/bundle-stages.ts";
import { zipChecker } from "../adapters/local/zip-checker.ts";
import { coverage } from "../adapters/upstream/sources.ts";
import { ImportGap, importBundles } from "../mirror/bundle/import.ts";
import { printNeeds } from "../mirror/bundle/needs.ts";
import { trustSigner } from "../mirror/bundle/signers.ts";
import { misuse } from "../mirror/errors.ts";
import type { CliEnvironment } from "./environment.ts";
import { jsonLine } from "./json-line.ts";
import { type OpenMirror, openMirror } from "./open-mirror.ts";
import type { Options } from "./options.ts";
import type { Output } from "./output.ts";

/** What is missing of a chain of bundles, for the other side. */
const NEEDS_FILE = "needs.json";

/** `modferry import BUNDLE…`: checks bundles and publishes them into the mirror. */
export async function importVerb(
  options: Options,
  environment: CliEnvironment,
  output: Output,
): Promise<number> {
  if (options.arguments.length === 0)
    throw misuse("BUNDLE", "BUNDLE: not given; name the folders of the bundles, or of their volumes");
  const sources = await findBundles(options.arguments);
  const mirror = await openMirror(options, environment, { mode: "write", holds: ["garbage"] }, output);
  const stages = new FolderStages(mirror.staging());
  try {
    for (const signer of options.bundle.trust) await trustSigner(mirror.ledger, { ...signer, by: "--trust" });
    const began = performance.now();
    const imported = await importBundles(
      { ...(await partsOf(mirror, options, environment, output)), stages },
      sources,
    );
    const seconds = (performance.now() - began) / 1000;
    for (const one of imported) {
      if (options.json) output.print(jsonLine({ event: "bundle", ...one, seconds }));
      else if (one.outcome === "held already")
        output.error(`modferry: ${one.name}: this mirror holds it already`);
      else
        output.error(
          `modferry: ${one.name}: ${one.files} files, ${(one.bytes / 1e6).toFixed(1)} MB; this mirror holds ${one.to} now`,
        );
    }
    return 0;
  } catch (thrown) {
    if (!(thrown instanceof ImportGap)) throw thrown;
    const file = options.to ?? NEEDS_FILE;
    await writeFile(file, printNeeds(thrown.needs));
    const remedy = `\`modferry export --needs ${file}\` on the other side makes what is missing`;
    if (options.json) output.print(jsonLine({ event: "gap", needs: file, message: thrown.message }));
    output.error(`modferry: ${thrown.message}; ${remedy}`);
    return 1;
  } finally {
    await stages.close();
    await mirror.close();
  }
}

async function partsOf(mirror: OpenMirror, options: Options, environment: CliEnvironment, output: Output) {
  const { tree, vault, ledger, queue, spools } = mirror;
  const covers = coverage(options.sumdbs, options.noSumdb ?? (await environment.gonosumdb()));
  const names = options.sumdbs.map(({ verifier }) => verifier.name);
  let [checked, published] = [0, 0];
  return {
    tree,
    vault,
    ledger,
    queue,
    zips: zipChecker,
    now: Date.now,
    report: () => undefined,
    spool: (chunks: AsyncIterable<Uint8Array>, limit: number, subject: string) =>
      spools.spool(chunks, limit, subject),
    verifiers: options.sumdbs.map(({ verifier }) => verifier),
    covering: (path: Parameters<typeof covers>[0]) => names.filter((_, at) => covers(path).has(at)),
    progress: (phase: "check" | "publish", bytes: number) => {
      if (phase === "check") checked += bytes;
      else published += bytes;
      const line = phase === "check" ? `${megabytes(checked)} checked` : `${megabytes(published)} published`;
      output.status?.(line);
    },
  };
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
