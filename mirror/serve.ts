import type { ModulePath } from "../gomod/module-path.ts";
import { formatModuleVersion, type ModuleVersion } from "../gomod/version.ts";
import { FULL_WIDTH } from "../sumdb/tile.ts";
import { blockOf, freshBlocks, refusalOfBlock } from "./blocks.ts";
import { asMirrorError } from "./errors.ts";
import type { MissingTiles } from "./missing-tiles.ts";
import { METRICS_TYPE, type OwnPages, STATUS_TYPE } from "./own-pages.ts";
import type { MirrorParts } from "./parts.ts";
import type { StoredObject } from "./ports.ts";
import { firstBytes, type VersionRecord } from "./records.ts";
import { isRefused } from "./refusal.ts";
import { cacheControlOf, contentTypeOf } from "./served-headers.ts";
import { parseTreeKey, type TreeEntry, type TreeKey } from "./tree-keys.ts";
import { parseVulndbKey, vulndbHeaders } from "./vulndb-keys.ts";

export interface ServeParts extends Pick<MirrorParts, "tree" | "ledger" | "now"> {
  /** What is told of the mirror itself; where it is absent, nothing is. */
  readonly pages?: OwnPages;
  /** Gets tiles of a database that the tree lacks; a mirror without a source serves what it holds. */
  readonly missingTiles?: (database: string) => Pick<MissingTiles, "get"> | undefined;
}

/** What to answer; the caller turns it into its server's own reply and closes `object`. */
export type Answer =
  | {
      readonly kind: "object";
      readonly object: StoredObject;
      readonly type: string;
      readonly cacheControl: string;
    }
  | { readonly kind: "redirect"; readonly location: string }
  | {
      readonly kind: "text";
      readonly status: 200 | 403 | 404 | 503;
      readonly text: string;
      /** Content-Type; plain text in UTF-8 where it is absent. */
      readonly type?: string;
      /** Seconds. */
      readonly retryAfter?: number;
    };

/** A presigned URL lives this long, in seconds: a client follows it at once, a large zip takes minutes. */
const LINK_SECONDS = 300;
/** How long a client may wait for what is being fetched. */
const RETRY_AFTER = 30;

/**
 * Answers one GOPROXY or checksum database request.
 * @param path the URL's path below the endpoint, percent-decoded once, without leading slash. Attacker-controlled.
 * @param inline the most bytes that the caller can send itself; larger objects are redirected where the tree has links.
 * @throws MirrorError transient when tree or ledger do not answer: a 503, never a 404.
 */
export async function answer(parts: ServeParts, path: string, inline: number): Promise<Answer> {
  if (path === "-/healthz") return { kind: "text", status: 200, text: "ok\n" };
  if (path === "-/metrics" && parts.pages !== undefined)
    return { kind: "text", status: 200, type: METRICS_TYPE, text: await parts.pages.metrics() };
  if (path === "-/status" && parts.pages !== undefined)
    return { kind: "text", status: 200, type: STATUS_TYPE, text: await parts.pages.status() };
  const vulndb = parseVulndbKey(path);
  if (vulndb !== undefined) return await answerVulndb(parts, vulndb);
  const entry = parseTreeKey(path);
  if (entry === undefined) return notFound(explainPath(path));
  const refusal = entry.kind === "zip" ? await refuseZip(parts, entry.version) : undefined;
  if (refusal !== undefined) return refusal;
  const found = (await parts.tree.open(entry.key)) ?? (await explainMissing(parts, entry));
  if ("kind" in found) return found;
  const object = found;
  // Every zip by a link, so that none passes through a gateway that would mangle or refuse it.
  if (entry.kind === "zip" || object.size > inline) {
    const location = await parts.tree.link(entry.key, LINK_SECONDS);
    if (location !== undefined) {
      await object.close();
      return { kind: "redirect", location };
    }
  }
  return { kind: "object", object, type: contentTypeOf(entry), cacheControl: cacheControlOf(entry) };
}

