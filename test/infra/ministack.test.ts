import { execFile, execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { dynamoDbClient, s3Client } from "../../adapters/aws/clients.ts";
import { DynamoDbLedger } from "../../adapters/aws/dynamodb-ledger.ts";
import { S3Vault } from "../../adapters/aws/s3-vault.ts";
import { moduleVersion } from "../../gomod/version.ts";
import { emulatorFolder, ensureMiniStack, startMiniStack } from "../../infra/local/ministack.ts";
import { venvPython } from "../../infra/local/ministack-install.ts";
import { newLedger, newQueue, newVault } from "../contract/aws-stores.ts";
import { freshRecord } from "../contract/ledger-records.ts";
import { describeWithMiniStack } from "../contract/ministack.ts";
import { rejectionOf } from "../contract/rejection.ts";

const run = promisify(execFile);
const folder = emulatorFolder(process.cwd());
const credentials = { accessKeyId: "test", secretAccessKey: "test" };
const settingsOf = (endpointUrl: string) => ({ region: "us-east-1", endpointUrl, credentials });

/** All living processes below one, itself included. */
async function processesBelow(root: number): Promise<number[]> {
  const { stdout } = await run("ps", ["-A", "-o", "pid=,ppid="]);
  const pairs = stdout
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number));
  const found = [root];
  for (const parent of found) for (const [pid = 0, ppid] of pairs) if (ppid === parent) found.push(pid);
  return found;
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

