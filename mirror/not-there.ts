import type { ModulePath } from "../gomod/module-path.ts";
import { formatModuleVersion, type ModuleVersion } from "../gomod/version.ts";
import { FULL_WIDTH } from "../sumdb/tile.ts";
import { type Answer, conflict, notFound, oneLine, reasonOf } from "./answer.ts";
import { asMirrorError } from "./errors.ts";
import type { MissingTiles } from "./missing-tiles.ts";
import type { MirrorParts } from "./parts.ts";
import type { StoredObject } from "./ports.ts";
import type { VersionRecord } from "./records.ts";
import type { TreeEntry } from "./tree-keys.ts";

export interface MissingParts extends Pick<MirrorParts, "tree" | "ledger" | "now"> {
  /** Gets tiles of a database that the tree lacks; a mirror without a source serves what it holds. */
  readonly missingTiles?: (database: string) => Pick<MissingTiles, "get"> | undefined;
}

/** How long a client may wait for what is being fetched. */
const RETRY_AFTER = 30;

/** Why it is not there; or the object, where it could be got. */
export async function explainMissing(parts: MissingParts, entry: TreeEntry): Promise<Answer | StoredObject> {
  switch (entry.kind) {
    case "list":
      return await missingList(parts, entry.path);
    case "latest":
      return notFound(`${entry.path}: this mirror lists no version of it`);
    case "info":
    case "mod":
    case "zip":
      return await missingFile(parts, entry.kind, entry.version);
    case "lookup":
      return await missingLookup(parts, entry.database, entry.version);
    case "tile":
      return await missingTile(parts, entry);
    case "supported":
    case "treeHead":
      return notFound(`${entry.database}: this mirror holds nothing of that checksum database`);
  }
}

async function missingList(parts: MissingParts, path: ModulePath): Promise<Answer> {
  const records = await parts.ledger.readModule(path);
  if (records.length === 0) return notFound(`${path}: this mirror does not know that module`);
  const wanted = records.filter((record) => record.wanted === "whole");
  // Of what is known of the module only as go.mod files, the policy has said nothing.
  if (wanted.length > 0 && wanted.every(({ state }) => state === "DENIED"))
    return notFound(`${path}: this mirror's policy does not allow that module`);
  return { kind: "text", status: 200, text: "" };
}

async function missingFile(
  parts: MissingParts,
  file: "info" | "mod" | "zip",
  version: ModuleVersion,
): Promise<Answer> {
  const [record] = await parts.ledger.read([version]);
  const subject = formatModuleVersion(version);
  if (record === undefined) {
    return notFound(
      `${subject}: not in this mirror; ask its operator to sync ${subject}, or the module that holds it if it is a package`,
    );
  }
  if (file !== "mod" && record.wanted === "mod") {
    return notFound(`${subject}: this mirror holds only its go.mod; ask its operator to sync ${subject}`);
  }
  return missingKnown(parts, file, subject, record);
}

function missingKnown(parts: MissingParts, file: string, subject: string, record: VersionRecord): Answer {
  const reason = reasonOf(record);
  switch (record.state) {
    case "GONE":
    case "WITHHELD":
      return notFound(`${subject}: ${record.state}${reason}`);
    case "REMOVED":
      return notFound(
        `${subject}: collected, for nothing needed it any more; ask its operator to sync ${subject}`,
      );
    case "CONFLICT":
      return conflict(subject, record);
    case "READY":
    case "HELD":
    case "DENIED":
    case "BLOCKED":
      return {
        kind: "text",
        status: 503,
        text: `${subject}: its .${file} is lost from this mirror; its operator can sync ${subject} again\n`,
        retryAfter: RETRY_AFTER,
      };
    case "REMOVING":
      // Whoever has wanted it meanwhile gets it when its files are gone.
      if (record.removal?.wanted === undefined)
        return notFound(
          `${subject}: being collected, for nothing needs it any more; ask its operator to sync ${subject}`,
        );
      return {
        kind: "text",
        status: 503,
        text: `${subject}: .${file} is fetched again\n`,
        retryAfter: RETRY_AFTER,
      };
    default: {
      const wait = Math.max(1, Math.ceil(((record.due ?? 0) - parts.now()) / 1000));
      const retryAfter = record.state === "PENDING" ? RETRY_AFTER : wait;
      return {
        kind: "text",
        status: 503,
        text: `${subject}: .${file} is ${record.state}${reason}\n`,
        retryAfter,
      };
    }
  }
}

async function missingLookup(parts: MissingParts, database: string, version: ModuleVersion): Promise<Answer> {
  const [record] = await parts.ledger.read([version]);
  const subject = formatModuleVersion(version);
  if (record === undefined || record.state === "GONE" || record.state === "WITHHELD") {
    return notFound(`${subject}: this mirror has no record of it from ${database}`);
  }
  // Held without a proof of this database: none will come.
  if (record.held !== "nothing" && record.sumdbRecords?.[database] === undefined) {
    return notFound(`${subject}: held without a record of ${database}; set GONOSUMDB for it`);
  }
  return missingKnown(parts, "mod", subject, record);
}

async function missingTile(
  parts: MissingParts,
  { database, tile, key }: Extract<TreeEntry, { kind: "tile" }>,
): Promise<Answer | StoredObject> {
  const head = await parts.ledger.readHead(database);
  const size = head?.size ?? 0;
  const end = (tile.index * FULL_WIDTH + tile.width) * FULL_WIDTH ** tile.level;
  if (head === undefined || end > size) {
    return notFound(
      `${database}: this mirror stands at tree size ${size}, the tile reaches ${end}: the client has seen a newer head ` +
        "elsewhere; sync the mirror, or remove the client's GOPATH/pkg/sumdb",
    );
  }
  const source = parts.missingTiles?.(database);
  if (source === undefined)
    return notFound(`${database}: this mirror does not hold that tile; sync what is asked for`);
  try {
    const object = (await source.get(tile, head)) === "stored" ? await parts.tree.open(key) : undefined;
    return object ?? notFound(`${database}: neither this mirror nor its upstream has that tile`);
  } catch (thrown) {
    const { message, retryAfter = 0 } = asMirrorError(thrown, database);
    const wait = Math.max(1, Math.ceil(retryAfter / 1000));
    return { kind: "text", status: 503, text: `${oneLine(message)}\n`, retryAfter: wait };
  }
}
