import type { ModulePath } from "../gomod/module-path.ts";
import { formatModuleVersion } from "../gomod/version.ts";
import { FULL_WIDTH } from "../sumdb/tile.ts";
import type { Answer } from "./answer.ts";
import type { ClosureFile } from "./closure-file.ts";
import { asMirrorError } from "./errors.ts";
import type { Missing } from "./missing.ts";
import { covers, type Extent } from "./records.ts";
import { MOST_RECORDED } from "./requests.ts";
import { answer, type ServeParts } from "./serve.ts";
import { parseRevisionQuery, parseTreeKey, type TreeEntry, tileKey } from "./tree-keys.ts";

/** What a command asked of the mirror, as a table each; `state` is the reply's status. */
export interface Rehearsed {
  /** Different files that were asked, found or not. */
  readonly asked: number;
  /** Files that the mirror has not got, or not now; also a row that says when more were asked than are noted. */
  readonly missing: readonly Missing[];
  /** Files that it has, though not for this request: another one brought them. */
  readonly outside: readonly Missing[];
  /**
   * Lists that gave no version of a module which the mirror knows, or only those that another request has listed. go
   * asks them of dependencies too, which need not be listed, and goes on without: so they count for nothing by
   * themselves, but without them go finds no update and no `@latest`.
   */
  readonly unlisted: readonly Missing[];
  /**
   * Lists and `.info` of modules that the mirror knows nothing of: go asks every prefix of a package's path, so most of
   * these are no module anywhere. Where the command failed, the one that it wanted may be among them.
   */
  readonly unknown: readonly Missing[];
}

/** What a request's closure says of each module version and list. */
export type OwnClosure = Pick<ClosureFile, "needs" | "roots">;

interface Asked {
  readonly entry: TreeEntry | undefined;
  readonly status: number;
  readonly text: string;
  /** A list with nothing in it says no more than none. */
  readonly empty: boolean;
}

/** Sent itself: nothing is redirected. */
const INLINE = Number.POSITIVE_INFINITY;

const TOO_MANY: Missing = {
  subject: "the command",
  state: "not noted",
  message: `too many files asked: none beyond the first ${MOST_RECORDED} is noted; rehearse it in parts`,
};

/** Answers one run of a command from a mirror, and keeps what was asked. */
export class Rehearsal {
  readonly #parts: ServeParts;
  readonly #asked = new Map<string, Asked>();
  /** Whether more was asked than is noted: nothing can be concluded then. */
  #isFull = false;

  constructor(parts: ServeParts) {
    this.#parts = parts;
  }

  /** Answers one request. @param path percent-decoded, without leading slash. Attacker-controlled. */
  readonly answer = async (path: string): Promise<Answer> => {
    const entry = parseTreeKey(path);
    try {
      const reply = await answer(this.#parts, path, INLINE);
      this.#note(path, entry, reply);
      // Else the client would ask the database itself, past the mirror; so it asks here, and what is missing shows.
      if (entry?.kind === "supported" && reply.kind === "text")
        return { kind: "text", status: 200, text: "" };
      return reply;
    } catch (thrown) {
      const text = asMirrorError(thrown, path).message;
      this.#note(path, entry, { kind: "text", status: 503, text });
      throw thrown;
    }
  };

  /** @param own the closure of the request that is rehearsed. */
  async result(own: OwnClosure): Promise<Rehearsed> {
    const contains = new Contents(own);
    const missing: Missing[] = this.#isFull ? [TOO_MANY] : [];
    const outside: Missing[] = [];
    const unlisted: Missing[] = [];
    const unknown: Missing[] = [];
    for (const [path, asked] of [...this.#asked].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const row = { subject: path, state: String(asked.status), message: asked.text };
      const { entry } = asked;
      if (asked.status === 200) {
        const message = entry === undefined || asked.empty ? undefined : contains.not(entry);
        if (message === undefined) continue;
        (isList(entry) ? unlisted : outside).push({ ...row, state: "another's", message });
      } else if (await this.#isMissing(path, entry)) (isList(entry) ? unlisted : missing).push(row);
      else if (entry?.kind !== "tile") unknown.push(row);
    }
    return { asked: this.#asked.size, missing, outside, unlisted, unknown };
  }

  #note(path: string, entry: TreeEntry | undefined, reply: Answer): void {
    if (this.#asked.size >= MOST_RECORDED && !this.#asked.has(path)) {
      this.#isFull = true;
      return;
    }
    const status = reply.kind === "text" ? reply.status : 200;
    const text = reply.kind === "text" ? reply.text.replace(/^not found: /, "").trim() : "";
    const empty = reply.kind === "text" || (reply.kind === "object" && reply.object.size === 0);
    this.#asked.set(path, { entry, status, text, empty });
  }

  /** What go asks of each prefix of a path to find its module is missing only where there is such a module. */
  async #isMissing(path: string, entry: TreeEntry | undefined): Promise<boolean> {
    switch (entry?.kind) {
      case undefined: {
        const query = parseRevisionQuery(path);
        return query !== undefined && (await this.#knows(query.path));
      }
      case "list":
      case "latest":
        return await this.#knows(entry.path);
      case "info":
        return await this.#knows(entry.version.path);
      case "tile":
        return !this.#hasInstead(entry);
      default:
        return true;
    }
  }

  async #knows(path: ModulePath): Promise<boolean> {
    return (await this.#parts.ledger.readModule(path)).length > 0;
  }

  /** Where a part of a tile is not there, the client takes the whole one (x/mod/sumdb, client.readTile). */
  #hasInstead(entry: Extract<TreeEntry, { kind: "tile" }>): boolean {
    if (entry.tile.width === FULL_WIDTH) return false;
    const full = tileKey(entry.database, { ...entry.tile, width: FULL_WIDTH });
    return this.#asked.get(full)?.status === 200;
  }
}

function isList(entry: TreeEntry | undefined): boolean {
  return entry?.kind === "list" || entry?.kind === "latest";
}

/** What a request brings by itself. */
class Contents {
  readonly #extents: ReadonlyMap<string, Extent>;
  readonly #modules: ReadonlySet<ModulePath>;
  readonly #listed: ReadonlySet<ModulePath>;

  constructor({ needs, roots }: OwnClosure) {
    this.#extents = new Map(needs.map(({ version, extent }) => [formatModuleVersion(version), extent]));
    this.#modules = new Set(needs.map(({ version }) => version.path));
    this.#listed = new Set(roots.map(({ root }) => root.path));
  }

  /** Why a file that the mirror has is not one of the request's; undefined where it is, or belongs to no module. */
  not(entry: TreeEntry): string | undefined {
    if (entry.kind === "list" || entry.kind === "latest") {
      // Of a module that is none of this request's the list is that of any prefix: what go takes from it counts.
      if (!this.#modules.has(entry.path) || this.#listed.has(entry.path)) return undefined;
      return "listed for another request; this one lists no version of it";
    }
    if (!("version" in entry)) return undefined;
    const extent = this.#extents.get(formatModuleVersion(entry.version));
    if (extent === undefined) return "held for another request; this one does not name that version";
    const wanted = entry.kind === "mod" || entry.kind === "lookup" ? "mod" : "whole";
    return covers(extent, wanted) ? undefined : "held for another request; this one asks only for its go.mod";
  }
}
