import { randomBytes } from "node:crypto";
import { join } from "node:path";
import type { Sha256 } from "../../mirror/body.ts";
import type { BundleSource, BundleStages } from "../../mirror/bundle/bundle-ports.ts";
import { ImportProgress } from "../../mirror/bundle/import-progress.ts";
import type { Deadline } from "../../mirror/deadline.ts";
import type { Clock, Ledger } from "../../mirror/ports.ts";
import { SmallFiles } from "../local/small-files.ts";
import { S3BundleSource } from "./bundle-source.ts";
import { S3Stage, type StageParts } from "./bundle-stage.ts";

export interface S3StagesParts extends Pick<StageParts, "spool"> {
  readonly ledger: Pick<Ledger, "readItem" | "writeItem" | "deleteItem">;
  readonly now: Clock;
  /** For temporary files. */
  readonly folder: string;
  /** Bytes of tiles and lookups that are kept there; what does not fit is asked for again. */
  readonly mostKept: number;
}

/** Stages of bundles that lie in a bucket; as long as a process lives it has at hand what it has seen of them. */
export class S3Stages {
  readonly #parts: S3StagesParts;
  readonly #kept = new Map<string, SmallFiles>();
  readonly #opened = new Map<Sha256, ImportProgress>();

  constructor(parts: S3StagesParts) {
    this.#parts = parts;
  }

  /** How far the bundles are that this call has worked on: another text once any of it has gone on. */
  get reached(): string {
    return [...this.#opened].map(([id, progress]) => `${id.slice(0, 16)} ${progress.text}`).join(", ");
  }

  /** For one call of the function. */
  until(deadline: Deadline): BundleStages {
    this.#opened.clear();
    return {
      open: (id, source) => this.#open(id, source, deadline),
      sweep: async (keep) => this.#sweep(keep),
    };
  }

  async #open(id: Sha256, source: BundleSource, deadline: Deadline): Promise<S3Stage> {
    if (!(source instanceof S3BundleSource)) throw new TypeError("a bundle that lies elsewhere");
    const { ledger, now, spool, folder, mostKept } = this.#parts;
    const progress = await ImportProgress.open(ledger, id, source.objects, now);
    this.#opened.set(id, progress);
    const name = `${id} ${source.objects}`;
    const kept =
      this.#kept.get(name) ??
      new SmallFiles(join(folder, `spool-${process.pid}-${randomBytes(8).toString("hex")}`), mostKept);
    this.#kept.set(name, kept);
    return new S3Stage(source, progress, { spool, kept, deadline });
  }

  #sweep(keep: readonly Sha256[]): void {
    for (const [name, kept] of this.#kept) {
      if (keep.some((id) => name.startsWith(id))) continue;
      kept.clear();
      this.#kept.delete(name);
    }
  }
}
