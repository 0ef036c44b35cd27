import { cp, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWithGo } from "../go-command.ts";
import { fillModuleCache } from "../upstream/module-cache.ts";
import { sampleProjects } from "../upstream/sample-projects.ts";
import { folderSource, type ProxySource } from "./cached-upstream.ts";
import type { Command } from "./commands.ts";
import { compareTier, type TierRows } from "./comparison.ts";
import { type Prediction, predict } from "./prediction.ts";
import type { PreparedProject } from "./prepared-project.ts";
import { type Recorder, startRecorder } from "./recorder.ts";
import { newestToolchain, type Toolchain } from "./toolchains.ts";

/**
 * Together these ask for all of a project's closure. `npm run test:closure` runs every command, with every toolchain and
 * again offline, on more projects.
 */
const COMMANDS: readonly Command[] = [
  { args: ["mod", "graph"] },
  { args: ["mod", "tidy"] },
  { args: ["list", "-m", "all"] },
  { args: ["mod", "download", "all"] },
];
const PROJECTS = sampleProjects();
const TIMEOUT_MS = 240_000;

describeWithGo("the closure of a real project at tier tidy", () => {
  let folder: string;
  let upstream: ProxySource;
  let recorder: Recorder;
  let toolchain: Toolchain;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "modferry-closure-"));
    upstream = folderSource(await fillModuleCache(...PROJECTS.map(({ name }) => name)));
    recorder = await startRecorder(upstream);
    toolchain = await newestToolchain();
  });

  afterAll(async () => {
    await recorder?.close();
    await rm(folder, { recursive: true, force: true });
  });

  async function prepared(name: string): Promise<PreparedProject> {
    const source = PROJECTS.find((project) => project.name === name)?.dir ?? "";
    const dir = await mkdtemp(join(folder, `${name}-`));
    await cp(source, dir, { recursive: true });
    const requestFiles: Record<string, string> = {};
    for (const file of ["go.mod", "go.sum"]) requestFiles[file] = await readFile(join(dir, file), "utf8");
    const subject = { kind: "project", name, files: {}, get: "" } as const;
    return { subject, dir, requestFiles, modules: [""], goLine: "1.16" };
  }

  const compared = (project: PreparedProject, commands: readonly Command[], prediction: Prediction) =>
    compareTier(project, "tidy", commands, prediction, { toolchain, upstream, recorder, quick: true });

  test.each(PROJECTS.map(({ name }) => name))(
    "is what the go command asks, no more and no less (%s)",
    async (name) => {
      const project = await prepared(name);
      const rows = await compared(project, COMMANDS, await predict(project, "tidy", upstream));
      expect(troubles(rows)).toEqual([]);
      expect(rows.excess).toEqual([]);
      expect(rows.predicted.size).toBeGreaterThan(0);
    },
    TIMEOUT_MS,
  );

  test(
    "is reported where it lacks a file that go asks, or has one that go never asks",
    async () => {
      const project = await prepared(PROJECTS[0]?.name ?? "");
      const predicted = await predict(project, "tidy", upstream);
      const lost = [...predicted.files].find((path) => path.endsWith(".mod")) ?? "";
      const surplus = "/example.com/surplus/@v/v1.0.0.mod";
      const wrong = new Set([...predicted.files, surplus].filter((path) => path !== lost));
      const rows = await compared(project, COMMANDS.slice(0, 1), { ...predicted, files: wrong });
      expect(rows.commands[0]?.missing).toEqual([lost]);
      expect(rows.commands[0]?.failed).toContain("404");
      expect(rows.excess).toContain(surplus);
    },
    TIMEOUT_MS,
  );
});

/** What is missing, and go's messages. */
function troubles({ commands }: TierRows): string[] {
  return commands.flatMap(({ command, missing, failed }) =>
    [...missing, ...(failed === undefined ? [] : [failed])].map((trouble) => `${command}: ${trouble}`),
  );
}
