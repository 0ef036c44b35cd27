import { createServer } from "node:http";
import { openFolderMirror } from "../adapters/local/folder-mirror.ts";
import { misuse } from "../mirror/errors.ts";
import type { CliEnvironment } from "./environment.ts";
import { handleRequest } from "./http-handler.ts";
import { mirrorIdentity } from "./mirror-identity.ts";
import type { Options } from "./options.ts";
import type { Output } from "./output.ts";

/** How long open replies may go on after Ctrl-C, in ms. */
const GRACE = 5_000;

/** `modferry serve`: a GOPROXY over the folder mirror, until Ctrl-C. */
export async function serve(options: Options, _environment: CliEnvironment, output: Output): Promise<number> {
  const mirror = await openFolderMirror(options.mirror, { mode: "read" });
  const identity = await mirrorIdentity(options.mirror);
  const parts = { tree: mirror.tree, ledger: mirror.ledger, now: Date.now, identity };
  const server = createServer((request, response) => void handleRequest(parts, request, response));
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
  await mirror.close();
  return 0;
}

/** What a client on this machine calls a listening address: "all interfaces" is none that can be asked. */
function reachable(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  if (host === "::") return "[::1]";
  return host.includes(":") ? `[${host}]` : host;
}
