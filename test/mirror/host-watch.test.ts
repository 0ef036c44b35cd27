import { beforeEach, describe, expect, test } from "vitest";
import { MemoryLedger } from "../../adapters/local/memory-ledger.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { HostWatch } from "../../mirror/host-watch.ts";
import { type Outcome, UpstreamGate } from "../../mirror/upstream-gate.ts";
import { VirtualTime } from "./virtual-time.ts";

const HOST = "goproxy.corp.example";
let time: VirtualTime;
let stored: MemoryLedger;
let reads: number;
let watch: HostWatch;

beforeEach(() => {
  time = new VirtualTime();
  stored = new MemoryLedger();
  reads = 0;
  watch = watching();
});

function watching(path = "/go", rate?: number): HostWatch {
  const ledger = {
    readItem: (...asked: Parameters<MemoryLedger["readItem"]>) => {
      reads++;
      return stored.readItem(...asked);
    },
  };
  const limit = rate === undefined ? {} : { rate };
  return new HostWatch({ ledger, host: HOST, path, now: time.now, sleep: time.sleep, ...limit });
}

/** What a worker, who may write, meets. */
async function worker(outcome: Outcome): Promise<void> {
  const report = () => undefined;
  const gate = new UpstreamGate({
    ledger: stored,
    host: HOST,
    path: "/go",
    now: time.now,
    sleep: time.sleep,
    report,
  });
  await time.run(gate.enter("x").then((pass) => gate.note(pass, outcome)));
}

/** `sent`, or the class of the error, of one request that ends so. */
async function request(outcome: Outcome = { is: "served" }, through = watch): Promise<string> {
  return await time.run(
    through
      .enter("tile/8/0/000")
      .then(async (pass) => {
        await through.note(pass, outcome);
        return "sent";
      })
      .catch((thrown: unknown) => (thrown instanceof MirrorError ? thrown.class : Promise.reject(thrown))),
  );
}

describe("a process that serves", () => {
  test("asks no upstream that a worker has found to refuse us, and asks again once it goes on", async () => {
    await worker({ is: "refused", reason: "401" });
    expect([await request(), await request(undefined, watching("/other"))]).toEqual(["stopped", "sent"]);
    await time.run(time.sleep(301_000));
    expect(await request()).toBe("stopped");
    await worker({ is: "served" });
    await time.run(time.sleep(11_000));
    expect(await request()).toBe("sent");
  });

  test("leaves a host alone for as long as that has asked the workers to wait", async () => {
    await worker({ is: "pushed back", status: 429, wait: 120_000 });
    const error = await time.run(watch.enter("x").catch((thrown: unknown) => thrown));
    expect(error).toMatchObject({ class: "transient", ofHost: true, retryAfter: 120_000 });
    await time.run(time.sleep(119_500));
    expect(await request()).toBe("sent");
  });

  test("reads the ledger once in ten seconds, and not at all while nothing is asked", async () => {
    for (let at = 0; at < 100; at++) await request();
    expect(reads).toBe(1);
    await time.run(time.sleep(3_600_000));
    expect(reads).toBe(1);
    await Promise.all(Array.from({ length: 50 }, () => request()));
    expect(reads).toBe(2);
  });

  test("heeds what a host answers to itself", async () => {
    expect([await request({ is: "pushed back", status: 503, wait: undefined }), await request()]).toEqual([
      "sent",
      "transient",
    ]);
    await time.run(time.sleep(30_000));
    expect([await request({ is: "refused", reason: "401" }), await request()]).toEqual(["sent", "stopped"]);
    await time.run(time.sleep(300_000));
    expect(await request()).toBe("sent");
    await watch.noteDown();
    expect(await request()).toBe("transient");
  });

  test("sends no faster than the configured rate, and nothing that a client would wait for too long", async () => {
    const slow = watching("/go", 2);
    const answers: string[] = [];
    for (let at = 0; at < 6; at++) answers.push(await request(undefined, slow));
    expect(answers).toEqual(["sent", "sent", "sent", "sent", "sent", "sent"]);
    const begun = time.now();
    const burst = await Promise.all(Array.from({ length: 6 }, () => request(undefined, slow)));
    expect(burst.filter((answer) => answer === "sent").length).toBeLessThanOrEqual(3);
    expect(time.now() - begun).toBeLessThanOrEqual(1_000);
  });

  test("asks nothing while the ledger does not answer, and reads it again with the next request", async () => {
    let works = false;
    const ledger = {
      readItem: async () => {
        if (works) return undefined;
        throw new MirrorError("transient", "ledger", "ledger: no answer");
      },
    };
    const unsure = new HostWatch({ ledger, host: HOST, path: "", now: time.now, sleep: time.sleep });
    expect(await request(undefined, unsure)).toBe("transient");
    works = true;
    expect(await request(undefined, unsure)).toBe("sent");
  });
});
