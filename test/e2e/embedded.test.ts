import { rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { describeWithGo } from "../go-command.ts";
import { allSucceed, expectSuccess, type MirrorWorld, mirrorWorld, moduleFiles } from "./mirror-world.ts";
import { modferry, serveMirror } from "./modferry-command.ts";

/** A direct requirement of each sample project, for `go get`. */
const ROOTS: Readonly<Record<string, string>> = {
  modern: "github.com/spf13/cobra@v1.8.1",
  legacy: "github.com/gofrs/uuid@v4.4.0+incompatible",
  shouting: "github.com/BurntSushi/toml@v1.3.2",
};
const PROJECT_TIMEOUT = 300_000;

describeWithGo("an embedded mirror of a project, with no other source and GOSUMDB on", () => {
  describe.each([
    { database: "one head", oldHeads: false, projects: ["modern", "shouting"] },
    // Lookups that carry many older heads, as shared caches give them.
    { database: "lookups with older heads", oldHeads: true, projects: ["legacy"] },
  ])("from a checksum database of $database", ({ oldHeads, projects }) => {
    let world: MirrorWorld;
    beforeAll(async () => {
      world = await mirrorWorld(projects, { oldHeads });
    });
    afterAll(() => world?.close());

    test.each(projects)(
      "%s: every go command succeeds from empty caches, over file:// and served",
      async (project) => {
        const source = await world.client("off");
        const dir = await source.copyProject(project);
        const mirror = await world.synced(["go.mod"], { cwd: dir });

        // Each command by itself: what an earlier one has downloaded must not help the next.
        const client = await world.client(`file://${join(mirror, "tree")}`);
        const copy = await client.copyProject(project);
        const before = await moduleFiles(copy);
        for (const command of ["build ./...", "list -m all", "mod tidy", `get ${ROOTS[project]}`]) {
          await client.clearModCache();
          // Without go.sum each hash has to come from the checksum database, and tidy writes the same again.
          if (command === "mod tidy") await rm(join(copy, "go.sum"));
          await allSucceed(client, copy, [command]);
          expect(await moduleFiles(copy), `after go ${command}`).toEqual(before);
        }
        await client.clearModCache();
        await allSucceed(client, copy, ["mod download all", "mod verify", "vet ./...", "mod vendor"]);

        const served = await serveMirror(mirror);
        try {
          const other = await world.client(served.url);
          const at = await other.copyProject(project);
          await rm(join(at, "go.sum"));
          const commands = ["mod tidy", `get ${ROOTS[project]}`, "build ./...", "list -m all"];
          await allSucceed(other, at, [...commands, "mod download all", "mod verify", "mod vendor"]);
          expect((await moduleFiles(at))["go.mod"]).toBe(before["go.mod"]);
        } finally {
          expectSuccess(await served.stop(), "serve, ended by Ctrl-C");
        }

        const verified = await modferry(["verify", "--mirror", mirror, "--sumdb", world.upstream.vkey]);
        expectSuccess(verified, "verify");
      },
      PROJECT_TIMEOUT,
    );
  });
});
