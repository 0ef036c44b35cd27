import type { ModuleVersion } from "../gomod/version.ts";
import { MirrorError } from "./errors.ts";
import type { Clock, Tree } from "./ports.ts";
import { LARGEST_VULNDB_INDEX, mirroredModified, modulesIndex } from "./vulndb.ts";
import { vulndbKey, vulnerabilityFile } from "./vulndb-keys.ts";
import {
  LARGEST_VULNERABILITY,
  parseJson,
  parseVulnerability,
  type Vulnerability,
  vulnerableName,
} from "./vulnerability.ts";

/** What a policy reads of the vulnerability database. */
export interface Vulnerabilities {
  /** The entries of a version's module, affected or not. @throws MirrorError transient where no database is mirrored. */
  of(version: ModuleVersion): Promise<readonly Vulnerability[]>;
  /** When the mirrored database was last modified, verbatim; undefined where there is none. */
  modified(): Promise<string | undefined>;
}

/** The index is read anew after this long, in ms. */
const FRESH = 60_000;

/** The database as it is mirrored in the tree. */
export class MirroredVulnerabilities implements Vulnerabilities {
  readonly #tree: Pick<Tree, "get">;
  readonly #now: Clock;
  #index:
    | { readonly at: number; readonly modules: Promise<ReadonlyMap<string, readonly string[]>> }
    | undefined;

  constructor(tree: Pick<Tree, "get">, now: Clock) {
    this.#tree = tree;
    this.#now = now;
  }

  modified(): Promise<string | undefined> {
    return mirroredModified(this.#tree);
  }

  async of(version: ModuleVersion): Promise<readonly Vulnerability[]> {
    const modules = await this.#modules();
    const ids = new Set(vulnerableName(version).name.flatMap((name) => modules.get(name) ?? []));
    return await Promise.all([...ids].map((id) => this.#entry(id)));
  }

  #modules(): Promise<ReadonlyMap<string, readonly string[]>> {
    const now = this.#now();
    if (this.#index !== undefined && now - this.#index.at < FRESH) return this.#index.modules;
    const modules = this.#readModules();
    const index = { at: now, modules };
    this.#index = index;
    modules.catch(() => {
      if (this.#index === index) this.#index = undefined;
    });
    return modules;
  }

  async #readModules(): Promise<ReadonlyMap<string, readonly string[]>> {
    const stored = await this.#tree.get(vulndbKey("index/modules", "json"), LARGEST_VULNDB_INDEX);
    if (stored === undefined) throw missing("this mirror holds no vulnerability database yet");
    const modules = parseJson(modulesIndex, stored.bytes, "index/modules.json");
    return new Map(modules.map(({ path, vulns }) => [path, vulns.map(({ id }) => id)]));
  }

  async #entry(id: string): Promise<Vulnerability> {
    const stored = await this.#tree.get(vulndbKey(vulnerabilityFile(id), "json"), LARGEST_VULNERABILITY);
    if (stored === undefined) throw missing(`the mirrored database lacks ${id}`);
    return parseVulnerability(stored.bytes, id);
  }
}

function missing(what: string): MirrorError {
  return new MirrorError("transient", "vulndb", `the policy asks for known vulnerabilities, but ${what}`);
}
