import type { Sha256 } from "../body.ts";
import type { BundleSource } from "./bundle-ports.ts";

/** A bundle as far as it has arrived: its volumes come in any order. */
export interface Arrival {
  readonly source: BundleSource;
  /** What its files are now, in one text: another one once any of them is exchanged, or one more has come. */
  readonly objects: Sha256;
  /** Of the files that every volume has, those of which there is none yet. */
  readonly lacks: readonly string[];
  /** The size of a file of it; undefined where it has not come. */
  sizeOf(name: string): number | undefined;
  /** @throws MirrorError mismatch where volumes have different lists. */
  checkCopies(): Promise<void>;
}

/** Where bundles are left for a mirror, and where it says beside each what has become of it. */
export interface BundleInbox {
  arrivals(): Promise<readonly Arrival[]>;
  /** What was said of it; undefined where nothing was. @param limit most bytes. */
  answer(arrival: Arrival, name: string, limit: number): Promise<Uint8Array | undefined>;
  say(arrival: Arrival, name: string, bytes: Uint8Array): Promise<void>;
  takeBack(arrival: Arrival, name: string): Promise<void>;
}
