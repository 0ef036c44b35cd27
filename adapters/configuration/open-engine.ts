import { indexStamp } from "../../gomod/index-stamp.ts";
import { makePolicy, type Policy } from "../../mirror/policy.ts";
import { Subscriptions } from "../../mirror/subscription.ts";
import type { FeedSettings } from "../../mirror/tick.ts";
import { configuredEgress, type Egress } from "../egress/egress.ts";
import { trustExtraCa } from "../egress/root-certificates.ts";
import { HttpModuleIndex } from "../upstream/module-index.ts";
import type { SourceOptions } from "../upstream/sources.ts";
import type { Timing } from "../upstream/timing.ts";
import { type GateOptions, gateOf } from "../upstream/upstream-gates.ts";
import { type TokenStores, upstreamEntries } from "../upstream/upstreams-shape.ts";
import { type EngineConfiguration, feedName } from "./engine.ts";
import { sumdbEntries } from "./sumdb-shape.ts";

/** Where files and proofs come from, as `openSources` takes it. */
export type EngineSources = Required<Pick<SourceOptions, "url" | "sumdbs" | "noSumdb" | "tiles" | "egress">>;

/**
 * The way out of a configuration. An extra CA is trusted from then on by all that this process asks.
 * @param readSecret reads the proxy's login.
 * @throws MirrorError misuse naming the field: a CA file that is none, or a secret that cannot be read here.
 */
export function engineEgress({ egress }: EngineConfiguration, readSecret: TokenStores["secret"]): Egress {
  if (egress.extraCa !== undefined) trustExtraCa(egress.extraCa, "egress.extraCa");
  return configuredEgress(egress, readSecret);
}

/**
 * What a configuration says of sources.
 * @throws MirrorError misuse naming the field: a token that cannot be read here; and as engineEgress.
 */
export function engineSources(
  engine: EngineConfiguration,
  stores: TokenStores,
  egress = engineEgress(engine, stores.secret),
): EngineSources {
  const { upstreams, sumdb, noSumdb, sumdbTiles } = engine;
  return {
    url: upstreamEntries(upstreams, stores),
    sumdbs: sumdbEntries(sumdb),
    noSumdb: noSumdb.join(","),
    tiles: sumdbTiles,
    egress,
  };
}

/** What a configuration says of feeds; nothing is asked yet. */
export function engineFeeds(
  { subscriptions, feeds, maintenance }: EngineConfiguration,
  http: Pick<EngineSources, "egress"> & { readonly timing?: Partial<Timing> },
  gates: GateOptions,
): FeedSettings {
  const { poll } = feeds;
  const modulesPerTick = poll?.modulesPerTick;
  return {
    subscriptions: new Subscriptions(subscriptions),
    indexes: feeds.indexes.map(({ name, url, from }) => {
      const gate = gateOf(url, undefined, gates);
      return {
        name: feedName(name),
        index: new HttpModuleIndex(url, { ...http, ...(gate && { gate }) }),
        ...(from === undefined ? {} : { from: indexStamp(from) }),
      };
    }),
    maintenance,
    ...(poll === undefined ? {} : { poll: modulesPerTick === undefined ? {} : { modulesPerTick } }),
  };
}

/** The feeds of a configuration, by the names of their watermarks. */
export function engineFeedNames({ feeds }: EngineConfiguration): string[] {
  const indexes = feeds.indexes.map(({ name }) => feedName(name));
  return feeds.poll === undefined ? indexes : [...indexes, "poll"];
}

/** Who may come in; undefined where the configuration keeps out nothing. */
export function enginePolicy({ policy }: EngineConfiguration): Policy | undefined {
  const says = policy.rules.length > 0 || Object.keys(policy).some((field) => field !== "rules");
  return says ? makePolicy(policy) : undefined;
}
