import type { CommandRow, TierRows } from "./comparison.ts";

/** All that one subject with one toolchain showed. */
export interface SubjectRows {
  readonly subject: string;
  readonly toolchain: string;
  readonly tiers: readonly TierRows[];
}

/** Files named in full below the table, for each finding. */
const NAMED = 40;

export const TABLE_HEAD = [
  "| subject | go | tier | command | asked .mod/.info/.zip | predicted | missing | excess | offline |",
  "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
].join("\n");

/** One line for each command, and one for the tier as a whole, whose excess is what none of its commands asked. */
export function tableLines({ subject, toolchain, tiers }: SubjectRows): string[] {
  return tiers.flatMap(({ tier, predicted, commands, excess }) => [
    ...commands.map((row) =>
      line(subject, toolchain, tier, row.command, counts(row.asked), "", missingCell(row), "", passed(row)),
    ),
    line(
      subject,
      toolchain,
      tier,
      "**all**",
      counts(union(commands)),
      counts([...predicted]),
      String(sum(commands.map(({ missing }) => missing.length))),
      counts(excess),
      commands.every(({ failed }) => failed === undefined) ? "pass" : "FAIL",
    ),
  ]);
}

/** What is behind the figures: each missing file, each message of go, and what is in excess. */
export function findings({ subject, toolchain, tiers }: SubjectRows): string[] {
  const texts: string[] = [];
  for (const { tier, commands, excess, unusable } of tiers) {
    const where = `${subject}, go ${toolchain}, tier ${tier}`;
    if (unusable.length > 0)
      texts.push(`${where}: offered upstream, of no use, not listed:\n${named(unusable)}`);
    for (const { command, missing, byList, failed, tooOld } of commands) {
      if (missing.length > 0) texts.push(`${where}, ${command}: missing:\n${named(missing)}`);
      if (byList.length > 0)
        texts.push(`${where}, ${command}: asked for upstream's lists:\n${named(byList)}`);
      if (tooOld !== undefined) texts.push(`${where}, ${command}: fails online, too: ${tooOld}`);
      if (failed !== undefined) texts.push(`${where}, ${command}: failed: ${failed}`);
    }
    if (excess.length > 0) texts.push(`${where}: in excess:\n${named(excess)}`);
  }
  return texts;
}

function line(...cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}

function missingCell({ missing, byList }: CommandRow): string {
  return byList.length === 0 ? String(missing.length) : `${missing.length} (by list ${byList.length})`;
}

function passed({ failed, tooOld }: CommandRow): string {
  if (tooOld !== undefined) return "needs a newer go";
  return failed === undefined ? "pass" : "FAIL";
}

/** Such as `144/106/42`. */
function counts(paths: readonly string[]): string {
  return ["mod", "info", "zip"]
    .map((kind) => paths.filter((path) => path.endsWith(`.${kind}`)).length)
    .join("/");
}

function union(rows: readonly CommandRow[]): string[] {
  return [...new Set(rows.flatMap(({ asked }) => asked))];
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function named(paths: readonly string[]): string {
  const shown = paths.slice(0, NAMED).map((path) => `  ${path}`);
  if (paths.length > NAMED) shown.push(`  … ${paths.length - NAMED} more`);
  return shown.join("\n");
}
