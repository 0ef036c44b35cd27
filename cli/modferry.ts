#!/usr/bin/env node
import { isZipThread } from "../adapters/local/zip-threads.ts";
import { asMirrorError, type MirrorError, misuse } from "../mirror/errors.ts";
import { currentTrace, newTraceId, withTrace } from "../mirror/trace.ts";
import { block, unblock } from "./block.ts";
import { closure } from "./closure.ts";
import { CommandLog } from "./command-log.ts";
import { type CliEnvironment, readEnvironment } from "./environment.ts";
import { explain } from "./explain.ts";
import { exportVerb } from "./export.ts";
import { type Flag, splitCommand } from "./flags.ts";
import { gc } from "./gc.ts";
import { hashFiles } from "./hash.ts";
import { importVerb } from "./import.ts";
import { inspect } from "./inspect.ts";
import { keygen } from "./keygen.ts";
import { type Options, parseOptions } from "./options.ts";
import { type Output, oneLine, processOutput } from "./output.ts";
import { pause, resume } from "./pause.ts";
import { pull } from "./pull.ts";
import { rebuildLedgerVerb } from "./rebuild-ledger.ts";
import { rebuildTreeVerb } from "./rebuild-tree.ts";
import { receipt } from "./receipt.ts";
import { record } from "./record.ts";
import { rehearse } from "./rehearse.ts";
import { request } from "./request.ts";
import { resolveConflict } from "./resolve-conflict.ts";
import { retry } from "./retry.ts";
import { rollbackVerb } from "./rollback.ts";
import { scrub } from "./scrub.ts";
import { serve } from "./serve.ts";
import { snapshot } from "./snapshot.ts";
import { status } from "./status.ts";
import { sync } from "./sync.ts";
import { USAGE } from "./usage.ts";
import { verify } from "./verify.ts";
import { VERSION } from "./version.ts";
import { watch } from "./watch.ts";
import { zip } from "./zip.ts";

type Verb = (options: Options, environment: CliEnvironment, output: Output) => Promise<number>;

interface VerbLine {
  readonly run: Verb;
  readonly flags: readonly Flag[];
  /** Whether it takes arguments beside its flags. */
  readonly takes: "arguments" | "flags only";
  /** Whether a command follows after `--`. */
  readonly runs?: "a command";
  /** Stops cleanly by itself; else a signal ends it where it is, which is as good as any crash. */
  readonly handlesSignals?: true;
}

const VERBS: Readonly<Record<string, VerbLine>> = {
  sync: {
    run: sync,
    flags: [
      "mirror",
      "upstream",
      "sumdb",
      "no-sumdb",
      "tier",
      "graph",
      "tiles",
      "refill-tiles",
      "clear-fork",
      "config",
      "once",
      "every",
      "from-modcache",
      "refresh",
      "vulndb",
      "name",
      "json",
      "log",
      "metrics",
    ],
    takes: "arguments",
  },
  serve: {
    run: serve,
    flags: ["mirror", "listen", "upstream", "sumdb", "log"],
    takes: "flags only",
    handlesSignals: true,
  },
  verify: { run: verify, flags: ["mirror", "sumdb", "json"], takes: "flags only" },
  scrub: {
    run: scrub,
    flags: [
      "mirror",
      "quick",
      "stored",
      "deep",
      "batch",
      "shard",
      "upstream",
      "sumdb",
      "no-sumdb",
      "config",
      "json",
    ],
    takes: "flags only",
  },
  snapshot: { run: snapshot, flags: ["mirror", "full", "reason", "by", "json"], takes: "arguments" },
  status: { run: status, flags: ["mirror", "state", "limit", "json"], takes: "flags only" },
  retry: { run: retry, flags: ["mirror", "config", "sumdb", "no-sumdb", "json"], takes: "arguments" },
  "resolve-conflict": {
    run: resolveConflict,
    flags: ["mirror", "keep", "take", "reason", "by", "config", "sumdb", "no-sumdb", "json"],
    takes: "arguments",
  },
  pause: { run: pause, flags: ["mirror", "until", "reason", "json"], takes: "flags only" },
  resume: { run: resume, flags: ["mirror", "json"], takes: "flags only" },
  request: {
    run: request,
    flags: ["mirror", "name", "wait", "timeout", "tier", "graph", "json"],
    takes: "arguments",
  },
  watch: {
    run: watch,
    flags: ["mirror", "upstream", "sumdb", "no-sumdb", "tier", "graph", "tiles", "config", "timeout", "json"],
    takes: "arguments",
    handlesSignals: true,
  },
  pull: { run: pull, flags: ["mirror", "to", "delete", "checksum", "json"], takes: "flags only" },
  gc: {
    run: gc,
    flags: ["mirror", "config", "sumdb", "no-sumdb", "dry-run", "drop", "approve", "by", "json"],
    takes: "flags only",
  },
  block: { run: block, flags: ["mirror", "reason", "by", "json"], takes: "arguments" },
  unblock: { run: unblock, flags: ["mirror", "by", "json"], takes: "arguments" },
  explain: { run: explain, flags: ["mirror", "config", "json"], takes: "arguments" },
  "rebuild-ledger": {
    run: rebuildLedgerVerb,
    flags: ["mirror", "sumdb", "no-sumdb", "config", "json"],
    takes: "flags only",
  },
  "rebuild-tree": {
    run: rebuildTreeVerb,
    flags: ["mirror", "from", "bundles", "trust", "upstream", "sumdb", "no-sumdb", "tiles", "config", "json"],
    takes: "flags only",
  },
  rollback: { run: rollbackVerb, flags: ["mirror", "by", "json"], takes: "arguments" },
  export: {
    run: exportVerb,
    flags: ["mirror", "since", "full", "needs", "to", "volume-size", "format", "key", "introduce", "json"],
    takes: "flags only",
  },
  import: {
    run: importVerb,
    flags: ["mirror", "trust", "sumdb", "no-sumdb", "to", "json"],
    takes: "arguments",
  },
  inspect: { run: inspect, flags: ["mirror", "trust", "report", "to", "json"], takes: "arguments" },
  receipt: { run: receipt, flags: ["mirror", "key", "trust", "to", "json"], takes: "arguments" },
  keygen: { run: keygen, flags: ["to", "json"], takes: "arguments" },
  hash: { run: hashFiles, flags: [], takes: "arguments" },
  zip: {
    run: zip,
    flags: ["git", "rev", "subdir", "module", "version", "to", "json"],
    takes: "arguments",
  },
  closure: {
    run: closure,
    flags: ["upstream", "sumdb", "no-sumdb", "tier", "graph", "json"],
    takes: "arguments",
  },
  record: {
    run: record,
    flags: ["to", "mirror", "name", "upstream", "sumdb", "no-sumdb", "tier", "graph", "tiles", "json"],
    takes: "flags only",
    runs: "a command",
  },
  rehearse: {
    run: rehearse,
    flags: ["mirror", "tier", "graph", "json"],
    takes: "arguments",
    runs: "a command",
  },
};

