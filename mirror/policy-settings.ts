import { z } from "zod";
import { parseVersionRange } from "../gomod/version-range.ts";
import { parsedBy, pathPattern } from "./configuration-field.ts";
import { duration } from "./duration.ts";
import { PINNED } from "./records.ts";
import { vulnerabilityId } from "./vulnerability.ts";

/** Rules of the policy that have no name of their own. */
export const LARGEST_ZIP = "largest-zip";
export const VULNERABILITIES = "vulnerabilities";
export const COOLDOWN = "cooldown";
export const RETRACTED = "retracted";
const OWN_NAMES: readonly string[] = [LARGEST_ZIP, VULNERABILITIES, COOLDOWN, RETRACTED, PINNED];

/** One line of text, so that it can be shown in a 403 (facts: go-client). */
export const reasonText = z
  .string()
  .min(1)
  .max(300)
  .regex(/^[^\p{Cc}\p{Cf}\u2028\u2029]*$/u, "give one line without control characters");

const patterns = z.array(pathPattern).min(1).max(1_000);

const range = parsedBy(parseVersionRange);

const ruleShape = z
  .strictObject({
    /** Shown to whoever is refused. */
    name: z
      .string()
      .regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, 'give up to 64 of a-z, 0-9, ".", "_" and "-"')
      .refine((name) => !OWN_NAMES.includes(name), `must be none of ${OWN_NAMES.join(", ")}`),
    /** What it names comes in, whatever else this policy says. */
    allow: patterns.optional(),
    /** What it names stays out. */
    deny: patterns.optional(),
    /** Of these versions only, such as `>=v1.2.0 <v1.3.0`. */
    versions: range.optional(),
    /** Shown to whoever is refused. */
    reason: reasonText.optional(),
  })
  .superRefine(({ allow, deny, reason }, context) => {
    if ((allow === undefined) === (deny === undefined))
      context.addIssue({ code: "custom", message: "give either allow or deny" });
    if (deny !== undefined && reason === undefined)
      context.addIssue({ code: "custom", path: ["reason"], message: "say why what this denies is denied" });
  });

const anchor = z.strictObject({
  database: z.string().min(1).max(253),
  /** How many records the database had … */
  size: z.int().min(1),
  /** … at this time, which we know: all of them are at least as old. */
  time: z.iso.datetime(),
});

/** The policy's part of the configuration: who may come in. Without it, all may. */
export const policyShape = z
  .strictObject({
    /** In order: the first that names a version decides; then the rest of the policy does. */
    rules: z.array(ruleShape).max(500).default([]),
    /** The largest zip, in bytes. */
    largestZip: z.int().min(1).optional(),
    /** Keeps out what the mirrored Go vulnerability database says is affected. */
    vulnerabilities: z
      .strictObject({ accepted: z.array(vulnerabilityId).max(10_000).default([]) })
      .optional(),
    cooldown: z
      .strictObject({
        /** A version comes in this long after it was first seen by anyone we can prove or trust. */
        age: duration,
        /** Whether what a request's own go.sum pins comes in at once. */
        exempt: z.enum(["gosum", "nothing"]).default("nothing"),
        /** Whether `.info`'s Time counts, which whoever made the version has written. */
        trustTime: z.boolean().default(false),
        /** Heads of checksum databases whose time is known, so that a new mirror is not empty on its first day. */
        anchors: z.array(anchor).max(1_000).default([]),
      })
      .optional(),
  })
  .superRefine(({ rules }, context) => {
    const names = new Set<string>();
    rules.forEach(({ name }, at) => {
      if (names.has(name))
        context.addIssue({ code: "custom", path: ["rules", at, "name"], message: `${name} is there twice` });
      names.add(name);
    });
  });

export type PolicySettings = z.output<typeof policyShape>;
