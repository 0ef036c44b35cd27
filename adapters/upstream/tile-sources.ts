import type { Netrc } from "../../gomod/netrc.ts";
import { MissingTiles } from "../../mirror/missing-tiles.ts";
import type { Clock, Tree } from "../../mirror/ports.ts";
import type { ServeParts } from "../../mirror/serve.ts";
import { openUpstream } from "./open-upstream.ts";
import type { SumdbOption } from "./sumdb-option.ts";
import { openSumdb } from "./sumdb-source.ts";

export interface TileSourceOptions {
  /** The GOPROXY; its user-info is a secret. */
  readonly url: string;
  readonly sumdbs: readonly Pick<SumdbOption, "verifier" | "url">[];
  readonly netrc?: Netrc;
  readonly tree: Pick<Tree, "get" | "create">;
  readonly now: Clock;
}

/** One exchange, in ms: a client waits for it (mirror/missing-tiles.ts), and a tile has 8 KiB. */
const WHOLE_EXCHANGE = 8_000;

/**
 * Opens where an endpoint gets the tiles that its tree lacks: each database's own address, or the upstream's /sumdb/.
 * @throws MirrorError misuse when an address cannot be one.
 */
export function openTileSources({ url, sumdbs, netrc, tree, now }: TileSourceOptions): {
  readonly missingTiles: NonNullable<ServeParts["missingTiles"]>;
  close(): Promise<void>;
} {
  const http = { timing: { whole: WHOLE_EXCHANGE }, ...(netrc && { netrc }) };
  const upstream = openUpstream(url, http);
  const closing = [() => upstream.close()];
  const byName = new Map<string, MissingTiles>();
  for (const { verifier, url: own } of sumdbs) {
    const database = verifier.name;
    const opened = own === undefined ? undefined : openSumdb(own, database, http);
    if (opened !== undefined) closing.push(() => opened.close());
    const source = opened ?? upstream.sumdb(database);
    byName.set(database, new MissingTiles({ database, source, tree, now }));
  }
  return {
    missingTiles: (database) => byName.get(database),
    close: async () => {
      await Promise.all(closing.map((close) => close()));
    },
  };
}
