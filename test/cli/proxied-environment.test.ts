import { execFileSync } from "node:child_process";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ScratchFolder } from "../../adapters/local/scratch-folder.ts";
import { proxiedRun } from "../../cli/proxied-environment.ts";
import { PUBLIC_DATABASE_KEY } from "../../sumdb/known-databases.ts";
import { describeWithGo } from "../go-command.ts";

const PROXY = "http://127.0.0.1:1";
const VKEY = "sumdb.example.test+10968c75+AZBv9m6MKyyc9YuOdh2zQI9j0V6EAqgb36PAYuNV1HCX";
const [PUBLIC_NAME = ""] = PUBLIC_DATABASE_KEY.split("+");

describeWithGo("a run against one proxy", () => {
  let scratch: ScratchFolder;
  beforeEach(() => {
    scratch = new ScratchFolder();
  });
  afterEach(() => scratch.remove());

  const run = (more: NodeJS.ProcessEnv, effects: "as the user has it" | "none") => {
    const variables = { PATH: process.env.PATH ?? "", HOME: scratch.path, GOENV: "off", ...more };
    return proxiedRun(variables, PROXY, scratch, effects);
  };
  /** As the go command of the run sees it. */
  const goEnv = (env: NodeJS.ProcessEnv, name: string) =>
    execFileSync("go", ["env", name], { env, encoding: "utf8" }).trim();

  test.each([
    ["a key and an address", `${VKEY} http://127.0.0.1:2`, VKEY],
    ["a key", VKEY, VKEY],
    ["the public one's name", PUBLIC_NAME, PUBLIC_DATABASE_KEY],
    ["its name and an address", `${PUBLIC_NAME} http://127.0.0.1:2`, PUBLIC_DATABASE_KEY],
    ["another name that go may know, with an address of its own", "sums.example", PUBLIC_DATABASE_KEY],
    ["nothing", "", PUBLIC_DATABASE_KEY],
    ["off", "off", "off"],
  ])("without effects no database is asked past the proxy: GOSUMDB is %s", async (_what, GOSUMDB, seen) => {
    const { environment } = await run({ GOSUMDB }, "none");
    expect(goEnv(environment, "GOSUMDB")).toBe(seen);
  });

  test("without effects no module is fetched past the proxy, and the user's own settings say which are not proven", async () => {
    const { environment, bypass } = await run({ GOPRIVATE: "corp.example" }, "none");
    expect(bypass).toBeUndefined();
    expect(goEnv(environment, "GONOPROXY")).toBe("none");
    expect(goEnv(environment, "GONOSUMDB")).toBe("corp.example");
  });

  test("else both are as the user has them, and said", async () => {
    const GOSUMDB = `${VKEY} http://127.0.0.1:2`;
    const { environment, bypass } = await run({ GOPRIVATE: "corp.example", GOSUMDB }, "as the user has it");
    expect(bypass).toMatch(/^GONOPROXY \(or GOPRIVATE\) is corp\.example: /);
    expect([goEnv(environment, "GONOPROXY"), goEnv(environment, "GOSUMDB")]).toEqual([
      "corp.example",
      GOSUMDB,
    ]);
  });
});
