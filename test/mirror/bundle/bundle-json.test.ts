import { describe, expect, test } from "vitest";
import { generateKeys } from "../../../adapters/local/file-signer.ts";
import { sha256Of } from "../../../mirror/body.ts";
import {
  type BundleFile,
  type BundleHeader,
  printBundle,
  printFile,
  readBundle,
} from "../../../mirror/bundle/bundle-json.ts";
import { MirrorError } from "../../../mirror/errors.ts";

const SHA = sha256Of(new Uint8Array());
const NAME = "20260131T235959Z-0123456789abcdef";
const HEADER: BundleHeader = {
  format: "modferry-bundle/1",
  name: `full_${NAME}`,
  kind: "full",
  from: null,
  to: { name: NAME, hash: SHA, until: 1_769_903_999_000 },
  signer: generateKeys("a.example").verifierKey,
  introduces: [{ key: generateKeys("b.example").verifierKey, notAfter: 1_800_000_000_000 }],
  heads: { "sum.example": "go.sum database tree\n1\nAAAA=\n\n— sum.example AAAA\n" },
  counts: { modules: 1, versions: 1, files: 2, bytes: 3, removed: 1 },
  readme: { size: 3, sha256: SHA },
};
const PACKS = [{ name: "pack-0001.tar", size: 4096, sha256: SHA }];
const FILES: readonly BundleFile[] = [
  { path: "example.com/a/@v/v1.0.0.mod", size: 1, sha256: SHA, pack: 0, offset: 512 },
  { path: "example.com/a/@v/list", size: 2, sha256: SHA, pack: 0, offset: 1536 },
];

async function* each<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

async function printed(): Promise<string> {
  let text = "";
  for await (const part of printBundle(
    HEADER,
    PACKS,
    each(["example.com/b@v1.0.0"]),
    each(FILES.map(printFile)),
  ))
    text += part;
  return text;
}

async function readAll(text: string | Uint8Array, piece = 7) {
  const bytes = Buffer.from(text as string);
  const chunks = Array.from({ length: Math.ceil(bytes.length / piece) }, (_, at) =>
    bytes.subarray(at * piece, (at + 1) * piece),
  );
  const reader = await readBundle(each(chunks), "bundle.json");
  const removed: string[] = [];
  for await (const version of reader.removed()) removed.push(version);
  const files: BundleFile[] = [];
  for await (const file of reader.files()) files.push(file);
  return { header: reader.header, packs: reader.packs, removed, files };
}

test("it is JSON, and what was printed is read again, in whatever pieces it comes", async () => {
  const text = await printed();
  const expected = { header: HEADER, packs: PACKS, removed: ["example.com/b@v1.0.0"], files: FILES };
  for (const piece of [1, 7, 1 << 20]) expect(await readAll(text, piece)).toEqual(expected);
  const { packs, removed, files, ...header } = JSON.parse(text) as Record<string, unknown>;
  expect({ packs, removed, files, header }).toEqual(expected);
});

describe("what is not as it must be is malformed, with its line", () => {
  test.each<[string, (text: string) => string]>([
    ["cut in the header", (text) => text.slice(0, 100)],
    ["cut in a list", (text) => text.slice(0, -40)],
    ["without its last newline", (text) => text.slice(0, -1)],
    ["something behind its end", (text) => `${text}{}\n`],
    ["a missing comma", (text) => text.replace(/,\n(\{"path":"example.com\/a\/@v\/list)/, "\n$1")],
    ["another format", (text) => text.replace("modferry-bundle/1", "modferry-bundle/2")],
    ["an unknown field", (text) => text.replace('"kind"', '"more":1,\n"kind"')],
    ["an unknown field of a file", (text) => text.replace('"offset":512', '"offset":512,"mode":511')],
    ["a negative size", (text) => text.replace('"size":2', '"size":-2')],
    ["a size that is no whole number", (text) => text.replace('"size":2', '"size":2.5')],
    ["a size beyond what is exact", (text) => text.replace('"size":2', '"size":9007199254740993')],
    ["an offset that is text", (text) => text.replace('"offset":512', '"offset":"512"')],
    ["a pack that is not listed", (text) => text.replace('"pack":0', '"pack":1')],
    ["a pack's name that leads elsewhere", (text) => text.replace("pack-0001.tar", "../../etc/passwd")],
    ["a SHA-256 in capitals", (text) => text.replaceAll(SHA, SHA.toUpperCase())],
    ["a signer that is no key", (text) => text.replace(HEADER.signer, "a.example+00000000+AA==")],
    ["a line of megabytes", (text) => text.replace("example.com/a/@v/list", "x".repeat(3_000_000))],
    ["a header of megabytes", (text) => text.replace('"kind"', `${'"heads":{},\n'.repeat(200_000)}"kind"`)],
    ["lists in another order", (text) => text.replace('"removed":[', '"files":[')],
    ["NUL bytes", (text) => text.replace("full", "fu\0ll")],
    ["nothing", () => ""],
  ])("%s", async (_, spoil) => {
    const text = await printed();
    const spoilt = spoil(text);
    expect(spoilt).not.toBe(text);
    const error = await readAll(spoilt, 1 << 16).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(MirrorError);
    expect(error).toMatchObject({ class: "malformed" });
    expect((error as MirrorError).message).not.toContain("\n");
    expect((error as MirrorError).message.length).toBeLessThan(500);
  });

  test("bytes that are no UTF-8", async () => {
    const bytes = Buffer.from(await printed());
    bytes[50] = 0xff;
    await expect(readAll(bytes)).rejects.toMatchObject({ class: "malformed" });
  });
});
