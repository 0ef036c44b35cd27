import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

const project = join(import.meta.dirname, "../..");
const ROOMS = ["gomod", "sumdb", "mirror", "adapters", "functions", "cli", "infra"];

describe("the order of rooms", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "modferry-rooms-"));
    for (const file of [".dependency-cruiser.cjs", "package.json", "tsconfig.json"]) {
      await cp(join(project, file), join(folder, file));
    }
    await symlink(join(project, "node_modules"), join(folder, "node_modules"));
    for (const room of ROOMS) {
      await mkdir(join(folder, room));
      await writeFile(join(folder, room, "here.ts"), "export const here = 1;\n");
    }
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  async function cruise(cwd: string): Promise<{ code: number; output: string }> {
    const bin = join(project, "node_modules/dependency-cruiser/bin/dependency-cruise.mjs");
    try {
      const { stdout } = await promisify(execFile)(process.execPath, [bin, ...ROOMS], { cwd });
      return { code: 0, output: stdout };
    } catch (error) {
      const { code, stdout } = error as { code: number; stdout: string };
      return { code, output: stdout };
    }
  }

  test("holds in this project, and the check really reads its files", { timeout: 120_000 }, async () => {
    const { code, output } = await cruise(project);
    expect([code, output]).toEqual([0, output]);
    const modules = Number(/\((\d+) modules/.exec(output)?.[1]);
    expect(modules).toBeGreaterThan(100);
  });

  test.each([
    ["gomod/planted.ts", "../mirror/here.ts", "gomod-points-up"],
    ["sumdb/planted.ts", "../mirror/here.ts", "sumdb-points-up"],
    ["mirror/planted.ts", "../adapters/here.ts", "mirror-points-up"],
    ["adapters/planted.ts", "../cli/here.ts", "adapters-points-up"],
    ["functions/planted.ts", "../infra/here.ts", "functions-points-up"],
    ["cli/planted.ts", "../functions/here.ts", "cli-points-up"],
    ["mirror/planted.ts", "node:fs", "pure-rooms-do-no-io"],
    ["gomod/planted.ts", "node:http", "pure-rooms-do-no-io"],
    ["cli/planted.ts", "undici", "sdk-in-adapters-only"],
    ["mirror/planted.ts", "@aws-sdk/client-s3", "sdk-in-adapters-only"],
  ])("%s importing %s is reported as %s", { timeout: 120_000 }, async (file, target, rule) => {
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await writeFile(
      join(folder, file),
      `import * as planted from "${target}";\nexport const use = planted;\n`,
    );
    const { code, output } = await cruise(folder);
    expect(code).not.toBe(0);
    expect(output).toContain(rule);
  });
});
