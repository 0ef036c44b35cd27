import { hash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { BundleFolder } from "../../../adapters/local/bundle-target.ts";
import type { HashedFileWriter } from "../../../mirror/bundle/bundle-ports.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "modferry-written-apart-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const create = () => new BundleFolder(folder).createHashed("volume-1/pack.tar");

/** Each part with its own bytes, so that one taken twice or out of turn shows. */
async function write(writer: HashedFileWriter, lengths: readonly number[]): Promise<void> {
  for (const [at, length] of lengths.entries()) {
    const room = await writer.next();
    room.fill(at + 1);
    writer.put(Math.min(length, room.byteLength));
  }
}

describe("a file written and hashed by a thread", () => {
  it("has all parts in their order, and the hash of all of them", async () => {
    const lengths = [1 << 20, 1, 0, 70_000, ...Array.from({ length: 30 }, () => 1 << 20), 512];
    const writer = await create();
    await write(writer, lengths);
    const sha256 = await writer.finish();
    const expected = Buffer.concat(lengths.map((length, at) => Buffer.alloc(length, at + 1)));
    expect(readFileSync(join(folder, "volume-1/pack.tar")).equals(expected)).toBe(true);
    expect(sha256).toBe(hash("sha256", expected));
    expect(readdirSync(join(folder, "volume-1"))).toEqual(["pack.tar"]);
  });

  it("leaves nothing once it is discarded", async () => {
    const writer = await create();
    await write(
      writer,
      Array.from({ length: 9 }, () => 1 << 20),
    );
    await writer.discard();
    expect(readdirSync(join(folder, "volume-1"))).toEqual([]);
  });

  it("fails with the thread's error, and no file under its name", async () => {
    mkdirSync(join(folder, "volume-1/.pack.tar.part"), { recursive: true });
    const writer = await create();
    await expect(
      write(
        writer,
        Array.from({ length: 9 }, () => 1 << 20),
      ),
    ).rejects.toThrow(/neither a plain file nor a folder/u);
    rmSync(join(folder, "volume-1/.pack.tar.part"), { recursive: true });
    await writer.discard();
    expect(readdirSync(join(folder, "volume-1"))).toEqual([]);
  });

  it.skipIf(process.platform !== "linux")("is paused, not refused, where the disk is full", async () => {
    // Takes no byte.
    mkdirSync(join(folder, "volume-1"));
    symlinkSync("/dev/full", join(folder, "volume-1/.pack.tar.part"));
    const writer = await create();
    await expect(
      write(
        writer,
        Array.from({ length: 9 }, () => 1 << 20),
      ),
    ).rejects.toMatchObject({
      class: "transient",
    });
    await writer.discard();
  });
});
