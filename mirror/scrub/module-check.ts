import { isLegacyGoMod } from "../../gomod/go-mod.ts";
import { parseInfo } from "../../gomod/info.ts";
import { parseVersionList } from "../../gomod/list-file.ts";
import type { ModulePath } from "../../gomod/module-path.ts";
import { isPseudoVersion } from "../../gomod/pseudo-version.ts";
import { formatModuleVersion, type ModuleVersion, type Version } from "../../gomod/version.ts";
import { latestOf } from "../../gomod/version-query.ts";
import { sha256Of } from "../body.ts";
import { asMirrorError } from "../errors.ts";
import type { Ledger, Tree } from "../ports.ts";
import { LARGEST_LIST } from "../publish.ts";
import type { VersionRecord } from "../records.ts";
import { LARGEST_GO_MOD, LARGEST_INFO } from "../store-files.ts";
import { infoKey, latestKey, listKey, modKey, parseTreeKey, type TreeKey, zipKey } from "../tree-keys.ts";
import type { ScrubFinding } from "./finding.ts";

/** As much of a record as a look at names and sizes needs. */
export type ScrubRecord = Pick<
  VersionRecord,
  "path" | "version" | "state" | "held" | "listed" | "modSize" | "zipSize" | "infoSha256"
>;

/** The names and sizes of a module's files. */
export type ModuleFiles = ReadonlyMap<string, number>;

type CheckParts = { readonly tree: Pick<Tree, "get" | "open">; readonly ledger: Pick<Ledger, "readModule"> };

/**
 * What is wrong with a module's files, by name and size, its list and its `@latest`. What was listed and what was
 * recorded are of two moments, so whatever does not fit is read again now; only what still does not fit is a finding.
 */
export async function checkModule(
  parts: CheckParts,
  path: ModulePath,
  records: readonly ScrubRecord[],
  files: ModuleFiles,
): Promise<readonly ScrubFinding[]> {
  if ((await compare(parts, path, records, files)).length === 0) return [];
  return await recheckModule(parts, path, files.keys());
}

/** The same from what is there now alone. @param seen keys of the module that may be there besides those that must be. */
export async function recheckModule(
  parts: CheckParts,
  path: ModulePath,
  seen: Iterable<string>,
): Promise<readonly ScrubFinding[]> {
  // Records first: what the ledger held then, the tree must show.
  const records = await parts.ledger.readModule(path);
  const keys = new Set([
    ...seen,
    ...records.flatMap(filesOf).map(({ key }) => key),
    listKey(path),
    latestKey(path),
  ]);
  const files = new Map<string, number>();
  for (const key of keys) {
    const stored = parseTreeKey(key) === undefined ? undefined : await parts.tree.open(key as TreeKey);
    if (stored !== undefined) files.set(key, stored.size);
    await stored?.close();
  }
  return await compare(parts, path, records, files);
}

async function compare(
  parts: CheckParts,
  path: ModulePath,
  records: readonly ScrubRecord[],
  files: ModuleFiles,
): Promise<readonly ScrubFinding[]> {
  return [
    ...records.flatMap((record) => compareRecord(record, files)),
    ...unknownVersions(records, files),
    ...(await compareLists(parts, path, records, files)),
  ];
}

/** The files of a version that the tree must have, each with its size where the ledger knows it. */
function filesOf(
  record: ScrubRecord,
): readonly { readonly key: TreeKey; readonly size: number | undefined }[] {
  const { held, state, modSize, zipSize, infoSha256 } = record;
  // What is being collected goes file by file.
  if (held === "nothing" || state === "REMOVING" || state === "REMOVED") return [];
  const whole = held === "whole";
  return [
    { key: modKey(record), size: modSize },
    ...(whole ? [{ key: zipKey(record), size: zipSize }] : []),
    ...(whole || infoSha256 !== undefined ? [{ key: infoKey(record), size: undefined }] : []),
  ];
}

function compareRecord(record: ScrubRecord, files: ModuleFiles): ScrubFinding[] {
  const findings: ScrubFinding[] = [];
  const name = formatModuleVersion(record);
  const version: ModuleVersion = { path: record.path, version: record.version };
  for (const { key, size } of filesOf(record)) {
    const actual = files.get(key);
    const repair = { version, key };
    if (actual === undefined) {
      const message = `missing, although the ledger holds ${name}`;
      findings.push({ kind: "missing", subject: key, message, repair });
    } else if (size === undefined ? actual === 0 : actual !== size) {
      const message = `has ${actual} bytes${size === undefined ? "" : ` instead of the ${size} that were stored`}`;
      findings.push({ kind: "damaged", subject: key, message, repair });
    }
  }
  return [...findings, ...leftFiles(record, name, files)];
}

