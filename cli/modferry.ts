#!/usr/bin/env node
import { asMirrorError } from "../mirror/errors.ts";
import { closure } from "./closure.ts";
import { type CliEnvironment, readEnvironment } from "./environment.ts";
import { hashFiles } from "./hash.ts";
import { type Options, parseOptions, USAGE } from "./options.ts";
import { type Output, oneLine, processOutput } from "./output.ts";
import { serve } from "./serve.ts";
import { sync } from "./sync.ts";
import { verify } from "./verify.ts";

type Verb = (options: Options, environment: CliEnvironment, output: Output) => Promise<number>;
type Flags = Parameters<typeof parseOptions>[1];

const VERBS: Readonly<Record<string, { readonly run: Verb; readonly flags: Flags }>> = {
  sync: { run: sync, flags: ["mirror", "upstream", "sumdb", "no-sumdb", "tier", "json"] },
  serve: { run: serve, flags: ["mirror", "listen"] },
  verify: { run: verify, flags: ["mirror", "sumdb", "json"] },
  hash: { run: hashFiles, flags: [] },
  closure: { run: closure, flags: ["upstream", "sumdb", "no-sumdb", "tier", "json"] },
};

/** Runs one command line. @returns the exit status: 0, 1 (ended; something is missing or wrong) or 2 (misuse). */
async function main(args: readonly string[], env: NodeJS.ProcessEnv, output: Output): Promise<number> {
  const [name = "help", ...rest] = args;
  if (["help", "-h", "--help"].includes(name) || rest.includes("--help") || rest.includes("-h")) {
    output.print(USAGE);
    return 0;
  }
  const verb = VERBS[name];
  if (verb === undefined) {
    output.error(
      `modferry: ${oneLine(name)}: no such verb; there are ${Object.keys(VERBS).join(", ")} (modferry help)`,
    );
    return 2;
  }
  try {
    const environment = readEnvironment(env);
    return await verb.run(parseOptions(name, verb.flags, rest, environment), environment, output);
  } catch (thrown) {
    const error = asMirrorError(thrown, `modferry ${name}`);
    for (const line of error.message.split("\n")) output.error(`modferry: ${oneLine(line)}`);
    return error.class === "misuse" ? 2 : 1;
  }
}

// A reader that goes away (`modferry … | head`) ends the process, not with a stack trace.
process.stdout.on("error", () => process.exit(1));
process.exitCode = await main(process.argv.slice(2), process.env, processOutput());
