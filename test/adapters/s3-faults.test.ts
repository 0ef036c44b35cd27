import { expect, test } from "vitest";
import { s3Client } from "../../adapters/aws/clients.ts";
import { S3Tree } from "../../adapters/aws/s3-tree.ts";
import { moduleVersion } from "../../gomod/version.ts";
import { type Spool, sha256Of } from "../../mirror/body.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { infoKey, listKey, supportedKey, zipKey } from "../../mirror/tree-keys.ts";
import { rejectionOf } from "../contract/rejection.ts";
import { type Answer, type FaultyAws, faultyAws, s3Error } from "./loopback-server.ts";

const version = moduleVersion("example.com/a", "v1.0.0");
const incompatible = moduleVersion("github.com/Azure/sdk", "v68.0.0+incompatible");
const body = Buffer.from("body");
const treeOn = (aws: FaultyAws) => new S3Tree({ client: s3Client(aws.settings), bucket: "tree" });

function spool(chunks: () => AsyncIterable<Uint8Array>, size: number): Spool {
  const sha256 = sha256Of(Buffer.alloc(size, "x"));
  return {
    size,
    sha256,
    path: "/nonexistent",
    read: async () => body,
    stream: chunks,
    dispose: async () => {},
  };
}

test.each([
  [403, "AccessDenied", "unauthorized"],
  [403, "InvalidAccessKeyId", "unauthorized"],
  [403, "SignatureDoesNotMatch", "unauthorized"],
  [400, "ExpiredToken", "unauthorized"],
  [403, "RequestTimeTooSkewed", "unauthorized"],
  [404, "NoSuchBucket", "misuse"],
  [301, "PermanentRedirect", "misuse"],
  [400, "KeyTooLongError", "malformed"],
  [400, "BadDigest", "transient"],
  [503, "SlowDown", "transient"],
  [500, "InternalError", "transient"],
])(
  "S3's %i %s is %s for get, open and create, and the message names key and bucket",
  async (status, code, expected) => {
    await using aws = await faultyAws((_request, reply) => s3Error(reply, status, code));
    const key = infoKey(version);
    for (const call of [
      () => treeOn(aws).get(key, 100),
      () => treeOn(aws).open(key),
      () => treeOn(aws).create(key, body, sha256Of(body)),
    ]) {
      const error = await rejectionOf(call());
      expect([error.class, error.message]).toEqual([
        expected,
        expect.stringContaining(`${key}: bucket tree: `),
      ]);
    }
  },
);

test("a store that nobody listens at is transient", async () => {
  const gone = await faultyAws(() => {});
  await gone[Symbol.asyncDispose]();
  expect((await rejectionOf(treeOn(gone).get(infoKey(version), 100))).class).toBe("transient");
});

test("a write whose reply is lost is asked again, and after that its outcome is unknown: transient", async () => {
  await using aws = await faultyAws((request) => request.socket.destroy());
  expect((await rejectionOf(treeOn(aws).create(infoKey(version), body, sha256Of(body)))).class).toBe(
    "transient",
  );
  expect(aws.calls()).toBe(3);
});

test("409 ConditionalRequestConflict is tried again until one of the writers has won", async () => {
  await using aws = await faultyAws((_request, reply, call) =>
    call < 3 ? s3Error(reply, 409, "ConditionalRequestConflict") : s3Error(reply, 412, "PreconditionFailed"),
  );
  expect(await treeOn(aws).create(infoKey(version), body, sha256Of(body))).toBe("exists");
  expect(aws.calls()).toBe(4);
});

test("a spooled upload that S3 slows down is sent again, though its body is a stream", async () => {
  const received: number[] = [];
  await using aws = await faultyAws((request, reply, call) => {
    received.push(request.body.byteLength);
    if (call === 0) s3Error(reply, 503, "SlowDown");
    else reply.end();
  });
  const content = spool(async function* () {
    yield Buffer.alloc(3000, "x");
  }, 3000);
  expect(await treeOn(aws).create(zipKey(version), content, content.sha256)).toBe("created");
  expect(received).toEqual([3000, 3000]);
});

