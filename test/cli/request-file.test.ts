import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readWishes } from "../../adapters/local/read-wishes.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { recordingRequest } from "../../mirror/recording.ts";
import type { RequestBody } from "../../mirror/requests.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "modferry-request-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const ZIP = "example.com/a/@v/v1.0.0.zip";
let files = 0;
async function requestFile(body: unknown): Promise<string> {
  const path = join(folder, `request${files++}.json`);
  await writeFile(path, typeof body === "string" ? body : JSON.stringify(body));
  return path;
}
const read = (
  wishes: readonly string[],
  tier: RequestBody["tier"] = "tidy",
  graph: RequestBody["graph"] = "pruned",
) => readWishes(wishes, { tier, graph }, async () => "");
async function refusal(wishes: readonly string[]): Promise<string> {
  const thrown = await read(wishes).then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(MirrorError);
  expect((thrown as MirrorError).class).toBe("misuse");
  expect((thrown as MirrorError).message).not.toContain("\n");
  return (thrown as MirrorError).message;
}

describe("a request file as a wish", () => {
  test("is the request that it holds", async () => {
    const body = recordingRequest([ZIP]);
    expect(await read([await requestFile(body)])).toEqual(body);
  });

  test("a recording speaks of no tier and no graph; any other request keeps at least its own", async () => {
    const recording = await requestFile(recordingRequest([ZIP]));
    expect(await read([recording], "build")).toMatchObject({ tier: "build", graph: "pruned" });
    const wider = await requestFile({
      ...recordingRequest([]),
      wishes: ["example.com/a@v1.0.0"],
      tier: "upgrade",
      graph: "full",
    });
    expect(await read([recording, wider], "build")).toMatchObject({ tier: "upgrade", graph: "full" });
    const narrower = await requestFile({
      ...recordingRequest([]),
      wishes: ["example.com/a@v1.0.0"],
      tier: "build",
    });
    expect(await read([narrower], "tidy", "full")).toMatchObject({ tier: "tidy", graph: "full" });
  });

  test("goes with other wishes and other request files, each recorded file once", async () => {
    const one = await requestFile({ ...recordingRequest([ZIP]), wishes: ["example.com/b@v1.0.0"] });
    const two = await requestFile({
      ...recordingRequest([ZIP, "example.com/c/@v/v1.0.0.mod"]),
      exact: ["example.com/d@v1.0.0"],
    });
    expect(await read([one, "example.com/e@v1.0.0", two])).toMatchObject({
      wishes: ["example.com/e@v1.0.0", "example.com/b@v1.0.0"],
      exact: ["example.com/d@v1.0.0"],
      recorded: [ZIP, "example.com/c/@v/v1.0.0.mod"],
      together: true,
    });
  });

  test("two files of one name that differ are refused", async () => {
    const withGoMod = (text: string) => requestFile({ ...recordingRequest([]), files: { "go.mod": text } });
    const [one, other] = [
      await withGoMod("module example.com/one\n"),
      await withGoMod("module example.com/other\n"),
    ];
    expect(await refusal([one, other])).toBe(
      `${other}: its go.mod is another one than that of the other wishes; ask for it alone`,
    );
    expect(Object.keys((await read([one, one])).files)).toEqual(["go.mod"]);
  });

  test.each<[string, unknown, RegExp]>([
    ["no JSON", "{", /not a JSON object/],
    ["an array", [], /request: /],
    ["an empty file", "", /not a JSON object/],
    ["no format", { ...recordingRequest([]), format: undefined }, /format: /],
    ["another format", { ...recordingRequest([]), format: 2 }, /format: /],
    ["a tier that is none", { ...recordingRequest([]), tier: "all" }, /tier: /],
    ["a graph that is none", { ...recordingRequest([]), graph: "all" }, /graph: /],
    ["files that are no text", { ...recordingRequest([]), files: { "go.mod": 1 } }, /files\.go\.mod: /],
    [
      "a file that is none of go's",
      { ...recordingRequest([]), files: { "main.go": "" } },
      /main\.go: not a go\.mod/,
    ],
    ["exact that is none", { ...recordingRequest([]), exact: {} }, /exact: /],
    ["a wish that is none", { ...recordingRequest([]), wishes: ["nothing"] }, /nothing: not a wish/],
    ["together that is none", { ...recordingRequest([]), together: 1 }, /together: /],
    ["an unknown field", { ...recordingRequest([]), surplus: true }, /surplus/],
    [
      "a key that climbs",
      recordingRequest(["../../etc/passwd"]),
      /recorded\.0: "\.\.\/\.\.\/etc\/passwd" is no key/,
    ],
  ])("%s is refused by one line", async (_what, body, message) => {
    expect(await refusal([await requestFile(body)])).toMatch(message);
  });

  test("the line names the file, for a fault of its recording too", async () => {
    const path = await requestFile(recordingRequest(["x/../y"]));
    expect(await refusal([path])).toMatch(new RegExp(`^${path}: recorded\\.0: `));
  });

  test("a file that is not there, or a folder, is named", async () => {
    expect(await refusal([join(folder, "none.json")])).toMatch(/none\.json: no such file/);
    await mkdir(join(folder, "folder.json"));
    expect(await refusal([join(folder, "folder.json")])).toMatch(/folder\.json: a folder; name a file/);
  });
});

test("a replacement by a folder that is not there is let be where the module is not required, as by go", async () => {
  const path = join(folder, "idle", "go.mod");
  await mkdir(join(folder, "idle"));
  const idle = "module example.com/m\n\ngo 1.21\n\nreplace example.com/r => ../nowhere\n";
  await writeFile(path, idle);
  expect((await read([path])).files).toEqual({ [path]: idle });
  const other = `${idle.replace("/r =>", "/r v1.0.0 =>")}\nrequire example.com/r v1.1.0\n`;
  await writeFile(path, other);
  expect((await read([path])).files).toEqual({ [path]: other });
  await writeFile(path, `${idle}\nrequire example.com/r v1.1.0\n`);
  expect(await refusal([path])).toMatch(
    /replaces example\.com\/r by \.\.\/nowhere, but .*nowhere has no go\.mod/,
  );
});
