import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fileError } from "../../adapters/local/file-error.ts";
import { networkFileSystem } from "../../adapters/local/file-system.ts";
import { type FolderMirror, openFolderMirror } from "../../adapters/local/folder-mirror.ts";
import { moduleVersion } from "../../gomod/version.ts";
import { sha256Of } from "../../mirror/body.ts";
import { listKey, modKey, supportedKey, treeHeadKey, zipKey } from "../../mirror/tree-keys.ts";
import { freshRecord } from "./ledger-samples.ts";
import { rejectionOf } from "./rejection.ts";

/** What format 3 added. */
const NO_STATES = `DROP TABLE item; DROP TABLE open_work; DROP INDEX version_open_state;
  ALTER TABLE version DROP COLUMN open_state; ALTER TABLE version DROP COLUMN wanted_at;`;

let folder: string;
let mirror: FolderMirror | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "modferry-folder-"));
});
afterEach(async () => {
  await mirror?.close();
  mirror = undefined;
  rmSync(folder, { recursive: true, force: true });
});

const bytes = Buffer.from("module example.com/a\n");
const version = moduleVersion("example.com/a", "v1.0.0");

async function written(address = folder): Promise<FolderMirror> {
  mirror = await openFolderMirror(address, { mode: "write" });
  return mirror;
}

async function refusedTo(mode: "write" | "read", address = folder) {
  const error = await rejectionOf(openFolderMirror(address, { mode }));
  expect(error.class).toBe("misuse");
  return error.message;
}

