import { beforeEach, describe, expect, test } from "vitest";
import { MemoryLedger } from "../../adapters/local/memory-ledger.ts";
import { MemoryVault } from "../../adapters/local/memory-vault.ts";
import { moduleVersion } from "../../gomod/version.ts";
import { MirrorError } from "../../mirror/errors.ts";
import type { MirrorEvent } from "../../mirror/events.ts";
import { failed } from "../../mirror/failed-record.ts";
import type { Ledger } from "../../mirror/ports.ts";
import { want } from "../../mirror/records.ts";
import { type Outcome, UpstreamGate, type UpstreamGateOptions } from "../../mirror/upstream-gate.ts";
import { tendUpstreams } from "../../mirror/upstream-recovery.ts";
import { resumeUpstream, stoppedUpstreams } from "../../mirror/upstream-stop.ts";
import { VirtualTime } from "./virtual-time.ts";

const HOST = "goproxy.corp.example:8443";
let time: VirtualTime;
let stored: MemoryLedger;
let calls: number;
let events: MirrorEvent[];
/** When requests were let through. */
let sent: number[];

beforeEach(() => {
  time = new VirtualTime();
  stored = new MemoryLedger();
  calls = 0;
  events = [];
  sent = [];
});

const ledger: Pick<Ledger, "readItem" | "writeItem"> = {
  readItem: (kind, name) => {
    calls++;
    return stored.readItem(kind, name);
  },
  writeItem: (item) => {
    calls++;
    return stored.writeItem(item);
  },
};

function worker(options: Partial<UpstreamGateOptions> = {}): UpstreamGate {
  const report = (event: MirrorEvent) => events.push(event);
  return new UpstreamGate({
    ledger,
    host: HOST,
    path: "/go",
    now: time.now,
    sleep: time.sleep,
    report,
    ...options,
  });
}

/** One request that takes `takes` ms and ends so. */
async function request(gate: UpstreamGate, outcome: Outcome = { is: "served" }, takes = 20): Promise<void> {
  const pass = await gate.enter("example.com/a@v1.0.0.mod");
  sent.push(time.now());
  await time.sleep(takes);
  await gate.note(pass, outcome);
}

const SERVED: Outcome = { is: "served" };
const busy = (wait?: number, status: 429 | 503 = 429): Outcome => ({ is: "pushed back", status, wait });
const refused: Outcome = { is: "refused", reason: "it wants other credentials (401)" };

async function errorOf(work: Promise<unknown>): Promise<MirrorError> {
  const thrown = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(thrown instanceof MirrorError)) throw new Error("no MirrorError", { cause: thrown });
  return thrown;
}

/** The most that were sent in any window of so many ms. */
function mostWithin(window: number): number {
  const times = sent.toSorted((a, b) => a - b);
  return Math.max(...times.map((from) => times.filter((at) => at >= from && at < from + window).length));
}

describe("a shared rate", () => {
  test("holds for all workers together, and most requests cost no call of the ledger", async () => {
    const workers = Array.from({ length: 6 }, () => worker({ rate: 20 }));
    const begun = time.now();
    await time.run(
      Promise.all(
        workers.map(async (gate) => {
          for (let done = 0; done < 200; done += 10)
            await Promise.all(Array.from({ length: 10 }, () => request(gate)));
        }),
      ),
    );
    expect(sent).toHaveLength(1200);
    const seconds = (Math.max(...sent) - begun) / 1000;
    expect(1200 / seconds).toBeGreaterThan(15);
    // Two slices may touch; no window has more than its own and one request of each neighbour.
    expect(mostWithin(1000)).toBeLessThanOrEqual(22);
    expect(calls / 1200).toBeLessThan(0.15);
  });

  test("takes no more slices of a worker that does nothing, and wastes at most what it had", async () => {
    await time.run(request(worker({ rate: 2 })));
    const next = Number((await stored.readItem("upstream", HOST))?.value.next);
    expect(next - time.now()).toBeLessThan(1000);
  });

  test("that one worker would have to wait for too long leaves its work due, and takes nothing", async () => {
    const value = { next: time.now() + 3_600_000 };
    await stored.writeItem({ kind: "upstream", name: HOST, revision: 0, value });
    const error = await errorOf(time.run(request(worker({ rate: 1 }))));
    expect([error.class, error.retryAfter]).toEqual(["transient", 3_600_000]);
    expect((await stored.readItem("upstream", HOST))?.value).toEqual(value);
  });

  test("has a version due after a whole number of milliseconds, and speaks against none", async () => {
    const value = { next: time.now() + 61_234.567, share: 1 / 3, shareAt: time.now() };
    await stored.writeItem({ kind: "upstream", name: HOST, revision: 0, value });
    const error = await errorOf(time.run(request(worker({ rate: 7 }))));
    expect([error.retryAfter, error.ofHost]).toEqual([61_235, true]);
  });
});

