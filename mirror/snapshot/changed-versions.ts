import { type ModuleVersion, parseModuleVersion } from "../../gomod/version.ts";
import type { Ledger } from "../ports.ts";
import type { VersionRecord } from "../records.ts";
import { SortedLines } from "../scrub/sorted-lines.ts";
import { type SpoolBody, SpooledRuns } from "./spooled-runs.ts";

/** A version that the journal names, as the ledger has it now. */
export interface ChangedVersion {
  readonly version: ModuleVersion;
  readonly record: VersionRecord | undefined;
  /** The journal has seen it listed before the closed moment. */
  readonly wasListed: boolean;
}

/** Records are read so many at a time. */
const PAGE = 500;

/**
 * Every version that the journal names since `from`, once, by module path and version, each by bytes; each is read from
 * the ledger after the whole journal was, so that what it says is at least as new as any line.
 * @param closed ms since the epoch; a line may be of after it: what is held by now may be in the snapshot.
 */
export class ChangedVersions {
  readonly #ledger: Pick<Ledger, "journal" | "read">;
  readonly #runs: SpooledRuns;
  readonly #lines: SortedLines;
  #count = 0;

  constructor(ledger: Pick<Ledger, "journal" | "read">, spool: SpoolBody) {
    this.#ledger = ledger;
    this.#runs = new SpooledRuns(spool);
    this.#lines = new SortedLines(this.#runs);
  }

  /** Reads the journal. @returns how many lines it had. */
  async readJournal(from: number, to: number, closed: number): Promise<number> {
    for await (const { event, version, at } of this.#ledger.journal(from, to)) {
      this.#count++;
      const listed = event === "listed" && at < closed ? LISTED : "";
      // A space sorts below every byte of a path or version, so that `a/b v1` comes before `a/b-c v1`.
      await this.#lines.add(`${version.path} ${version.version}${listed}`);
    }
    return this.#count;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<readonly ChangedVersion[]> {
    let page: { version: ModuleVersion; wasListed: boolean }[] = [];
    let last = "";
    for await (const line of this.#lines.sorted()) {
      const wasListed = line.endsWith(LISTED);
      const name = wasListed ? line.slice(0, -LISTED.length) : line;
      const end = page.at(-1);
      if (name === last && end !== undefined) {
        end.wasListed ||= wasListed;
        continue;
      }
      last = name;
      // Whole pages only: the lines of one version are behind each other.
      if (page.length === PAGE) {
        yield await this.#read(page);
        page = [];
      }
      page.push({ version: parseModuleVersion(name.replace(" ", "@")), wasListed });
    }
    if (page.length > 0) yield await this.#read(page);
  }

  async dispose(): Promise<void> {
    await this.#runs.dispose();
  }

  async #read(
    page: readonly { readonly version: ModuleVersion; readonly wasListed: boolean }[],
  ): Promise<ChangedVersion[]> {
    const records = await this.#ledger.read(page.map(({ version }) => version));
    return page.map((named, at) => ({ ...named, record: records[at] }));
  }
}

const LISTED = " l";
