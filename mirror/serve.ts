import { formatModuleVersion, type ModuleVersion } from "../gomod/version.ts";
import { type Answer, conflict, notFound, refusedText } from "./answer.ts";
import { blockOf, freshBlocks, refusalOfBlock } from "./blocks.ts";
import { explainMissing, type MissingParts } from "./not-there.ts";
import { METRICS_TYPE, type OwnPages, STATUS_TYPE } from "./own-pages.ts";
import { isRefused } from "./refusal.ts";
import { cacheControlOf, contentTypeOf } from "./served-headers.ts";
import type { OpenSnapshots } from "./snapshot/open-snapshots.ts";
import { answerSnapshot, isSnapshotPath } from "./snapshot/serve-snapshot.ts";
import { parseTreeKey, type TreeKey } from "./tree-keys.ts";
import { parseVulndbKey, vulndbHeaders } from "./vulndb-keys.ts";

export interface ServeParts extends MissingParts {
  /** What is told of the mirror itself; where it is absent, nothing is. */
  readonly pages?: OwnPages;
  /** The mirror as it was: `/-/snapshot/NAME/` and `/-/at/TIME/`; where it is absent, nothing is told of that. */
  readonly snapshots?: OpenSnapshots;
}

/** A presigned URL lives this long, in seconds: a client follows it at once, a large zip takes minutes. */
const LINK_SECONDS = 300;
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
  const { snapshots, tree, now } = parts;
  if (snapshots !== undefined && isSnapshotPath(path)) {
    const answerTree = (key: TreeKey) => answer(parts, key, inline);
    return await answerSnapshot({ snapshots, tree, now, answerTree }, path);
  }
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

function explainPath(path: string): string {
  return /\/@v\/[^/]+\.info$/.test(path)
    ? "this mirror answers for canonical versions only, not for branches or commits"
    : "not a path of the GOPROXY protocol";
}
