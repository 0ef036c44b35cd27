import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** A GOPROXY on loopback over files in memory, which keeps what it was asked. */
export interface RecordingProxy {
  readonly url: string;
  /** Paths that were asked since the last `take`, decoded, each once. */
  take(): Set<string>;
  /** Serves these files from now on; all else is 404, as the go command expects of a mirror. */
  serve(files: ProxyFiles): void;
  close(): Promise<void>;
}

/** By path, such as `/example.com/a/@v/v1.0.0.mod`. */
export type ProxyFiles = ReadonlyMap<string, string | Uint8Array>;

export async function startRecordingProxy(files: ProxyFiles): Promise<RecordingProxy> {
  let served = files;
  let asked = new Set<string>();
  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url ?? "/");
    asked.add(path);
    const body = served.get(path);
    response.statusCode = body === undefined ? 404 : 200;
    response.end(body ?? "not found\n");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    take() {
      const taken = asked;
      asked = new Set();
      return taken;
    },
    serve(others) {
      served = others;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
