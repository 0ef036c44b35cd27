import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { MirrorError } from "../../mirror/errors.ts";
import type { VulndbSource } from "../../mirror/vulndb.ts";
import type { VulndbFile } from "../../mirror/vulndb-keys.ts";

export interface MadeEntry {
  readonly id: string;
  readonly module: string;
  readonly modified: string;
  readonly events: readonly ({ introduced: string } | { fixed: string })[];
  readonly withdrawn?: string;
  /** Whether the entry has its events in another order. */
  readonly shuffled?: boolean;
}

/** A Go vulnerability database of made entries, in the layout of the real one. */
export class MadeVulndb implements VulndbSource {
  readonly name = "made vulndb";
  readonly entries = new Map<string, MadeEntry>();
  /** How often each file was asked for. */
  readonly asked: string[] = [];
  /** Other bytes, or an error, in place of a file. */
  readonly wrong = new Map<string, Uint8Array | MirrorError>();

  add(entry: MadeEntry): void {
    this.entries.set(entry.id, entry);
  }

  read = async (file: VulndbFile): Promise<Uint8Array> => {
    this.asked.push(file);
    const wrong = this.wrong.get(file);
    if (wrong instanceof MirrorError) throw wrong;
    if (wrong !== undefined) return wrong;
    const value = this.#value(file);
    if (value === undefined) throw new MirrorError("absent", file, `${file}: not found (404)`);
    return Buffer.from(JSON.stringify(value));
  };

  /** Serves it on loopback as a static site would, `.json` alone. */
  async serve(): Promise<{ url: string } & AsyncDisposable> {
    const server = createServer((request, response) => {
      const file = (request.url ?? "").slice(1).replace(/\.json$/, "") as VulndbFile;
      this.read(file).then(
        (bytes) => response.end(bytes),
        () => response.writeHead(404).end(),
      );
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return { url, [Symbol.asyncDispose]: async () => void server.close() };
  }

  #value(file: VulndbFile): unknown {
    const all = [...this.entries.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
    if (file === "index/db")
      return {
        modified: all
          .map(({ modified }) => modified)
          .sort()
          .at(-1),
      };
    if (file === "index/vulns") return all.map(({ id, modified }) => ({ id, modified }));
    if (file === "index/modules") {
      const modules = Map.groupBy(all, ({ module }) => module);
      return [...modules].sort().map(([path, of]) => ({
        path,
        vulns: of.map(({ id, modified, events }) => {
          const fixed = events.findLast((event) => "fixed" in event);
          // Only an end that nothing comes after is the one that the real index names.
          const last = events.at(-1);
          return { id, modified, ...(fixed !== undefined && last === fixed ? fixed : {}) };
        }),
      }));
    }
    const entry = this.entries.get(file.slice("ID/".length));
    if (entry === undefined) return undefined;
    const { id, module, modified, withdrawn } = entry;
    const events = entry.shuffled === true ? entry.events.toReversed() : entry.events;
    return {
      schema_version: "1.3.1",
      id,
      modified,
      published: "2026-01-01T00:00:00Z",
      ...(withdrawn === undefined ? {} : { withdrawn }),
      summary: `a made hole in ${module}`,
      details: "made",
      affected: [
        {
          package: { name: module, ecosystem: "Go" },
          ranges: [{ type: "SEMVER", events }],
          ecosystem_specific: { imports: [{ path: module }] },
        },
      ],
    };
  }
}
