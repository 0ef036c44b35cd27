/** Caching module proxies, as `npm run bench -- sync` asks them: all of a corpus, cold, eight requests at a time. */
import { mkdir, mkdtemp, readFile } from "node:fs/promises";
import { Agent, get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pLimit from "p-limit";
import { escapePath } from "../../gomod/module-path.ts";
import { escapeVersion, parseModuleVersion } from "../../gomod/version.ts";
import { choosePort } from "../../infra/local/free-port.ts";
import { GOPROXY_SERVER, goProgram } from "../peers/go-program.ts";
import { removeReadOnlyTree } from "../upstream/read-only-tree.ts";
import { projectDir } from "../upstream/sample-projects.ts";
import type { Measured } from "./measured-process.ts";
import { measureServer } from "./measured-server.ts";

const CLIENTS = 8;

/** What a proxy is asked from: a GOPROXY, and the verifier key of the checksum database under its /sumdb/. */
interface Upstream {
  readonly url: string;
  readonly vkey: string;
}

/** goproxy over a folder; it proves every .mod and zip by its own GOSUMDB, asked through its own GOPROXY. */
export async function runGoproxy(corpus: string, upstream: Upstream): Promise<Measured> {
  const program = await goProgram(GOPROXY_SERVER);
  return runCold(corpus, (folder, port) => ({
    command: [
      program,
      "server",
      ...["--address", `127.0.0.1:${port}`, "--cacher-dir", join(folder, "cache"), "--temp-dir", folder],
    ],
    env: { GOPROXY: upstream.url, GOSUMDB: upstream.vkey },
  }));
}

/** Athens over a disk; it runs `go mod download` for each version, whose GOSUMDB proves it. */
export async function runAthens(program: string, corpus: string, upstream: Upstream): Promise<Measured> {
  return runCold(corpus, (folder, port) => ({
    command: [program],
    env: {
      ATHENS_PORT: `127.0.0.1:${port}`,
      ATHENS_STORAGE_TYPE: "disk",
      ATHENS_DISK_STORAGE_ROOT: join(folder, "cache"),
      ATHENS_DOWNLOAD_MODE: "sync",
      ATHENS_NETWORK_MODE: "strict",
      ATHENS_LOG_LEVEL: "error",
      ATHENS_GO_BINARY_ENV_VARS: [
        `GOPROXY=${upstream.url}`,
        `GOSUMDB=${upstream.vkey}`,
        "GOTOOLCHAIN=local",
        "GOFLAGS=-modcacherw",
      ].join(";"),
    },
  }));
}

async function runCold(
  corpus: string,
  server: (folder: string, port: number) => { command: readonly string[]; env: Record<string, string> },
): Promise<Measured> {
  const folder = await mkdtemp(join(tmpdir(), "modferry-bench-"));
  try {
    for (const name of ["cache", "tmp"]) await mkdir(join(folder, name));
    const port = await choosePort(0, 0);
    const url = `http://127.0.0.1:${port}`;
    const { command, env } = server(folder, port);
    const paths = await pathsOf(corpus);
    return await measureServer(
      command,
      {
        url: `${url}/`,
        cwd: folder,
        env: { PATH: process.env.PATH, HOME: folder, TMPDIR: join(folder, "tmp"), ...env },
      },
      () => askAll(url, paths),
    );
  } finally {
    await removeReadOnlyTree(folder);
  }
}

/** For each version its .info, .mod and .zip, as the go command asks them. */
async function pathsOf(corpus: string): Promise<string[][]> {
  const modules = (await readFile(join(projectDir(corpus), "modules.txt"), "utf8")).trim().split("\n");
  return modules.map((line) => {
    const { path, version } = parseModuleVersion(line);
    const stem = `/${escapePath(path)}/@v/${escapeVersion(version)}`;
    return [".info", ".mod", ".zip"].map((kind) => `${stem}${kind}`);
  });
}

/** @throws Error when an answer is not 200: a proxy that refuses is not quick. */
async function askAll(url: string, versions: readonly (readonly string[])[]): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS });
  const limit = pLimit(CLIENTS);
  const ask = async (paths: readonly string[]) => {
    for (const path of paths) await discard(`${url}${path}`, agent);
  };
  try {
    await Promise.all(versions.map((paths) => limit(() => ask(paths))));
  } finally {
    agent.destroy();
  }
}

/** By node:http, whose client costs least beside the server that is measured. */
function discard(url: string, agent: Agent): Promise<void> {
  return new Promise((resolve, reject) => {
    get(url, { agent }, (reply) => {
      reply.on("error", reject).on("end", () => {
        if (reply.statusCode === 200) resolve();
        else reject(new Error(`${url}: ${reply.statusCode}`));
      });
      reply.resume();
    }).on("error", reject);
  });
}
