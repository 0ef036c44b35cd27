import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findBundles } from "../adapters/local/bundle-source.ts";
import { TemporaryFolder } from "../adapters/local/durable-folder.ts";
import { FolderVault } from "../adapters/local/folder-vault.ts";
import { replaceFile } from "../adapters/local/replace-file.ts";
import { SpoolFolder } from "../adapters/local/spool-folder.ts";
import type { TrustedSigner } from "../mirror/bundle/bundle-signer.ts";
import { type BundleReport, inspectBundle } from "../mirror/bundle/inspect.ts";
import { licenceText, reportHtml } from "../mirror/bundle/report-html.ts";
import { readSigners } from "../mirror/bundle/signers.ts";
import { misuse } from "../mirror/errors.ts";
import type { CliEnvironment } from "./environment.ts";
import { jsonLine } from "./json-line.ts";
import { openMirror } from "./open-mirror.ts";
import type { Options } from "./options.ts";
import { type Output, oneLine } from "./output.ts";

/** `modferry inspect BUNDLE…`: says what is in bundles, and changes nothing. */
export async function inspect(
  options: Options,
  environment: CliEnvironment,
  output: Output,
): Promise<number> {
  if (options.arguments.length === 0)
    throw misuse("BUNDLE", "BUNDLE: not given; name the folders of the bundles, or of their volumes");
  const sources = await findBundles(options.arguments);
  const { report = options.json ? "json" : undefined } = options.bundle;
  const [, surplus] = sources;
  if (report === "html" && surplus !== undefined)
    throw misuse("--report", "--report html: of one bundle at a time; name one");
  const trusted = [...options.bundle.trust, ...(await signersOf(options, environment))];
  const scratch = await mkdtemp(join(tmpdir(), "modferry-"));
  try {
    const spools = new SpoolFolder(scratch);
    const parts = {
      vault: new FolderVault(scratch, new TemporaryFolder(scratch)),
      spool: (chunks: AsyncIterable<Uint8Array>, limit: number, subject: string) =>
        spools.spool(chunks, limit, subject),
      trusted,
    };
    for (const source of sources) {
      const found = await inspectBundle(parts, source);
      const text =
        report === "html" ? reportHtml(found) : report === "json" ? jsonLine(found) : textOf(found);
      if (options.to === undefined) output.print(text.trimEnd());
      else await replaceFile(options.to, Buffer.from(text));
    }
    return 0;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Whom the mirror trusts that was named; none where none was. */
async function signersOf(options: Options, environment: CliEnvironment): Promise<readonly TrustedSigner[]> {
  if (!options.mirrorNamed) return [];
  const mirror = await openMirror(options, environment, { mode: "read" });
  try {
    return await readSigners(mirror.ledger);
  } finally {
    await mirror.close();
  }
}

function textOf({ bundle, trusted, modules, removed, blocks, vulndb }: BundleReport): string {
  const missing = bundle.packs.filter((pack) => pack.missing).map(({ name }) => name);
  const fresh = modules.filter(({ isNew }) => isNew).map(({ path }) => path);
  const all = modules.flatMap(({ path, versions }) => versions.map((version) => ({ path, ...version })));
  const lines = [
    `bundle     ${bundle.name} (${bundle.kind})`,
    `from       ${bundle.from?.name ?? "nothing"}`,
    `to         ${bundle.to.name}, state of ${new Date(bundle.to.until).toISOString()}`,
    `signed by  ${bundle.signer}${trusted ? " (trusted)" : " (NOT TRUSTED: what follows is what the bundle says of itself)"}`,
    ...bundle.introduces.map(({ key }) => `introduces ${key}`),
    `contents   ${bundle.counts.versions} versions of ${bundle.counts.modules} modules, ${(bundle.counts.bytes / 1e6).toFixed(1)} MB in ${bundle.packs.length} packs`,
    ...(missing.length === 0 ? [] : [`missing    ${missing.join(", ")}`]),
    "",
    ...all.map((one) => versionLine(one, fresh.includes(one.path))),
    ...section("new module paths", fresh),
    ...section("taken out", removed),
    ...section(
      "blocked by the other side",
      blocks.map(({ name, reason }) => `${name}: ${reason}`),
    ),
    ...section(
      vulndb === undefined
        ? "known vulnerabilities: no database in it"
        : `known vulnerabilities, by the database of ${vulndb}`,
      all.flatMap(({ path, version, vulnerabilities }) =>
        vulnerabilities.map(({ id, summary = "" }) => `${id} ${path}@${version} ${summary}`),
      ),
      true,
    ),
  ];
  return lines.map(oneLine).join("\n");
}

function versionLine(
  one: BundleReport["modules"][number]["versions"][number] & { path: string },
  isNew: boolean,
): string {
  const what = one.held === "mod" ? "go.mod only" : licenceText(one);
  const ids = one.vulnerabilities.map(({ id }) => id).join(" ");
  return `${one.path}@${one.version} ${one.bytes} ${what}${isNew ? " NEW" : ""}${ids === "" ? "" : ` ${ids}`}`;
}

function section(title: string, lines: readonly string[], always = false): string[] {
  if (lines.length === 0) return always ? ["", `${title}: none`] : [];
  return ["", `${title}:`, ...lines.map((line) => `  ${line}`)];
}
