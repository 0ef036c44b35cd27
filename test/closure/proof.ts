/**
 * `npm run test:closure`: for real roots of varied shape, what gomod/closure.ts predicts is compared with what the go
 * command asks, for each command of each tier with three toolchains, and each command is run again against the
 * predicted files alone. Options `--subject`, `--toolchain`, `--tier` take a part of a name; `--out FILE` keeps the table;
 * `--quick` leaves out runs that would get the same answers again.
 */
import { appendFile, writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import type { Tier } from "../../gomod/closure.ts";
import { cachedUpstream } from "./cached-upstream.ts";
import { commandsOf, TIERS } from "./commands.ts";
import { type Bench, compareTier, isolatedClient, type TierRows } from "./comparison.ts";
import { predict } from "./prediction.ts";
import { type PreparedProject, prepareProject } from "./prepared-project.ts";
import { SUBJECTS } from "./projects.ts";
import { startRecorder } from "./recorder.ts";
import { findings, type SubjectRows, TABLE_HEAD, tableLines } from "./report.ts";
import {
  newestToolchain,
  OLDER_TOOLCHAINS,
  olderToolchain,
  type Toolchain,
  takesGoLine,
} from "./toolchains.ts";

const { values: options } = parseArgs({
  options: {
    subject: { type: "string", default: "" },
    toolchain: { type: "string", default: "" },
    tier: { type: "string", default: "" },
    out: { type: "string" },
    quick: { type: "boolean", default: false },
  },
});

await main();

async function main(): Promise<void> {
  const { quick } = options;
  const upstream = await cachedUpstream();
  const recorder = await startRecorder(upstream);
  const newest = await newestToolchain();
  const toolchains: Toolchain[] = [];
  for (const version of OLDER_TOOLCHAINS)
    if (version.includes(options.toolchain)) toolchains.push(await olderToolchain(version));
  if (newest.version.includes(options.toolchain)) toolchains.push(newest);
  const maker = await isolatedClient(newest, recorder.url);
  const total = { commands: 0, asked: 0, missing: 0, failed: 0, tooOld: 0, tidyExcess: 0 };
  const notes: string[] = [];
  if (options.out !== undefined) await writeFile(options.out, "");
  await print(TABLE_HEAD);
  try {
    for (const subject of SUBJECTS.filter(({ name }) => name.includes(options.subject))) {
      recorder.serve(upstream);
      const project = await prepareProject(subject, maker);
      for (const toolchain of toolchains) {
        if (!takesGoLine(toolchain, project.goLine)) {
          notes.push(
            `${subject.name}: go ${toolchain.version} skipped: the main module says go ${project.goLine}`,
          );
          continue;
        }
        const tiers = await compareTiers(project, { toolchain, upstream, recorder, quick });
        const rows: SubjectRows = { subject: subject.name, toolchain: toolchain.version, tiers };
        await print(tableLines(rows).join("\n"));
        notes.push(...findings(rows));
        for (const { tier, commands, excess } of tiers) {
          total.commands += commands.length;
          if (tier === "tidy" && subject.kind !== "wish") total.tidyExcess += excess.length;
          for (const { asked, missing, failed, tooOld } of commands) {
            total.asked += asked.length;
            total.missing += missing.length;
            if (failed !== undefined) total.failed++;
            if (tooOld !== undefined) total.tooOld++;
          }
        }
      }
    }
  } finally {
    await recorder.close();
    await maker.dispose();
  }
  await print(["", ...notes].join("\n"));
  await print(
    `\n${total.commands} commands asked ${total.asked} files: ${total.missing} missing, ${total.failed} commands failed ` +
      `(${total.tooOld} need a newer go, online too), ` +
      `${total.tidyExcess} files in excess of L∪S and S for main modules at tier tidy; ` +
      `${upstream.asked()} files asked of the real upstream`,
  );
  if (total.missing + total.failed + total.tidyExcess > 0 || total.commands === 0) process.exitCode = 1;
}

async function compareTiers(project: PreparedProject, bench: Bench): Promise<TierRows[]> {
  const tiers: TierRows[] = [];
  const askedBefore = new Set<string>();
  for (const tier of TIERS.filter((name: Tier) => name.includes(options.tier))) {
    const commands = commandsOf(project, tier, bench.toolchain);
    if (commands.length === 0) continue;
    const prediction = await predict(project, tier, bench.upstream);
    const lost = [...askedBefore].find((path) => !prediction.files.has(path));
    if (lost !== undefined)
      throw new Error(`${project.subject.name}: tier ${tier}: lacks ${lost} of the tier before`);
    const rows = await compareTier(project, tier, commands, prediction, bench, askedBefore);
    for (const { asked, missing } of rows.commands)
      for (const path of asked) if (!missing.includes(path)) askedBefore.add(path);
    tiers.push(rows);
  }
  return tiers;
}

async function print(text: string): Promise<void> {
  console.log(text);
  if (options.out !== undefined) await appendFile(options.out, `${text}\n`);
}
