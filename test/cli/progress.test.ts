import { expect, test } from "vitest";
import { SyncProgress } from "../../cli/progress.ts";
import { moduleVersion } from "../../gomod/version.ts";
import type { MirrorEvent } from "../../mirror/events.ts";

const failed = (at: number): MirrorEvent => ({
  event: "failed",
  version: moduleVersion(`example.com/m${at}`, "v1.0.0"),
  state: "FAILED",
  class: "transient",
  message: "reset",
});
const fetched = (at: number): MirrorEvent => ({
  event: "fetched",
  version: moduleVersion(`example.com/m${at}`, "v1.0.0"),
  held: "whole",
  bytes: 0,
});

/** The end of the last line, behind the seconds. */
function lastLine(earlier: readonly MirrorEvent[], own: readonly MirrorEvent[], missing: readonly number[]) {
  return linesOf(earlier, own, missing)
    .at(-1)
    ?.replace(/^.* MB in \d+\.\d s/, "");
}

function linesOf(earlier: readonly MirrorEvent[], own: readonly MirrorEvent[], missing: readonly number[]) {
  const lines: string[] = [];
  const progress = new SyncProgress(
    {
      print: () => {},
      error: (line) => void lines.push(line),
      status: undefined,
      stdin: async () => "",
    },
    false,
  );
  for (const event of earlier) progress.take(event);
  progress.beginRequest();
  for (const event of own) progress.take(event);
  progress.end(missing.map((at) => ({ subject: `example.com/m${at}@v1.0.0` })));
  return lines;
}

test("a failure is said once, though it is met for an earlier request and for this one", () => {
  const lines = linesOf([failed(1), failed(2)], [failed(1)], [1]).filter((line) => line.includes("reset"));
  expect(lines).toEqual([
    "FAILED (transient) example.com/m1@v1.0.0: reset",
    "FAILED (transient) example.com/m2@v1.0.0: reset",
  ]);
});

test("the last line counts as this request's failures those alone that are missing for it", () => {
  expect(lastLine([failed(1)], [failed(2), failed(3)], [2, 3])).toBe(
    ", 2 failures, 1 failure of earlier requests",
  );
  expect(lastLine([failed(1)], [failed(1)], [1]), "what an earlier one lacked, too").toBe(", 1 failure");
  expect(lastLine([], [failed(2)], []), "an upgrade that is not to be had").toBe(
    ", 1 failure that this request does without",
  );
});

test("the last line counts no failure that the same run has mended", () => {
  expect(lastLine([failed(1), failed(2)], [fetched(1)], [])).toBe(", 1 failure of earlier requests");
  expect(lastLine([failed(1)], [failed(1), fetched(1)], [])).toBe("");
});
