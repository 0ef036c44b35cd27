import { createServer } from "node:http";
import { type FolderMirror, openFolderMirror } from "../adapters/local/folder-mirror.ts";
import { ServeCounters } from "../adapters/local/prometheus-counters.ts";
import { openTileSources } from "../adapters/upstream/tile-sources.ts";
import { misuse } from "../mirror/errors.ts";
import { ownPages } from "../mirror/own-pages.ts";
import { RequestDesk } from "../mirror/request-desk.ts";
import { OpenSnapshots } from "../mirror/snapshot/open-snapshots.ts";
import { CommandLog } from "./command-log.ts";
import { endpointToken } from "./endpoint-token.ts";
import type { CliEnvironment } from "./environment.ts";
import { type AnsweredRequest, handleRequest } from "./http-handler.ts";
import { mirrorIdentity } from "./mirror-identity.ts";
import type { Options } from "./options.ts";
import type { Output } from "./output.ts";
import { statusParts } from "./status.ts";
import { chooseUpstream } from "./upstream-choice.ts";

/** How long open replies may go on after Ctrl-C, in ms. */
const GRACE = 5_000;

/** `modferry serve`: a GOPROXY over the folder mirror, until Ctrl-C; with an upstream, one that gets missing tiles. */
export async function serve(options: Options, environment: CliEnvironment, output: Output): Promise<number> {
  const mirror = await openFolderMirror(options.mirror, { mode: "read" });
  const identity = await mirrorIdentity(options.mirror);
  const { tree, ledger } = mirror;
  const log = options.log === "json" ? new CommandLog(output, "serve") : undefined;
  const counters = new ServeCounters();
  const held = {
    tree,
    ledger,
    now: Date.now,
    identity,
    pages: ownPages(
      () => statusParts(options, ledger),
      Date.now,
      () => counters.text(),
    ),
    ...requestDesk(environment, mirror),
    snapshots: new OpenSnapshots({ vault: mirror.vault, ledger, now: Date.now }),
    answered: ({ kind, ...http }: AnsweredRequest) => {
      counters.answered({ kind, ...http });
      log?.write({ level: "info", action: "answered", message: "request is answered", http });
    },
    failed: (thrown: unknown) =>
      log?.failure("request-failed", "storage of the mirror does not answer", thrown),
  };
  let sources: TileSources | undefined;
  const server = createServer((request, response) => {
    void handleRequest(
      { ...held, ...(sources && { missingTiles: sources.missingTiles }) },
      request,
      response,
    );
  });
  const { host, port } = options.listen;
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, host, resolve);
    });
  } catch (cause) {
    await mirror.close();
    const why = cause instanceof Error ? cause.message : String(cause);
    throw misuse("--listen", `--listen ${host}:${port}: ${why}; give another address or port`, cause);
  }
  try {
    // While it listens, so that a mirror which is named as its own upstream says so.
    sources = await tileSources(options, environment, mirror);
  } catch (error) {
    server.closeAllConnections();
    server.close();
    await mirror.close();
    throw error;
  }
  const address = server.address();
  const bound = typeof address === "object" && address !== null ? address.port : port;
  output.print(`export GOPROXY=http://${reachable(host)}:${bound}`);
  await new Promise<void>((resolve) => {
    process.once("SIGINT", resolve);
    process.once("SIGTERM", resolve);
  });
  // Replies that are under way still read the mirror.
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  setTimeout(() => server.closeAllConnections(), GRACE).unref();
  await closed;
  await sources?.close();
  await held.snapshots.close();
  await mirror.close();
  return 0;
}

/** Requests are taken where the environment has a token for them; the mirror's one writer looks into the inbox. */
function requestDesk(environment: CliEnvironment, { vault, ledger }: FolderMirror): { desk?: RequestDesk } {
  const token = endpointToken(environment);
  return token === undefined ? {} : { desk: new RequestDesk({ vault, ledger, now: Date.now }, token) };
}

type TileSources = ReturnType<typeof openTileSources>;

/** Where missing tiles come from; without --upstream the mirror is an island. */
async function tileSources(
  options: Options,
  environment: CliEnvironment,
  { tree, ledger }: FolderMirror,
): Promise<TileSources | undefined> {
  const { upstream, sumdbs } = options;
  if (upstream === undefined) {
    if (options.sumdbNamed)
      throw misuse("--sumdb", "--sumdb: `modferry serve` asks a checksum database only with --upstream URL");
    return undefined;
  }
  const url = await chooseUpstream(options, environment);
  return openTileSources({
    url,
    sumdbs,
    netrc: await environment.netrc(),
    egress: environment.egress(),
    tree,
    ledger,
    now: Date.now,
  });
}

/** What a client on this machine calls a listening address: "all interfaces" is none that can be asked. */
function reachable(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  if (host === "::") return "[::1]";
  return host.includes(":") ? `[${host}]` : host;
}
