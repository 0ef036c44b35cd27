import { z } from "zod";
import { parsedBy, pathPattern } from "../../mirror/configuration-field.ts";
import { PUBLIC_DATABASE_KEY } from "../../sumdb/known-databases.ts";
import { parseVerifierKey } from "../../sumdb/note.ts";
import type { SumdbEntry } from "../upstream/sources.ts";
import { parseSumdbs, printSumdb, type SumdbOption } from "../upstream/sumdb-option.ts";
import { plainUrl } from "./fields.ts";

const database = z.strictObject({
  /** Its verifier key, as GOSUMDB has it. */
  key: parsedBy(parseVerifierKey),
  /** Its own address; without it, it is asked through an upstream's /sumdb/. */
  url: plainUrl.optional(),
  /** Through which upstream, by name; left out: the one that takes what no other one names. */
  upstream: z.string().optional(),
  /** GONOSUMDB patterns of the module paths that it covers; left out: all that no other database names, `*`: all. */
  modules: z.array(pathPattern).min(1).optional(),
});

type Database = z.output<typeof database>;

/** `sumdb` of the configuration: of those that cover a module the first must have it, and all that have it must agree. */
export const sumdbShape = z
  .array(database)
  .min(1, "name at least one, or leave it out for the public one")
  .default([{ key: PUBLIC_DATABASE_KEY }])
  .superRefine((databases, context) => {
    try {
      sumdbOptions(databases);
    } catch (error) {
      const message = error instanceof Error ? error.message.replace(/^--sumdb: /, "") : String(error);
      context.addIssue({ code: "custom", message });
    }
  });

/** Of all databases, with the public one where it covers the rest. @throws MirrorError misuse. */
export function sumdbEntries(databases: readonly Database[]): readonly SumdbEntry[] {
  return sumdbOptions(databases).map(({ verifier, url, modules }, at) => {
    const { upstream } = databases[at] ?? {};
    return { verifier, url, modules, ...(upstream === undefined ? {} : { upstream }) };
  });
}

/** As `--sumdb` has them, in their order; one may be added at the end. */
function sumdbOptions(databases: readonly Database[]): readonly SumdbOption[] {
  return parseSumdbs(
    databases.map(({ key, url, modules }) => printSumdb({ key, url, modules: modules?.join(",") })),
  );
}
