import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { ProxySource } from "./cached-upstream.ts";

/** What a go command asked, each path once. */
export interface Asked {
  /** Answered with 200. */
  readonly found: ReadonlySet<string>;
  /** Answered with 404. */
  readonly absent: ReadonlySet<string>;
}

/** A GOPROXY on loopback over any source, which keeps what it was asked. */
export interface Recorder {
  readonly url: string;
  serve(source: ProxySource): void;
  /** What was asked since the last `take`. @throws Error where the source failed: then a recording is worth nothing. */
  take(): Asked;
  close(): Promise<void>;
}

export async function startRecorder(first: ProxySource): Promise<Recorder> {
  let source = first;
  let found = new Set<string>();
  let absent = new Set<string>();
  let failures: unknown[] = [];
  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url ?? "/");
    source.get(path).then(
      (body) => {
        (body === undefined ? absent : found).add(path);
        response.statusCode = body === undefined ? 404 : 200;
        response.end(body ?? "not found\n");
      },
      (error: unknown) => {
        failures.push(error);
        response.statusCode = 502;
        response.end();
      },
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    serve(other) {
      source = other;
    },
    take() {
      const taken = { found, absent };
      const failed = failures;
      found = new Set();
      absent = new Set();
      failures = [];
      if (failed.length > 0) throw new AggregateError(failed, `recorder: ${String(failed[0])}`);
      return taken;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** The module files among paths: `.mod`, `.info` and `.zip` of exact versions. */
export function versionFiles(paths: Iterable<string>): string[] {
  return [...paths].filter((path) => /\/@v\/v[^/]*\.(mod|info|zip)$/.test(path)).sort();
}
