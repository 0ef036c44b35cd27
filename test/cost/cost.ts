/**
 * `npm run cost [-- --write]`: counts what the deployed functions ask of AWS for some typical work, against the emulator,
 * and computes what that costs. Prints the tables of docs/cost.md, or with --write puts them there.
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { emulatorFolder, ensureMiniStack, startMiniStack } from "../../infra/local/ministack.ts";
import { handIn } from "../../mirror/inbox.ts";
import { goClient } from "../go-client.ts";
import { requestBody } from "../mirror/request-body.ts";
import { startUpstream } from "../upstream/loopback-upstream.ts";
import { fillModuleCache } from "../upstream/module-cache.ts";
import { projectDir } from "../upstream/sample-projects.ts";
import { costTables, type Measurements } from "./cost-tables.ts";
import { type EmulatedMirror, emulatedMirror } from "./emulated-mirror.ts";
import { Tally } from "./tally.ts";

const CORPUS = "medium";
const SYNTHETIC_RECORDS = 100_000;
const IDLE_TICKS = 5;
const PAGE = join(import.meta.dirname, "../../docs/cost.md");
const MARKS = ["<!-- Made by `npm run cost -- --write`: -->", "<!-- End of what is made. -->"] as const;

const measured = await measure();
const tables = costTables(measured);
if (process.argv.includes("--write")) await writeIntoPage(tables);
else console.log(tables);

async function measure(): Promise<Measurements> {
  const folder = await mkdtemp(join(tmpdir(), "modferry-cost-"));
  const emulator = emulatorFolder(process.cwd());
  await ensureMiniStack(emulator);
  const ministack = await startMiniStack({
    folder: emulator,
    persist: false,
    log: join(folder, "ministack.log"),
  });
  try {
    const trees = [await fillModuleCache(CORPUS)];
    const upstream = await startUpstream({ trees, preset: true, synthetic: SYNTHETIC_RECORDS });
    try {
      const settings = {
        region: "us-east-1",
        endpointUrl: ministack.endpoint,
        credentials: { accessKeyId: "test", secretAccessKey: "test" },
      };
      await using mirror = await emulatedMirror(settings, upstream, join(folder, "cdk.out"));
      return await scenarios(mirror, upstream.vkey);
    } finally {
      await upstream.close();
    }
  } finally {
    await ministack.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function scenarios(mirror: EmulatedMirror, vkey: string): Promise<Measurements> {
  const loads: number[] = [];
  const counted = async (what: string, work: () => Promise<unknown>): Promise<Tally> => {
    console.error(`cost: ${what}`);
    loads.push(loadavg()[0] ?? Number.NaN);
    const tally = new Tally();
    mirror.meter.tally = tally;
    await work();
    // What comes in between is nobody's.
    mirror.meter.tally = new Tally();
    return tally;
  };
  const ticks = (program: "plan" | "reconcile") => async () => {
    for (let tick = 0; tick < IDLE_TICKS; tick++) await mirror.tick(program);
  };
  const dir = projectDir(CORPUS);
  const goMod = await readFile(join(dir, "go.mod"), "utf8");
  const versions = (await readFile(join(dir, "modules.txt"), "utf8")).trim().split("\n").length;

  await counted("the first tick", () => mirror.tick("plan"));
  const request = await counted(`a request of ${versions} versions`, async () => {
    // Whoever hands it in looks whether the name is free, and puts it.
    mirror.meter.tally.add("s3 GET", 1);
    mirror.meter.tally.add("s3 PUT", 1);
    const parts = { vault: mirror.vault, now: Date.now };
    await handIn(parts, "cost", requestBody({ files: { "go.mod": goMod } }));
    await mirror.drain();
  });
  const storedBytes = mirror.meter.storedBytes;
  const ledgerBytes = mirror.meter.ledger.storedBytes;
  // The first of each may still tidy up after the request.
  for (const program of ["plan", "reconcile"] as const) await mirror.tick(program);
  const idlePlan = await counted("idle ticks of plan", ticks("plan"));
  const idleReconcile = await counted("idle ticks of reconcile", ticks("reconcile"));

  const client = await goClient({ goproxy: mirror.goproxy, gosumdb: vkey });
  try {
    const project = await client.copyProject(CORPUS);
    const download = async () => {
      const { code, stderr } = await client.run(["mod", "download", "all"], { cwd: project });
      if (code !== 0) throw new Error(`go mod download all: ${stderr.slice(-1_000)}`);
    };
    const again = async () => {
      await client.clearModCache();
      await download();
    };
    await rm(join(project, "go.sum"), { force: true });
    const coldNoSum = await counted("a cold build without go.sum", download);
    const cold = await counted("a cold build with go.sum", again);
    const warm = await counted("a warm build", download);
    const scrape = await counted("a scrape of /-/metrics", async () => {
      const reply = await fetch(`${mirror.goproxy}/-/metrics`);
      const told = await reply.text();
      if (reply.status !== 200) throw new Error(`/-/metrics: ${reply.status} ${told.slice(0, 200)}`);
    });
    const { ticksPerMonth } = mirror;
    return {
      versions,
      request,
      storedBytes,
      ledgerBytes,
      ticks: IDLE_TICKS,
      ticksPerMonth,
      idlePlan,
      idleReconcile,
      builds: { coldNoSum, cold, warm },
      scrape,
      loads,
      cores: cpus().length,
    };
  } finally {
    await client.dispose();
  }
}

async function writeIntoPage(text: string): Promise<void> {
  const page = await readFile(PAGE, "utf8");
  const [begin, end] = MARKS.map((mark) => page.indexOf(mark)) as [number, number];
  if (begin < 0 || end < begin) throw new Error(`${PAGE}: has not both marks ${MARKS.join(" and ")}`);
  const before = page.slice(0, begin + MARKS[0].length);
  await writeFile(PAGE, `${before}\n\n${text}\n\n${page.slice(end)}`);
}
