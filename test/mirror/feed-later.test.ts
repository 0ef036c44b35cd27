import { describe, expect, test } from "vitest";
import { parseModuleVersion } from "../../gomod/version.ts";
import { completeUntil } from "../../mirror/complete-until.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { tick } from "../../mirror/tick.ts";
import { indexOnly, MadeIndex, microStamp, subscribed } from "./made-index.ts";
import { MadeMirror, MINUTE } from "./made-mirror.ts";
import { MadeUpstream } from "./made-upstream.ts";

const HOUR = 60 * MINUTE;
const SKIP = subscribed({ modules: ["example.com"], versions: "all", retracted: "skip" });
const RETRACTS = "module example.com/a\n\ngo 1.16\n\nretract [v1.1.0, v1.2.0]\n";

/** A module whose highest version retracts itself and another, all in one answer of an index. */
function world() {
  const upstream = new MadeUpstream();
  for (const version of ["v1.0.0", "v1.1.0"]) upstream.add(`example.com/a@${version}`);
  upstream.add("example.com/a@v1.2.0", { text: RETRACTS });
  const mirror = new MadeMirror(upstream);
  const index = new MadeIndex();
  ["v1.0.0", "v1.1.0", "v1.2.0"].forEach((version, at) => {
    index.see(`example.com/a@${version}`, microStamp(mirror.clock.ms - (10 - at) * 1_000));
  });
  const read = async (subscriptions = SKIP) => {
    const ticked = await tick(mirror.parts, indexOnly(index, subscriptions), "one");
    if (ticked.outcome !== "ticked") throw new Error(ticked.outcome);
    return ticked.indexes[0]?.found;
  };
  const state = async (version: string) =>
    (await mirror.ledger.read([parseModuleVersion(`example.com/a@${version}`)]))[0]?.state;
  const open = async () => (await completeUntil(mirror.ledger, "index", mirror.clock.ms))?.open;
  return { upstream, mirror, index, read, state, open };
}

describe("versions that their module's highest one retracts, in one answer of an index", () => {
  test("are left out: it comes first, and the others by the next tick", async () => {
    const { mirror, upstream, read, state, open } = world();
    expect(await read()).toBe(1);
    expect(await open()).toBe(3);
    await mirror.drain();
    expect(await mirror.text("example.com/a/@v/list")).toBe("v1.2.0\n");
    expect(await open()).toBe(2);
    expect(await read()).toBe(1);
    await mirror.drain();
    expect(await mirror.text("example.com/a/@v/list")).toBe("v1.0.0\nv1.2.0\n");
    expect(await open()).toBe(0);
    expect(upstream.asked.get("zip example.com/a@v1.1.0")).toBeUndefined();
    // Nobody tries it again, and whoever asks for it gets it.
    mirror.clock.ms += 24 * HOUR;
    await mirror.pass(2);
    expect([await state("v1.1.0"), await read(), await open()]).toEqual(["REMOVED", 0, 0]);
    await mirror.request({ wishes: ["example.com/a@v1.1.0"] });
    expect(await mirror.text("example.com/a/@v/list")).toBe("v1.0.0\nv1.1.0\nv1.2.0\n");
  });

  test("wait as long as its go.mod may come, and not when it will not", async () => {
    const { mirror, upstream, read, open } = world();
    upstream.wrong.set("mod example.com/a@v1.2.0", new MirrorError("transient", "a", "a: 503"));
    await read();
    await mirror.drain();
    for (let hour = 0; hour < 3; hour++) {
      mirror.clock.ms += HOUR;
      await mirror.pass(1);
      expect(await read()).toBe(0);
      expect(await open()).toBe(3);
    }
    upstream.wrong.set("mod example.com/a@v1.2.0", new MirrorError("absent", "a", "a: 404"));
    for (let hour = 0; hour < 8; hour++) {
      mirror.clock.ms += HOUR;
      await mirror.pass(1);
      await read();
      await mirror.drain();
    }
    // Nothing is known to be retracted.
    expect(await mirror.text("example.com/a/@v/list")).toBe("v1.0.0\nv1.1.0\n");
    expect(await open()).toBe(0);
  });

  test("that are kept for later survive a tick that dies after it has recorded them", async () => {
    const { mirror, read, open } = world();
    const move = mirror.ledger.moveWatermark.bind(mirror.ledger);
    mirror.ledger.moveWatermark = async () => {
      throw new Error("killed");
    };
    await expect(read()).rejects.toThrow("killed");
    mirror.ledger.moveWatermark = move;
    await read();
    await mirror.drain();
    await read();
    await mirror.drain();
    expect(await mirror.text("example.com/a/@v/list")).toBe("v1.0.0\nv1.2.0\n");
    expect(await open()).toBe(0);
  });

  test("that nothing is subscribed to any more are given up", async () => {
    const { mirror, read, state, open } = world();
    await read();
    await read(subscribed({ modules: ["other.example"] }));
    expect([await state("v1.0.0"), await state("v1.1.0"), await state("v1.2.0")]).toEqual([
      "REMOVED",
      "REMOVED",
      "PENDING",
    ]);
    await mirror.drain();
    expect(await open()).toBe(0);
  });
});
