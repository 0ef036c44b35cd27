import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

const project = join(import.meta.dirname, "../..");
const CONFIGURATION = join(project, "infra/configuration.ts");
/** A verifier key made for tests. */
const KEY = "sumdb.example.test+10968c75+AZBv9m6MKyyc9YuOdh2zQI9j0V6EAqgb36PAYuNV1HCX";
/** Loaded machines synthesize slowly. */
const TIMEOUT = 240_000;

describe("cdk synth", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "modferry-synth-"));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  /** Node alone on PATH: no go, no account, no credentials. */
  async function synth(...flags: string[]): Promise<{ code: number; output: string }> {
    const cdk = join(project, "node_modules/aws-cdk/bin/cdk");
    const args = [cdk, "synth", "--quiet", "--output", join(folder, "out"), ...flags];
    const env = { PATH: dirname(process.execPath), HOME: folder, CDK_DISABLE_VERSION_CHECK: "1", CI: "true" };
    try {
      const { stdout, stderr } = await promisify(execFile)(process.execPath, args, {
        cwd: project,
        env,
        timeout: TIMEOUT,
      });
      return { code: 0, output: stdout + stderr };
    } catch (error) {
      const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
      return { code, output: stdout + stderr };
    }
  }

  async function configuration(input: string): Promise<string> {
    const file = join(folder, "mirror.config.ts");
    await writeFile(
      file,
      `import { defineMirror } from ${JSON.stringify(CONFIGURATION)};\nconst KEY = "${KEY}";\nexport default defineMirror(${input});\n`,
    );
    return file;
  }

  test("needs no account, no credentials and no go, and AwsSolutions finds nothing", {
    timeout: TIMEOUT,
  }, async () => {
    const { code, output } = await synth();
    expect([code, output]).toEqual([0, output]);
    const made = await readdir(join(folder, "out"));
    expect(made.filter((file) => file.endsWith(".template.json")).sort()).toEqual([
      "modferry-endpoint.template.json",
      "modferry-pipeline.template.json",
      "modferry-storage.template.json",
    ]);
  });

  test("AwsSolutions stops a stack that breaks a rule", { timeout: TIMEOUT }, async () => {
    const app = join(folder, "app.ts");
    await writeFile(
      app,
      `import { App } from ${JSON.stringify(join(project, "node_modules/aws-cdk-lib/index.js"))};
import { Bucket } from ${JSON.stringify(join(project, "node_modules/aws-cdk-lib/aws-s3/index.js"))};
import { defineMirror } from ${JSON.stringify(CONFIGURATION)};
import { addMirror } from ${JSON.stringify(join(project, "infra/mirror-app.ts"))};
const app = new App();
const { storage } = addMirror(app, defineMirror({ name: "mirror", upstreams: [{ name: "public", url: "https://goproxy.example.com" }] }));
new Bucket(storage, "Planted");
app.synth();
`,
    );
    const { code, output } = await synth("--app", `${process.execPath} ${app}`);
    expect(code).not.toBe(0);
    expect(output).toContain("AwsSolutions-S10");
  });

  test.each([
    [
      "an unknown field",
      '{ name: "m1", upstreams: [{ name: "public", url: "https://a.example" }], modul: [] }',
      "modul",
    ],
    [
      "a user name in the URL",
      '{ name: "m1", upstreams: [{ name: "public", url: "https://u:p@a.example" }] }',
      "upstreams.0.url",
    ],
    [
      "a query in the URL",
      '{ name: "m1", upstreams: [{ name: "public", url: "https://a.example/?token=u:p@" }] }',
      "upstreams.0.url",
    ],
    [
      "a user name in the database's URL",
      '{ name: "m1", upstreams: [{ name: "public", url: "https://a.example" }], sumdb: [{ key: KEY, url: "https://u:p@s.example" }] }',
      "sumdb.0.url",
    ],
    [
      "more patterns than there may be",
      '{ name: "m1", upstreams: [{ name: "public", url: "https://a.example" }], noSumdb: Array(1_001).fill("example.com/internal") }',
      "noSumdb",
    ],
    [
      "a boundary that is no policy",
      '{ name: "m1", upstreams: [{ name: "public", url: "https://a.example" }], aws: { permissionsBoundary: "boundary" } }',
      "aws.permissionsBoundary",
    ],
    [
      "a schedule that never comes",
      '{ name: "m1", upstreams: [{ name: "public", url: "https://a.example" }], schedule: { plan: "rate(0 minutes)" } }',
      "schedule.plan",
    ],
    [
      "a schedule that AWS refuses",
      '{ name: "m1", upstreams: [{ name: "public", url: "https://a.example" }], schedule: { reconcile: "rate(1 hours)" } }',
      "schedule.reconcile",
    ],
    [
      "a subscription to what is no path",
      '{ name: "m1", upstreams: [{ name: "public", url: "https://a.example" }], subscriptions: [{ modules: ["[x"] }] }',
      "subscriptions.0.modules.0",
    ],
    [
      "a key that is none",
      '{ name: "m1", upstreams: [{ name: "public", url: "https://a.example" }], sumdb: [{ key: "x" }] }',
      "sumdb.0.key",
    ],
    [
      "a pattern that is none",
      '{ name: "m1", upstreams: [{ name: "public", url: "https://a.example" }], sumdb: [{ key: KEY, modules: ["a.example", "[x"] }] }',
      "sumdb.0.modules.1",
    ],
    [
      "a database that is named twice",
      '{ name: "m1", upstreams: [{ name: "public", url: "https://a.example" }], sumdb: [{ key: KEY }, { key: KEY, modules: ["*"] }] }',
      "sumdb",
    ],
    [
      "a topic that is none",
      '{ name: "m1", upstreams: [{ name: "public", url: "https://a.example" }], alarms: { topicArn: "alarms" } }',
      "alarms.topicArn",
    ],
    [
      "a schedule that is none",
      '{ name: "m1", upstreams: [{ name: "public", url: "https://a.example" }], schedule: { plan: "10m" } }',
      "schedule.plan",
    ],
  ])("%s ends in one line that names the field", { timeout: TIMEOUT }, async (_name, input, field) => {
    const env = {
      PATH: dirname(process.execPath),
      CDK_CONTEXT_JSON: JSON.stringify({ configuration: await configuration(input) }),
    };
    const run = promisify(execFile)(process.execPath, ["infra/app.ts"], {
      cwd: project,
      env,
      timeout: TIMEOUT,
    });
    const { code, stderr } = await run.then(
      () => ({ code: 0, stderr: "" }),
      (error: { code: number; stderr: string }) => error,
    );
    expect(code).toBe(2);
    expect(stderr.trim().split("\n")).toHaveLength(1);
    expect(stderr).toContain(`modferry: configuration: ${field}: `);
    expect(stderr).not.toContain("u:p@");
  });
});
