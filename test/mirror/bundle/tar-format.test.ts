import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TAR_END, tarExtent, tarHeader, tarPadding } from "../../../mirror/bundle/tar-format.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "modferry-tar-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const TIME = 1_790_000_000;
const long = (length: number) => `example.com/${"d".repeat(60)}/${"e".repeat(length - 77)}/@v`;

test.each([
  ["a short path", "example.com/a/@v/v1.0.0.mod", 7],
  ["an empty file", "sumdb/example.com/supported", 0],
  ["a path of 100 characters", `example.com/${"a".repeat(88)}`, 512],
  ["a path of 101 characters that a slash parts", `example.com/${"a".repeat(89)}`, 511],
  ["a path of 255 characters", `${long(154)}/${"f".repeat(100)}`, 513],
  ["a path that no ustar header has", `${"x/".repeat(200)}${"y".repeat(120)}`, 3],
  ["a last part of 200 characters", `example.com/${"z".repeat(200)}`, 3],
])("GNU tar unpacks %s with its content and time, and finds nothing to complain of", (_, path, size) => {
  const content = Buffer.alloc(size, "c");
  const archive = Buffer.concat([tarHeader(path, size, TIME), content, tarPadding(size), TAR_END]);
  expect(archive.byteLength).toBe(tarExtent(path, size) + TAR_END.byteLength);
  const to = mkdtempSync(join(folder, "to-"));
  writeFileSync(join(to, "pack.tar"), archive);
  mkdirSync(join(to, "out"));
  const said = execFileSync("tar", ["-xvf", join(to, "pack.tar"), "-C", join(to, "out")], {
    encoding: "utf8",
  });
  expect(said.trim()).toBe(path);
  expect(readFileSync(join(to, "out", path))).toEqual(content);
  expect(statSync(join(to, "out", path)).mtimeMs).toBe(TIME * 1000);
});

test("python's tarfile reads the same, strictly", () => {
  const paths = [
    "example.com/a/@v/list",
    `${"x/".repeat(200)}${"y".repeat(120)}`,
    `example.com/${"a".repeat(89)}`,
  ];
  const parts = paths.flatMap((path, at) => [
    tarHeader(path, at, TIME),
    Buffer.alloc(at, "c"),
    tarPadding(at),
  ]);
  writeFileSync(join(folder, "all.tar"), Buffer.concat([...parts, TAR_END]));
  const script =
    "import sys, tarfile; [print(m.name, m.size, m.mtime, m.mode, m.uid) for m in tarfile.open(sys.argv[1], errorlevel=2)]";
  const said = execFileSync("python3", ["-c", script, join(folder, "all.tar")], { encoding: "utf8" });
  expect(said.trim().split("\n")).toEqual(paths.map((path, at) => `${path} ${at} ${TIME} ${0o644} 0`));
});

test.each([["a\nb"], ["é"], [""]])("a path that no tree has is refused: %j", (path) => {
  expect(() => tarHeader(path, 1, TIME)).toThrow("no tar archive of ours");
});
