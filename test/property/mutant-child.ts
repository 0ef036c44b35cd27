import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { GARBAGE_MUTANTS } from "./garbage/garbage-mutants.ts";
import { MUTANTS } from "./mutants.ts";

/**
 * To be loaded before all else (`node --import`): this process reads one source file with the bug in it that
 * MODFERRY_MUTANT names. Ends with exit code 3 where the place is not there, or there twice: then the mutant is to be
 * written anew.
 */
const name = process.env.MODFERRY_MUTANT;
const mutant = [...MUTANTS, ...GARBAGE_MUTANTS].find((known) => known.name === name);
if (mutant === undefined) give(`no mutant is named ${JSON.stringify(name)}`);
else {
  const path = join(import.meta.dirname, "../..", mutant.file);
  const parts = readFileSync(path, "utf8").split(mutant.find);
  if (parts.length !== 2) give(`${mutant.file} has the mutant's place ${parts.length - 1} times, not once`);
  registerHooks({
    load(url, context, next) {
      if (!url.startsWith("file:") || fileURLToPath(url) !== path) return next(url, context);
      // Node strips the types of what it is given back.
      return { ...next(url, context), source: parts.join(mutant.replace), shortCircuit: true };
    },
  });
}

function give(problem: string): never {
  process.stderr.write(`${problem}\n`);
  process.exit(3);
}
