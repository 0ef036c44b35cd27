import { execFile, execFileSync } from "node:child_process";
import { cp, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const PROJECT = join(import.meta.dirname, "../..");
const TIMEOUT = 300_000;

/** Where this process may make one, a network of nothing but a loopback that is down. */
const NO_NETWORK = (() => {
  try {
    execFileSync("unshare", ["--net", "true"], { stdio: "ignore" });
    return ["unshare", "--net"];
  } catch {
    return [];
  }
})();

describe("npm run package", () => {
  let folder: string;
  let root: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "modferry-package-test-"));
    // dist/ is in use by other tests.
    const copy = join(folder, "project");
    const left = new Set(["node_modules", ".git", ".modferry", "dist", "cdk.out", "modferry-mirror"]);
    for (const name of await readdir(PROJECT))
      if (!left.has(name)) await cp(join(PROJECT, name), join(copy, name), { recursive: true });
    await symlink(join(PROJECT, "node_modules"), join(copy, "node_modules"));
    const { stdout } = await promisify(execFile)(process.execPath, ["package.ts"], { cwd: copy });
    const archive = stdout.trim().split("\n").at(-1) ?? "";
    root = join(folder, "opt");
    execFileSync("mkdir", [root]);
    execFileSync("tar", ["-xzf", archive, "-C", root]);
    root = join(root, (await readdir(root))[0] ?? "");
  }, TIMEOUT);
  afterAll(() => rm(folder, { recursive: true, force: true }));

  /** With no network, no Node on the path, and nothing of npm's in the environment. */
  const run = async (
    program: string,
    args: readonly string[],
    more: Readonly<Record<string, string>> = {},
  ) => {
    const [file = program, ...rest] = [...NO_NETWORK, program, ...args];
    const env = { PATH: "/usr/bin:/bin", HOME: folder, ...more };
    return await promisify(execFile)(file, rest, { env, cwd: folder });
  };

  test("has a command line that needs nothing beside it, also through a link", async () => {
    expect((await run(join(root, "bin/modferry"), ["version"])).stdout).toMatch(/^modferry \d/);
    const goMod = join(folder, "go.mod");
    await writeFile(goMod, "module example.com/a\n");
    const link = join(folder, "modferry");
    await symlink(join(root, "bin/modferry"), link);
    const { stdout, stderr } = await run(link, ["hash", goMod]);
    expect({ stdout: stdout.slice(0, 3), stderr }).toEqual({ stdout: "h1:", stderr: "" });
  });

  test("has the AWS SDK in the same file, which is read when a deployed mirror is asked for", async () => {
    const asked = run(join(root, "bin/modferry"), ["status", "--mirror", "aws:modferry@us-east-1"], {
      AWS_ENDPOINT_URL: "http://127.0.0.1:9",
      AWS_ACCESS_KEY_ID: "test",
      AWS_SECRET_ACCESS_KEY: "test",
    });
    await expect(asked).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /^modferry: aws:modferry@us-east-1: .*; check the region, and the way to AWS.*\n$/,
      ),
    });
    const kms = run(join(root, "bin/modferry"), ["receipt", "--key", "kms:a.example=alias/a"], {
      AWS_REGION: "us-east-1",
      AWS_EC2_METADATA_DISABLED: "true",
    });
    await expect(kms).rejects.toMatchObject({
      stderr: expect.stringMatching(/KMS: CredentialsProviderError/),
    });
  });

  test(
    "has the stacks, with the code of their functions, and the CDK that deploys them",
    async () => {
      const { stdout } = await run(join(root, "bin/cdk"), ["list"]);
      expect(stdout.trim().split("\n").sort()).toEqual(
        ["modferry-endpoint", "modferry-pipeline", "modferry-storage"].sort(),
      );
      const assets = (await readdir(join(root, "cdk.out"))).filter((name) => name.startsWith("asset."));
      const code = await Promise.all(assets.map((name) => readdir(join(root, "cdk.out", name))));
      expect(code.filter((files) => files.includes("index.mjs")).length).toBeGreaterThanOrEqual(5);
    },
    TIMEOUT,
  );

  test("has the documents and every licence that its code asks to be kept", async () => {
    expect(await readdir(root)).toEqual(
      expect.arrayContaining(["INSTALL.md", "LICENSE", "README.md", "docs"]),
    );
    expect(await readdir(join(root, "lib"))).toContain("THIRD_PARTY_LICENSES");
  });
});
