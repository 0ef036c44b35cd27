import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";

const project = resolve(import.meta.dirname, "../..");
const command = join(project, "cli/modferry.ts");
const usage = execFileSync(process.execPath, [command, "help"], { encoding: "utf8" });

/** Of each verb of the usage text: what stands in its own lines, and those that it is continued in. */
const verbs = new Map<string, string>();
for (const [, name = "", rest = ""] of usage.matchAll(
  /^ {2}modferry ([a-z][a-z-]*)(.*\n(?: {4,}(?=[[-]).*\n)*)/gm,
))
  verbs.set(name, `${verbs.get(name) ?? ""}${rest}`);

const pages = [
  "README.md",
  ...["docs", "docs/ci"].flatMap((folder) =>
    readdirSync(join(project, folder))
      .filter((file) => /\.(md|yml)$/.test(file))
      .map((file) => `${folder}/${file}`),
  ),
];

/** Each `modferry VERB …` of a page, up to the end of its line, of its code, or of what a sentence says of it. */
function commandsOf(text: string): { line: string; verb: string; flags: string[] }[] {
  return [...text.matchAll(/(?<![\w/.-])modferry ([a-z][a-z-]*[a-z])\b([^`\n#|]*)/g)].flatMap(
    ([line, verb = "", rest = ""]) => {
      // What a command runs has flags of its own.
      const own = rest.split(" -- ", 1)[0] ?? "";
      const flags = [...own.matchAll(/(?<=\s)--[a-z][a-z-]*/g)].map(([flag]) => flag);
      return verbs.has(verb) || flags.length > 0 ? [{ line, verb, flags }] : [];
    },
  );
}

describe("the documents' commands", () => {
  test("the usage text was understood", () => {
    expect(verbs.size).toBeGreaterThan(15);
    expect(verbs.get("sync")).toContain("--config");
    expect(verbs.get("serve")).not.toContain("--config");
  });

  test.each(pages)("%s: every verb and flag is one that the usage text has", (page) => {
    for (const { line, verb, flags } of commandsOf(readFileSync(join(project, page), "utf8"))) {
      expect([...verbs.keys()], line).toContain(verb);
      for (const flag of flags) expect(verbs.get(verb), line).toContain(flag);
    }
  });

  test("README.md names every verb", () => {
    const readme = readFileSync(join(project, "README.md"), "utf8");
    const named = new Set(commandsOf(readme).map(({ verb }) => verb));
    expect([...verbs.keys()].filter((verb) => !named.has(verb))).toEqual([]);
  });
});
