import { formatModuleVersion, type ModuleVersion } from "../gomod/version.ts";
import type { Need } from "./closure-file.ts";
import { misuse } from "./errors.ts";
import type { Extent } from "./records.ts";
import type { RequestBody } from "./requests.ts";
import { parseTreeKey, type TreeEntry } from "./tree-keys.ts";

/** What the commands of a recording need, so that they run again from this mirror alone. */
export interface Recording {
  /** Each version once. Whole where its `.info` or zip was asked; a `.mod` or a lookup alone needs the `.mod`. */
  readonly needs: readonly Need[];
  /**
   * Versions that have to be listed: of every module whose `@v/list` or `@latest` was asked, those whose `.info` or zip
   * was asked. What go chose from a list is among them, and so is the highest, whose retractions it reads. Listed means
   * usable, so each is a root with its own closure. A list of which nothing was chosen asks for nothing.
   */
  readonly roots: readonly ModuleVersion[];
  /** `module@version` of the zips that were asked: those that a build opens. */
  readonly zips: ReadonlySet<string>;
}

/** As much of a key that is none is shown. */
const SHOWN = 100;

/**
 * Reads the keys of a request's `recorded`. Attacker-controlled.
 * @throws MirrorError misuse naming the first that is no key of a GOPROXY tree.
 */
export function parseRecording(keys: readonly string[]): Recording {
  const needs = new Map<string, Need>();
  const listed = new Set<string>();
  const zips = new Set<string>();
  const need = ({ path, version }: ModuleVersion, extent: Extent) => {
    const name = `${path}@${version}`;
    if (needs.get(name)?.extent !== "whole") needs.set(name, { version: { path, version }, extent });
  };
  for (const [at, text] of keys.entries()) {
    const entry = parseTreeKey(text);
    if (entry === undefined) throw notAKey(at, text);
    switch (entry.kind) {
      case "zip":
        zips.add(formatModuleVersion(entry.version));
        need(entry.version, "whole");
        break;
      case "info":
        need(entry.version, "whole");
        break;
      case "mod":
      case "lookup":
        need(entry.version, "mod");
        break;
      case "list":
      case "latest":
        listed.add(entry.path);
        break;
      // The mirror's own heads and their tiles are what its clients need, not those that another server had.
      case "supported":
      case "treeHead":
      case "tile":
        break;
    }
  }
  const all = [...needs.values()];
  const roots = all.filter(({ version, extent }) => extent === "whole" && listed.has(version.path));
  return { needs: all, roots: roots.map(({ version }) => version), zips };
}

function notAKey(at: number, text: string) {
  // In JSON: what it holds must not break the line that names it.
  const shown = JSON.stringify(text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text);
  return misuse(
    `recorded.${at}`,
    `recorded.${at}: ${shown} is no key of a GOPROXY tree, such as example.com/a/@v/v1.0.0.zip`,
  );
}

/** Whether an answer with this file is part of a recording: see parseRecording for what it makes of each. */
export function isRecorded(entry: TreeEntry): boolean {
  return entry.kind !== "supported" && entry.kind !== "treeHead" && entry.kind !== "tile";
}

/** A request of a recording alone. */
export function recordingRequest(keys: Iterable<string>): RequestBody {
  return {
    format: 1,
    tier: "tidy",
    files: {},
    exact: [],
    wishes: [],
    together: true,
    graph: "pruned",
    recorded: [...keys].sort(),
  };
}
