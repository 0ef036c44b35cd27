import { type Closure, closureOf } from "./closure.ts";
import { withRoots } from "./combination.ts";
import { DroppedRequirements } from "./dropped-requirements.ts";
import { isBelow } from "./graph-round.ts";
import type { BuildRequest } from "./main-modules.ts";
import {
  describeGraph,
  type GraphOptions,
  GraphReader,
  requirementsOf,
  type Selected,
} from "./module-graph.ts";
import { type ModulePath, modulePath } from "./module-path.ts";
import { type LoadGoMod, type Node, prunes, type Requirements } from "./requirements.ts";
import { UpgradeOffers } from "./upgrade-offers.ts";
import { type ModuleVersion, moduleVersion } from "./version.ts";
import type { VersionLists } from "./version-query.ts";

/** What a project needs to be upgraded offline. */
export interface Upgrades {
  /**
   * Beyond the closure of the build as it stands: what the upgraded project and the steps to it read. It is whole
   * together with the closures of `listed`, each as a root of its own (closeRoot).
   */
  readonly closure: Closure;
  /** What the lists must name, besides any other versions that they name. */
  readonly listed: readonly ModuleVersion[];
}

/** Projects have at most some thousands of modules, new ones by upgrades included. */
const MOST_MODULES = 10_000;

/**
 * What these commands need offline beyond tier tidy, recorded with go 1.26.8 and read in its sources:
 *
 * - `list -m -u all` asks of each path in S, and of what replaces it, the list, the highest version's `.mod` (for
 *   retractions and deprecation), and the `.info` of the upgrade; `@latest` only where the list has nothing to take.
 * - `get -u ./...` asks the same of each module that provides an imported package (of any platform, without tests),
 *   and of every path that begins a package's path, where 404 is as good an answer. It takes all upgrades of what
 *   is imported so far at once, reads the graph anew, and starts again with what that imports, until nothing changes.
 *   It opens the zips of the versions on the way too: those that the upgraded modules require, before these are
 *   upgraded themselves. `-u=patch` is the same with the newest patch of the version in use.
 * - `get M@latest`, `@upgrade` and `@patch` ask the list of M and of the paths that begin it, the zip of each such
 *   module there is, and the graph with it.
 * - `install M@latest` asks the list, the highest version's `.mod`, and the graph of M.
 *
 * So every path in S is listed, and every path that upgrades bring in. What a new version imports is not known without
 * its zip; a module is taken to come in where an upgraded version requires it, and the version before did not. A path
 * that is found in no go.mod (a package that became a module of its own, say) is not found here either: offline, `get
 * -u` leaves it where it is. `list -m -versions` prints what is listed, not all that there is.
 * @param request undefined for a new module that requires the roots
 * @param roots wishes `module@version` that the project requires besides
 * @throws as `loadModuleGraph`; FormatError for upgrades that lead to more modules than a project can have.
 */
export async function closeUpgrades(
  request: BuildRequest | undefined,
  roots: readonly ModuleVersion[],
  lists: VersionLists,
  load: LoadGoMod,
  options: GraphOptions = {},
): Promise<Upgrades> {
  const joined = withRoots(request, roots);
  const dropped = new DroppedRequirements(joined, load);
  const requirements = requirementsOf(joined, dropped.load, options);
  const reader = new GraphReader(requirements, options);
  const offers = new UpgradeOffers(joined, requirements, load, lists, MOST_MODULES);
  const before = await reader.readBuild(joined);
  // As `go mod tidy` leaves it, the module that requires the roots requires all that they list, too.
  const wished = roots.map(({ path, version }) => requirements.node(path, version));
  const imported = wished.flatMap((root) => root.requires ?? []);
  const project = new UpgradedProject(requirements, reader, offers, joined, before, imported);
  await project.offerAll();
  await project.upgrade("upgrade");
  await project.upgrade("patch");
  await project.offerDropped(dropped.paths);
  await project.readAlternatives();
  const whole = [...project.selectable].flatMap(({ source }) => source ?? []);
  return {
    closure: closureOf(describeGraph(requirements, before), whole),
    listed: [...offers.named.values()],
  };
}

/** A project on its way through upgrades. */
class UpgradedProject {
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
