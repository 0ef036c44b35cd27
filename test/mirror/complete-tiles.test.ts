import { beforeAll, expect, test } from "vitest";
import { completeTilesTick } from "../../mirror/complete-tiles.ts";
import { noDeadline } from "../../mirror/deadline.ts";
import { fillLog, NAME, World } from "./tile-filling-world.ts";

beforeAll(fillLog);

/** A tick of one process, and how often it asked the ledger. */
async function tick(world: World, database: ReturnType<World["process"]>): Promise<number> {
  let calls = 0;
  const counting = new Proxy(world.ledger, {
    get: (target, name) => {
      const method: unknown = Reflect.get(target, name);
      if (typeof method !== "function") return method;
      return (...args: unknown[]) => {
        calls++;
        return Reflect.apply(method, target, args);
      };
    },
  });
  const incomplete = await completeTilesTick(
    { ledger: counting, now: world.clock.now },
    [database],
    "a worker",
    noDeadline,
  );
  expect(incomplete).toEqual([]);
  return calls;
}

test("a process that has seen all tiles held asks nothing more of the ledger until there is a newer head", async () => {
  const world = new World(70_000);
  const database = world.process("upper");
  await database.advance();
  expect(await tick(world, database)).toBeGreaterThan(0);
  expect(await tick(world, database)).toBe(0);
  await database.advance();
  expect(await tick(world, database)).toBe(0);

  world.size = 140_000;
  await database.advance();
  expect(await tick(world, database)).toBeGreaterThan(0);
  expect((await world.ledger.readHead(NAME))?.size).toBe(140_000);
  expect(await tick(world, database)).toBe(0);
});

test("another process looks by itself", async () => {
  const world = new World(70_000);
  const database = world.process("upper");
  await database.advance();
  await tick(world, database);
  expect(await tick(world, world.process("upper"))).toBeGreaterThan(0);
});
