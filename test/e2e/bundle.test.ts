import { execFileSync, spawn } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { GoClient } from "../go-client.ts";
import { describeWithGo } from "../go-command.ts";
import { type BundleWorld, bundleWorld, filesOf } from "./bundle-world.ts";
import { allSucceed, expectSuccess } from "./mirror-world.ts";
import { COMMAND, commandEnvironment, ended, firstLine, modferry } from "./modferry-command.ts";
import { type NetworkNamespace, networkNamespace } from "./network-namespace.ts";

const TIMEOUT = 600_000;

describeWithGo("bundles across the gap", () => {
  let outside: BundleWorld;
  let network: NetworkNamespace | undefined;
  beforeAll(async () => {
    outside = await bundleWorld();
    network = networkNamespace();
    console.log(
      network === undefined
        ? "no network namespace: islands have no upstream all the same"
        : "in a network namespace",
    );
  }, TIMEOUT);
  afterAll(async () => {
    network?.close();
    await outside?.close();
  });

  /** A go client on the island: without any network but its loopback where this user may make such. */
  const insider = async (goproxy: string, home?: string) =>
    await outside.world.client(goproxy, {
      ...(home === undefined ? {} : { home }),
      env: { PATH: network === undefined ? (process.env.PATH ?? "") : `${network.bin}:${process.env.PATH}` },
    });

  async function project(client: GoClient): Promise<string> {
    const dir = join(client.home, "uses-lib");
    await mkdir(dir, { recursive: true });
    await writeFile(
      join(dir, "go.mod"),
      "module example.com/uses\n\ngo 1.21\n\nrequire example.com/lib v1.0.0\n",
    );
    await writeFile(
      join(dir, "main.go"),
      'package main\n\nimport "example.com/lib"\n\nfunc main() { println(lib.Version) }\n',
    );
    return dir;
  }

  let served: GoClient | undefined;

  /** Builds through `modferry serve`, both without any other network; the client keeps what it knows of the database. */
  async function throughEndpoint(island: string): Promise<void> {
    const [program = "", ...before] = [...(network?.enter ?? []), process.execPath];
    const args = [...before, COMMAND, "serve", "--mirror", island, "--listen", "127.0.0.1:0"];
    const child = spawn(program, args, { env: commandEnvironment(), stdio: ["ignore", "pipe", "pipe"] });
    const run = ended(child as unknown as Parameters<typeof ended>[0]);
    try {
      const url = (await firstLine(child)).replace(/^export GOPROXY=/, "");
      const client = await insider(url, served?.home);
      served ??= client;
      await client.clearModCache();
      await allSucceed(client, await client.copyProject("modern"), ["build ./..."]);
      await allSucceed(client, await project(client), ["mod tidy", "build ./..."]);
    } finally {
      child.kill("SIGINT");
      await run;
    }
  }

  test(
    "an island takes a full bundle and three increments, and after each is the mirror, byte for byte; go builds with its earlier head kept",
    async () => {
      const folder = await outside.world.folder();
      const island = join(folder, "island");
      const file = await insider(`file://${join(island, "tree")}`);
      const modern = await file.copyProject("modern");
      const uses = await project(file);
      for (const [at, bundle] of outside.bundles.entries()) {
        const run = await outside.import(island, bundle);
        expectSuccess(run, `import of ${bundle}`);
        expect(await filesOf(join(island, "tree")), `the tree after ${bundle}`).toEqual(outside.trees[at]);
        expectSuccess(
          await modferry(["verify", "--mirror", island, "--sumdb", outside.world.upstream.vkey]),
          "verify",
        );
        await file.clearModCache();
        await allSucceed(file, modern, ["build ./...", "mod download all"]);
        await allSucceed(file, uses, ["mod download all", "mod tidy", "build ./..."]);
        await throughEndpoint(island);
        const versions = await file.run(["list", "-m", "-versions", "example.com/lib"], { cwd: uses });
        expect(versions.stdout.trim()).toBe(
          [
            "example.com/lib v1.0.0",
            "example.com/lib v1.0.0 v1.1.0",
            "example.com/lib v1.0.0 v1.2.0",
            "example.com/lib v1.0.0 v1.2.0",
          ][at],
        );
        const old = await file.run(["list", "-m", "-versions", "example.com/old"], { cwd: uses });
        expect(old.stdout.trim()).toBe(at < 3 ? "example.com/old v1.0.0" : "example.com/old");
      }
    },
    TIMEOUT,
  );

  test(
    "the same snapshots give the same bytes, and tar alone unpacks them, in order, into a working GOPROXY",
    async () => {
      const folder = await outside.world.folder();
      const again = await outside.export("--full", "--to", folder);
      const first = await outside.export("--full", "--to", join(folder, "second"));
      expect(await filesOf(again)).toEqual(await filesOf(first));
      const tree = join(folder, "tree");
      await mkdir(tree);
      for (const bundle of outside.bundles)
        execFileSync("tar", ["-xf", join(bundle, "pack-0001.tar"), "-C", tree], {
          stdio: ["ignore", "ignore", "inherit"],
        });
      const client = await insider(`file://${tree}`);
      await allSucceed(client, await client.copyProject("modern"), ["build ./..."]);
      await allSucceed(client, await client.copyProject("shouting"), ["build ./..."]);
      await allSucceed(client, await project(client), ["mod tidy", "build ./..."]);
      const json: unknown = JSON.parse(await readFile(join(again, "bundle.json"), "utf8"));
      expect(json).toMatchObject({ format: "modferry-bundle/1", kind: "full", from: null });
    },
    TIMEOUT,
  );

  test(
    "inspect says what is in a bundle, trusted or not; a receipt says what has arrived",
    async () => {
      const bundle = outside.bundles[1] as string;
      const run = async (...args: readonly string[]) => {
        const done = await modferry(args);
        expectSuccess(done, args.join(" "));
        return done.stdout;
      };
      const text = await run("inspect", bundle);
      expect(text).toContain("NOT TRUSTED");
      expect(text).toMatch(/^example\.com\/lib@v1\.1\.0 \d+ MIT GO-2026-1000 GO-2026-1001$/m);
      expect(text).toMatch(/^example\.com\/extra@v1\.0\.0 \d+ MIT NEW$/m);
      expect(text).toContain("new module paths:\n");
      expect(await run("inspect", bundle, "--trust", outside.vkey)).toContain("(trusted)");
      const json: unknown = JSON.parse(
        await run("inspect", outside.bundles[3] as string, "--report", "json"),
      );
      expect(json).toMatchObject({
        trusted: false,
        removed: ["example.com/extra@v1.0.0", "example.com/old@v1.0.0"],
        blocks: [{ name: "example.com/extra@v1.0.0", reason: "it is bad" }],
      });
      const page = await run("inspect", bundle, "--report", "html");
      expect(page).toContain("GO-2026-1001");
      expect(page).not.toMatch(/<script|http:/);

      const folder = await outside.world.folder();
      const island = join(folder, "island");
      expectSuccess(await outside.import(island, outside.bundles[0] as string), "import");
      const key = join(folder, "island-key");
      const vkey = (await run("keygen", "island.example", "--to", key)).trim();
      const receipt = join(folder, "receipt");
      await run("receipt", "--mirror", island, "--key", key, "--to", receipt);
      expect((await run("receipt", receipt, "--trust", vkey)).trim()).toBe(outside.snapshots[0]);
      expect((await modferry(["receipt", receipt, "--trust", outside.vkey])).code).toBe(1);
    },
    TIMEOUT,
  );
});
