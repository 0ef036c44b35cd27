import { isLegacyGoMod } from "../../gomod/go-mod.ts";
import { printVersionList } from "../../gomod/list-file.ts";
import type { ModulePath } from "../../gomod/module-path.ts";
import { isPseudoVersion } from "../../gomod/pseudo-version.ts";
import { formatModuleVersion, type ModuleVersion, type Version } from "../../gomod/version.ts";
import { latestOf } from "../../gomod/version-query.ts";
import { type Answer, notFound, oneLine } from "../answer.ts";
import { sha256Of } from "../body.ts";
import { MirrorError } from "../errors.ts";
import { memoryObject } from "../memory-object.ts";
import type { Clock, Tree } from "../ports.ts";
import { LARGEST_GO_MOD } from "../store-files.ts";
import { infoKey, modKey, parseTreeKey, type TreeEntry, type TreeKey } from "../tree-keys.ts";
import { parseVulndbKey, vulndbHeaders } from "../vulndb-keys.ts";
import type { OpenSnapshots, ServedSnapshot } from "./open-snapshots.ts";
import type { SnapshotEntry } from "./snapshot-entry.ts";
import { isSnapshotName, parseMoment } from "./snapshot-name.ts";

/** GOPROXY prefixes of the past: a snapshot by its name, or the newest one up to a moment. */
const BY_NAME = "-/snapshot/";
const AT = "-/at/";

export interface SnapshotServeParts {
  readonly snapshots: OpenSnapshots;
  readonly tree: Pick<Tree, "get">;
  readonly now: Clock;
  /** Answers from the tree as it is now. */
  readonly answerTree: (key: TreeKey) => Promise<Answer>;
}

export function isSnapshotPath(path: string): boolean {
  return path.startsWith(BY_NAME) || path.startsWith(AT);
}

/**
 * Answers a client for which a snapshot is its GOPROXY: lists and `@latest` are the snapshot's, and so are the head of a
 * checksum database and the vulnerability database; files come from the tree, where the snapshot has them and nothing
 * keeps them out by now. 410 where the snapshot has expired.
 * @param path as `answer` of mirror/serve.ts takes it. Attacker-controlled.
 */
export async function answerSnapshot(parts: SnapshotServeParts, path: string): Promise<Answer> {
  const prefix = path.startsWith(AT) ? AT : BY_NAME;
  const slash = path.indexOf("/", prefix.length);
  const which = slash < 0 ? path.slice(prefix.length) : path.slice(prefix.length, slash);
  const rest = slash < 0 ? "" : path.slice(slash + 1);
  let name: string | undefined = which;
  if (prefix === AT) {
    const moment = parseMoment(which);
    if (moment === undefined)
      return notFound(`${which}: no time; ask for one such as 2026-01-31T23:59:59Z or 20260131T235959Z`);
    // What is yet to come has no answer that would stay.
    if (moment > parts.now()) return notFound(`${which}: still to come`);
    name = await parts.snapshots.nameAt(moment);
    if (name === undefined) return notFound(`${which}: this mirror has no snapshot of so early`);
  }
  if (!isSnapshotName(name)) return notFound(`${name}: no snapshot's name`);
  const given = await parts.snapshots.use(name, (snapshot) => answerFrom(parts, snapshot, rest));
  if (given === "expired") return expired(name);
  return given ?? notFound(`snapshot ${name}: this mirror has none of that name`);
}

function expired(name: string): Answer {
  const text = `gone: snapshot ${name} has expired; ask for a newer one, or for this mirror as it is\n`;
  return { kind: "text", status: 410, text };
}