describeWithMiniStack("MiniStack on loopback", () => {
  vi.setConfig({ testTimeout: 60_000 });
  let work: string;
  beforeAll(async () => {
    work = mkdtempSync(join(tmpdir(), "modferry-ministack-"));
    await ensureMiniStack(folder);
  });
  afterAll(() => rmSync(work, { recursive: true, force: true }));
  const options = (name: string) => ({ folder, stateDir: join(work, name), log: join(work, `${name}.log`) });

  test("what was stored is there after a stop and a start, with a request under way at the stop", async () => {
    const body = Buffer.alloc(3 << 20, "vault");
    const record = freshRecord(moduleVersion("example.com/kept", "v1.0.0"));
    const first = await startMiniStack({ ...options("kept"), persist: true });
    onTestFinished(() => first.stop());
    const { bucket, vault } = await newVault(settingsOf(first.endpoint));
    const { table, ledger } = await newLedger(settingsOf(first.endpoint));
    await vault.put("a/b", body);
    const written = await ledger.write([{ record }]);
    await makeFunction(first.endpoint);
    // MiniStack closes its port, waits for this one to end, and only then saves.
    const underWay = invoke(first.endpoint, { wait: 60_000 }, "RequestResponse").catch(() => "cut off");
    await new Promise((resolve) => setTimeout(resolve, 1000));
    await first.stop();
    await first.stop();
    await underWay;
    const second = await startMiniStack({ ...options("kept"), persist: true, port: first.port });
    onTestFinished(() => second.stop());
    const again = settingsOf(second.endpoint);
    const kept = await new S3Vault({ client: s3Client(again), bucket }).get("a/b", body.length);
    expect(
      createHash("sha256")
        .update(kept ?? "")
        .digest("hex"),
    ).toBe(createHash("sha256").update(body).digest("hex"));
    expect(await new DynamoDbLedger({ client: dynamoDbClient(again), table }).read([record])).toEqual(
      written,
    );
  });

  test("without persist it begins empty and leaves no file", async () => {
    const before = readdirSync(folder);
    const emulator = await startMiniStack({ ...options("unkept"), persist: false });
    await newQueue(settingsOf(emulator.endpoint));
    await emulator.stop();
    expect(readdirSync(folder).filter((name) => name.startsWith("tmp.") && !before.includes(name))).toEqual(
      [],
    );
    expect(existsSync(join(work, "unkept"))).toBe(false);
  });

  test("a port that is taken is one line, and nothing is started", async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    const { port } = other.address() as { port: number };
    const error = await rejectionOf(startMiniStack({ ...options("taken"), persist: false, port }));
    expect([error.class, error.message]).toEqual(["misuse", expect.stringContaining(`port ${port}: taken`)]);
    other.close();
  });

  test("its Lambda functions run on Node 24 and none of the user's AWS settings reach them", async () => {
    vi.stubEnv("AWS_PROFILE", "production");
    const emulator = await startMiniStack({ ...options("lambda"), persist: false });
    onTestFinished(() => emulator.stop());
    vi.unstubAllEnvs();
    await makeFunction(emulator.endpoint);
    const reply = await invoke(emulator.endpoint, {}, "RequestResponse");
    expect(JSON.parse(reply)).toEqual({ version: expect.stringMatching(/^v24\./), profile: "none" });
  });

  test.each(["SIGINT", "SIGKILL"] as const)(
    "when its starter dies by %s it and its workers end too, and its data is kept",
    async (signal) => {
      const state = join(work, `orphan-${signal}`);
      const script = join(work, "starter.ts");
      const module = join(process.cwd(), "infra/local/ministack.ts");
      writeFileSync(
        script,
        `import { startMiniStack } from ${JSON.stringify(module)};
       const { endpoint } = await startMiniStack(${JSON.stringify({ folder, stateDir: state, persist: true, log: `${state}.log` })});
       console.log(endpoint);`,
      );
      const starter = spawn(join(process.cwd(), "node_modules/.bin/node"), [script], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      const [line] = (await once(starter.stdout, "data")) as [Buffer];
      onTestFinished(() => void starter.kill("SIGKILL"));
      const endpoint = line.toString().trim();
      await makeFunction(endpoint);
      await invoke(endpoint, {}, "RequestResponse");
      // A worker that has nothing to do ends by itself when MiniStack does; a busy one has to be ended.
      await invoke(endpoint, { wait: 60_000 }, "Event");
      const processes = (await processesBelow(starter.pid ?? 0)).slice(1);
      expect(processes.length).toBeGreaterThanOrEqual(3); // guard, MiniStack, the function's worker
      starter.kill(signal);
      await vi.waitFor(() => expect(processes.filter(isAlive)).toEqual([]), {
        timeout: 20_000,
        interval: 100,
      });
      expect(existsSync(join(state, "lambda.json"))).toBe(true);
    },
  );

  async function invoke(endpoint: string, event: object, type: "RequestResponse" | "Event"): Promise<string> {
    const reply = await fetch(`${endpoint}/2015-03-31/functions/f/invocations`, {
      method: "POST",
      headers: { "x-amz-invocation-type": type },
      body: JSON.stringify(event),
    });
    return reply.text();
  }

  /** A function that tells where it runs; Python makes its zip. */
  async function makeFunction(endpoint: string): Promise<void> {
    const code = [
      "export const handler = async ({ wait = 0 }) => {",
      "  await new Promise((resolve) => setTimeout(resolve, wait));",
      "  return { version: process.version, profile: process.env.AWS_PROFILE ?? 'none' };",
      "};",
    ].join("\n");
    const zipping = `import sys, zipfile; zipfile.ZipFile(sys.stdout.buffer, "w").writestr("index.mjs", ${JSON.stringify(code)})`;
    const zip = execFileSync(venvPython(folder), ["-c", zipping]).toString("base64");
    const role = "arn:aws:iam::000000000000:role/r";
    const body = {
      FunctionName: "f",
      Runtime: "nodejs22.x",
      Role: role,
      Handler: "index.handler",
      Timeout: 120,
      Code: { ZipFile: zip },
    };
    const reply = await fetch(`${endpoint}/2015-03-31/functions`, {
      method: "POST",
      body: JSON.stringify(body),
    });
    expect(reply.status).toBe(201);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
});
