import type { Netrc } from "../../gomod/netrc.ts";
import { MissingTiles } from "../../mirror/missing-tiles.ts";
import type { Clock, Ledger, Tree } from "../../mirror/ports.ts";
import type { ServeParts } from "../../mirror/serve.ts";
import type { Egress } from "../egress/egress.ts";
import { type OpenedUpstream, openUpstream } from "./open-upstream.ts";
import { entriesOf, entryNamed, type SumdbEntry, type UpstreamEntry } from "./sources.ts";
import { openSumdb } from "./sumdb-source.ts";
import { watchOf } from "./upstream-gates.ts";
import { generalOf } from "./upstream-router.ts";

export interface TileSourceOptions {
  /** The GOPROXY; its user-info is a secret. */
  readonly url: string | readonly UpstreamEntry[];
  readonly sumdbs: readonly Pick<SumdbEntry, "verifier" | "url" | "upstream">[];
  readonly netrc?: Netrc;
  /** Which proxy leads where; directly unless told otherwise. */
  readonly egress?: Egress;
  readonly tree: Pick<Tree, "get" | "create">;
  /** Where workers note which hosts are not to be asked. */
  readonly ledger: Pick<Ledger, "readItem">;
  readonly now: Clock;
}

/** One exchange, in ms: a client waits for it (mirror/missing-tiles.ts), and a tile has 8 KiB. */
const WHOLE_EXCHANGE = 8_000;

/**
 * Opens where an endpoint gets the tiles that its tree lacks: each database's own address, or the upstream's /sumdb/.
 * @throws MirrorError misuse when an address cannot be one.
 */
export function openTileSources({ url, sumdbs, netrc, egress, tree, ledger, now }: TileSourceOptions): {
  readonly missingTiles: NonNullable<ServeParts["missingTiles"]>;
  close(): Promise<void>;
} {
  const http = { timing: { whole: WHOLE_EXCHANGE }, ...(netrc && { netrc }), ...(egress && { egress }) };
  const entries = entriesOf(url);
  const general = generalOf(entries).name;
  const upstreams = new Map<string, OpenedUpstream>();
  const closing: (() => Promise<void>)[] = [];
  const through = (name: string) => {
    const known = upstreams.get(name);
    if (known !== undefined) return known;
    const { url: address, token, rate } = entryNamed(entries, name);
    const gate = watchOf(address, rate, { ledger, now });
    const opened = openUpstream(address, { ...http, ...(token && { token }), ...(gate && { gate }) });
    closing.push(() => opened.close());
    upstreams.set(name, opened);
    return opened;
  };
  const byName = new Map<string, MissingTiles>();
  for (const { verifier, url: own, upstream = general } of sumdbs) {
    const database = verifier.name;
    const gate = own === undefined ? undefined : watchOf(own, undefined, { ledger, now });
    const opened =
      own === undefined ? undefined : openSumdb(own, database, { ...http, ...(gate && { gate }) });
    if (opened !== undefined) closing.push(() => opened.close());
    const source = opened ?? through(upstream).sumdb(database);
    byName.set(database, new MissingTiles({ database, source, tree, now }));
  }
  return {
    missingTiles: (database) => byName.get(database),
    close: async () => {
      await Promise.all(closing.map((close) => close()));
    },
  };
}
