import { describe, expect, test } from "vitest";
import { MemoryVault } from "../../adapters/local/memory-vault.ts";
import { moduleVersion } from "../../gomod/version.ts";
import { acceptRequest } from "../../mirror/accept.ts";
import { type ClosureFile, readClosure, writeClosure } from "../../mirror/closure-file.ts";
import { readRequestBody } from "../../mirror/inbox.ts";
import { type Order, parseOrder } from "../../mirror/orders.ts";
import {
  closureVaultKey,
  handedInAt,
  LARGEST_REQUEST,
  parseRequestBody,
  parseRequestInboxKey,
  printRequestBody,
  requestInboxKey,
  requestTimeOf,
} from "../../mirror/requests.ts";
import { parseTreeKey } from "../../mirror/tree-keys.ts";
import { parseWishes } from "../../mirror/wishes.ts";
import { MadeMirror, requestBody } from "./made-mirror.ts";
import { MadeUpstream } from "./made-upstream.ts";

const KEY = { name: "test", time: "20261123T093000000Z" };
const utf8 = (text: string) => new TextEncoder().encode(text);

describe("orders from the queue", () => {
  const fetch = { kind: "fetch", path: "example.com/a", versions: ["v1.0.0"], request: KEY, number: 0 };

  test("what is sent is read back", () => {
    const orders = [
      fetch,
      { kind: "resolve", request: KEY },
      { kind: "fetch", path: "a.org/b", versions: ["v2.0.0+incompatible"] },
    ];
    for (const order of orders) expect(parseOrder(JSON.stringify(order))).toEqual(order as Order);
  });

  test.each([
    ["", "{", "null", "[]", "0", '"fetch"', "{}"],
    [
      { ...fetch, kind: "delete" },
      { ...fetch, path: "../../etc" },
      { ...fetch, path: "example.com/A/../b" },
      { ...fetch, path: "x".repeat(3000) },
      { ...fetch, versions: [] },
      { ...fetch, versions: ["master"] },
      { ...fetch, versions: ["v1"] },
      { ...fetch, versions: new Array(17).fill("v1.0.0") },
      { ...fetch, number: -1 },
      { ...fetch, number: 0.5 },
      { ...fetch, extra: 1 },
      { ...fetch, request: { name: "../x", time: KEY.time } },
      { kind: "resolve", request: { name: "ok", time: "now" } },
      { kind: "resolve" },
    ].map((order) => JSON.stringify(order)),
    ["[".repeat(200_000), `{"kind":"fetch\n\u001b[31m${"x".repeat(500)}`],
  ])("hostile ones are refused in one short line (%#)", (...texts) => {
    for (const text of texts) {
      const refusal = refused(() => parseOrder(text));
      expect(refusal).toMatchObject({ class: "malformed" });
      expect(refusal?.message).toMatch(/^[^\p{Cc}]{1,400}$/u);
    }
  });
});

describe("requests", () => {
  test("a body is read back as it was printed, and a time is the moment it was handed in", () => {
    const body = requestBody({
      files: { "go.mod": "module x\n" },
      wishes: ["a.org/b@v1.0.0"],
      together: false,
    });
    expect(parseRequestBody(printRequestBody(body))).toEqual(body);
    const now = Date.UTC(2026, 1, 3, 4, 5, 6, 78);
    expect(requestTimeOf(now)).toBe("20260203T040506078Z");
    expect(handedInAt({ name: "x", time: requestTimeOf(now) })).toBe(now);
    expect(parseRequestInboxKey(requestInboxKey(KEY))).toEqual(KEY);
  });

  test.each([
    "inbox/requests/../x/20261123T093000000Z.json",
    "inbox/requests/UPPER/20261123T093000000Z.json",
    "inbox/requests/a/b/c/d/e/20261123T093000000Z.json",
    "inbox/requests/a/now.json",
    "inbox/requests//20261123T093000000Z.json",
    "evidence/a/20261123T093000000Z.json",
    `inbox/requests/${"a".repeat(65)}/20261123T093000000Z.json`,
    `inbox/requests/a/20261123T093000000Z.json${"/".repeat(50_000)}`,
  ])("no request's key (%#)", (key) => expect(parseRequestInboxKey(key)).toBeUndefined());

  const good = requestBody({});
  test.each<[string, Uint8Array]>([
    ["request", Buffer.of(0xff, 0xfe)],
    ["request", utf8("nonsense")],
    ["request", utf8("[".repeat(1_000_000))],
    ["format", utf8(JSON.stringify({ ...good, format: 2 }))],
    ["tier", utf8(JSON.stringify({ ...good, tier: "all" }))],
    ["wishes", utf8(JSON.stringify({ ...good, wishes: new Array(10_001).fill("a.org/b@v1.0.0") }))],
    ["wishes.0", utf8(JSON.stringify({ ...good, wishes: ["x".repeat(3000)] }))],
    [
      "files",
      utf8(
        JSON.stringify({
          ...good,
          files: Object.fromEntries(Array.from({ length: 1001 }, (_, i) => [`${i}/go.mod`, ""])),
        }),
      ),
    ],
    ["request", utf8(JSON.stringify({ ...good, more: 1 }))],
  ])("a field that is wrong is named: %s (%#)", (field, bytes) => {
    expect(refused(() => parseRequestBody(bytes))).toMatchObject({ class: "misuse", subject: field });
  });

  test("__proto__ as a file's name changes nothing", () => {
    const text = JSON.stringify(good).replace('"files":{}', '"files":{"__proto__":"module x\\n"}');
    const parsed = refused(() => parseWishes(parseRequestBody(utf8(text))));
    expect(parsed?.class ?? "misuse").toBe("misuse");
    expect(({} as Record<string, unknown>).module).toBeUndefined();
  });

  test.each<[string, Partial<typeof good>]>([
    ["some/module", { wishes: ["some/module"] }],
    ["example.com/a@master", { wishes: ["example.com/a@master"] }],
    ["example.com/a@v2.0.0", { wishes: ["example.com/a@v2.0.0"] }],
    ["../a@latest", { wishes: ["../a@latest"] }],
    ["@latest", { wishes: ["@latest"] }],
    ["go.mod", { files: { "go.mod": "module\n" } }],
    ["go.sum", { files: { "go.sum": "a b c d\n" } }],
    ["go.work", { files: { "go.work": "go 1.21\nuse ./missing\n" } }],
    ["evil.sh", { files: { "evil.sh": "" } }],
  ])("a wish that cannot be one is refused when it comes in: %s", async (subject, body) => {
    const mirror = new MadeMirror(new MadeUpstream());
    await expect(mirror.accept(body)).rejects.toMatchObject({ class: "misuse", subject });
    expect((await mirror.ledger.dueRequests(Number.MAX_SAFE_INTEGER, 10)).length).toBe(0);
    expect(mirror.queue.take()).toBeUndefined();
  });

  test("a request that is too large is refused for good, not handed out for ever", async () => {
    const mirror = new MadeMirror(new MadeUpstream());
    await mirror.vault.put(requestInboxKey(KEY), new Uint8Array(LARGEST_REQUEST + 1));
    await expect(readRequestBody(mirror.parts, KEY)).rejects.toMatchObject({ class: "misuse" });
    await expect(acceptRequest(mirror.parts, KEY)).rejects.toMatchObject({ class: "misuse" });
    expect(await mirror.ledger.readRequest(KEY)).toMatchObject({ state: "REFUSED" });
  });

  test("a reason is kept in 200 bytes, whatever the wish", async () => {
    const mirror = new MadeMirror(new MadeUpstream());
    await mirror.vault.put(
      requestInboxKey(KEY),
      printRequestBody(requestBody({ wishes: ["é".repeat(1000)] })),
    );
    await expect(acceptRequest(mirror.parts, KEY)).rejects.toThrow();
    expect(Buffer.byteLength((await mirror.ledger.readRequest(KEY))?.error ?? "")).toBeLessThanOrEqual(200);
  });
});

