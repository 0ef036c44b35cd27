import { type H1, h1OfGoMod, hash1 } from "../../gomod/dirhash.ts";
import type { ModulePath } from "../../gomod/module-path.ts";
import { formatModuleVersion, type ModuleVersion, parseModuleVersion } from "../../gomod/version.ts";
import { sha256Of } from "../../mirror/body.ts";
import { MirrorError } from "../../mirror/errors.ts";
import type { Upstream } from "../../mirror/ports.ts";
import { buildZip } from "../gomod/zip-builder.ts";
import { PrivateDatabase } from "./private-database.ts";

/** The files of a made module version, and what they hash to. */
export interface Made {
  readonly version: ModuleVersion;
  readonly requires: readonly string[];
  readonly mod: Uint8Array;
  readonly zip: Uint8Array;
  readonly info: Uint8Array;
  readonly modH1: H1;
  readonly zipH1: H1;
}

export type FileKind = "mod" | "zip" | "info" | "list" | "latest" | "lookup";

/** What is wrong with one file: an error instead of it, or other bytes. */
export type Wrong = MirrorError | Uint8Array;

/** A GOPROXY of small modules made in memory, with its own checksum database, faults and counts. */
export class MadeUpstream implements Upstream {
  readonly name = "made upstream";
  readonly database = new PrivateDatabase();
  readonly made = new Map<string, Made>();
  /** By `kind module@version`, or `list module`. */
  readonly wrong = new Map<string, Wrong>();
  /** Answers to everything, such as 403s. */
  allWrong: ((kind: FileKind, subject: string) => Wrong | undefined) | undefined;
  /** How often each was asked, by `kind module@version`. */
  readonly asked = new Map<string, number>();

  /** Adds a version; unless `recorded` is false, the database records it. */
  add(name: string, goMod: { go?: string; requires?: string[]; text?: string } = {}, recorded = true): Made {
    const { requires = [], go = "1.16" } = goMod;
    const version = parseModuleVersion(name);
    const lines = requires.map((line) => `require ${line.replace("@", " ")}\n`).join("");
    const text = goMod.text ?? `module ${version.path}\n\ngo ${go}\n\n${lines}`;
    const made = makeVersion(version, Buffer.from(text), requires);
    this.made.set(name, made);
    if (recorded) {
      const { path, version: v } = version;
      this.database.add(name, `${path} ${v} ${made.zipH1}\n${path} ${v}/go.mod ${made.modH1}\n`);
    }
    return made;
  }

  count(kind?: FileKind): number {
    return [...this.asked]
      .filter(([name]) => kind === undefined || name.startsWith(`${kind} `))
      .reduce((sum, [, count]) => sum + count, 0);
  }

  list = async (path: ModulePath) =>
    this.#answer("list", path, () => {
      const versions = [...this.made.values()].filter((made) => made.version.path === path);
      if (versions.length === 0) throw new MirrorError("absent", path, `${path}: not found (404)`);
      return Buffer.from(versions.map((made) => `${made.version.version}\n`).join(""));
    });

  latest = async (path: ModulePath) =>
    this.#answer("latest", path, () => {
      throw new MirrorError("absent", path, `${path}: no @latest (404)`);
    });

  info = async (version: ModuleVersion) => this.#file("info", version);
  mod = async (version: ModuleVersion) => this.#file("mod", version);
  zip = async (version: ModuleVersion) => this.#file("zip", version);

  sumdb() {
    const source = this.database.source();
    return {
      ...source,
      lookup: async (version: ModuleVersion) =>
        this.#answer("lookup", formatModuleVersion(version), () => this.database.lookup(version)),
    };
  }

  #file(kind: "mod" | "zip" | "info", version: ModuleVersion): Uint8Array {
    const name = formatModuleVersion(version);
    return this.#answer(kind, name, () => {
      const made = this.made.get(name);
      if (made === undefined) throw new MirrorError("absent", name, `${name}: not found (404)`);
      return made[kind];
    });
  }

  #answer(kind: FileKind, subject: string, right: () => Uint8Array): Uint8Array {
    const name = `${kind} ${subject}`;
    this.asked.set(name, (this.asked.get(name) ?? 0) + 1);
    const wrong = this.wrong.get(name) ?? this.allWrong?.(kind, subject);
    if (wrong instanceof MirrorError) throw wrong;
    return wrong ?? right();
  }
}

function makeVersion(version: ModuleVersion, mod: Uint8Array, requires: readonly string[]): Made {
  const name = formatModuleVersion(version);
  const files = [
    { name: `${name}/go.mod`, content: mod },
    { name: `${name}/x.go`, content: Buffer.from(`package x // ${name}\n`) },
  ];
  return {
    version,
    requires,
    mod,
    zip: buildZip(files),
    info: Buffer.from(JSON.stringify({ Version: version.version, Time: "2024-01-02T03:04:05Z" })),
    modH1: h1OfGoMod(mod),
    zipH1: hash1(files.map((file) => ({ name: file.name, sha256: sha256Of(file.content) }))),
  };
}

/**
 * What `root` needs by the rules of go before 1.17, which read every go.mod: all of them, and of each path the highest
 * version whole. Computed here on its own, so that it can be held against the engine's closures.
 */
export function closureByHand(made: ReadonlyMap<string, Made>, root: string): Map<string, "mod" | "whole"> {
  const found = new Set<string>();
  const visit = (name: string): void => {
    if (found.has(name)) return;
    found.add(name);
    for (const required of made.get(name)?.requires ?? []) visit(required);
  };
  visit(root);
  const needs = new Map<string, "mod" | "whole">();
  for (const name of found) {
    const [path, version = ""] = name.split("@");
    const higher = [...found].some((other) => {
      const [otherPath, otherVersion = ""] = other.split("@");
      return otherPath === path && otherVersion.localeCompare(version, "en", { numeric: true }) > 0;
    });
    needs.set(name, higher ? "mod" : "whole");
  }
  return needs;
}
