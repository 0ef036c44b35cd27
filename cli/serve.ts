import { createServer } from "node:http";
import { openFolderMirror } from "../adapters/local/folder-mirror.ts";
import { misuse } from "../mirror/errors.ts";
import type { CliEnvironment } from "./environment.ts";
import { handleRequest } from "./http-handler.ts";
import type { Options } from "./options.ts";
import type { Output } from "./output.ts";

/** How long open replies may go on after Ctrl-C, in ms. */
const GRACE = 5_000;

/** `modferry serve`: a GOPROXY over the folder mirror, until Ctrl-C. */
export async function serve(options: Options, _environment: CliEnvironment, output: Output): Promise<number> {
  const mirror = await openFolderMirror(options.mirror, { mode: "read" });
  const parts = { tree: mirror.tree, ledger: mirror.ledger, now: Date.now };
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
  const shown = host.includes(":") ? `[${host}]` : host;
  output.print(`export GOPROXY=http://${shown}:${bound}`);
  await new Promise<void>((resolve) => {
    process.once("SIGINT", resolve);
    process.once("SIGTERM", resolve);
  });
  server.close();
  setTimeout(() => server.closeAllConnections(), GRACE).unref();
  server.closeIdleConnections();
  await mirror.close();
  return 0;
}