describe("a host without a rate", () => {
  test("is asked as fast as work comes, for one read of the ledger in ten seconds", async () => {
    const gate = worker();
    await time.run(
      (async () => {
        for (let at = 0; at < 1000; at++) await request(gate, SERVED, 30);
      })(),
    );
    expect(calls).toBe(3);
  });

  test("that says 429 is asked half as often for each burst, by others too, and recovers within minutes", async () => {
    const [one, other] = [worker(), worker()];
    await time.run(Promise.all(Array.from({ length: 50 }, () => request(one, busy()))));
    const { share } = (await stored.readItem("upstream", HOST))?.value ?? {};
    expect(share).toBe(0.5);
    sent = [];
    await time.run(Promise.all(Array.from({ length: 200 }, () => request(other))));
    expect(mostWithin(1000)).toBeLessThanOrEqual(105);
    await time.run(time.sleep(15_000));
    await time.run(request(other, busy()));
    // Half of what had come back in fifteen seconds.
    expect((await stored.readItem("upstream", HOST))?.value.share).toBeCloseTo(0.37, 1);
    // Two doublings: nothing limits it any more.
    await time.run(time.sleep(61_000));
    sent = [];
    await time.run(Promise.all(Array.from({ length: 200 }, () => request(worker()))));
    expect(mostWithin(1000)).toBe(200);
  });

  test("never falls to nothing, however often it pushes back", async () => {
    const gate = worker();
    await time.run(
      (async () => {
        for (let at = 0; at < 40; at++) await request(gate, busy(), 16_000);
      })(),
    );
    expect(Number((await stored.readItem("upstream", HOST))?.value.share)).toBeGreaterThan(1 / 300);
  });

  test("that says 503 now and then is asked as before; one that says it more often, or 429, is asked half as often", async () => {
    const gate = worker();
    const shareNow = async () => (await stored.readItem("upstream", HOST))?.value.share ?? 1;
    const some = async (served: number, outcome: Outcome) => {
      for (let at = 0; at < served; at++) await request(gate, SERVED, 100);
      await request(gate, outcome, 100);
    };
    for (let spell = 0; spell < 20; spell++) await time.run(some(50, busy(undefined, 503)));
    // Nor does all the mirror wait for what one file's fault asks for.
    await time.run(some(50, busy(3_600_000, 503)));
    expect([await shareNow(), calls < 30]).toEqual([1, true]);
    for (let at = 0; at < 40; at++) await time.run(some(1, busy(undefined, 503)));
    expect(await shareNow()).toBe(0.5);
  });

  test("that says 429 or 503 each 100 s for hours is never asked more rarely than half as often", async () => {
    for (const status of [429, 503] as const) {
      const gate = worker({ host: `${status}.example` });
      for (let at = 0; at < 200; at++) {
        await time.run(request(gate, busy(undefined, status)));
        await time.run(time.sleep(100_000));
      }
      expect((await stored.readItem("upstream", `${status}.example`))?.value.share).toBeCloseTo(0.5, 5);
    }
  });

  test("is left alone by all workers until its Retry-After is over", async () => {
    const [one, other] = [worker(), worker()];
    await time.run(request(one, busy(20_000)));
    const until = time.now() + 20_000 - 20;
    sent = [];
    await time.run(Promise.all([request(one), request(other), request(other)]));
    expect(Math.min(...sent)).toBeGreaterThanOrEqual(until);
    await time.run(request(one, busy(86_400_000)));
    const error = await errorOf(time.run(request(other)).then(() => time.run(request(worker()))));
    // However long it asks for, an hour at most.
    expect([error.class, (error.retryAfter ?? 0) <= 3_600_000]).toEqual(["transient", true]);
  });
});

