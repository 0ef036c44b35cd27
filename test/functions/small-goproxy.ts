import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { modulePath } from "../../gomod/module-path.ts";
import { version } from "../../gomod/version.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { parseTreeKey, type TreeEntry } from "../../mirror/tree-keys.ts";
import type { MadeUpstream } from "../mirror/made-upstream.ts";

/** A made upstream on loopback, so that the functions' own HTTP client asks it. */
export async function smallGoproxy(made: MadeUpstream): Promise<AsyncDisposable & { readonly url: string }> {
  const server = createServer(async (request, reply) => {
    try {
      const entry = parseTreeKey(decodeURIComponent(request.url ?? "").slice(1));
      if (entry === undefined) throw new MirrorError("absent", "path", "path: none of a GOPROXY's");
      reply.end(await bodyOf(made, entry));
    } catch (error) {
      reply.statusCode = error instanceof MirrorError && error.class === "absent" ? 404 : 500;
      reply.end(String(error));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function bodyOf(made: MadeUpstream, entry: TreeEntry): Promise<Uint8Array> {
  switch (entry.kind) {
    case "list":
    case "latest":
      return made[entry.kind](modulePath(entry.path));
    case "info":
    case "mod":
    case "zip":
      return made[entry.kind]({ path: entry.version.path, version: version(entry.version.version) });
    case "supported":
      return new Uint8Array();
    case "treeHead":
      return made.sumdb().latest();
    case "lookup":
      return made.sumdb().lookup(entry.version);
    case "tile":
      return made.sumdb().tile(entry.tile);
  }
}
