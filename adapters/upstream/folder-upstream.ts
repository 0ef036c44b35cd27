import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { escapePath, type ModulePath } from "../../gomod/module-path.ts";
import { escapeRevision, escapeVersion, type ModuleVersion } from "../../gomod/version.ts";
import { type Body, SPOOL_LIMIT } from "../../mirror/body.ts";
import { MirrorError, misuse } from "../../mirror/errors.ts";
import type { Upstream } from "../../mirror/ports.ts";
import type { SumdbSource } from "../../sumdb/client.ts";
import { tilePath } from "../../sumdb/tile.ts";
import { HASH_SIZE } from "../../sumdb/tlog.ts";
import { checkContent } from "./classify.ts";
import type { SpoolChunks } from "./reply-body.ts";
import { LARGEST_REPLY, noRequests, type RequestCounts, type RequestKind } from "./request-kind.ts";

/** Without waiting for a writer, should it be a named pipe: what is no plain file is then found absent. */
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK;

/** A GOPROXY tree in a folder, as GOPROXY=file:///… has it; a module cache's `cache/download` is one too. */
export class FolderUpstream implements Upstream {
  readonly name: string;
  readonly #folder: string;
  readonly #spool: SpoolChunks | undefined;
  readonly #counts = noRequests();

  /** @throws MirrorError misuse unless `url` is file:// and a path (as cmd/go wants it, modfetch.newProxyRepo). */
  constructor(url: string, options: { readonly spool?: SpoolChunks } = {}) {
    const parsed = new URL(url);
    if (parsed.host !== "" || parsed.search !== "" || parsed.hash !== "") {
      throw misuse("--upstream", "--upstream: a file:// URL has a path only: file:///folder");
    }
    this.#folder = fileURLToPath(parsed);
    this.name = `file://${parsed.pathname}`;
    this.#spool = options.spool;
  }

  list(path: ModulePath): Promise<Uint8Array> {
    return this.#bytes("list", `${path}/@v/list`, `${escapePath(path)}/@v/list`);
  }

  latest(path: ModulePath): Promise<Uint8Array> {
    return this.#bytes("latest", `${path}/@latest`, `${escapePath(path)}/@latest`);
  }

  info(version: ModuleVersion): Promise<Uint8Array> {
    return this.#ofVersion("info", version);
  }

  mod(version: ModuleVersion): Promise<Uint8Array> {
    return this.#ofVersion("mod", version);
  }

  async zip({ path, version }: ModuleVersion): Promise<Body> {
    const subject = `${path}@${version}.zip`;
    return this.#read("zip", subject, `${escapePath(path)}/@v/${escapeVersion(version)}.zip`, this.#spool);
  }

  sumdb(database: string): SumdbSource {
    const read = (kind: RequestKind, path: string, size?: number): Promise<Uint8Array> =>
      this.#bytes(kind, `${database}/${path}`, `sumdb/${database}/${path}`, size);
    return {
      latest: () => read("treeHead", "latest"),
      lookup: ({ path, version }) => read("lookup", `lookup/${escapePath(path)}@${escapeVersion(version)}`),
      tile: (tile) => read("tile", tilePath(tile), tile.width * HASH_SIZE),
    };
  }

  revision(path: ModulePath, revision: string): Promise<Uint8Array> {
    const file = `${escapePath(path)}/@v/${escapeRevision(revision)}.info`;
    return this.#bytes("info", `${path}@${revision}.info`, file);
  }

  supported(database: string): Promise<Uint8Array> {
    const path = `sumdb/${database}/supported`;
    return this.#bytes("list", path, path);
  }

  /** Files read so far, by kind. */
  counts(): RequestCounts {
    return { ...this.#counts };
  }

  async close(): Promise<void> {}

  #ofVersion(kind: "info" | "mod", { path, version }: ModuleVersion): Promise<Uint8Array> {
    return this.#bytes(
      kind,
      `${path}@${version}.${kind}`,
      `${escapePath(path)}/@v/${escapeVersion(version)}.${kind}`,
    );
  }

  async #bytes(kind: RequestKind, subject: string, file: string, size?: number): Promise<Uint8Array> {
    return (await this.#read(kind, subject, file, undefined, size)) as Uint8Array;
  }

  async #read(
    kind: RequestKind,
    subject: string,
    file: string,
    spool: SpoolChunks | undefined,
    size?: number,
  ): Promise<Body> {
    this.#counts[kind]++;
    const asked = { kind, subject, server: this.name, secrets: [] };
    let body: Body;
    let handle: FileHandle | undefined;
    try {
      handle = await open(join(this.#folder, file), OPEN_FLAGS);
      const stat = await handle.stat();
      const limit = size ?? LARGEST_REPLY[kind];
      if (!stat.isFile()) throw absent(subject, this.name);
      if (stat.size > limit) throw tooLarge(subject, stat.size, limit);
      // A spool is disposed of by its user, so it must be a copy: the folder is not ours.
      body =
        spool !== undefined && stat.size > SPOOL_LIMIT
          ? await spool(handle.createReadStream({ highWaterMark: 1 << 20, autoClose: false }), limit, subject)
          : await handle.readFile();
    } catch (error) {
      throw folderFault(error, subject, this.name);
    } finally {
      await handle?.close();
    }
    await checkContent(body, asked, size);
    return body;
  }
}

function absent(subject: string, name: string): MirrorError {
  return new MirrorError("absent", subject, `${subject}: ${name} does not have it`);
}

function tooLarge(subject: string, size: number, limit: number): MirrorError {
  return new MirrorError("malformed", subject, `${subject}: ${size} bytes, more than the ${limit} allowed`);
}

/** Not there is absent, not permitted withheld (cmd/go, web.getFile, makes them 404 and 403); all else may heal. */
function folderFault(thrown: unknown, subject: string, name: string): MirrorError {
  if (thrown instanceof MirrorError) return thrown;
  const code = thrown instanceof Error && "code" in thrown ? String(thrown.code) : "";
  if (code === "ENOENT" || code === "ENOTDIR" || code === "EISDIR") return absent(subject, name);
  const options = { cause: thrown };
  if (code === "EACCES" || code === "EPERM") {
    const message = `${subject}: not permitted to read it in ${name}; give this user the right to it`;
    return new MirrorError("withheld", subject, message, options);
  }
  return new MirrorError(
    "transient",
    subject,
    `${subject}: cannot be read in ${name} (${code}); run again`,
    options,
  );
}
