import { setTimeout as sleep } from "node:timers/promises";
import { HeadObjectCommand } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type AwsSettings, s3Client } from "../../adapters/aws/clients.ts";
import { moduleVersion } from "../../gomod/version.ts";
import { sha256Of } from "../../mirror/body.ts";
import type { Tree } from "../../mirror/ports.ts";
import { cacheControlOf, contentTypeOf } from "../../mirror/served-headers.ts";
import { infoKey, modKey, parseTreeKey, type TreeKey, zipKey } from "../../mirror/tree-keys.ts";
import { newTree } from "./aws-stores.ts";
import { everyKindOfKey } from "./tree-key-samples.ts";

/** A page of ListObjectsV2 (Amazon S3 API reference, MaxKeys). */
const PAGE = 1_000;
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

/**
 * What S3 must do beside the ports' promises, for clients that follow the endpoint's redirects and for scrub: links,
 * ranges, headers, checksums, listings of several pages.
 * @param checksAnonymous whether the server refuses requests without a signature, as S3 does; emulators let them pass.
 */
export function s3Contract(
  name: string,
  settingsOf: () => Promise<AwsSettings>,
  { checksAnonymous = true }: { readonly checksAnonymous?: boolean } = {},
): void {
  describe(`${name} serves a tree's links as S3 does`, () => {
    let settings: AwsSettings;
    let bucket: string;
    let tree: Tree;
    let dispose: () => Promise<void>;
    beforeAll(async () => {
      settings = await settingsOf();
      ({ bucket, tree, dispose } = await newTree(settings));
      for (const key of everyKindOfKey) await tree.create(key, bytesOf(key), sha256Of(bytesOf(key)));
    });
    afterAll(() => dispose());
    const linkOf = async (key: TreeKey, seconds = 60) => {
      const link = await tree.link(key, seconds);
      if (link === undefined) throw new Error(`${key}: no link`);
      return link;
    };

    test("a link serves every kind of key with its own type and caching, whole and in a range", async () => {
      for (const key of everyKindOfKey) {
        const entry = parseTreeKey(key);
        if (entry === undefined) throw new Error(`${key}: no key of a tree`);
        const link = await linkOf(key);
        const whole = await fetch(link);
        const told = [whole.status, whole.headers.get("content-type"), whole.headers.get("cache-control")];
        expect([key, ...told]).toEqual([key, 200, contentTypeOf(entry), cacheControlOf(entry)]);
        expect(await whole.text()).toBe(key);
        const part = await fetch(link, { headers: { Range: "bytes=2-5" } });
        expect([part.status, part.headers.get("content-range")]).toEqual([206, `bytes 2-5/${key.length}`]);
        expect(await part.text()).toBe(key.slice(2, 6));
      }
    });

    const status = async (url: URL, method = "GET") => {
      const reply = await fetch(url, { method, ...(method === "PUT" ? { body: "x" } : {}) });
      await reply.arrayBuffer();
      return reply.status;
    };

    test("a link is for its own key, method and time", async () => {
      const [key, other] = everyKindOfKey as readonly [TreeKey, TreeKey];
      const link = new URL(await linkOf(key));
      const elsewhere = new URL(link);
      elsewhere.pathname = new URL(await linkOf(other)).pathname;
      expect(await status(elsewhere)).toBe(403);
      expect(await status(link, "PUT")).toBe(403);
      const short = new URL(await linkOf(key, 1));
      await sleep(2_500);
      expect(await status(short)).toBe(403);
      expect(await status(link)).toBe(200);
    });

    test.runIf(checksAnonymous)("nobody reads without a link", async () => {
      const [key] = everyKindOfKey as readonly [TreeKey];
      const bare = new URL(await linkOf(key));
      bare.search = "";
      expect(await status(bare)).toBe(403);
    });

    test("a link to what is not there is a 404, never a 200", async () => {
      const reply = await fetch(await linkOf(zipKey(moduleVersion("example.com/none", "v1.0.0"))));
      await reply.arrayBuffer();
      expect(reply.status).toBe(404);
    });

    test("HEAD tells the SHA-256 that was given, of the whole object", async () => {
      const [key] = everyKindOfKey as readonly [TreeKey];
      const command = new HeadObjectCommand({ Bucket: bucket, Key: key, ChecksumMode: "ENABLED" });
      const { ChecksumSHA256 = "" } = await s3Client(settings).send(command);
      expect(Buffer.from(ChecksumSHA256, "base64").toString("hex")).toBe(sha256Of(bytesOf(key)));
    });

    test("a tree of more than one page is listed whole, each key once", async () => {
      const module = (n: number) => moduleVersion("example.com/many", `v1.${n}.0`);
      const wanted = Array.from({ length: PAGE / 2 + 10 }, (_, n) => [
        infoKey(module(n)),
        modKey(module(n)),
      ]).flat();
      for (let at = 0; at < wanted.length; at += 32)
        await Promise.all(
          wanted.slice(at, at + 32).map((key) => tree.create(key, bytesOf("x"), sha256Of(bytesOf("x")))),
        );
      const listed: string[] = [];
      for await (const { key } of tree.keys()) listed.push(key);
      expect(listed.length).toBeGreaterThan(PAGE);
      expect(listed.filter((key) => key.startsWith("example.com/many/")).sort()).toEqual([...wanted].sort());
      const bytewise = listed.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      expect(listed).toEqual(bytewise);
    });
  });
}
