import { afterAll, beforeAll, expect, test } from "vitest";
import { SumdbClient } from "../../sumdb/client.ts";
import { formatForkReport } from "../../sumdb/fork-report.ts";
import { parseVerifierKey } from "../../sumdb/note.ts";
import { ForkError } from "../../sumdb/proof-error.ts";
import { parseTilePath } from "../../sumdb/tile.ts";
import { openTreeHead } from "../../sumdb/tree-head.ts";
import { describeWithOracle } from "../go-command.ts";
import { base64, type GoClientRun, Oracle, PrivateDatabase } from "./oracle.ts";

const name = "example.com/sumdb";

interface Verdict {
  readonly older: number;
  readonly newer: number;
  readonly forked: boolean;
}

describeWithOracle("the report of a fork", () => {
  let oracle: Oracle;
  let keys: { signer: string; verifier: string };
  let honest: PrivateDatabase;

  beforeAll(async () => {
    oracle = new Oracle();
    keys = await oracle.ask("generateKey", { text: name });
    honest = await PrivateDatabase.create(oracle, "honest", keys.signer);
    await honest.grow(1000);
  });
  afterAll(() => oracle.stop());

  async function forkAt(size: number): Promise<{ fork: PrivateDatabase; report: Uint8Array }> {
    const fork = await PrivateDatabase.create(oracle, `fork${size}`, keys.signer);
    await fork.grow(Math.min(980, size - 1));
    await fork.grow(size, "other");
    const verifier = parseVerifierKey(keys.verifier);
    let source = honest;
    const client = new SumdbClient({
      name,
      verifier,
      store: { read: async () => undefined },
      source: {
        latest: () => source.latest(),
        lookup: (version) => source.lookup(version),
        // x/mod's test server crashes when it is asked for tiles that it has not.
        tile: (tile) => (size < 1000 ? honest : source).tile(tile),
      },
    });
    await client.advance();
    source = fork;
    const error = await client.advance().catch((thrown: unknown) => thrown);
    if (!(error instanceof ForkError)) throw error;
    return { fork, report: formatForkReport(error) };
  }

  test.each([1, 2, 256, 257, 990, 1000, 1001, 1200, 3000])(
    "of heads of 1000 and %i records is checked by x/mod with nothing but the key",
    async (size) => {
      const { report } = await forkAt(size);
      const verdict = await oracle.ask<Verdict>("checkFork", { bytes: base64(report), text: keys.verifier });
      const [older, newer] = [1000, size].sort((a, b) => a - b);
      expect(verdict).toEqual({ older, newer, forked: true });
      // With another key, or a bit of any note or hash flipped, it convicts nobody.
      const other = await oracle.ask<{ verifier: string }>("generateKey", { text: name });
      const judge = (bytes: Uint8Array, key: string) =>
        oracle.judge("checkFork", { bytes: base64(bytes), text: key });
      expect(await judge(report, other.verifier)).toBeUndefined();
      const text = Buffer.from(report).toString("latin1");
      for (const mark of ["old database:", "new database:", "proof of misbehavior:"]) {
        const at = text.indexOf("\n\t", text.indexOf(mark)) + 4;
        const flipped = Buffer.from(report);
        flipped[at] = (flipped[at] ?? 0) ^ 1;
        expect(await judge(flipped, keys.verifier), mark).toBeUndefined();
      }
    },
    120_000,
  );

  test.each([
    [1001, ["0/003.p/233"]],
    [1200, ["1/000.p/4", "0/003", "0/004.p/176"]],
  ])("of heads of 1000 and %i records is what the go command itself would print", async (size, edge) => {
    const { fork, report } = await forkAt(size);
    const head = openTreeHead(await honest.latest(), parseVerifierKey(keys.verifier));
    const path = "/lookup/example.com/m5@v1.0.0";
    const files: Record<string, string> = { [path]: base64(await fork.get(path)) };
    // It first proves the head that it knows, as the mirror has it, then the fork's.
    for (const [database, tiles] of [
      [honest, ["1/000.p/3", "0/003.p/232"]],
      [fork, edge],
    ] as const) {
      for (const tile of tiles)
        files[`/tile/8/${tile}`] = base64(await database.tile(parseTilePath(`tile/8/${tile}`)));
    }
    const versions = ["example.com/m5@v1.0.0"];
    const known = { text: keys.verifier, latest: base64(head.note) };
    const run = await oracle.ask<GoClientRun>("client", { ...known, files, versions });
    expect(run.security).toContain("SECURITY ERROR");
    expect(Buffer.from(report).toString()).toBe(`${run.security}\n`);
  });
});
