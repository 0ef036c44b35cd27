import { describe, expect, test } from "vitest";
import { MemoryVault } from "../../adapters/local/memory-vault.ts";
import { handIn, handInAll, readRequestBody } from "../../mirror/inbox.ts";
import type { RequestKey } from "../../mirror/orders.ts";
import { parseRequestInboxKey } from "../../mirror/requests.ts";
import { newTraceId, withTrace } from "../../mirror/trace.ts";
import { requestBody } from "./request-body.ts";

const NOW = Date.UTC(2026, 10, 23, 9, 30);
const at = { now: () => NOW };

/** A store that answers a moment later, so that two callers' calls fall between each other's. */
class SlowVault extends MemoryVault {
  readonly #wait = () => new Promise((resolve) => setTimeout(resolve, 5));
  override async put(...args: Parameters<MemoryVault["put"]>) {
    await this.#wait();
    await super.put(...args);
  }
  override async get(...args: Parameters<MemoryVault["get"]>) {
    await this.#wait();
    return await super.get(...args);
  }
  override async create(...args: Parameters<MemoryVault["create"]>) {
    await this.#wait();
    return await super.create(...args);
  }
}

const wishing = (...wishes: string[]) => requestBody({ wishes });
const wishesOf = async (vault: MemoryVault, requests: readonly RequestKey[]) =>
  (await Promise.all(requests.map((request) => readRequestBody({ vault }, request)))).map(
    ({ wishes }) => wishes[0],
  );
const inbox = async (vault: MemoryVault) => {
  const keys: (RequestKey | undefined)[] = [];
  for await (const key of vault.keys("inbox/")) keys.push(parseRequestInboxKey(key));
  return keys;
};

describe("requests that are handed in under one name in one millisecond", () => {
  test("stay as many as they are, each with its own content", async () => {
    const vault = new SlowVault();
    const wanted = Array.from({ length: 20 }, (_, n) => `example.com/m${n}@v1.0.0`);
    const requests = await Promise.all(
      wanted.map((wish) => handIn({ vault, ...at }, "team/app", wishing(wish))),
    );
    expect(new Set(requests.map(({ time }) => time)).size).toBe(20);
    expect(await wishesOf(vault, requests)).toEqual(wanted);
    expect(await inbox(vault)).toHaveLength(20);
  });

  test("of two planners at once are neither lost nor doubled", async () => {
    const vault = new SlowVault();
    const names = (from: number, to: number) =>
      Array.from({ length: to - from }, (_, n) => `example.com/m${from + n}@v1.0.0`);
    const planner = (some: readonly string[]) =>
      withTrace(newTraceId(), () =>
        handInAll(
          { vault, ...at },
          "index",
          some.map((name) => wishing(name)),
        ),
      );
    const same = await Promise.all([planner(names(0, 40)), planner(names(0, 40))]);
    expect(same[1]).toEqual(same[0]);
    expect(await inbox(vault)).toHaveLength(40);
    const others = await Promise.all([planner(names(40, 70)), planner(names(60, 100))]);
    expect(await wishesOf(vault, others[0] ?? [])).toEqual(names(40, 70));
    expect(await wishesOf(vault, others[1] ?? [])).toEqual(names(60, 100));
    const all = (await inbox(vault)).filter((request) => request !== undefined);
    expect(new Set(await wishesOf(vault, all))).toEqual(new Set(names(0, 100)));
  });
});
