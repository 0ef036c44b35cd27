import { existsSync } from "node:fs";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { expect, test } from "vitest";
import { goClient } from "../go-client.ts";
import { describeWithGo } from "../go-command.ts";

describeWithGo("the isolated go client", () => {
  test("takes nothing from the machine's own Go settings", async () => {
    const client = await goClient({ goproxy: "off", gosumdb: "off" });
    try {
      // Where HOME has a go env file all the same (a shared home), it must not count: an empty
      // variable alone would let its value through.
      for (const configDir of [".config/go", "Library/Application Support/go"]) {
        await mkdir(join(client.home, configDir), { recursive: true });
        await writeFile(join(client.home, configDir, "env"), "GONOPROXY=example.com\n");
      }
      const asked = [
        "GONOPROXY",
        "GOPROXY",
        "GOSUMDB",
        "GOFLAGS",
        "GONOSUMDB",
        "GOTOOLCHAIN",
        "GOMODCACHE",
        "GOPATH",
      ];
      const { stdout } = await client.run(["env", "-json", ...asked]);
      expect(JSON.parse(stdout)).toEqual({
        GONOPROXY: "",
        GOPROXY: "off",
        GOSUMDB: "off",
        GOFLAGS: "-trimpath",
        GONOSUMDB: "",
        GOTOOLCHAIN: "local",
        GOMODCACHE: join(client.home, "modcache"),
        GOPATH: join(client.home, "gopath"),
      });
    } finally {
      await client.dispose();
    }
  });

  test("reports a failing command by its code and stderr", async () => {
    const client = await goClient({ goproxy: "off", gosumdb: "off" });
    try {
      expect(await client.run(["mod", "download", "example.com/a@v1.0.0"])).toEqual({
        code: 1,
        stdout: "",
        stderr: "go: example.com/a@v1.0.0: module lookup disabled by GOPROXY=off\n",
      });
    } finally {
      await client.dispose();
    }
  });

  test("ends a command that hangs", async () => {
    const silent = createServer(() => {});
    await new Promise<void>((listening) => silent.listen(0, "127.0.0.1", listening));
    const goproxy = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const client = await goClient({ goproxy, gosumdb: "off" });
    try {
      const hanging = client.run(["mod", "download", "example.com/a@v1.0.0"], { timeoutMs: 1000 });
      await expect(hanging).rejects.toThrow("no end after 1000 ms");
    } finally {
      await client.dispose();
      silent.close();
      silent.closeAllConnections();
    }
  });

  test("removes its home with a read-only module cache in it", async () => {
    const client = await goClient({ goproxy: "off", gosumdb: "off" });
    const readOnly = join(client.modCache, "example.com/a@v1.0.0");
    await mkdir(readOnly, { recursive: true });
    await writeFile(join(readOnly, "a.go"), "package a\n");
    await chmod(readOnly, 0o555);
    await client.dispose();
    expect(existsSync(client.home)).toBe(false);
  });
});
