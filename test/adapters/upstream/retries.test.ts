import { expect, test } from "vitest";
import { parseRetryAfter, withRetries } from "../../../adapters/upstream/retries.ts";
import { MirrorError } from "../../../mirror/errors.ts";
import { mirrorError, quickTools } from "./fault-server.ts";

const failing = (errorClass: "transient" | "absent", retryAfter?: number) => () =>
  Promise.reject(new MirrorError(errorClass, "x", "x: no", retryAfter === undefined ? {} : { retryAfter }));

test("transient trouble is tried four times, 1, 3 and 9 s apart, then thrown", async () => {
  const waits: number[] = [];
  expect((await mirrorError(withRetries(failing("transient"), quickTools(waits)))).class).toBe("transient");
  expect(waits).toEqual([1000, 3000, 9000]);
});

test("jitter makes a wait up to a quarter longer, never shorter", async () => {
  const waits: number[] = [];
  await mirrorError(withRetries(failing("transient"), { ...quickTools(waits), random: () => 0.999 }));
  expect(waits.map((wait) => Math.round(wait))).toEqual([1250, 3749, 11248]);
});

test("what heals is returned at once", async () => {
  const waits: number[] = [];
  const attempt = (tries: number) => (tries < 2 ? failing("transient")() : Promise.resolve(tries));
  expect(await withRetries(attempt, quickTools(waits))).toBe(2);
  expect(waits).toEqual([1000, 3000]);
});

test("no other class is tried again", async () => {
  const waits: number[] = [];
  await mirrorError(withRetries(failing("absent"), quickTools(waits)));
  expect(waits).toEqual([]);
});

test("Retry-After is honoured when longer than our wait, and not waited for when too long", async () => {
  const waits: number[] = [];
  await mirrorError(withRetries(failing("transient", 5000), quickTools(waits)));
  expect(waits).toEqual([5000, 5000, 9000]);
  const none: number[] = [];
  const error = await mirrorError(withRetries(failing("transient", 31_000), quickTools(none)));
  expect([none, error.retryAfter]).toEqual([[], 31_000]);
});

test("no try begins after 150 s, so hanging replies do not add up", async () => {
  const tools = quickTools();
  let tries = 0;
  const attempt = async () => {
    tries++;
    await tools.sleep(100_000);
    return failing("transient")();
  };
  await mirrorError(withRetries(attempt, tools));
  expect(tries).toBe(2);
});

test("a stopped sleep ends in the error that was to be retried", async () => {
  const tools = { ...quickTools(), sleep: () => Promise.reject(new Error("aborted")) };
  expect((await mirrorError(withRetries(failing("transient"), tools))).message).toBe("x: no");
});

const now = Date.UTC(2026, 10, 23, 12, 0, 0);
test.each([
  ["0", 0],
  ["120", 120_000],
  ["99999999999999", 86_400_000],
  ["Mon, 23 Nov 2026 12:01:00 GMT", 60_000],
  ["Mon, 23 Nov 2026 11:00:00 GMT", 0],
  ["soon", undefined],
  ["-5", undefined],
  ["1.5", undefined],
  ["", undefined],
  [undefined, undefined],
  ["9".repeat(100), undefined],
])("Retry-After %j is %j ms", (header, wait) => {
  expect(parseRetryAfter(header, now)).toBe(wait);
});
