import { expect, test } from "vitest";
import { MemoryVault } from "../../adapters/local/memory-vault.ts";
import { parseModuleVersion } from "../../gomod/version.ts";
import { type ClosureFile, type Need, readClosure, writeClosure } from "../../mirror/closure-file.ts";
import { ERROR_CLASSES, MirrorError } from "../../mirror/errors.ts";
import { joinedClosure } from "../../mirror/joined-closure.ts";
import { reconcile } from "../../mirror/reconcile.ts";
import { updateRequest } from "../../mirror/update.ts";
import { MadeMirror } from "./made-mirror.ts";
import { MadeUpstream } from "./made-upstream.ts";

const need = (name: string, extent: Need["extent"], own?: Need["own"]): Need => ({
  version: parseModuleVersion(name),
  extent,
  ...(own === undefined ? {} : { own }),
});
const none: ClosureFile = { needs: [], roots: [], unresolved: [], unloaded: [] };

test("a closure that is not whole keeps the earlier one's needs and roots, each as large as either has it", () => {
  const [a, b, c] = ["example.com/a@v1.0.0", "example.com/b@v1.0.0", "example.com/c@v1.0.0"] as const;
  const earlier: ClosureFile = {
    ...none,
    needs: [need(a, "whole"), need(b, "whole", "mod"), need(c, "mod", "nothing")],
    roots: [{ root: parseModuleVersion(a), needs: [need(a, "whole"), need(b, "mod")] }],
    unresolved: [{ subject: "x", class: "transient", message: "then" }],
  };
  const later: ClosureFile = {
    ...none,
    needs: [need(a, "mod"), need(b, "mod", "nothing"), need(c, "whole", "mod")],
    roots: [
      { root: parseModuleVersion(c), needs: [need(c, "whole")] },
      { root: parseModuleVersion(a), needs: [need(a, "whole"), need(c, "mod")] },
    ],
    unloaded: [parseModuleVersion(b)],
  };
  expect(joinedClosure(later, earlier)).toEqual({
    needs: [need(a, "whole"), need(b, "whole", "mod"), need(c, "whole", "mod")],
    roots: [
      { root: parseModuleVersion(a), needs: [need(a, "whole"), need(b, "mod"), need(c, "mod")] },
      { root: parseModuleVersion(c), needs: [need(c, "whole")] },
    ],
    unresolved: [],
    unloaded: [parseModuleVersion(b)],
  });
});

test.each(ERROR_CLASSES)("what is unresolved with the class %s is read back", async (errorClass) => {
  const vault = new MemoryVault();
  const request = { name: "test", time: "20261123T093000000Z" };
  const unresolved = [{ subject: "example.com/a@latest", class: errorClass, message: "told by the test" }];
  await writeClosure(vault, request, { ...none, unresolved });
  expect((await readClosure(vault, request)).unresolved).toEqual(unresolved);
});

test("a request that is resolved again while a go.mod is not to be had loses none of its roots", async () => {
  const upstream = new MadeUpstream();
  const mirror = new MadeMirror(upstream);
  upstream.add("example.com/dep@v1.0.0");
  upstream.add("example.com/a@v1.0.0", { requires: ["example.com/dep@v1.0.0"] });
  const request = await mirror.request({ wishes: ["example.com/a@v1.0.0"] });
  const before = await readClosure(mirror.vault, request);
  // Lost with a disk, and upstream does not answer.
  const key = "example.com/a/@v/v1.0.0.mod" as Parameters<typeof mirror.tree.open>[0];
  await mirror.tree.remove(key, (await mirror.tree.open(key))?.etag ?? "");
  upstream.allWrong = (kind, subject) =>
    kind === "mod" ? new MirrorError("transient", subject, `${subject}: told by the test`) : undefined;
  await updateRequest(mirror.ledger, request, (record) => record && { ...record, state: "OPEN", due: 1 });
  await reconcile(mirror.parts, { onlyWriter: false });
  await mirror.drain();
  const after = await readClosure(mirror.vault, request);
  expect(after.unresolved.map(({ subject }) => subject)).toEqual(["example.com/a@v1.0.0"]);
  expect(after.roots).toEqual(before.roots);
  expect(after.needs).toEqual(before.needs);
});