test("a spool that cannot be read fails the upload with the spool's own error, at once", async () => {
  await using aws = await faultyAws((_request, reply) => reply.end());
  const broken = spool(async function* () {
    yield Buffer.alloc(1000, "x");
    throw new MirrorError("malformed", "spool", "spool: unreadable");
  }, 5 << 20);
  expect((await rejectionOf(treeOn(aws).create(zipKey(version), broken, broken.sha256))).message).toBe(
    "spool: unreadable",
  );
});

test("a zip that is there already is refused before its body is sent", async () => {
  let streamed = false;
  await using aws = await faultyAws((_request, reply) => s3Error(reply, 412, "PreconditionFailed"), true);
  const large = spool(async function* () {
    streamed = true;
    yield Buffer.alloc(5 << 20, "x");
  }, 5 << 20);
  expect(await treeOn(aws).create(zipKey(version), large, large.sha256)).toBe("exists");
  expect(streamed).toBe(false);
});

test.each([
  [200, "exists"],
  [404, "transient"],
  [503, "transient"],
])(
  "an upload that a store cuts off, where asking for the key then tells %i, is: %s",
  async (status, outcome) => {
    const methods: (string | undefined)[] = [];
    await using aws = await faultyAws((request, reply) => {
      methods.push(request.method);
      if (request.method === "HEAD") reply.writeHead(status).end();
      else request.socket.resetAndDestroy();
    }, true);
    const large = spool(async function* () {
      yield Buffer.alloc(5 << 20, "x");
    }, 5 << 20);
    const created = treeOn(aws).create(zipKey(version), large, large.sha256);
    expect(await created.catch((error: MirrorError) => error.class)).toBe(outcome);
    expect(methods.filter((method) => method === "PUT")).toHaveLength(status === 200 ? 1 : 3);
  },
);

test("a body that is cut off is transient", async () => {
  await using aws = await faultyAws((request, reply) => {
    reply.writeHead(200, { "content-length": 10, etag: '"e"' });
    reply.write("half", () => request.socket.end());
  });
  expect((await rejectionOf(treeOn(aws).get(infoKey(version), 100))).class).toBe("transient");
});

test("a body that tells no length and never ends is given up at once", async () => {
  await using aws = await faultyAws((_request, reply) => {
    reply.writeHead(200, { etag: '"e"' });
    const more = setInterval(() => reply.write("more"), 1);
    reply.on("close", () => clearInterval(more));
  });
  expect((await rejectionOf(treeOn(aws).get(infoKey(version), 100))).class).toBe("transient");
});

test("keys follows every page of the listing", async () => {
  await using aws = await faultyAws((request, reply) => {
    const token = new URL(request.url ?? "", "http://aws").searchParams.get("continuation-token");
    const page = token === null ? ["a", "<NextContinuationToken>t+/=</NextContinuationToken>"] : [token, ""];
    reply.end(
      `<ListBucketResult><IsTruncated>${token === null}</IsTruncated>${page[1]}<Contents><Key>${page[0]}</Key><Size>7</Size></Contents></ListBucketResult>`,
    );
  });
  const found = [];
  for await (const entry of treeOn(aws).keys()) found.push(entry);
  expect(found).toEqual([
    { key: "a", size: 7 },
    { key: "t+/=", size: 7 },
  ]);
});

