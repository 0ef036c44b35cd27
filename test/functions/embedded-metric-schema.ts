import { z } from "zod";

/**
 * Amazon CloudWatch User Guide, Specification: embedded metric format: a document's structure and its limits, and what
 * its target members must hold.
 */
const dimensionSet = z.array(z.string().min(1).max(250)).max(30);
const definition = z.strictObject({
  Name: z.string().min(1).max(1_024),
  Unit: z.enum(["Count", "Bytes", "Milliseconds", "Seconds", "Percent", "None"]).optional(),
  StorageResolution: z.union([z.literal(1), z.literal(60)]).optional(),
});
const directive = z.strictObject({
  Namespace: z
    .string()
    .min(1)
    .max(1_024)
    // Amazon CloudWatch API, MetricDatum: what a namespace may be made of.
    .regex(/^[\w.\-/#: ]+$/),
  Dimensions: z.array(dimensionSet).min(1),
  Metrics: z.array(definition).max(100),
});
const document = z.looseObject({
  _aws: z.strictObject({ Timestamp: z.int().min(0), CloudWatchMetrics: z.array(directive) }),
});
const metricValue = z.union([z.number(), z.array(z.number()).max(100)]);
const dimensionValue = z.string().min(1).max(1_024);

/** The metrics that CloudWatch makes of a log line: by `dimension=value,…` and name. @throws ZodError where it makes none. */
export function metricsOf(line: string): Map<string, number | number[]> {
  expectSize(line);
  const root = document.parse(JSON.parse(line));
  const metrics = new Map<string, number | number[]>();
  for (const { Dimensions, Metrics } of root._aws.CloudWatchMetrics)
    for (const set of Dimensions) {
      const dimensions = set.map((name) => `${name}=${dimensionValue.parse(root[name])}`).join(",");
      for (const { Name } of Metrics) metrics.set(`${dimensions} ${Name}`, metricValue.parse(root[Name]));
    }
  return metrics;
}

/** A CloudWatch log event is at most 256 KB. */
function expectSize(line: string): void {
  if (Buffer.byteLength(line) > 256 * 1024) throw new Error("larger than a log event");
}