/** As many different causes are shown of work that failed in several ways. */
const MOST_CAUSES = 5;

/** Runs one command line. @returns the exit status: 0, 1 (ended; something is missing or wrong) or 2 (misuse). */
async function main(args: readonly string[], env: NodeJS.ProcessEnv, output: Output): Promise<number> {
  const [name = "help", ...rest] = args;
  const { own, command } = splitCommand(rest);
  if (["help", "-h", "--help"].includes(name) || own.includes("--help") || own.includes("-h")) {
    output.print(USAGE);
    return 0;
  }
  if (["version", "--version"].includes(name)) {
    output.print(`modferry ${VERSION}`);
    return 0;
  }
  const verb = Object.hasOwn(VERBS, name) ? VERBS[name] : undefined;
  if (verb === undefined) {
    output.error(
      `modferry: ${oneLine(name)}: no such verb; there are ${Object.keys(VERBS).join(", ")} (modferry help)`,
    );
    return 2;
  }
  return await withTrace(newTraceId(), () => runVerb(name, verb, { rest, own, command }, env, output));
}

/** What follows a verb's name: all of it, and split at the first `--`. */
interface Given {
  readonly rest: readonly string[];
  readonly own: readonly string[];
  readonly command: readonly string[];
}

async function runVerb(
  name: string,
  verb: VerbLine,
  { rest, own, command }: Given,
  env: NodeJS.ProcessEnv,
  output: Output,
): Promise<number> {
  const log = asksForLog(own) ? new CommandLog(output, name) : undefined;
  try {
    const environment = readEnvironment(env);
    if (verb.runs !== undefined) requireCommand(name, command);
    const options =
      verb.runs === undefined
        ? parseOptions(name, verb.flags, rest, environment)
        : parseOptions(name, verb.flags, own, environment, command);
    const surplus = options.arguments[0];
    if (verb.takes === "flags only" && surplus !== undefined)
      throw misuse(surplus, `${surplus}: \`modferry ${name}\` takes flags only (modferry help)`);
    if (verb.handlesSignals === undefined) exitOnSignals(output, log);
    return await verb.run(options, environment, output);
  } catch (thrown) {
    const errors = causesOf(thrown, name);
    const status = errors.every((error) => error.class === "misuse") ? 2 : 1;
    if (log !== undefined) {
      const message = status === 2 ? "command is misused" : "command failed";
      for (const error of errors) log.failure("command-failed", message, error);
      return status;
    }
    const lines = new Set(errors.flatMap((error) => error.message.split("\n")));
    for (const line of lines) output.error(`modferry: ${oneLine(line)}`);
    return status;
  }
}

/** Whether stderr is to be a log: known before the flags are read, since what is wrong with them belongs there too. */
function asksForLog(args: readonly string[]): boolean {
  return args.some((arg, at) => arg === "--log=json" || (arg === "--log" && args[at + 1] === "json"));
}

function requireCommand(name: string, [file = ""]: readonly string[]): void {
  if (file !== "") return;
  throw misuse("COMMAND", `no command: give one after --, such as: modferry ${name} … -- go test ./...`);
}

/** What went wrong, and not only that several things did. */
function causesOf(thrown: unknown, subject: string): MirrorError[] {
  const causes = thrown instanceof AggregateError ? thrown.errors.slice(0, MOST_CAUSES) : [thrown];
  return causes.map((cause) => asMirrorError(cause, subject));
}

/** A shell's own statuses for these: 128 and the signal's number. */
function exitOnSignals(output: Output, log: CommandLog | undefined): void {
  const trace = currentTrace();
  for (const [signal, status] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const) {
    process.once(signal, () => {
      const labels = { signal };
      const entry = {
        level: "warn",
        action: "stopped",
        message: "command is stopped by a signal",
        labels,
      } as const;
      if (log === undefined) output.error(`modferry: stopped by ${signal}; run it again to go on`);
      else if (trace === undefined) log.write(entry);
      else withTrace(trace, () => log.write(entry));
      process.exit(status);
    });
  }
}

// The single file is also what its own threads run (adapters/local/zip-threads.ts).
if (!isZipThread) {
  // A reader that goes away (`modferry … | head`) ends the process, not with a stack trace.
  process.stdout.on("error", () => process.exit(1));
  process.exitCode = await main(process.argv.slice(2), process.env, processOutput());
}
