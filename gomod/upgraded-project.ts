import { isBelow } from "./graph-round.ts";
import type { BuildRequest } from "./main-modules.ts";
import type { GraphReader, Selected } from "./module-graph.ts";
import { type ModulePath, modulePath } from "./module-path.ts";
import { type Node, prunes, type Requirements } from "./requirements.ts";
import type { UpgradeOffers } from "./upgrade-offers.ts";
import { type ModuleVersion, moduleVersion } from "./version.ts";

/** A project on its way through upgrades: what they may take, and what is selected then (closeUpgrades says of which). */
export class UpgradedProject {
  /** All that is selected on some way, above what is selected before. */
  readonly selectable = new Set<Node>();
  readonly #requirements: Requirements;
  readonly #reader: GraphReader;
  readonly #offers: UpgradeOffers;
  readonly #before: Selected;
  readonly #reading: "pruned" | "unpruned";
  readonly #required: readonly Node[];
  /** All that an upgrade may take. */
  readonly #taken = new Set<Node>();

  constructor(
    requirements: Requirements,
    reader: GraphReader,
    offers: UpgradeOffers,
    request: BuildRequest,
    before: Selected,
    imported: readonly Node[],
  ) {
    this.#requirements = requirements;
    this.#reader = reader;
    this.#offers = offers;
    this.#before = before;
    const [main] = request.mains;
    const isOld = request.work === undefined && main !== undefined && !prunes(main.goMod);
    this.#reading = isOld ? "unpruned" : "pruned";
    // Any module of an old project's build list may provide packages; since go 1.17 go.mod requires all that do.
    this.#required = isOld
      ? [...before.values()]
      : [...request.mains.flatMap(({ goMod }) => requirements.nodesOf(goMod)), ...imported];
  }

  /** `list -m -u all`, and `get M@latest` of whatever is in the build list. */
  async offerAll(): Promise<void> {
    const nodes = [...this.#before.values()];
    await Promise.all(nodes.map((node) => this.#instead(node)));
    // list -m -u says of a replacement, too, whether there is a newer one.
    await Promise.all(
      nodes.map(({ replaced, source }) => {
        return replaced && source !== undefined
          ? this.#offers.instead(source.path, source.version)
          : undefined;
      }),
    );
  }

  /**
   * What imports a module whose requirement is excluded, and that nothing else requires, makes `get` search for it: in
   * what replaces it, else at its latest (modload.queryImport).
   */
  async offerDropped(paths: Iterable<string>): Promise<void> {
    for (const text of paths) {
      const path = this.#before.has(text) ? undefined : pathOf(text);
      for (const node of path === undefined ? [] : await this.#offers.anew(path)) {
        this.#taken.add(node);
        this.#select(node);
      }
    }
  }

  /** `get -u ./...` as if every module that may provide packages did, in the steps that go takes. */
  async upgrade(kind: "upgrade" | "patch"): Promise<void> {
    const roots = new Map<string, Node>();
    for (const { path } of this.#required) {
      const node = this.#before.get(path);
      if (node !== undefined && node.version !== "") roots.set(path, node);
    }
    for (let current: Selected = this.#before; ; ) {
      const upgrades = await Promise.all(
        [...roots.keys()].map(async (path) => {
          const node = current.get(path);
          if (node === undefined || node.version === "") return undefined;
          const { [kind]: upgrade } = await this.#instead(node);
          return upgrade === undefined || !isBelow(node, upgrade) ? undefined : { node, upgrade };
        }),
      );
      let changed = false;
      for (const step of upgrades) {
        if (step === undefined) continue;
        const { node, upgrade } = step;
        if (roots.get(node.path) !== upgrade) changed = true;
        roots.set(node.path, upgrade);
        await this.#requirements.load(node);
        await this.#requirements.load(upgrade);
        const had = new Set(node.requires?.map(({ path }) => path));
        for (const required of upgrade.requires ?? []) {
          if (
            had.has(required.path) ||
            roots.has(required.path) ||
            current.get(required.path)?.version === ""
          )
            continue;
          roots.set(required.path, required);
          changed = true;
        }
      }
      if (!changed) return;
      current = await this.#reader.readTogether([...roots.values()], this.#reading);
      for (const node of current.values()) this.#select(node);
      for (const [path] of roots) {
        const node = current.get(path);
        if (node !== undefined) roots.set(path, node);
      }
    }
  }

  /**
   * Which modules are imported, and so upgraded, is not known: of any choice, each module's version is the highest that
   * one of the chosen selects alone.
   */
  async readAlternatives(): Promise<void> {
    const taken = [...this.#taken];
    await this.#reader.readTogether([...this.#before.values(), ...taken].filter(isVersion), this.#reading);
    for (const node of taken) {
      const alone = await this.#reader.readTogether([node], this.#reading);
      for (const found of alone.values()) this.#select(found);
    }
  }

  #select(node: Node): void {
    const before = this.#before.get(node.path);
    if (isVersion(node) && (before === undefined || isBelow(before, node))) this.selectable.add(node);
  }

  async #instead(node: Node): Promise<{ upgrade?: Node | undefined; patch?: Node | undefined }> {
    const module = moduleOf(node);
    if (module === undefined) return {};
    const { latest, upgrade, patch } = await this.#offers.instead(module.path, module.version);
    const found = (version: string | undefined): Node | undefined => {
      if (version === undefined) return undefined;
      const taken = this.#requirements.node(node.path, version);
      this.#taken.add(taken);
      this.#select(taken);
      return taken;
    };
    found(latest);
    return { upgrade: found(upgrade), patch: found(patch) };
  }
}

function isVersion({ version }: Node): boolean {
  return version !== "";
}

function pathOf(text: string): ModulePath | undefined {
  try {
    return modulePath(text);
  } catch {
    return undefined;
  }
}

/** Undefined for a main module, and for a name that can be nobody's. */
function moduleOf({ path, version }: Node): ModuleVersion | undefined {
  try {
    return moduleVersion(path, version);
  } catch {
    return undefined;
  }
}
