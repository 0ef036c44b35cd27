import { expect, test } from "vitest";
import { MemoryLedger } from "../../../adapters/local/memory-ledger.ts";
import { MemoryTree } from "../../../adapters/local/memory-tree.ts";
import { MemoryVault } from "../../../adapters/local/memory-vault.ts";
import { openSources } from "../../../adapters/upstream/sources.ts";
import { parseSumdb, parseSumdbs, printSumdb } from "../../../adapters/upstream/sumdb-option.ts";
import { modulePath } from "../../../gomod/module-path.ts";
import { PUBLIC_DATABASE_KEY } from "../../../sumdb/known-databases.ts";
import { newKeys } from "../../mirror/private-database.ts";

const keyOf = (name: string) => newKeys(name).verifier;
const CORP = keyOf("sum.corp.example");
const TEAM = keyOf("sum.corp.example/team");

function refused(...texts: string[]): string {
  try {
    parseSumdbs(texts);
  } catch (error) {
    expect(error).toMatchObject({ class: "misuse", subject: "--sumdb" });
    const { message } = error as Error;
    expect(message).toMatch(/^--sumdb: [^\n]+$/);
    return message;
  }
  throw new Error(`accepted: ${texts.join(" | ")}`);
}

test("a database is a key, perhaps an address, and perhaps patterns", () => {
  const url = "https://sum.corp.example/db";
  const patterns = "corp.example,*.corp.example/x,[a-m]*.example/";
  for (const [text, want] of [
    [CORP, { url: undefined, modules: undefined }],
    [`${CORP} ${url}`, { url, modules: undefined }],
    [`${CORP} ${patterns}`, { url: undefined, modules: patterns }],
    [`  ${CORP}\t${url}  ${patterns} `, { url, modules: patterns }],
  ] as const) {
    const parsed = parseSumdb(text);
    expect(parsed).toMatchObject({ key: CORP, ...want });
    const { verifier: _, ...given } = parsed;
    expect(parseSumdb(printSumdb(parsed))).toMatchObject(given);
  }
});

test("none given is the public one, which may be named as go knows it", () => {
  expect(parseSumdbs([]).map(({ key }) => key)).toEqual([PUBLIC_DATABASE_KEY]);
  const name = PUBLIC_DATABASE_KEY.split("+", 1)[0] ?? "";
  expect(parseSumdbs([CORP, name]).map(({ key }) => key)).toEqual([CORP, PUBLIC_DATABASE_KEY]);
});

test("what is no database is refused in one line that says what would be right, and shows no secret", () => {
  expect(refused("sum.corp.example")).toContain("NAME+HASH+KEY");
  expect(refused(`${CORP} a.example b.example`)).toContain("in one argument");
  expect(refused(`${CORP} corp.example https://sum.corp.example`)).toContain("in one argument");
  expect(refused(`${CORP} ftp://sum.corp.example`)).toContain("ftp://sum.corp.example");
  for (const patterns of [
    "[x",
    "a.example,,b.example",
    ",",
    "a.example:8080",
    "ä.example",
    "u:p4ss@sum.example",
  ])
    expect(refused(`${CORP} ${patterns}`)).toContain("neither an http(s) URL nor patterns of module paths");
  expect(refused(`${CORP} u:p4ss@sum.example`)).not.toContain("p4ss");
  expect(refused(`${CORP} https://u:p4ss@h/ a.example b.example`)).not.toContain("p4ss");
  for (const name of ["../x", "sum.example/../x", "SUM.example", "sum.example/lookup", "sum.example/"])
    expect(refused(keyOf(name)), name).toContain("below its name");
});

test("a public database with patterns needs another one for the rest", () => {
  expect(refused(`${PUBLIC_DATABASE_KEY} github.com`)).toContain("no database covers the rest");
  expect(parseSumdbs([`${PUBLIC_DATABASE_KEY} github.com`, CORP])).toHaveLength(2);
});

test("two databases of one name are refused, also where a file system takes two names for one", () => {
  expect(refused(CORP, TEAM, `${keyOf("sum.corp.example")} corp.example`)).toContain(
    "sum.corp.example: given twice",
  );
  refused(TEAM, keyOf("sum.corp.example/TEAM"));
  expect(parseSumdbs([CORP, TEAM])).toHaveLength(2);
});

test.each([
  ["one without patterns covers all", [PUBLIC_DATABASE_KEY], "", { "corp.example/a": [0], "a.org/b": [0] }],
  [
    "one without patterns covers what no other one names, whatever their order",
    [PUBLIC_DATABASE_KEY, `${CORP} corp.example,*.corp.example`],
    "",
    {
      "corp.example/a": [1],
      "git.corp.example/b": [1],
      "corp.example.org/a": [0],
      "golang.org/toolchain": [0],
    },
  ],
  ["two without patterns cover all both", [CORP, TEAM], "", { "a.org/b": [0, 1] }],
  ["`*` covers all and hides nothing from others", [CORP, `${TEAM} *`], "", { "a.org/b": [0, 1] }],
  [
    "a path may be named by several; the first must have it",
    [`${TEAM} corp.example/team`, `${CORP} corp.example`, PUBLIC_DATABASE_KEY],
    "",
    { "corp.example/team/x": [0, 1], "corp.example/x": [1], "a.org/b": [2] },
  ],
  [
    "what no database covers by --no-sumdb is covered by none, but toolchains",
    [`${CORP} corp.example`, PUBLIC_DATABASE_KEY],
    "corp.example/secret,golang.org",
    {
      "corp.example/secret/x": [],
      "corp.example/x": [0],
      "golang.org/x/mod": [],
      "golang.org/toolchain": [1],
    },
  ],
  [
    "what no pattern names is covered by the public one",
    [`${CORP} corp.example`],
    "",
    { "corp.example/x": [0], "a.org/b": [1] },
  ],
])("%s", (_name, texts, noSumdb, wanted) => {
  const sumdbs = parseSumdbs(texts);
  const { databases, databasesFor } = openSources({
    url: "http://127.0.0.1:1",
    sumdbs,
    noSumdb,
    spool: () => Promise.reject(new Error("nothing is fetched")),
    tree: new MemoryTree(),
    vault: new MemoryVault(),
    ledger: new MemoryLedger(),
    report: () => {},
    owner: "test",
    tiles: "needed",
  });
  for (const [path, covering] of Object.entries(wanted))
    expect(
      databasesFor(modulePath(path)).map((database) => databases.indexOf(database)),
      path,
    ).toEqual(covering);
});