describe("a mirror's folder", () => {
  test("is made with its parents, and holds tree, vault, tmp and the ledger", async () => {
    await written(join(folder, "deep", "mirror"));
    const names = readdirSync(join(folder, "deep", "mirror")).filter((name) => !/-(wal|shm)$/.test(name));
    expect(names.sort()).toEqual(["ledger.sqlite", "tmp", "tree", "vault"]);
  });

  test("is refused when it holds something else, which stays as it is", async () => {
    writeFileSync(join(folder, "thesis.txt"), "years of work");
    expect(await refusedTo("write")).toBe(
      `${folder}: no mirror, but not empty either (it holds "thesis.txt"); name a new or empty folder`,
    );
    expect(readdirSync(folder)).toEqual(["thesis.txt"]);
  });

  test("is refused when it is a file, or nothing to read from", async () => {
    writeFileSync(join(folder, "file"), "");
    expect(await refusedTo("write", join(folder, "file"))).toBe(
      `${join(folder, "file")}: a file; name a folder`,
    );
    expect(await refusedTo("write", join(folder, "file", "below"))).toContain(join(folder, "file", "below"));
    expect(await refusedTo("read", join(folder, "absent"))).toContain(
      "no mirror here; `modferry sync` makes one",
    );
    expect(existsSync(join(folder, "absent"))).toBe(false);
  });

  test("is refused when its ledger is from a newer modferry, by both modes and in one line", async () => {
    await (await written()).close();
    const database = new DatabaseSync(join(folder, "ledger.sqlite"));
    database.exec("PRAGMA user_version = 99");
    database.close();
    for (const mode of ["write", "read"] as const) {
      expect(await refusedTo(mode)).toContain("written by a newer modferry (format 99, this one knows 3)");
    }
  });

  test("is updated by a writer where its ledger is from before databases could be stopped", async () => {
    await (await written()).close();
    const database = new DatabaseSync(join(folder, "ledger.sqlite"));
    database.exec(`${NO_STATES} DROP TABLE stop; PRAGMA user_version = 1`);
    // As the version before wrote it.
    const record = {
      ...{
        path: "example.com/a",
        version: "v1.0.0",
        revision: 2,
        state: "READY",
        wanted: "whole",
        held: "whole",
      },
      ...{ wantedAt: 1, firstSeen: 1, wish: "sync", listed: true, attempts: 0, modH1: "h1:x", zipH1: "h1:y" },
      sumdbRecord: { database: "sum.example.com/team", id: 17 },
    };
    const insert = database.prepare("INSERT INTO version VALUES (?, ?, ?, NULL, ?)");
    insert.run("example.com/a", "v1.0.0", 2, JSON.stringify(record));
    const unproven = { ...record, path: "example.com/b", sumdbRecord: undefined };
    insert.run("example.com/b", "v1.0.0", 2, JSON.stringify(unproven));
    database.close();
    expect(await refusedTo("read")).toContain("written by an older modferry; run `modferry sync` once");
    await (await written()).close();
    const { ledger, close } = await openFolderMirror(folder, { mode: "read" });
    expect(await ledger.readStop("sum.example.com")).toBeUndefined();
    const versions = ["example.com/a", "example.com/b"].map((path) => moduleVersion(path, "v1.0.0"));
    const { sumdbRecord, ...rest } = record;
    expect(await ledger.read(versions)).toEqual([
      { ...rest, sumdbRecords: { "sum.example.com/team": 17 } },
      { ...rest, path: "example.com/b" },
    ]);
    await close();
  });

  test("is updated by a writer where its ledger is from before states were beside its records", async () => {
    await (await written()).close();
    const database = new DatabaseSync(join(folder, "ledger.sqlite"));
    database.exec(`${NO_STATES} PRAGMA user_version = 2`);
    const insert = database.prepare("INSERT INTO version VALUES (?, ?, ?, NULL, ?)");
    const states = { "v1.0.0": "READY", "v1.1.0": "GONE", "v1.2.0": "GONE" };
    for (const [version, state] of Object.entries(states)) {
      const wantedAt = version === "v1.2.0" ? 5 : 7.5;
      const record = {
        ...freshRecord(moduleVersion("example.com/a", version)),
        revision: 2,
        state,
        wantedAt,
      };
      insert.run("example.com/a", version, 2, JSON.stringify(record));
    }
    database.close();
    const { ledger } = await written();
    const gone = await ledger.inState("GONE", { limit: 10 });
    expect(gone.map(({ version }) => version)).toEqual(["v1.2.0", "v1.1.0"]);
    expect(await ledger.countState("GONE")).toEqual({ count: 2, oldest: 5 });
    const [first] = gone;
    if (first === undefined) throw new Error("it is there");
    await ledger.write([
      { record: { ...first, state: "READY" }, work: [{ feed: "index", window: "w", change: 1 }] },
    ]);
    expect(await ledger.countState("GONE")).toEqual({ count: 1, oldest: 7.5 });
    expect(await ledger.readItem("control", "pause")).toBeUndefined();
  });

  test("is refused when its ledger is another program's database or no database", async () => {
    const database = new DatabaseSync(join(folder, "ledger.sqlite"));
    database.exec("CREATE TABLE mine (x)");
    database.close();
    expect(await refusedTo("write")).toContain("a database of another program");
    writeFileSync(join(folder, "ledger.sqlite"), "no database at all".repeat(100));
    expect(await refusedTo("write")).toContain("not a ledger of modferry");
  });

  test("is made anew where a crash left an empty ledger", async () => {
    writeFileSync(join(folder, "ledger.sqlite"), "");
    await written();
  });

  test("is swept of temporary files by a writer, not by a reader", async () => {
    await (await written()).close();
    writeFileSync(join(folder, "tmp", "left-by-a-crash"), "half");
    await (await openFolderMirror(folder, { mode: "read" })).close();
    expect(readdirSync(join(folder, "tmp"))).toEqual(["left-by-a-crash"]);
    await written();
    expect(readdirSync(join(folder, "tmp"))).toEqual([]);
  });

  test.runIf(process.platform === "linux" && existsSync("/dev/shm"))(
    "is refused when its parts lie on two file systems",
    async () => {
      await (await written()).close();
      rmSync(join(folder, "tree"), { recursive: true });
      const elsewhere = mkdtempSync("/dev/shm/modferry-tree-");
      symlinkSync(elsewhere, join(folder, "tree"));
      const apart = statSync(elsewhere).dev !== statSync(folder).dev;
      if (apart) expect(await refusedTo("write")).toContain("on another file system than");
      rmSync(elsewhere, { recursive: true });
    },
  );

  test("leaves no temporary file behind, whatever create and replace answered", async () => {
    const { tree, vault } = await written();
    const key = modKey(version);
    await Promise.all([1, 2, 3].map(() => tree.create(key, bytes, sha256Of(bytes))));
    await rejectionOf(tree.create(zipKey(version), bytes, sha256Of(Buffer.from("x"))));
    await tree.replace(listKey(version.path), bytes, undefined);
    await tree.replace(listKey(version.path), bytes, "wrong");
    await vault.put("a/b", bytes);
    expect(readdirSync(join(folder, "tmp"))).toEqual([]);
  });
});

