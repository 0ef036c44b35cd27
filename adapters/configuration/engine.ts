import { z } from "zod";
import { indexStamp } from "../../gomod/index-stamp.ts";
import { parsedBy, pathPattern } from "../../mirror/configuration-field.ts";
import { misuse } from "../../mirror/errors.ts";
import { garbageShape } from "../../mirror/garbage/settings.ts";
import { INDEX_FEED, isBackfill } from "../../mirror/orders.ts";
import { maintenanceWindows } from "../../mirror/pause.ts";
import { policyShape } from "../../mirror/policy.ts";
import { snapshotsShape } from "../../mirror/snapshot/schedule.ts";
import { subscriptions } from "../../mirror/subscription.ts";
import { PUBLIC_DATABASE_KEY } from "../../sumdb/known-databases.ts";
import { TILE_EXTENTS } from "../../sumdb/tile-extent.ts";
import { egressShape } from "../egress/egress.ts";
import { upstreamsShape } from "../upstream/upstreams-shape.ts";
import { bundlesShape } from "./bundles-shape.ts";
import { plainUrl } from "./fields.ts";
import { issueText } from "./issue-text.ts";
import { sumdbShape } from "./sumdb-shape.ts";

const index = z.strictObject({
  /** Of several: the feed is then `index.<name>`. */
  name: z
    .string()
    .regex(/^[a-z][a-z0-9-]{0,31}$/, "lower-case letters, digits and hyphens, at most 32")
    .refine((name) => !isBackfill(feedName(name)), "is what a feed's requests for old versions are called")
    .optional(),
  /** Its address; `/index` is asked below it. */
  url: plainUrl,
  /** Where a mirror that has never read it begins, in UTC with microseconds at most; left out: now. */
  from: parsedBy(indexStamp).optional(),
});

/** Where new versions are learnt. */
const feeds = z
  .strictObject({
    /** Module indexes. */
    indexes: z.array(index).max(16).default([]),
    /** Lists of subscribed modules that are asked in turn, for upstreams without an index. */
    poll: z.strictObject({ modulesPerTick: z.int().min(1).max(100_000).optional() }).optional(),
  })
  .superRefine(({ indexes }, context) => {
    indexes.forEach(({ name }, at) => {
      if (indexes.findIndex((other) => other.name === name) < at) {
        const message = name === undefined ? "left out twice; name all but one" : `${name} is there twice`;
        context.addIssue({ code: "custom", path: ["indexes", at, "name"], message });
      }
    });
  })
  .default({ indexes: [] });

/** The fields of a configuration that say what is mirrored, from where, and under which policy: wherever it runs. */
export const engineFields = {
  upstreams: upstreamsShape,
  sumdb: sumdbShape,
  /**
   * How many of each database's tiles are held: `needed`, `upper` (all above the lowest level) or `full`, 2 GB of the
   * public one, for islands and static copies of the tree (sumdb/tile-extent.ts).
   */
  sumdbTiles: z.enum(TILE_EXTENTS).default("upper"),
  /** GONOSUMDB patterns of module paths that no checksum database covers. */
  noSumdb: z.array(pathPattern).max(1_000).default([]),
  subscriptions,
  feeds,
  /** The Go vulnerability database that is mirrored: what GOVULNDB would name. */
  vulndb: z.strictObject({ url: plainUrl }).optional(),
  policy: policyShape.prefault({}),
  egress: egressShape.prefault({}),
  /** Times of the week in which no feed is read, in UTC. */
  maintenance: maintenanceWindows.default([]),
  /** How often a snapshot is taken, and how long it is kept; left out: by hand alone. */
  snapshots: snapshotsShape.optional(),
  /** What is kept that nothing asks for any more, and for how long (docs/garbage.md). */
  garbage: garbageShape.prefault({}),
  /** Bundles that a deployed mirror takes from its inbox; left out: none. */
  bundles: bundlesShape.optional(),
};

/** What fields of a configuration say of one another. */
export function checkEngine(
  { upstreams, sumdb, subscriptions: wanted, feeds: learnt, policy, vulndb }: EngineConfiguration,
  context: z.RefinementCtx,
): void {
  const issue = (path: string[], message: string) => context.addIssue({ code: "custom", path, message });
  if (wanted.length > 0 && learnt.indexes.length === 0 && learnt.poll === undefined)
    issue(
      ["subscriptions"],
      'nothing would be found of them, for there are no feeds; give feeds too, such as {"poll": {}}',
    );
  if (policy.vulnerabilities !== undefined && vulndb === undefined)
    issue(
      ["policy", "vulnerabilities"],
      "asks a vulnerability database, and none is mirrored; give vulndb too",
    );
  // A key that is none is the shape's to name: its fields' own checks do not keep this one from being asked.
  const databases = [PUBLIC_DATABASE_KEY, ...sumdb.map(({ key }) => key)].map((key) => key.split("+", 1)[0]);
  policy.cooldown?.anchors.forEach(({ database }, at) => {
    if (databases.includes(database)) return;
    const message = `${JSON.stringify(database)}: no checksum database of that name; there are ${databases.join(", ")}`;
    context.addIssue({ code: "custom", path: ["policy", "cooldown", "anchors", at, "database"], message });
  });
  sumdb.forEach(({ upstream }, at) => {
    if (upstream === undefined || upstreams.some(({ name }) => name === upstream)) return;
    const names = upstreams.map(({ name }) => name).join(", ");
    const message = `${JSON.stringify(upstream)}: no upstream of that name; there are ${names}`;
    context.addIssue({ code: "custom", path: ["sumdb", at, "upstream"], message });
  });
}

/** Where a deployed function finds it, beside its code: an environment of 4 KB (AWS Lambda quotas) does not hold it. */
export const ENGINE_FILE = "engine.json";

/** And the certificates that its `egress.extraCa` names. */
export const EXTRA_CA_FILE = "extra-ca.pem";

const engine = z.strictObject(engineFields);
export type EngineConfiguration = z.output<typeof engine>;

/** Of a whole configuration, what the engine has to know. */
export function engineOf(configuration: EngineConfiguration): EngineConfiguration {
  const fields = Object.keys(engineFields).map((field) => [
    field,
    configuration[field as keyof EngineConfiguration],
  ]);
  return Object.fromEntries(fields) as EngineConfiguration;
}

/** Reads what engineOf has given, as JSON; a function finds it beside its code. @throws MirrorError misuse. */
export function parseEngine(text: string): EngineConfiguration {
  const parsed = engine.superRefine(checkEngine).safeParse(JSON.parse(text));
  if (parsed.success) return parsed.data;
  const { field, problem } = issueText(parsed.error.issues);
  throw misuse(field, `configuration: ${field}: ${problem}`);
}

/** Of an index: the name of its watermark, and of the requests that it makes. */
export function feedName(name: string | undefined): string {
  return name === undefined ? INDEX_FEED : `${INDEX_FEED}.${name}`;
}
