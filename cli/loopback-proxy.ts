import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import type { Answer } from "../mirror/answer.ts";
import { misuse } from "../mirror/errors.ts";
import { respond } from "./http-handler.ts";

/** A GOPROXY on this machine for the commands of one run. */
export interface LoopbackProxy {
  /** For GOPROXY. Its path is a secret of this run, so that no other user of the machine asks through it. */
  readonly url: string;
  close(): Promise<void>;
}

/** Serves what `answerTo` says of a path, on a free port of 127.0.0.1. */
export async function startLoopbackProxy(
  answerTo: (path: string) => Promise<Answer>,
): Promise<LoopbackProxy> {
  const prefix = `${randomBytes(12).toString("hex")}/`;
  const below = async (path: string): Promise<Answer> =>
    path.startsWith(prefix)
      ? await answerTo(path.slice(prefix.length))
      : { kind: "text", status: 404, text: "not found\n" };
  const server = createServer((request, response) => void respond(below, request, response));
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) =>
      reject(misuse("127.0.0.1", `127.0.0.1: ${cause.message}; no proxy can be started`, cause)),
    );
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}/${prefix.slice(0, -1)}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