describe("an upstream that refuses us", () => {
  test("is stopped for all workers, costs no further request, and says so once each", async () => {
    const [one, other] = [worker(), worker()];
    await time.run(request(one, refused));
    for (const gate of [one, other, one, other]) {
      const error = await errorOf(time.run(request(gate)));
      expect([error.class, error.message]).toEqual([
        "stopped",
        `example.com/a@v1.0.0.mod: ${HOST} is not asked, since it refused us: it wants other credentials (401)`,
      ]);
    }
    expect(sent).toHaveLength(1);
    const event = {
      event: "upstream-stopped",
      host: HOST,
      path: "/go",
      reason: "it wants other credentials (401)",
    };
    expect(events).toEqual([event, event]);
    const tended = { ledger: stored, now: time.now, report: (said: MirrorEvent) => void events.push(said) };
    expect(await tendUpstreams(tended)).toEqual({ stopped: 1, revived: 0 });
    expect(events[2]).toEqual(event);
  });

  test("stops no other upstream on its host", async () => {
    await time.run(request(worker(), refused));
    await time.run(request(worker({ path: "/other" })));
    expect(sent).toHaveLength(2);
  });

  test("is stopped beside any number of others on its host, however long their paths and reasons, until it serves", async () => {
    const reason = '"\\'.repeat(300);
    const paths = Array.from({ length: 40 }, (_, at) => `/api/go/${at}${"é".repeat((at % 3) * 200)}`);
    for (const path of paths) await time.run(request(worker({ path }), { is: "refused", reason }));
    expect(await stoppedUpstreams(stored)).toHaveLength(40);
    expect(sent).toHaveLength(40);
    for (const path of paths)
      expect((await errorOf(time.run(request(worker({ path }))))).class).toBe("stopped");
    expect(sent).toHaveLength(40);
    // The first of them is mended, and only that one goes on.
    await time.run(time.sleep(301_000));
    await time.run(request(worker({ path: paths[0] ?? "" })));
    expect((await stoppedUpstreams(stored)).map(({ path }) => path)).not.toContain(paths[0]);
    expect(await stoppedUpstreams(stored)).toHaveLength(39);
    await time.run(request(worker({ path: paths[0] ?? "" })));
    expect(sent).toHaveLength(42);
  });

  test("is known to others once it is, although they were told before that it was not any more", async () => {
    const [one, other] = [worker(), worker()];
    await time.run(request(one, refused));
    await errorOf(time.run(request(other)));
    await resumeUpstream({ ledger: stored, vault: new MemoryVault(), now: time.now }, HOST, "ann");
    // `other` has read the stop that is lifted, and finds a new one.
    await time.run(time.sleep(11_000));
    await time.run(request(other, refused));
    expect((await errorOf(time.run(request(worker())))).class).toBe("stopped");
    expect(sent).toHaveLength(2);
  });

  test("is tried by one request of one worker each five minutes, and goes on when that is served", async () => {
    const workers = Array.from({ length: 5 }, () => worker());
    const all = (outcome: Outcome) =>
      time.run(
        Promise.allSettled(workers.flatMap((gate) => [request(gate, outcome), request(gate, outcome)])),
      );
    await time.run(request(workers[0] as UpstreamGate, refused));
    await time.run(time.sleep(299_000));
    await all(SERVED);
    expect(sent).toHaveLength(1);
    await time.run(time.sleep(2_000));
    await all(refused);
    expect(sent).toHaveLength(2);
    await time.run(time.sleep(60_000));
    await all({ is: "unknown" });
    expect(sent).toHaveLength(2);
    await time.run(time.sleep(301_000));
    await all(SERVED);
    // One probe; its own worker's second request waited for it, the others see it within ten seconds.
    expect(sent.length).toBeGreaterThanOrEqual(4);
    await time.run(time.sleep(11_000));
    const results = await all(SERVED);
    expect(results.every(({ status }) => status === "fulfilled")).toBe(true);
    expect(await stoppedUpstreams(stored)).toEqual([]);
  });

  test("is tried at once by a process that was started for it, however many requests wait for that", async () => {
    await time.run(request(worker(), refused));
    const desk = worker({ probe: "at once" });
    await time.run(Promise.all(Array.from({ length: 20 }, () => request(desk))));
    expect(sent).toHaveLength(21);
    await time.run(request(worker(), refused));
    const again = worker({ probe: "at once" });
    const results = await time.run(
      Promise.allSettled(Array.from({ length: 20 }, () => request(again, refused))),
    );
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect(sent).toHaveLength(23);
  });

  test("goes on when an operator says so; who did is written down first", async () => {
    await time.run(request(worker(), refused));
    const vault = new MemoryVault();
    const lifted = await resumeUpstream({ ledger: stored, vault, now: time.now }, HOST, "ann@desk");
    expect(lifted).toEqual([expect.objectContaining({ host: HOST, path: "/go" })]);
    const keys: string[] = [];
    for await (const key of vault.keys("decisions/resume-upstream/")) keys.push(key);
    expect(keys).toHaveLength(1);
    expect(Buffer.from((await vault.get(keys[0] ?? "", 4096)) ?? "").toString()).toContain('"by":"ann@desk"');
    await time.run(request(worker()));
    expect(sent).toHaveLength(2);
    await expect(resumeUpstream({ ledger: stored, vault, now: time.now }, HOST, "ann")).rejects.toThrow(
      /no host of an upstream that is stopped/,
    );
  });
});

