import { z } from "zod";
import { FormatError } from "../gomod/format-error.ts";
import { arePathPatterns, matchPrefixPatterns } from "../gomod/path-pattern.ts";
import { formatModuleVersion, type ModuleVersion, parseModuleVersion } from "../gomod/version.ts";
import { sha256Of } from "./body.ts";
import { misuse } from "./errors.ts";
import type { LedgerItem } from "./ledger-entries.ts";
import { reasonText } from "./policy-settings.ts";
import type { Clock, Ledger } from "./ports.ts";
import { RULE_BYTES } from "./records.ts";
import type { Refusal } from "./refusal.ts";

/** What an operator has taken out: one version, or all modules of a pattern, with what comes of them later. */
export interface Block {
  /** `module@version`, or a pattern of module paths as GOPRIVATE has them. */
  readonly name: string;
  readonly reason: string;
  readonly by: string;
  /** In ms since the epoch, as all times here. */
  readonly at: number;
  /** When the last pass began that took out all that it names; absent until one came to its end. */
  readonly applied?: number;
  /** How far the pass has come that is under way, or was when its time was up. */
  readonly progress?: Progress;
  /** When it was lifted: it blocks nothing more, and is kept until no unit of work can still go by it. */
  readonly lifted?: number;
  readonly revision: number;
}

/** How far all that a block names is taken out, or given back once it is lifted. */
export interface Progress {
  /** When the pass began. */
  readonly since: number;
  /** Which step it is at (mirror/block.ts, mirror/unblock.ts); all before it is done. */
  readonly step: "records" | "dependents" | "zips";
  /** Up to where the step is done: `module@version`, or a closure's key in the vault. Absent: it begins. */
  readonly after?: string;
}

/** A block counts in every process this long after it was written at the latest, in ms (docs: within 60 s). */
export const BLOCKS_FRESH = 10_000;

const progressShape = z.object({
  since: z.int().min(0),
  step: z.enum(["records", "dependents", "zips"]),
  after: z.exactOptional(z.string()),
});

const valueShape = z.object({
  reason: reasonText,
  by: z.string().min(1).max(200),
  at: z.int().min(0),
  applied: z.int().min(0).optional(),
  lifted: z.int().min(0).optional(),
  // One that cannot be read begins again.
  progress: progressShape.optional().catch(undefined),
});

/** @throws MirrorError misuse where it is neither `module@version` nor a pattern. */
export function blockName(text: string): string {
  if (!text.includes("@")) {
    if (text.length <= 512 && !text.includes(",") && arePathPatterns(text)) return text;
    throw misuse(
      text,
      `${text}: give module@version, or a pattern of module paths such as example.com/bad or *.example.com`,
    );
  }
  try {
    return formatModuleVersion(parseModuleVersion(text));
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause;
    throw misuse(text, cause.message, cause);
  }
}

export function printBlock({ name, revision, ...value }: Block): LedgerItem {
  return { kind: "block", name, revision, value };
}

/** One that cannot be read blocks all the same, and stops none of the others. */
export function parseBlock({ name, revision, value }: LedgerItem): Block {
  const parsed = valueShape.safeParse(value);
  if (!parsed.success) {
    const reason = "blocked, but why cannot be read; unblock it and block it again";
    return { name, revision, reason, by: "unknown", at: 0 };
  }
  const { applied, lifted, progress, ...rest } = parsed.data;
  const times = {
    ...(progress === undefined ? {} : { progress }),
    ...(applied === undefined ? {} : { applied }),
    ...(lifted === undefined ? {} : { lifted }),
  };
  return { name, revision, ...rest, ...times };
}

/** Every block that is in force, from the ledger. */
export async function readBlocks(ledger: Pick<Ledger, "items">): Promise<Block[]> {
  return (await readAllBlocks(ledger)).filter(({ lifted }) => lifted === undefined);
}

/** Also those that were lifted a short while ago. */
export async function readAllBlocks(ledger: Pick<Ledger, "items">): Promise<Block[]> {
  const blocks: Block[] = [];
  for await (const item of ledger.items("block")) blocks.push(parseBlock(item));
  return blocks;
}

/** Whether a block of this name names the version. */
export function isNamed(name: string, version: ModuleVersion): boolean {
  return name.includes("@") ? name === formatModuleVersion(version) : matchPrefixPatterns(name, version.path);
}

/** The block of these that names the version; one of the very version before a pattern's. */
export function blockOf(blocks: readonly Block[], version: ModuleVersion): Block | undefined {
  const exact = formatModuleVersion(version);
  return (
    blocks.find(({ name }) => name === exact) ??
    blocks.find(({ name }) => !name.includes("@") && matchPrefixPatterns(name, version.path))
  );
}

export function refusalOfBlock(block: Block): Refusal {
  return { state: "BLOCKED", rule: ruleOfBlock(block.name), reason: block.reason };
}

/** A block as a record's `rule`: its name, or the beginning and a digest of one that is too long. */
export function ruleOfBlock(name: string): string {
  const rule = `block ${name}`;
  return Buffer.byteLength(rule) <= RULE_BYTES
    ? rule
    : `${rule.slice(0, RULE_BYTES - 17)}~${sha256Of(Buffer.from(name)).slice(0, 16)}`;
}

interface Cached {
  readonly at: number;
  readonly blocks: Promise<readonly Block[]>;
}

/** For the process that has just changed one. */
export function forgetBlocks(ledger: object): void {
  read.delete(ledger);
}

/** What each process has read of its ledger. */
const read = new WeakMap<object, Cached>();

/**
 * The blocks, read anew where they were read more than BLOCKS_FRESH ago: one ledger query in that time, whatever is
 * asked. A ledger that does not answer is asked again by the next call.
 */
export function freshBlocks(
  ledger: Pick<Ledger, "items">,
  now: Clock,
  freshness = BLOCKS_FRESH,
): Promise<readonly Block[]> {
  const at = now();
  const known = read.get(ledger);
  if (known !== undefined && at - known.at < freshness && at >= known.at) return known.blocks;
  const blocks = readBlocks(ledger);
  const cached = { at, blocks };
  read.set(ledger, cached);
  blocks.catch(() => {
    if (read.get(ledger) === cached) read.delete(ledger);
  });
  return blocks;
}
