import type { ModuleVersion } from "../gomod/version.ts";
import type { Tile } from "./tile.ts";

/** A checksum database as it answers over the network. Hostile: replies are bounded in size and time, else raw. */
export interface SumdbSource {
  /** The newest signed tree head. */
  latest(): Promise<Uint8Array>;
  /** The reply for one module version. What it throws, such as absent, passes through the client as it is. */
  lookup(version: ModuleVersion): Promise<Uint8Array>;
  /** A tile of exactly this width. When it throws for a partial one, the full tile is asked for and cut. */
  tile(tile: Tile): Promise<Uint8Array>;
}

/** The tiles in our own tree. Trusted no more than the source: what is read is proven again. */
export interface TileStore {
  /** undefined when it is not there. */
  read(tile: Tile): Promise<Uint8Array | undefined>;
}
