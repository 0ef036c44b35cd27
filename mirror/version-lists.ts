import pLimit from "p-limit";
import { parseInfo } from "../gomod/info.ts";
import { parseVersionList, type VersionList } from "../gomod/list-file.ts";
import type { ModulePath } from "../gomod/module-path.ts";
import { pseudoVersionTime } from "../gomod/pseudo-version.ts";
import { isVersionOf, moduleVersion, type Version } from "../gomod/version.ts";
import type { VersionLists } from "../gomod/version-query.ts";
import type { Unresolved } from "./closure-file.ts";
import { TIME_TO_CLOSE } from "./deadline.ts";
import { asMirrorError, MirrorError } from "./errors.ts";
import type { Report } from "./events.ts";
import { OutOfTime } from "./go-mod-loader.ts";
import type { Deadline } from "./parts.ts";
import type { Upstream } from "./ports.ts";
import { withinTime } from "./within-time.ts";

/** Lists asked at a time. */
const LISTS_AT_ONCE = 16;

/**
 * What an upstream lists, for one request; each file is asked once. A module that the upstream does not have or refuses
 * (404, 410, 403) offers nothing; a refusal is reported, and what else goes wrong is in `problems` besides.
 */
export class UpstreamLists implements VersionLists {
  readonly problems: Unresolved[] = [];
  /** Set where a list was left out for want of time: gomod/ takes that for an empty one, so the caller must look. */
  outOfTime: OutOfTime | undefined;
  readonly #upstream: Pick<Upstream, "list" | "latest">;
  readonly #deadline: Deadline;
  readonly #report: Report;
  readonly #limit = pLimit(LISTS_AT_ONCE);
  readonly #lists = new Map<ModulePath, Promise<VersionList | undefined>>();
  readonly #latest = new Map<ModulePath, Promise<Version | undefined>>();

  constructor(upstream: Pick<Upstream, "list" | "latest">, deadline: Deadline, report: Report) {
    this.#upstream = upstream;
    this.#report = report;
    this.#deadline = deadline;
  }

  async list(path: ModulePath): Promise<readonly Version[]> {
    return (await this.#read(path))?.versions.filter((version) => isVersionOf(path, version)) ?? [];
  }

  latest(path: ModulePath): Promise<Version | undefined> {
    let found = this.#latest.get(path);
    if (found === undefined) {
      found = this.#readLatest(path);
      this.#latest.set(path, found);
    }
    return found;
  }

  #read(path: ModulePath): Promise<VersionList | undefined> {
    let list = this.#lists.get(path);
    if (list === undefined) {
      list = this.#ask(`${path}/@v/list`, async () => parseVersionList(await this.#upstream.list(path)));
      this.#lists.set(path, list);
    }
    return list;
  }

  async #readLatest(path: ModulePath): Promise<Version | undefined> {
    const list = await this.#read(path);
    // Go does not ask further where there is no list.
    if (list === undefined) return undefined;
    return await this.#ask(`${path}/@latest`, async () => {
      try {
        return moduleVersion(path, parseInfo(await this.#upstream.latest(path)).version).version;
      } catch (thrown) {
        if (thrown instanceof MirrorError && thrown.class === "absent") return newestOf(path, list);
        throw thrown;
      }
    });
  }

  async #ask<T>(subject: string, read: () => Promise<T>): Promise<T | undefined> {
    return await this.#limit(async () => {
      if (this.outOfTime !== undefined) return undefined;
      if (this.#deadline.remaining() < TIME_TO_CLOSE) {
        this.outOfTime = new OutOfTime(`${subject}: no time left to ask for it`);
        return undefined;
      }
      try {
        return await withinTime(read(), this.#deadline, subject);
      } catch (thrown) {
        if (thrown instanceof OutOfTime) {
          this.outOfTime = thrown;
          return undefined;
        }
        const { class: errorClass, message } = asMirrorError(thrown, subject);
        if (errorClass === "withheld") this.#report({ event: "refused", subject, message });
        else if (errorClass !== "absent") this.problems.push({ subject, class: errorClass, message });
        return undefined;
      }
    });
  }
}

/**
 * Where an upstream has no `@latest`, go takes the newest that its list names with a time (modfetch,
 * proxyRepo.latestFromList).
 */
export function newestOf(
  path: ModulePath,
  { versions, pseudoVersions, times }: VersionList,
): Version | undefined {
  let newest: Version | undefined;
  let newestTime = Number.NEGATIVE_INFINITY;
  for (const version of [...versions, ...pseudoVersions]) {
    const time = timeOf(version, times.get(version));
    if (time === undefined || time <= newestTime || !isVersionOf(path, version)) continue;
    newest = version;
    newestTime = time;
  }
  return newest;
}

/** Milliseconds since the epoch; undefined for a release without a time, which go passes over here. */
function timeOf(version: Version, text: string | undefined): number | undefined {
  const time = text === undefined ? pseudoTime(version) : Date.parse(text);
  return time === undefined || Number.isNaN(time) ? undefined : time;
}

function pseudoTime(version: Version): number | undefined {
  try {
    return pseudoVersionTime(version).getTime();
  } catch {
    return undefined;
  }
}
