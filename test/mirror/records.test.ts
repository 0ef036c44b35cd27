import { describe, expect, test } from "vitest";
import { moduleVersion } from "../../gomod/version.ts";
import type { ErrorClass } from "../../mirror/errors.ts";
import {
  BROKEN_AFTER,
  ERROR_BYTES,
  type Failure,
  FIRST_WAIT,
  failed,
  LONGEST_FAILED_WAIT,
  LONGEST_WAIT,
  revived,
} from "../../mirror/failed-record.ts";
import { fetched } from "../../mirror/fetched-record.ts";
import { type Extent, ORDER_LOST_AFTER, type State, type VersionRecord, want } from "../../mirror/records.ts";

const VERSION = moduleVersion("example.com/m", "v1.0.0");
/** Wants it whole at 1,000 ms, provably, unless told otherwise. */
const wanting = (
  record: VersionRecord | undefined,
  {
    extent = "whole",
    now = 1_000,
    provable = true,
    since,
  }: Partial<{ extent: Extent; now: number; provable: boolean; since: number }> = {},
) => want(record, VERSION, extent, "test", now, provable, since);
const pending = (extent: Extent = "whole") => wanting(undefined, { extent });
const failing = (errorClass: ErrorClass, record = pending(), now = 2_000) =>
  failed(record, { class: errorClass, message: errorClass }, now);

describe("PENDING", () => {
  test("a new record is PENDING and due when its order must be lost", () => {
    expect(pending("mod")).toMatchObject({ state: "PENDING", wanted: "mod", held: "nothing", revision: 0 });
    expect(pending().due).toBe(1_000 + ORDER_LOST_AFTER);
  });

  test("wanted again it stays as it is, and is only ever widened", () => {
    const mod = pending("mod");
    expect(wanting(mod, { extent: "mod", now: 5_000 })).toBe(mod);
    expect(wanting(mod, { extent: "whole" })).toMatchObject({ wanted: "whole", due: mod.due });
    const whole = pending();
    expect(wanting(whole, { extent: "mod" })).toBe(whole);
  });

  test("it is READY when what is held covers what is wanted, and due no more", () => {
    const ready = fetched(pending("mod"), { held: "mod" }, 3_000);
    expect(ready).toMatchObject({ state: "READY", held: "mod", attempts: 0 });
    expect(ready.due).toBeUndefined();
  });

  test("it stays PENDING and due when a graph has got its go.mod and the whole is wanted", () => {
    const ready = fetched(pending("mod"), { held: "mod" }, 3_000);
    const widened = wanting(ready, { now: 4_000 });
    expect(widened).toMatchObject({
      state: "PENDING",
      wanted: "whole",
      held: "mod",
      due: 4_000 + ORDER_LOST_AFTER,
    });
    const { due: _due, ...without } = widened;
    expect(fetched(without, { held: "mod" }, 5_000)).toMatchObject({
      state: "PENDING",
      due: 5_000 + ORDER_LOST_AFTER,
    });
  });

  test.each<[ErrorClass, State]>([
    ["transient", "FAILED"],
    ["unauthorized", "FAILED"],
    ["malformed", "FAILED"],
    ["absent", "GONE"],
    ["withheld", "WITHHELD"],
    ["mismatch", "CONFLICT"],
  ])("after %s it is %s", (errorClass, state) => {
    const record = failing(errorClass);
    expect(record).toMatchObject({
      state,
      attempts: 1,
      failingSince: 2_000,
      lastError: { class: errorClass },
    });
    expect(record.due).toBe(state === "CONFLICT" ? undefined : 2_000 + FIRST_WAIT);
  });
});

