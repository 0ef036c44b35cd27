import { type H1, h1OfGoMod } from "../../gomod/dirhash.ts";
import { parseInfo } from "../../gomod/info.ts";
import type { ModulePath } from "../../gomod/module-path.ts";
import { formatModuleVersion, type ModuleVersion } from "../../gomod/version.ts";
import { type Body, isSpool } from "../../mirror/body.ts";
import { asMirrorError, type MirrorError } from "../../mirror/errors.ts";
import type { MirrorParts } from "../../mirror/parts.ts";
import type { Upstream } from "../../mirror/ports.ts";
import type { SumdbSource } from "../../sumdb/client.ts";

/** A file of the seed that was not used, and why; one that is simply not there is not reported. */
export type SeedReport = (problem: { readonly subject: string; readonly error: MirrorError }) => void;

/** How many files came from the seed, and how many from upstream. */
export interface SeedCounts {
  readonly seed: number;
  readonly upstream: number;
}

/**
 * An upstream whose `.mod`, `.info` and zips come out of a seed, such as a module cache, where that has them and they are
 * what the checksum database says: nothing of it is taken on trust. What is damaged there, or belongs to a module that no
 * database covers, comes from upstream, as do lists.
 */
export class SeededUpstream implements Upstream {
  readonly name: string;
  readonly #upstream: Upstream;
  readonly #seed: Upstream;
  readonly #parts: Pick<MirrorParts, "databasesFor" | "zips">;
  readonly #report: SeedReport;
  #counts: SeedCounts = { seed: 0, upstream: 0 };

  constructor(
    upstream: Upstream,
    seed: Upstream,
    parts: Pick<MirrorParts, "databasesFor" | "zips">,
    report: SeedReport,
  ) {
    this.name = upstream.name;
    this.#upstream = upstream;
    this.#seed = seed;
    this.#parts = parts;
    this.#report = report;
  }

  get counts(): SeedCounts {
    return this.#counts;
  }

  list(path: ModulePath): Promise<Uint8Array> {
    return this.#upstream.list(path);
  }

  latest(path: ModulePath): Promise<Uint8Array> {
    return this.#upstream.latest(path);
  }

  sumdb(database: string): SumdbSource {
    return this.#upstream.sumdb(database);
  }

  /** No database speaks of times: a module cache's is as good as any proxy's, where it is of this version. */
  info(version: ModuleVersion): Promise<Uint8Array> {
    return this.#seededOr(version, "info", async () => {
      const bytes = await this.#seed.info(version);
      parseInfo(bytes, version.version);
      return bytes;
    });
  }

  mod(version: ModuleVersion): Promise<Uint8Array> {
    return this.#seededOr(version, "mod", async () => {
      const bytes = await this.#seed.mod(version);
      requireH1(version, "go.mod", h1OfGoMod(bytes), (await this.#provenH1(version))?.goMod);
      return bytes;
    });
  }

  zip(version: ModuleVersion): Promise<Body> {
    return this.#seededOr(version, "zip", async () => {
      const body = await this.#seed.zip(version);
      try {
        const { h1 } = await this.#parts.zips.check(body, version);
        requireH1(version, "zip", h1, (await this.#provenH1(version))?.zip);
        return body;
      } catch (thrown) {
        if (isSpool(body)) await body.dispose();
        throw thrown;
      }
    });
  }

  async #seededOr<File extends "info" | "mod" | "zip">(
    version: ModuleVersion,
    file: File,
    read: () => Promise<Awaited<ReturnType<Upstream[File]>>>,
  ): Promise<Awaited<ReturnType<Upstream[File]>>> {
    if (this.#parts.databasesFor(version.path).length > 0) {
      try {
        const content = await read();
        this.#counts = { ...this.#counts, seed: this.#counts.seed + 1 };
        return content;
      } catch (thrown) {
        const subject = `${formatModuleVersion(version)}.${file}`;
        const error = asMirrorError(thrown, subject);
        if (error.class !== "absent") this.#report({ subject, error });
      }
    }
    this.#counts = { ...this.#counts, upstream: this.#counts.upstream + 1 };
    return (await this.#upstream[file](version)) as Awaited<ReturnType<Upstream[File]>>;
  }

  async #provenH1(version: ModuleVersion): Promise<{ readonly goMod: H1; readonly zip: H1 } | undefined> {
    return await this.#parts.databasesFor(version.path)[0]?.prove(version);
  }
}

function requireH1(version: ModuleVersion, file: string, actual: H1, proven: H1 | undefined): void {
  if (actual === proven) return;
  const subject = formatModuleVersion(version);
  throw new Error(`${subject}: ${file} is ${actual} there, but ${proven} by the checksum database`);
}