async function answerFrom(
  parts: SnapshotServeParts,
  snapshot: ServedSnapshot,
  path: string,
): Promise<Answer> {
  const vulndb = parseVulndbKey(path);
  if (vulndb !== undefined) return await vulndbOf(snapshot, vulndb);
  const entry = parseTreeKey(path);
  if (entry === undefined)
    return notFound("a snapshot answers the GOPROXY protocol, and for canonical versions only");
  switch (entry.kind) {
    case "list":
      return listOf(entry.path, await snapshot.module(entry.path));
    case "latest":
      return await latestIn(parts, entry.path, await snapshot.module(entry.path));
    case "info":
    case "mod":
    case "zip":
      return await fileOf(parts, entry, await entryIn(snapshot, entry.version));
    case "lookup": {
      const known = await entryIn(snapshot, entry.version);
      const proven = known?.sumdb?.[entry.database] !== undefined;
      return proven ? await parts.answerTree(entry.key) : notIn(entry.version);
    }
    case "treeHead": {
      const note = snapshot.header.heads[entry.database];
      return note === undefined ? noDatabase(entry.database) : { kind: "text", status: 200, text: note };
    }
    case "supported":
    case "tile":
      return snapshot.header.heads[entry.database] === undefined
        ? noDatabase(entry.database)
        : await parts.answerTree(entry.key);
  }
}

/** GOVULNDB of then: the same bytes as below `-/vulndb/` of the mirror at that time. */
async function vulndbOf(snapshot: ServedSnapshot, key: TreeKey): Promise<Answer> {
  if (snapshot.header.vulndb === undefined)
    return notFound(`${key}: when this snapshot was taken, no vulnerability database was mirrored`);
  const bytes = await snapshot.vulndb(key);
  if (bytes === undefined)
    return notFound(`${key}: the vulnerability database of this snapshot has no such file`);
  const { contentType, cacheControl } = vulndbHeaders(key);
  return { kind: "object", object: memoryObject(bytes, sha256Of(bytes)), type: contentType, cacheControl };
}

async function entryIn(
  snapshot: ServedSnapshot,
  { path, version }: ModuleVersion,
): Promise<SnapshotEntry | undefined> {
  return (await snapshot.module(path)).find((entry) => entry.version === version);
}

/** As mirror/publish.ts writes it: pseudo-versions are in no list. */
function listOf(path: ModulePath, entries: readonly SnapshotEntry[]): Answer {
  if (entries.length === 0) return notFound(`${path}: not in this snapshot`);
  const listed = listedIn(entries).filter((version) => !isPseudoVersion(version));
  return { kind: "text", status: 200, text: printVersionList(listed) };
}

function listedIn(entries: readonly SnapshotEntry[]): Version[] {
  return entries.filter(({ listed }) => listed).map(({ version }) => version);
}

async function latestIn(
  parts: SnapshotServeParts,
  path: ModulePath,
  entries: readonly SnapshotEntry[],
): Promise<Answer> {
  const best = await latestOf(listedIn(entries), async (version) => {
    const goMod = await parts.tree.get(modKey({ path, version }), LARGEST_GO_MOD);
    if (goMod !== undefined) return !isLegacyGoMod(path, goMod.bytes);
    const subject = formatModuleVersion({ path, version });
    throw new MirrorError(
      "transient",
      subject,
      `${subject}: .mod is not in the tree; run \`modferry verify\``,
    );
  });
  if (best === undefined) return notFound(`${path}: this snapshot lists no version of it`);
  return await parts.answerTree(infoKey({ path, version: best }));
}

async function fileOf(
  parts: SnapshotServeParts,
  { kind, version, key }: Extract<TreeEntry, { kind: "info" | "mod" | "zip" }>,
  entry: SnapshotEntry | undefined,
): Promise<Answer> {
  if (entry === undefined) return notIn(version);
  const has = kind === "mod" || (kind === "info" ? entry.infoSha256 !== undefined : entry.held === "whole");
  const now = await parts.answerTree(key);
  // Why it is kept out is worth more than that the snapshot does not have it.
  if (has || (now.kind === "text" && now.status === 403)) return now;
  if (now.kind === "object") await now.object.close();
  return notFound(`${oneLine(formatModuleVersion(version))}: this snapshot has only its go.mod`);
}

function notIn(version: ModuleVersion): Answer {
  return notFound(`${formatModuleVersion(version)}: not in this snapshot`);
}

function noDatabase(database: string): Answer {
  return notFound(`${database}: this snapshot has nothing of that checksum database`);
}
