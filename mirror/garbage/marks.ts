import type { ModulePath } from "../../gomod/module-path.ts";
import { formatModuleVersion, type ModuleVersion, parseModuleVersion } from "../../gomod/version.ts";
import type { Extent } from "../records.ts";
import type { Needed } from "./removal.ts";

const MOD = 1;
const WHOLE = 2;
/** A snapshot that counts lists it, and so has its closure. */
const CLOSED = 4;

/** What is needed, by `module@version`: some 120 bytes of memory each. Grows only. */
export class Marks {
  readonly #marks = new Map<string, number>();
  /** Became whole since they were last taken. */
  #fresh: string[] = [];

  get size(): number {
    return this.#marks.size;
  }

  mark(name: string, extent: Extent): void {
    const known = this.#marks.get(name) ?? 0;
    const next = known | (extent === "whole" ? MOD | WHOLE : MOD);
    if (next === known) return;
    this.#marks.set(name, next);
    if ((next & WHOLE) !== (known & WHOLE)) this.#fresh.push(name);
  }

  /** All that its lists name needs is marked besides. */
  markClosed(name: string): void {
    this.#marks.set(name, (this.#marks.get(name) ?? 0) | CLOSED);
  }

  isClosed(name: string): boolean {
    return ((this.#marks.get(name) ?? 0) & CLOSED) !== 0;
  }

  of(version: ModuleVersion): Needed {
    const mark = this.#marks.get(formatModuleVersion(version)) ?? 0;
    return (mark & WHOLE) !== 0 ? "whole" : (mark & MOD) !== 0 ? "mod" : "nothing";
  }

  /** What has become whole since the last call. */
  takeFresh(): ModuleVersion[] {
    const fresh = this.#fresh;
    this.#fresh = [];
    return fresh.map(parseModuleVersion);
  }
}

/** The versions that lists name, by module. */
export type Listed = ReadonlyMap<ModulePath, readonly ModuleVersion[]>;
