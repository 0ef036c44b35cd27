import { describe, expect, test } from "vitest";
import { FormatError } from "../../gomod/format-error.ts";
import { MAX_LIST_BYTES, parseVersionList, printVersionList } from "../../gomod/list-file.ts";
import { version } from "../../gomod/version.ts";
import { describeWithOracle } from "../go-command.ts";
import { cpuMilliseconds, LINEAR_MS } from "./cpu-time.ts";
import { ask } from "./oracle.ts";

const pseudo = "v0.0.0-20200101000000-abcdefabcdef";

describeWithOracle("version lists against golang.org/x/mod/semver", () => {
  test("a list is sorted as semver.Sort sorts it", () => {
    const list = [
      "v1.10.0",
      "v1.2.0",
      "v2.0.0+incompatible",
      "v1.2.0-rc.10",
      "v1.2.0-rc.9",
      "v2.0.0",
      "v0.0.0",
    ];
    expect(parseVersionList(list.join("\n")).versions).toEqual(ask([["sortVersions", ...list]])[0]);
  });
});

describe("version lists", () => {
  test("canonical versions are kept, each once; pseudo-versions and times are set apart", () => {
    const text = `v1.1.0 2020-01-01T00:00:00Z\r\nv1.0.0\n\n  v1.1.0\tlater\n${pseudo}\nv1.0\nv1.0.0+meta\nmaster\n../../x\nv3.0.0+incompatible`;
    const list = parseVersionList(Buffer.from(text));
    expect(list.versions).toEqual(["v1.0.0", "v1.1.0", "v3.0.0+incompatible"]);
    expect(list.pseudoVersions).toEqual([pseudo]);
    expect([...list.times]).toEqual([["v1.1.0", "2020-01-01T00:00:00Z"]]);
  });

  test.each(["", "\n", " \r\n\n"])(
    "%j is an empty list, as of a module with only pseudo-versions",
    (text) => {
      expect(parseVersionList(text)).toEqual({ versions: [], pseudoVersions: [], times: new Map() });
    },
  );

  test.each([
    "<!doctype html>\nv1.0.0\n",
    "\ufeff  \r\n<html>",
    '{"error":"x"}',
    "[]",
    `\n\n<?xml version="1.0"?>`,
  ])("%j is not taken for a list", (text) => {
    expect(() => parseVersionList(text)).toThrow(FormatError);
  });

  test("a list is printed sorted, each version once, and parsed again to the same", () => {
    const text = printVersionList(["v1.10.0", "v1.9.0", "v1.10.0"].map(version));
    expect(text).toBe("v1.9.0\nv1.10.0\n");
    expect(printVersionList(parseVersionList(text).versions)).toBe(text);
    expect(printVersionList([])).toBe("");
  });

  test.each([
    ["spaces", " ".repeat(1_000_000)],
    ["line breaks", "\n".repeat(1_000_000)],
    ["one line", `v1.0.0-${"a.".repeat(500_000)}`],
    ["one version", "v1.0.0\n".repeat(140_000)],
    ["no UTF-8", Buffer.alloc(1_000_000, 0xff)],
    ["a long number", `v1.0.${"9".repeat(1_000_000)}`],
  ])("a megabyte of %s ends in time", (_, text) => {
    let listed = 0;
    const spent = cpuMilliseconds(() => {
      listed = parseVersionList(text).versions.length;
    });
    expect(listed).toBeLessThan(2);
    expect(spent).toBeLessThan(LINEAR_MS);
  });

  test("a list above 16 MiB is refused", () => {
    expect(() => parseVersionList(new Uint8Array(MAX_LIST_BYTES + 1))).toThrow(FormatError);
  });
});