function leftFiles(record: ScrubRecord, name: string, files: ModuleFiles): ScrubFinding[] {
  const [mod, zip] = [modKey(record), zipKey(record)];
  const left = (key: TreeKey, message: string): ScrubFinding => ({ kind: "left", subject: key, message });
  const hasZip = files.has(zip);
  switch (record.state) {
    case "BLOCKED":
      return hasZip
        ? [
            left(
              zip,
              `still in the tree, although ${name} is BLOCKED; reconcile or \`modferry block\` takes it out`,
            ),
          ]
        : [];
    case "REMOVED":
      return [zip, mod]
        .filter((key) => files.has(key))
        .map((key) =>
          left(key, `still in the tree, although ${name} is REMOVED; the next collection takes it out`),
        );
    case "CONFLICT":
      return record.held !== "nothing" && (hasZip || files.has(mod))
        ? [left(hasZip ? zip : mod, `in CONFLICT; remove it wherever this tree is served without modferry`)]
        : [];
    default:
      return [];
  }
}

function unknownVersions(records: readonly ScrubRecord[], files: ModuleFiles): ScrubFinding[] {
  const known = new Set<string>(records.map(({ version }) => version));
  const unknown = new Set<string>();
  for (const key of files.keys()) {
    const entry = parseTreeKey(key);
    if (entry === undefined || !("version" in entry) || entry.kind === "lookup") continue;
    if (!known.has(entry.version.version)) unknown.add(formatModuleVersion(entry.version));
  }
  const message =
    "its files are in the tree, but the ledger does not know it; `modferry rebuild-ledger` takes it in, proven";
  return [...unknown].map((subject) => ({ kind: "unknown", subject, message }));
}

async function compareLists(
  { tree }: CheckParts,
  path: ModulePath,
  records: readonly ScrubRecord[],
  files: ModuleFiles,
): Promise<readonly ScrubFinding[]> {
  const findings: ScrubFinding[] = [];
  const found = (subject: TreeKey, message: string) =>
    void findings.push({ kind: "list", subject, message, repair: { lists: path } });
  const listed = records.filter((record) => record.listed);
  const list = files.has(listKey(path)) ? await tree.get(listKey(path), LARGEST_LIST) : undefined;
  if (list === undefined) {
    if (records.some(({ held, state }) => held === "whole" && state !== "REMOVING"))
      found(listKey(path), "missing, although versions of it are held");
  } else {
    try {
      for (const message of differences(parseVersionList(list.bytes).versions, records))
        found(listKey(path), message);
    } catch (thrown) {
      found(listKey(path), asMirrorError(thrown, listKey(path)).message);
    }
  }
  const latest = files.has(latestKey(path)) ? await tree.get(latestKey(path), LARGEST_INFO) : undefined;
  const problem = await problemOfLatest(tree, path, listed, latest?.bytes);
  if (problem !== undefined) found(latestKey(path), problem);
  return findings;
}

/** What a list names and the records do not list, and the other way round; pseudo-versions are in no list. */
function* differences(named: readonly Version[], records: readonly ScrubRecord[]): Generator<string> {
  const byVersion = new Map(records.map((record) => [record.version, record]));
  for (const version of named) {
    const record = byVersion.get(version);
    if (record === undefined) yield `names ${version}, which the ledger does not know`;
    else if (!record.listed && record.state !== "REMOVING")
      yield `names ${version}, which the ledger does not list (it is ${record.state})`;
  }
  const names = new Set(named);
  for (const { version, listed } of records)
    if (listed && !isPseudoVersion(version) && !names.has(version))
      yield `does not name ${version}, which the ledger lists`;
}

async function problemOfLatest(
  tree: Pick<Tree, "get">,
  path: ModulePath,
  listed: readonly ScrubRecord[],
  bytes: Uint8Array | undefined,
): Promise<string | undefined> {
  const best = await bestOf(tree, path, listed);
  if (best === undefined) return bytes === undefined ? undefined : "names a version, although none is listed";
  if (bytes === undefined) return `missing; it should name ${best.version}`;
  if (best.infoSha256 !== undefined && sha256Of(bytes) === best.infoSha256) return undefined;
  try {
    const { version } = parseInfo(bytes);
    if (version !== best.version) return `names ${version}; it should name ${best.version}`;
    return best.infoSha256 === undefined ? undefined : `is not the .info of ${version}`;
  } catch (thrown) {
    return asMirrorError(thrown, latestKey(path)).message;
  }
}

/** What `@latest` must name, as publish chooses it. A `.mod` that lacks is a finding of its own. */
export async function bestOf<R extends Pick<ScrubRecord, "version">>(
  tree: Pick<Tree, "get">,
  path: ModulePath,
  listed: readonly R[],
): Promise<R | undefined> {
  const hasGoMod = async (version: Version) => {
    const goMod = await tree.get(modKey({ path, version }), LARGEST_GO_MOD);
    return goMod !== undefined && !isLegacyGoMod(path, goMod.bytes);
  };
  const best = await latestOf(
    listed.map(({ version }) => version),
    hasGoMod,
  );
  return listed.find(({ version }) => version === best);
}
