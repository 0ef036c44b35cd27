import { escapePath, type ModulePath } from "../../gomod/module-path.ts";
import { escapeRevision, escapeVersion, type ModuleVersion } from "../../gomod/version.ts";
import type { Body } from "../../mirror/body.ts";
import type { Upstream } from "../../mirror/ports.ts";
import type { SumdbSource } from "../../sumdb/client.ts";
import type { RequestCounts } from "./request-kind.ts";
import { HttpSumdbSource } from "./sumdb-source.ts";
import { type UpstreamOptions, UpstreamRequests } from "./upstream-requests.ts";
import { parseUpstreamUrl } from "./upstream-url.ts";

/** A GOPROXY over http(s), at a host's root or below a path, with or without user-info. */
export class GoProxyUpstream implements Upstream {
  readonly name: string;
  readonly #requests: UpstreamRequests;

  /** @throws MirrorError misuse when `url` cannot be an upstream. */
  constructor(url: string, options: UpstreamOptions = {}) {
    this.#requests = new UpstreamRequests(parseUpstreamUrl(url, "--upstream"), options);
    this.name = this.#requests.name;
    if (options.database !== undefined) this.#requests.probeDatabase = `sumdb/${options.database}/latest`;
  }

  list(path: ModulePath): Promise<Uint8Array> {
    return this.#ofModule("list", path, "@v/list");
  }

  latest(path: ModulePath): Promise<Uint8Array> {
    return this.#ofModule("latest", path, "@latest");
  }

  info(version: ModuleVersion): Promise<Uint8Array> {
    return this.#requests.bytes(ofVersion("info", version));
  }

  mod(version: ModuleVersion): Promise<Uint8Array> {
    return this.#requests.bytes(ofVersion("mod", version));
  }

  zip(version: ModuleVersion): Promise<Body> {
    return this.#requests.body(ofVersion("zip", version));
  }

  sumdb(database: string): SumdbSource {
    this.#requests.probeDatabase = `sumdb/${database}/latest`;
    return new HttpSumdbSource(this.#requests, database, `sumdb/${database}/`);
  }

  revision(path: ModulePath, revision: string): Promise<Uint8Array> {
    const file = `${escapePath(path)}/@v/${escapeRevision(revision)}.info`;
    const subject = `${path}@${revision}.info`;
    return this.#requests.bytes({ kind: "info", about: path, subject, path: urlPath(file) });
  }

  /** As free in form as a list, which may be empty too. */
  supported(database: string): Promise<Uint8Array> {
    const path = `sumdb/${database}/supported`;
    return this.#requests.bytes({ kind: "list", about: database, subject: path, path });
  }

  /** Requests sent so far, by kind. */
  counts(): RequestCounts {
    return this.#requests.counts();
  }

  /** Waits for what runs and closes the connections. */
  close(): Promise<void> {
    return this.#requests.close();
  }

  #ofModule(kind: "list" | "latest", path: ModulePath, file: string): Promise<Uint8Array> {
    const subject = `${path}/${file}`;
    return this.#requests.bytes({ kind, about: path, subject, path: `${urlPath(escapePath(path))}/${file}` });
  }
}

function ofVersion<K extends "info" | "mod" | "zip">(kind: K, { path, version }: ModuleVersion) {
  const file = `${escapePath(path)}/@v/${escapeVersion(version)}.${kind}`;
  return { kind, about: path, subject: `${path}@${version}.${kind}`, path: urlPath(file) };
}

/**
 * The escape mark goes out as `%21`, as cmd/go sends it (modfetch, pathEscape): every registry is tried with that.
 * All other characters of a module path or version stand as they are, `+` included.
 */
function urlPath(escaped: string): string {
  return escaped.replaceAll("!", "%21");
}