describe("READY", () => {
  const ready = fetched(pending(), { held: "whole", zipSize: 7 }, 2_000);

  test("nothing that is held is wanted again, and nothing that was held is lost to a slower worker", () => {
    expect(wanting(ready, { extent: "mod" })).toBe(ready);
    expect(wanting(ready, {})).toBe(ready);
    expect(fetched(ready, { held: "mod", modSize: 3 }, 3_000)).toBe(ready);
    expect(fetched(pending(), { held: "whole" }, 3_000).held).toBe("whole");
    expect(fetched({ ...pending(), held: "whole" }, { held: "mod" }, 3_000)).toMatchObject({
      state: "READY",
      held: "whole",
    });
  });

  test("another worker's late failure takes nothing away", () => {
    expect(failing("absent", ready)).toBe(ready);
    expect(failing("mismatch", ready)).toBe(ready);
  });
});

describe("what has failed", () => {
  const states: ErrorClass[] = ["transient", "absent", "withheld", "mismatch"];

  test.each(states)("%s: a new request asks for it at once", (errorClass) => {
    const record = failing(errorClass);
    expect(wanting(record, { now: 3_000, since: 2_500 })).toMatchObject({
      state: "PENDING",
      wantedAt: 3_000,
      attempts: 1,
    });
    expect(wanting(record, { now: 3_000 }).state).toBe("PENDING");
  });

  test.each(states)("%s: the same request waits as long as it says", (errorClass) => {
    const record = failing(errorClass);
    expect(wanting(record, { now: 3_000, since: 500 })).toBe(record);
    expect(wanting(failing(errorClass, pending("mod")), { now: 3_000, since: 500 })).toMatchObject({
      state: record.state,
      wanted: "whole",
    });
  });

  test("when its wait is over the same request may ask again", () => {
    const record = failing("absent");
    expect(wanting(record, { now: 2_000 + FIRST_WAIT, since: 500 }).state).toBe("PENDING");
    expect(revived(record, 2_000 + FIRST_WAIT)).toMatchObject({
      state: "PENDING",
      attempts: 1,
      due: 2_000 + FIRST_WAIT + ORDER_LOST_AFTER,
    });
  });

  test("a CONFLICT without a checksum database waits for a person, whoever asks and whatever comes in", () => {
    const conflict = failing("mismatch");
    expect(wanting(conflict, { provable: false })).toBe(conflict);
    expect(fetched(conflict, { held: "whole" }, 3_000)).toBe(conflict);
    expect(revived(conflict, 1e12)).toBeUndefined();
    const sumdbRecords = { "sum.example.org": 1 };
    expect(fetched(conflict, { held: "whole", sumdbRecords }, 3_000).state).toBe("READY");
  });

  test("several workers' failures at once are one attempt", () => {
    const once = failing("transient");
    expect(failing("transient", once, 2_001)).toBe(once);
    expect(failing("absent", once, 2_001)).toBe(once);
  });

  test("waits double up to 30 days where upstream says no, and up to hours where it merely failed", () => {
    const waits = (errorClass: ErrorClass) => {
      let record: VersionRecord = pending();
      let now = 0;
      const found: number[] = [];
      for (let i = 0; i < 30; i++) {
        record = failed({ ...record, state: "PENDING" }, { class: errorClass, message: "" }, now);
        found.push((record.due ?? 0) - now);
        now = record.due ?? 0;
      }
      return found;
    };
    expect(waits("absent").slice(0, 4)).toEqual([1, 2, 4, 8].map((times) => times * FIRST_WAIT));
    expect(Math.max(...waits("absent"))).toBe(LONGEST_WAIT);
    expect(
      waits("transient")
        .slice(0, 10)
        .every((wait) => wait <= LONGEST_FAILED_WAIT),
    ).toBe(true);
  });

  test("FAILED is BROKEN after 8 attempts over 48 h, not before", () => {
    const stateAfter = (attempts: number, since: number) =>
      failed(
        { ...pending(), attempts: attempts - 1, failingSince: 0 },
        { class: "malformed", message: "" },
        since,
      ).state;
    expect(stateAfter(8, BROKEN_AFTER)).toBe("BROKEN");
    expect(stateAfter(7, BROKEN_AFTER)).toBe("FAILED");
    expect(stateAfter(8, BROKEN_AFTER - 1)).toBe("FAILED");
  });

  test("an upstream's Retry-After is honoured, but not for ever", () => {
    const dueAfter = (retryAfter: number) =>
      failed(pending(), { class: "transient", message: "", retryAfter }, 0).due;
    expect(dueAfter(FIRST_WAIT * 3)).toBe(FIRST_WAIT * 3);
    expect(dueAfter(1e18)).toBe(LONGEST_FAILED_WAIT);
  });

  const HOUR = 3_600_000;
  const outage = { class: "transient", message: "refuses connections", ofHost: true } as const;
  const stopped = { class: "stopped", message: "is not asked" } as const;
  /** Failing so each time it is due, for so long. */
  const failingFor = (
    error: Failure,
    span: number,
    begun = pending(),
  ): { record: VersionRecord; tries: number } => {
    let record = begun;
    let now = 0;
    let tries = 0;
    for (; now < span; now = record.due ?? Number.POSITIVE_INFINITY) {
      record = failed({ ...record, state: "PENDING" }, error, now);
      tries++;
    }
    return { record, tries };
  };

  test("an outage of days, or a stop, is no attempt of a version: it stays FAILED, and is tried soon after", () => {
    for (const [error, longest] of [
      [outage, LONGEST_FAILED_WAIT],
      [stopped, HOUR],
    ] as const) {
      const { record, tries } = failingFor(error, 72 * HOUR);
      expect([record.state, record.attempts]).toEqual(["FAILED", 0]);
      expect((record.due ?? 0) - 72 * HOUR).toBeLessThanOrEqual(longest);
      expect(tries).toBeLessThan(error === outage ? 30 : 100);
    }
    // The first minutes cost a minute each, as with any other failure.
    expect(failed(pending(), outage, 0).due).toBe(FIRST_WAIT);
  });

  test("an outage does not hasten what is BROKEN by itself: its own 8 attempts over 48 h count", () => {
    const { record } = failingFor(outage, 72 * HOUR);
    const own = failed({ ...record, state: "PENDING" }, { class: "malformed", message: "" }, 80 * HOUR);
    expect([own.state, own.attempts, own.failingSince]).toEqual(["FAILED", 1, 80 * HOUR]);
  });

  test("a host that is gone for a month holds up no feed any longer: BROKEN, and tried daily", () => {
    const { record } = failingFor(outage, 31 * 24 * HOUR);
    expect([record.state, record.attempts]).toEqual(["BROKEN", 0]);
    expect((record.due ?? 0) - 31 * 24 * HOUR).toBeLessThanOrEqual(24 * HOUR);
  });

  test("what is BROKEN for a fault that may heal is tried daily, another one ever more rarely", () => {
    const own = (errorClass: "transient" | "malformed") =>
      failed({ ...pending(), attempts: 30, failingSince: 0 }, { class: errorClass, message: "" }, 100 * HOUR);
    expect([own("transient").state, own("transient").due]).toEqual(["BROKEN", 124 * HOUR]);
    expect([own("malformed").state, own("malformed").due]).toEqual(["BROKEN", 100 * HOUR + LONGEST_WAIT]);
  });

  test("is due at a whole millisecond, whatever its host asked for", () => {
    const due = failed(pending(), { class: "transient", message: "", retryAfter: FIRST_WAIT + 0.25 }, 7).due;
    expect(due).toBe(FIRST_WAIT + 8);
  });

  test("success forgets the failures", () => {
    const ready = fetched(wanting(failing("transient"), { now: 3_000 }), { held: "whole" }, 4_000);
    expect(ready).toMatchObject({ state: "READY", attempts: 0 });
    expect([ready.lastError, ready.failingSince, ready.due]).toEqual([undefined, undefined, undefined]);
  });

  test("an error's text is cut at 200 bytes between characters", () => {
    const message =
      failed(pending(), { class: "transient", message: "é".repeat(150) }, 0).lastError?.message ?? "";
    expect(Buffer.byteLength(message)).toBe(ERROR_BYTES);
    expect(message).toBe("é".repeat(100));
    const odd = failed(pending(), { class: "transient", message: `x${"€".repeat(100)}` }, 0).lastError
      ?.message;
    expect(odd).toBe(`x${"€".repeat(66)}`);
  });
});
