import { createServer } from "node:net";
import { misuse } from "../../mirror/errors.ts";

const HOST = "127.0.0.1";

/**
 * The port to listen on: the one that was asked for, else the usual one, else any.
 * @throws MirrorError misuse when the one asked for is taken.
 */
export async function choosePort(asked: number | undefined, usual: number): Promise<number> {
  if (asked === undefined) return (await tryPort(usual)) ?? (await tryPort(0)) ?? usual;
  const port = await tryPort(asked);
  if (port !== undefined) return port;
  throw misuse(
    "--port",
    `--port ${asked}: taken on ${HOST}: stop what listens there, or leave --port out to have a free one`,
  );
}

function tryPort(wanted: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(undefined));
    server.listen(wanted, HOST, () => {
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : undefined;
      server.close(() => resolve(port));
    });
  });
}
