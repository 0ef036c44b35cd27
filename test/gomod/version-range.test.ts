import { expect, test } from "vitest";
import { parseVersionRange } from "../../gomod/version-range.ts";

test.each<[string, readonly string[], readonly string[]]>([
  [">=v1.2.0 <v1.3.0", ["v1.2.0", "v1.2.9", "v1.3.0-rc.1"], ["v1.1.9", "v1.3.0", "v1.2.0-rc.1"]],
  [">=v1.2.0,<v1.3.0", ["v1.2.0"], ["v1.3.0"]],
  [">v1.2.0", ["v1.2.1", "v2.0.0+incompatible"], ["v1.2.0"]],
  ["<=v1.2.0", ["v1.2.0", "v0.0.0-20240102030405-0123456789ab"], ["v1.2.1"]],
  ["v1.2.3", ["v1.2.3"], ["v1.2.4", "v1.2.3-rc.1"]],
  ["=v2", ["v2.0.0", "v2.0.0+incompatible"], ["v2.0.1"]],
  ["v1", ["v1.0.0", "v1.99.0"], ["v10.0.0", "v0.1.0", "v2.0.0"]],
  ["v1.2", ["v1.2.0", "v1.2.9-pre"], ["v1.20.0"]],
  ["v1.0.0 || v1.1.0", ["v1.0.0", "v1.1.0"], ["v1.2.0"]],
  ["<v1.0.0 || >=v2.0.0 <v2.1.0", ["v0.9.0", "v2.0.5"], ["v1.5.0", "v2.1.0"]],
  ["*", ["v0.0.1", "v9.0.0"], []],
])("%s", (text, inside, outside) => {
  const range = parseVersionRange(text);
  for (const version of inside) expect([version, range.has(version)]).toEqual([version, true]);
  for (const version of outside) expect([version, range.has(version)]).toEqual([version, false]);
});

test.each([
  "",
  " ",
  "v1 ||",
  "1.2.3",
  ">=1.0.0",
  "v1.2.x",
  ">= v1.0.0",
  "~v1.2.0",
  "^v1",
  "latest",
  `${"v1.0.0 ".repeat(200)}`,
])("%j is refused in one line that says what would be right", (text) => {
  expect(() => parseVersionRange(text)).toThrow(/version range.*|longer than/);
  expect(() => parseVersionRange(text)).not.toThrow(/\n/);
});
