import { expect, test } from "vitest";
import { KeptFiles } from "../../../mirror/bundle/kept-files.ts";

async function isDone(promise: Promise<unknown>): Promise<boolean> {
  let done = false;
  promise.then(() => {
    done = true;
  });
  await new Promise(setImmediate);
  return done;
}

test("a file is waited for until all up to it are kept, and not longer", async () => {
  const kept = new KeptFiles();
  const [first, later, next] = [
    kept.reached({ pack: 0, offset: 512 }),
    kept.reached({ pack: 0, offset: 4096 }),
    kept.reached({ pack: 1, offset: 512 }),
  ];
  expect(await isDone(first)).toBe(false);
  kept.advance({ pack: 0, offset: 513 });
  expect([await isDone(first), await isDone(later), await isDone(next)]).toEqual([true, false, false]);
  kept.advance({ pack: 1, offset: 0 });
  expect([await isDone(later), await isDone(next)]).toEqual([true, false]);
  expect(await isDone(kept.reached({ pack: 0, offset: 9_000 }))).toBe(true);
});

test("whoever waits hears of a failure, before it and after it; what was kept before may still be read", async () => {
  const kept = new KeptFiles();
  const waiting = kept.reached({ pack: 2, offset: 0 });
  kept.advance({ pack: 1, offset: 0 });
  kept.fail(new Error("a flipped bit"));
  await expect(waiting).rejects.toThrow("a flipped bit");
  await expect(kept.reached({ pack: 1, offset: 512 })).rejects.toThrow("a flipped bit");
  await kept.reached({ pack: 0, offset: 512 });
});