describe("a folder tree", () => {
  test("follows no symbolic link, neither a folder's nor a file's", async () => {
    const { tree } = await written();
    const outside = mkdtempSync(join(tmpdir(), "modferry-outside-"));
    mkdirSync(join(outside, "@v"));
    writeFileSync(join(outside, "@v", "v1.0.0.mod"), "secret");
    mkdirSync(join(folder, "tree", "example.com"));
    symlinkSync(outside, join(folder, "tree", "example.com", "a"));
    const walk = async () => {
      for await (const _ of tree.keys());
    };
    expect((await rejectionOf(walk())).message).toContain("example.com/a: neither a plain file");
    const other = moduleVersion("example.com/b", "v1.0.0");
    mkdirSync(join(folder, "tree", "example.com", "b", "@v"), { recursive: true });
    symlinkSync(
      join(outside, "@v", "v1.0.0.mod"),
      join(folder, "tree", "example.com", "b", "@v", "v1.0.0.mod"),
    );
    for (const key of [modKey(version), modKey(other)]) {
      for (const call of [tree.get(key, 100), tree.open(key), tree.create(key, bytes, sha256Of(bytes))]) {
        const error = await rejectionOf(call);
        expect(error.class).toBe("misuse");
        expect(error.message).toContain("a symbolic link?");
      }
    }
    expect(readdirSync(join(outside, "@v"))).toEqual(["v1.0.0.mod"]);
    rmSync(outside, { recursive: true });
  });

  test.runIf(process.platform !== "win32")("does not hang on a FIFO", async () => {
    const { tree } = await written();
    mkdirSync(join(folder, "tree", "example.com", "a", "@v"), { recursive: true });
    const made = spawnSync("mkfifo", [join(folder, "tree", "example.com", "a", "@v", "v1.0.0.mod")]);
    expect(made.status).toBe(0);
    expect((await rejectionOf(tree.get(modKey(version), 100))).class).toBe("misuse");
    expect((await rejectionOf(tree.open(modKey(version)))).class).toBe("misuse");
  });

  test("has no object where a file or folder of another key is in the way, or a name is too long", async () => {
    const { tree } = await written();
    await tree.create(treeHeadKey("sum.example.com"), bytes, sha256Of(bytes));
    const below = supportedKey("sum.example.com/latest");
    const tooLong = modKey(moduleVersion("example.com/a", `v1.0.0-${"x".repeat(260)}`));
    const folderKey = treeHeadKey("sum.example.com/dir");
    mkdirSync(join(folder, "tree", folderKey), { recursive: true });
    for (const key of [below, tooLong, folderKey]) {
      expect(await tree.get(key, 100)).toBeUndefined();
      expect(await tree.open(key)).toBeUndefined();
    }
    expect((await rejectionOf(tree.create(tooLong, bytes, sha256Of(bytes)))).class).toBe("malformed");
    expect((await rejectionOf(tree.create(below, bytes, sha256Of(bytes)))).class).toBe("misuse");
  });

  test("makes a folder again that was removed behind its back", async () => {
    const { tree } = await written();
    await tree.create(modKey(version), bytes, sha256Of(bytes));
    rmSync(join(folder, "tree", "example.com"), { recursive: true });
    expect(await tree.create(modKey(version), bytes, sha256Of(bytes))).toBe("created");
    expect((await tree.get(modKey(version), 100))?.bytes).toEqual(bytes);
  });
});

test.each(["../x", "a/../b", "/a", "a//b", "a/", "", "a\\b", "a/."])(
  "a vault refuses the key %j",
  async (key) => {
    const { vault } = await written();
    expect((await rejectionOf(vault.put(key, bytes))).class).toBe("misuse");
    expect((await rejectionOf(vault.get(key, 100))).class).toBe("misuse");
  },
);

test.each([
  ["NFS", 0x6969],
  ["CIFS", 0xff534d42],
  ["SMB2", 0xfe534d42],
  ["FUSE (sshfs and its like)", 0x65735546],
  [undefined, 0xef53],
  [undefined, 0x01021994],
  [undefined, 0x9123683e],
  [undefined, 0x58465342],
  [undefined, 0x794c7630],
])("%s is the network file system of statfs type %d", (name, type) => {
  expect(networkFileSystem(type)).toBe(process.platform === "linux" ? name : undefined);
});

test.each([
  ["ENOSPC", "transient", /no space left/],
  ["EDQUOT", "transient", /no space left/],
  ["EMFILE", "transient", /too many open files/],
  ["EACCES", "misuse", /not permitted/],
  ["EROFS", "misuse", /read-only/],
  ["ENAMETOOLONG", "malformed", /longer than/],
  ["EIO", "transient", /tree\/a: EIO/],
])("%s becomes %s in one line", (code, errorClass, text) => {
  const error = fileError(Object.assign(new Error(`${code}: what happened\nand more`), { code }), "tree/a");
  expect(error.class).toBe(errorClass);
  expect(error.message).toMatch(text);
  expect(error.message).not.toContain("\n");
});