/** A bucket with one object that a writer replaces after every request, as S3 answers If-Match and Range. */
function moving(length: number, seen: string[]): Answer {
  return ({ headers }, reply, call) => {
    const etag = `"${call}"`;
    seen.push(String(headers.range));
    if (headers["if-match"] !== undefined && headers["if-match"] !== etag) {
      s3Error(reply, 412, "PreconditionFailed");
      return;
    }
    const whole = Buffer.alloc(length, `${call}`);
    const [, end] = /^bytes=0-(\d+)$/.exec(headers.range ?? "") ?? [];
    const part = end === undefined ? whole : whole.subarray(0, Number(end) + 1);
    const range = end === undefined ? {} : { "content-range": `bytes 0-${part.length - 1}/${length}` };
    reply.writeHead(end === undefined ? 200 : 206, { "content-length": part.length, etag, ...range });
    reply.end(part);
  };
}

test("a list that is replaced between open and read is read whole as it was opened, by one request", async () => {
  const seen: string[] = [];
  await using aws = await faultyAws(moving(5000, seen));
  const opened = await treeOn(aws).open(listKey(version.path));
  expect([opened?.size, opened?.etag]).toEqual([5000, "0"]);
  expect(Buffer.from((await opened?.read(0, 5000)) ?? []).equals(Buffer.alloc(5000, "0"))).toBe(true);
  const streamed: Uint8Array[] = [];
  for await (const chunk of opened?.stream({ start: 4990, end: 4999 }) ?? []) streamed.push(chunk);
  expect(Buffer.concat(streamed).toString()).toBe("0000000000");
  expect(seen).toEqual(["undefined"]);
});

test.each([
  ["a zip is opened by one byte", zipKey(version), 5000, "bytes=0-0"],
  [
    "a list too long to be sent inline is opened without its body",
    listKey(version.path),
    1 << 21,
    "undefined",
  ],
])("%s, and a part of another object is transient, never mixed in", async (_what, key, size, range) => {
  const seen: string[] = [];
  await using aws = await faultyAws(moving(size, seen));
  const opened = await treeOn(aws).open(key);
  expect([opened?.size, opened?.etag, seen]).toEqual([size, "0", [range]]);
  const error = await rejectionOf(Promise.resolve(opened?.read(0, 100)));
  expect(error.class).toBe("transient");
});

test("an object above the limit is refused by its length, before its body", async () => {
  await using aws = await faultyAws((_request, reply) => {
    reply.writeHead(200, { "content-length": 1 << 30, etag: '"e"' });
    reply.write("x");
  });
  const error = await rejectionOf(treeOn(aws).get(listKey(version.path), 1000));
  expect([error.class, error.message]).toEqual(["malformed", expect.stringContaining("1073741824 bytes")]);
});

test("objects carry the type and age that the endpoint promises", async () => {
  const seen: unknown[] = [];
  await using aws = await faultyAws(({ headers }, reply) => {
    seen.push([
      headers["content-type"],
      headers["cache-control"],
      headers["if-none-match"],
      headers["if-match"],
    ]);
    reply.end();
  });
  const tree = treeOn(aws);
  await tree.create(zipKey(version), body, sha256Of(body));
  await tree.replace(listKey(version.path), body, undefined);
  await tree.replace(listKey(version.path), body, "etag");
  await tree.create(supportedKey("sum.example.com"), body, sha256Of(body));
  expect(seen).toEqual([
    ["application/zip", "public, max-age=60", "*", undefined],
    ["text/plain; charset=utf-8", "public, max-age=60", "*", undefined],
    ["text/plain; charset=utf-8", "public, max-age=60", undefined, '"etag"'],
    ["text/plain; charset=utf-8", "public, max-age=31536000, immutable", "*", undefined],
  ]);
});

test("a link percent-encodes `+`, `!` and `@`, which S3 would read otherwise, and lives as long as asked", async () => {
  await using aws = await faultyAws(() => {});
  const link = await treeOn(aws).link(zipKey(incompatible), 60);
  expect(new URL(link).pathname).toBe("/tree/github.com/%21azure/sdk/%40v/v68.0.0%2Bincompatible.zip");
  expect(new URL(link).searchParams.get("X-Amz-Expires")).toBe("60");
  expect((await rejectionOf(treeOn(aws).link(zipKey(incompatible), 604_801))).class).toBe("misuse");
});