/** Never by a link, which answers no HEAD: govulncheck asks by one whether this is a database. */
async function answerVulndb({ tree }: ServeParts, key: TreeKey): Promise<Answer> {
  const object = await tree.open(key);
  if (object === undefined)
    return notFound(`${key}: this mirror holds no such file of the vulnerability database`);
  const { contentType, cacheControl } = vulndbHeaders(key);
  return { kind: "object", object, type: contentType, cacheControl };
}

/**
 * Why a zip is not given out, whatever the tree has: it was blocked, which counts here within BLOCKS_FRESH; it is kept
 * out; or it was held without proof, and a database has spoken against it since. One read of the ledger for each zip,
 * and a query of the blocks now and then.
 */
async function refuseZip(parts: ServeParts, version: ModuleVersion): Promise<Answer | undefined> {
  const { ledger, now } = parts;
  const [[record], blocks] = await Promise.all([ledger.read([version]), freshBlocks(ledger, now)]);
  const subject = formatModuleVersion(version);
  const block = blockOf(blocks, version);
  // Also where the record is not that far yet, or there is none.
  if (block !== undefined) {
    const { state, rule, reason } = refusalOfBlock(block);
    return refusedText(subject, state, rule, reason);
  }
  if (record === undefined) return undefined;
  if (record.state === "CONFLICT") return conflict(subject, record);
  if (!isRefused(record) || record.held === "whole") return undefined;
  return refusedText(subject, record.state, record.rule, record.lastError?.message, record.due);
}

/** Of an error's body, go shows this much (cmd/go/internal/web, maxErrorBytes less its `…`). */
const SHOWN_BYTES = 600;

function refusedText(
  subject: string,
  state: VersionRecord["state"],
  rule = "unknown",
  reason = "not served",
  due?: number,
): Answer {
  const until = state === "HELD" && due !== undefined ? ` until ${new Date(due).toISOString()}` : "";
  const by = state === "BLOCKED" ? "taken out by hand" : `by rule ${rule}`;
  const text = oneLine(`${subject}: ${state}${until} ${by}: ${reason}`);
  return { kind: "text", status: 403, text: `${firstBytes(text, SHOWN_BYTES)}\n` };
}

/** Why it is not there; or the object, where it could be got. */
async function explainMissing(parts: ServeParts, entry: TreeEntry): Promise<Answer | StoredObject> {
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

async function missingList(parts: ServeParts, path: ModulePath): Promise<Answer> {
  const records = await parts.ledger.readModule(path);
  if (records.length === 0) return notFound(`${path}: this mirror does not know that module`);
  const wanted = records.filter((record) => record.wanted === "whole");
  // Of what is known of the module only as go.mod files, the policy has said nothing.
  if (wanted.length > 0 && wanted.every(({ state }) => state === "DENIED"))
    return notFound(`${path}: this mirror's policy does not allow that module`);
  return { kind: "text", status: 200, text: "" };
}

async function missingFile(
  parts: ServeParts,
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

function missingKnown(parts: ServeParts, file: string, subject: string, record: VersionRecord): Answer {
  const reason = reasonOf(record);
  switch (record.state) {
    case "GONE":
    case "WITHHELD":
      return notFound(`${subject}: ${record.state}${reason}`);
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

async function missingLookup(parts: ServeParts, database: string, version: ModuleVersion): Promise<Answer> {
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
  parts: ServeParts,
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

function conflict(subject: string, record: VersionRecord): Answer {
  const text = `${subject}: CONFLICT: its bytes are not what the checksum database says; not served${reasonOf(record)}\n`;
  return { kind: "text", status: 403, text };
}

function reasonOf({ lastError }: VersionRecord): string {
  return lastError === undefined ? "" : `: ${oneLine(lastError.message)}`;
}

function notFound(text: string): Answer {
  return { kind: "text", status: 404, text: `not found: ${oneLine(text)}\n` };
}

/** go shows text without control characters only, and one line is what a person reads (facts: go-client). */
function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\s]+/gu, " ").slice(0, 500);
}

function explainPath(path: string): string {
  return /\/@v\/[^/]+\.info$/.test(path)
    ? "this mirror answers for canonical versions only, not for branches or commits"
    : "not a path of the GOPROXY protocol";
}
