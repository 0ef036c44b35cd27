import { beforeEach, expect, test } from "vitest";
import { parseModuleVersion } from "../../gomod/version.ts";
import { refreshVersions } from "../../mirror/refresh.ts";
import { resolveConflict } from "../../mirror/resolve-conflict.ts";
import { zipKey } from "../../mirror/tree-keys.ts";
import { buildZip } from "../gomod/zip-builder.ts";
import { MadeMirror } from "./made-mirror.ts";
import { MadeUpstream } from "./made-upstream.ts";

const NAME = "corp.example/a@v1.0.0";
const VERSION = parseModuleVersion(NAME);
const WHY = { by: "sam", reason: "INC-1" };
let upstream: MadeUpstream;
let mirror: MadeMirror;
beforeEach(() => {
  upstream = new MadeUpstream();
  upstream.database.grow(5);
  upstream.add(NAME, {}, false);
  mirror = new MadeMirror(upstream, { unproven: "corp.example" });
});
const record = async () => (await mirror.ledger.read([VERSION]))[0];
const parts = (provable = false) => ({ ...mirror.parts, provable: () => provable });
const otherZip = () => {
  const { mod } = upstream.made.get(NAME) ?? expect.fail();
  return buildZip([
    { name: `${NAME}/go.mod`, content: mod },
    { name: `${NAME}/x.go`, content: "package other\n" },
  ]);
};
const decisions = async () => {
  const keys: string[] = [];
  for await (const key of mirror.vault.keys("decisions/resolve-conflict/")) keys.push(key);
  return keys;
};
/** Held whole, then upstream has another zip. */
async function inConflict(): Promise<void> {
  await mirror.request({ wishes: [NAME] });
  upstream.wrong.set(`zip ${NAME}`, otherZip());
  await refreshVersions(mirror.parts, [VERSION]);
  expect((await record())?.state).toBe("CONFLICT");
}

test("--keep: what is held is served again as it was, and who decided stands in the vault", async () => {
  await inConflict();
  const before = await mirror.keys();
  const request = await mirror.request({ wishes: [NAME] }, "later");
  expect((await mirror.ledger.readRequest(request))?.state).toBe("INCOMPLETE");
  expect(await resolveConflict(parts(), VERSION, "keep", WHY)).toBe("READY");
  expect(await record()).toMatchObject({ state: "READY", held: "whole", attempts: 0 });
  expect(await record()).not.toHaveProperty("lastError");
  expect((await mirror.ledger.readRequest(request))?.state).toBe("DONE");
  expect(await mirror.keys()).toEqual(before);
  const [key = "", ...others] = await decisions();
  expect(others).toEqual([]);
  const logged = JSON.parse(Buffer.from((await mirror.vault.get(key, 4_096)) ?? "").toString());
  expect(logged).toMatchObject({ decision: "resolve-conflict", name: NAME, resolution: "keep", ...WHY });
  // Again, as after a crash.
  expect(await resolveConflict(parts(), VERSION, "keep", WHY)).toBe("READY");
});

test("--keep is refused where what was stored is not there any more", async () => {
  await inConflict();
  const stored = await mirror.tree.get(zipKey(VERSION), 1 << 20);
  await mirror.tree.remove(zipKey(VERSION), stored?.etag ?? "");
  await expect(resolveConflict(parts(), VERSION, "keep", WHY)).rejects.toMatchObject({
    class: "misuse",
    message: expect.stringContaining("v1.0.0.zip is missing"),
  });
  expect((await record())?.state).toBe("CONFLICT");
  expect(await decisions()).toEqual([]);
});

test("--take is refused of what was held: a served version's bytes never change", async () => {
  await inConflict();
  await expect(resolveConflict(parts(), VERSION, "take", WHY)).rejects.toMatchObject({
    class: "misuse",
    message: expect.stringContaining("bytes never change"),
  });
  expect((await record())?.state).toBe("CONFLICT");
});

test("--take: what a database spoke against that covers it no more is fetched", async () => {
  const covered = new MadeMirror(upstream, {}, mirror);
  upstream.database.add(
    NAME,
    `corp.example/a v1.0.0 h1:${"A".repeat(43)}=\ncorp.example/a v1.0.0/go.mod h1:${"A".repeat(43)}=\n`,
  );
  await covered.request({ wishes: [NAME] });
  expect(await record()).toMatchObject({ state: "CONFLICT", held: "nothing" });
  await expect(resolveConflict(parts(), VERSION, "keep", WHY)).rejects.toMatchObject({ class: "misuse" });
  expect(await resolveConflict(parts(), VERSION, "take", WHY)).toBe("PENDING");
  await mirror.pass(1);
  expect(await record()).toMatchObject({ state: "READY" });
});

test.each([
  ["a database covers it", true, "modferry retry"],
  ["it is in no conflict", false, "in no conflict"],
])("is refused where %s", async (_what, provable, says) => {
  if (provable) await inConflict();
  else await mirror.request({ wishes: [NAME] });
  await expect(resolveConflict(parts(provable), VERSION, "keep", WHY)).rejects.toMatchObject({
    class: "misuse",
    message: expect.stringContaining(says),
  });
});
