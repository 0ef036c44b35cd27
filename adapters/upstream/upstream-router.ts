import type { ModulePath } from "../../gomod/module-path.ts";
import { matchPrefixPatterns } from "../../gomod/path-pattern.ts";
import type { ModuleVersion } from "../../gomod/version.ts";
import type { Body } from "../../mirror/body.ts";
import { MirrorError } from "../../mirror/errors.ts";
import type { SumdbSource } from "../../sumdb/client.ts";
import type { OpenedUpstream } from "./open-upstream.ts";
import { noRequests, type RequestCounts, type RequestKind } from "./request-kind.ts";

/** One of several upstreams, and what it is asked for. */
export interface RoutedUpstream {
  readonly upstream: OpenedUpstream;
  /** GOPRIVATE patterns, comma-separated; without any, all that no other one's patterns name. */
  readonly modules: string | undefined;
}

/**
 * Several upstreams as one: a module is asked of the first whose patterns match its path, else of the one without
 * patterns. No other one is told its name, whatever the first one answers.
 */
export class UpstreamRouter implements OpenedUpstream {
  readonly name: string;
  readonly #routes: readonly RoutedUpstream[];

  /** @param routes at least one, at most one of them without patterns (upstreams-shape.ts). */
  constructor(routes: readonly RoutedUpstream[]) {
    this.#routes = routes;
    this.name = routes.map(({ upstream }) => upstream.name).join(", ");
  }

  async list(path: ModulePath): Promise<Uint8Array> {
    return await this.#for(path).list(path);
  }

  async latest(path: ModulePath): Promise<Uint8Array> {
    return await this.#for(path).latest(path);
  }

  async info(version: ModuleVersion): Promise<Uint8Array> {
    return await this.#for(version.path).info(version);
  }

  async mod(version: ModuleVersion): Promise<Uint8Array> {
    return await this.#for(version.path).mod(version);
  }

  async zip(version: ModuleVersion): Promise<Body> {
    return await this.#for(version.path).zip(version);
  }

  async revision(path: ModulePath, revision: string): Promise<Uint8Array> {
    return await this.#for(path).revision(path, revision);
  }

  /** Through the upstream without patterns, or the first: a database of another one is named with it. */
  sumdb(database: string): SumdbSource {
    return this.#general.sumdb(database);
  }

  supported(database: string): Promise<Uint8Array> {
    return this.#general.supported(database);
  }

  counts(): RequestCounts {
    const sum = noRequests();
    for (const { upstream } of this.#routes) {
      const counts = upstream.counts();
      for (const kind of Object.keys(sum) as RequestKind[]) sum[kind] += counts[kind];
    }
    return sum;
  }

  async close(): Promise<void> {
    await Promise.all(this.#routes.map(({ upstream }) => upstream.close()));
  }

  get #general(): OpenedUpstream {
    return generalOf(this.#routes).upstream;
  }

  #for(path: ModulePath): OpenedUpstream {
    const named = this.#routes.find(
      ({ modules }) => modules !== undefined && matchPrefixPatterns(modules, path),
    );
    const route = named ?? this.#routes.find(({ modules }) => modules === undefined);
    if (route !== undefined) return route.upstream;
    const remedy = "add it to the `modules` of one of `upstreams`, or name one without `modules`";
    throw new MirrorError("withheld", path, `${path}: no upstream is named for this module; ${remedy}`);
  }
}

/** The one that is asked for what belongs to no module. */
export function generalOf<Route extends { readonly modules: string | undefined }>(
  routes: readonly Route[],
): Route {
  const route = routes.find(({ modules }) => modules === undefined) ?? routes[0];
  if (route === undefined) throw new Error("no upstream");
  return route;
}