test("a ledger that fails, stored or not, leaves nobody waiting and no upstream stopped or asked too fast", async () => {
  let turn = 0;
  const flaky = async <T>(call: () => Promise<T>): Promise<T> => {
    const done = turn % 2 === 0 ? await call() : undefined;
    if (turn++ % 3 === 0) throw new MirrorError("transient", HOST, "no answer");
    return done ?? (await call());
  };
  const unsure: Pick<Ledger, "readItem" | "writeItem"> = {
    readItem: (kind, name) => flaky(() => stored.readItem(kind, name)),
    writeItem: (item) => flaky(() => stored.writeItem(item)),
  };
  const workers = Array.from({ length: 4 }, () => worker({ ledger: unsure, rate: 20 }));
  await time.run(request(worker(), refused));
  await time.run(time.sleep(301_000));
  sent = [];
  const untilServed = async (gate: UpstreamGate): Promise<void> => {
    for (let tries = 0; tries < 1000; tries++) {
      try {
        return await request(gate);
      } catch (error) {
        if (!(error instanceof MirrorError)) throw error;
        await time.sleep(1_000);
      }
    }
    throw new Error("never served");
  };
  await time.run(Promise.all(workers.flatMap((gate) => Array.from({ length: 50 }, () => untilServed(gate)))));
  expect(await stoppedUpstreams(stored)).toEqual([]);
  expect(mostWithin(1000)).toBeLessThanOrEqual(23);
});

describe("a host that answers nobody", () => {
  const version = moduleVersion("example.com/a", "v1.0.0");
  const failedFor = async (after: number): Promise<number | undefined> => {
    const gate = worker({ path: "" });
    const pass = await time.run(gate.enter("x"));
    await gate.note(pass, { is: "unknown" });
    await gate.noteDown();
    const [before] = await stored.read([version]);
    const pending = want(before, version, "whole", "w", time.now(), true);
    const error = { class: "transient", message: "refuses connections", ofHost: true } as const;
    const record = failed({ ...pending, failingSince: time.now() - 5 * 3_600_000 }, error, time.now());
    await stored.write([{ record }]);
    await time.run(time.sleep(after));
    await time.run(request(gate));
    return record.due;
  };
  const tend = () => tendUpstreams({ ledger: stored, now: time.now, report: (said) => events.push(said) });
  const dueIn = async () => ((await stored.read([version]))[0]?.due ?? 0) - time.now();

  test("and answers again has what failed meanwhile tried at once, once for each outage", async () => {
    await failedFor(11 * 60_000);
    expect(await dueIn()).toBeGreaterThan(4 * 3_600_000);
    expect(await tend()).toEqual({ stopped: 0, revived: 1 });
    expect(await dueIn()).toBe(0);
    expect(await tend()).toEqual({ stopped: 0, revived: 0 });
  });

  test("for minutes alone revives nothing: all has a wait of its own that is no longer than that", async () => {
    await failedFor(5 * 60_000);
    expect(await tend()).toEqual({ stopped: 0, revived: 0 });
  });

  test("costs a tick one reading of the hosts, while nothing has happened", async () => {
    await time.run(request(worker()));
    let asked = 0;
    const counted = new Proxy(stored, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== "function") return value;
        return (...values: unknown[]) => {
          asked++;
          return value.apply(target, values);
        };
      },
    });
    await tendUpstreams({ ledger: counted, now: time.now, report: () => undefined });
    expect(asked).toBe(1);
  });
});

test("an item that another release or hand has spoilt is as if the host had never been seen", async () => {
  const value = { next: "x", notBefore: null, share: -1, stopped: { "/go": 7 }, known: [7] };
  await stored.writeItem({ kind: "upstream", name: HOST, revision: 0, value });
  await time.run(request(worker({ rate: 5 })));
  expect(sent).toHaveLength(1);
});
