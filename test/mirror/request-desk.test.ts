import { describe, expect, test } from "vitest";
import { acceptInbox } from "../../mirror/inbox-scan.ts";
import { RequestDesk, type RequestReport } from "../../mirror/request-desk.ts";
import { printRequestBody, type RequestBody } from "../../mirror/requests.ts";
import { MadeMirror, requestBody } from "./made-mirror.ts";
import { MadeUpstream } from "./made-upstream.ts";

const TOKEN = "a-token-of-CI";

function world() {
  const upstream = new MadeUpstream();
  upstream.add("example.com/b@v1.0.0");
  upstream.add("example.com/a@v1.0.0", { requires: ["example.com/b@v1.0.0"] });
  const mirror = new MadeMirror(upstream);
  const desk = new RequestDesk(mirror.parts, TOKEN);
  const ask = (method: string, path: string, body: Uint8Array = new Uint8Array(), token = TOKEN) =>
    desk.answer({
      method,
      path: `-/requests/${path}`,
      authorization: `Bearer ${token}`,
      body: async () => body,
    });
  const post = (name: string, body: Partial<RequestBody>) =>
    ask("POST", name, printRequestBody(requestBody(body)));
  const report = async (location = "") => {
    const reply = await ask("GET", location.replace("/-/requests/", ""));
    return reply.status === 200 ? (JSON.parse(reply.text) as RequestReport) : reply.status;
  };
  return { upstream, mirror, desk, ask, post, report };
}

async function inboxOf({ vault }: MadeMirror): Promise<string[]> {
  const keys: string[] = [];
  for await (const key of vault.keys("inbox/requests/")) keys.push(key);
  return keys;
}

describe("the desk for requests", () => {
  test("takes a request, which a writer finds in the inbox, and says how far it is until it is served", async () => {
    const { mirror, post, report } = world();
    const { status, location, text } = await post("team/app", { wishes: ["example.com/a@v1.0.0"] });
    expect(status).toBe(202);
    expect(location).toMatch(/^\/-\/requests\/team\/app\/\d{8}T\d{9}Z$/);
    expect(`/-/requests/${JSON.parse(text).request}`).toBe(location);
    expect(await report(location)).toMatchObject({ state: "OPEN", missing: [] });
    expect(await acceptInbox(mirror.parts)).toEqual({ accepted: 1, refused: [] });
    expect(await acceptInbox(mirror.parts)).toEqual({ accepted: 0, refused: [] });
    expect(await report(location)).toMatchObject({ state: "OPEN" });
    await mirror.drain();
    expect(await report(location)).toMatchObject({ state: "DONE", total: 2, missing: [] });
    expect(await mirror.text("example.com/a/@v/list")).toBe("v1.0.0\n");
  });

  test("says what is missing of a request, why, and until when", async () => {
    const { upstream, mirror, post, report } = world();
    upstream.made.delete("example.com/b@v1.0.0");
    const { location } = await post("app", { wishes: ["example.com/a@v1.0.0"] });
    await acceptInbox(mirror.parts);
    await mirror.drain();
    expect(await report(location)).toMatchObject({
      state: "INCOMPLETE",
      missing: [{ subject: "example.com/b@v1.0.0", state: "GONE", due: expect.any(Number) }],
    });
  });

  test.each([
    ["no token", "", 401],
    ["another token", "a-token-of-C", 401],
    ["the right one", TOKEN, 404],
  ])("answers only who has its token: %s", async (_what, token, status) => {
    const { ask, desk } = world();
    expect((await ask("GET", "app/20260101T000000000Z", undefined, token)).status).toBe(status);
    const bare = { method: "POST", path: "-/requests/app", body: async () => new Uint8Array() };
    expect((await desk.answer({ ...bare, authorization: undefined })).status).toBe(401);
    expect((await desk.answer({ ...bare, authorization: `Basic ${TOKEN}` })).status).toBe(401);
  });

  test.each([
    ["..", {}],
    ["team/", {}],
    ["Team", {}],
    ["a/b/c/d/e", {}],
    ["poll", {}],
    ["index.backfill", {}],
  ])("refuses the name %s, and keeps nothing of it", async (name, body) => {
    const { mirror, post } = world();
    expect(await post(name, body)).toMatchObject({ status: 400 });
    expect(await inboxOf(mirror)).toEqual([]);
  });

  test.each<[string, Uint8Array, RegExp]>([
    ["what is no JSON", Buffer.from("{"), /not a JSON object/],
    ["an unknown field", Buffer.from('{"format":1,"mine":2}'), /^request: /],
    [
      "a wish that is none",
      printRequestBody(requestBody({ wishes: ["example.com/a@!"] })),
      /example\.com\/a@!/,
    ],
    ["a broken go.mod", printRequestBody(requestBody({ files: { "go.mod": "module\n" } })), /go\.mod/],
  ])("refuses %s in one line that says so", async (_what, body, said) => {
    const { mirror, ask } = world();
    const reply = await ask("POST", "app", body);
    expect(reply).toMatchObject({ status: 400, text: expect.stringMatching(said) });
    expect(reply.text.trimEnd().split("\n")).toHaveLength(1);
    expect(await inboxOf(mirror)).toEqual([]);
  });

  test("a wrong object in the inbox is noted as refused, and stops none of the others", async () => {
    const { mirror, post, report } = world();
    await mirror.vault.put("inbox/requests/app/20260101T000000000Z.json", Buffer.from("no request"));
    await mirror.vault.put("inbox/requests/odd.json", Buffer.from("no name"));
    const { location } = await post("zebra", { wishes: ["example.com/b@v1.0.0"] });
    const { accepted, refused } = await acceptInbox(mirror.parts);
    expect(accepted).toBe(1);
    expect(refused).toMatchObject([{ request: { name: "app" }, error: { class: "misuse" } }]);
    await mirror.drain();
    expect(await report(location)).toMatchObject({ state: "DONE" });
    expect(await report("app/20260101T000000000Z")).toMatchObject({
      state: "REFUSED",
      error: expect.stringContaining("not a JSON object"),
    });
  });
});