describe("closure files", () => {
  const [a, b, c] = ["a", "b", "c"].map((name) => moduleVersion(`example.com/${name}`, "v1.0.0"));
  if (a === undefined || b === undefined || c === undefined) throw new Error("not made");
  const closure: ClosureFile = {
    needs: [
      { version: a, extent: "whole" },
      { version: b, extent: "mod" },
      { version: c, extent: "whole" },
    ],
    roots: [
      {
        root: a,
        needs: [
          { version: a, extent: "whole" },
          { version: b, extent: "mod" },
        ],
      },
    ],
    unresolved: [{ subject: "x@latest\n", class: "absent", message: 'says: "no"' }],
    unloaded: [b],
  };

  test("what is written is read back", async () => {
    const vault = new MemoryVault();
    await writeClosure(vault, KEY, closure);
    expect(await readClosure(vault, KEY)).toEqual(closure);
    const empty = { needs: [], roots: [], unresolved: [], unloaded: [] };
    await writeClosure(vault, KEY, empty);
    expect(await readClosure(vault, KEY)).toEqual(empty);
  });

  test("a damaged one is malformed, wherever the damage is, and never a shorter one", async () => {
    const vault = new MemoryVault();
    await expect(readClosure(vault, KEY)).rejects.toMatchObject({ class: "malformed" });
    await writeClosure(vault, KEY, closure);
    const whole = await vault.get(closureVaultKey(KEY), 1 << 20);
    if (whole === undefined) throw new Error("not written");
    for (let at = 0; at < whole.length; at++) {
      await vault.put(closureVaultKey(KEY), whole.subarray(0, at));
      await expect(readClosure(vault, KEY), `cut at ${at}`).rejects.toMatchObject({ class: "malformed" });
      const flipped = Uint8Array.from(whole);
      flipped[at] = (flipped[at] ?? 0) ^ 0x10;
      await vault.put(closureVaultKey(KEY), flipped);
      const read = await readClosure(vault, KEY).catch((error: unknown) => error);
      if (read instanceof Error) expect(read).toMatchObject({ class: "malformed" });
      else expect(read, `flipped at ${at}`).toEqual(closure);
    }
  });
});

describe("tree keys", () => {
  test.each([
    "example.com/!azure/@v/v1.0.0.info",
    "example.com/a/@v/v2.0.0+incompatible.zip",
    "example.com/a/v2/@v/v2.0.0-!r!c1.mod",
    "example.com/a/@latest",
    "gopkg.in/yaml.v3/@v/list",
    "golang.org/toolchain/@v/v0.0.1-go1.21.0.linux-amd64.zip",
    "sumdb/sum.example.org/lookup/example.com/!azure@v1.0.0",
    "sumdb/sum.example.org/path/x/tile/8/2/x001/x234/067.p/8",
    "sumdb/sum.example.org/latest",
  ])("%s names what it says, and is spelt so again", (key) => expect(parseTreeKey(key)?.key).toBe(key));
});

function refused(run: () => unknown): (Error & { class?: string }) | undefined {
  try {
    run();
  } catch (thrown) {
    return thrown as Error;
  }
  return undefined;
}
