import { z } from "zod";
import type { Ledger } from "../ports.ts";
import { isSnapshotName, type SnapshotName } from "../snapshot/snapshot-name.ts";
import { contended, MOST_RACES } from "../update.ts";

/** Up to where a mirror that is fed by bundles has come: all of this snapshot is published. */
export interface Mark {
  readonly snapshot: SnapshotName;
  /** When the last import ended, in ms since the epoch. */
  readonly at: number;
}

const NAME = "mark";
const valueShape = z.object({ snapshot: z.string().refine(isSnapshotName), at: z.int().min(0) });

/** undefined where no bundle was imported yet. */
export async function readMark(ledger: Pick<Ledger, "readItem">): Promise<Mark | undefined> {
  const item = await ledger.readItem("control", NAME);
  return item && (valueShape.parse(item.value) as Mark);
}

/** The last write of an import. */
export async function moveMark(ledger: Pick<Ledger, "readItem" | "writeItem">, mark: Mark): Promise<void> {
  for (let race = 0; race < MOST_RACES; race++) {
    const revision = (await ledger.readItem("control", NAME))?.revision ?? 0;
    const item = { kind: "control", name: NAME, revision, value: { ...mark } } as const;
    if ((await ledger.writeItem(item)) !== "changed") return;
  }
  throw contended("the mark");
}
