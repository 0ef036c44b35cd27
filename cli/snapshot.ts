import { hostname, userInfo } from "node:os";
import { ScratchFolder } from "../adapters/local/scratch-folder.ts";
import { SpoolFolder } from "../adapters/local/spool-folder.ts";
import { misuse } from "../mirror/errors.ts";
import { reasonText } from "../mirror/policy-settings.ts";
import {
  expireSnapshot,
  listSnapshots,
  newestSnapshot,
  unknownSnapshot,
} from "../mirror/snapshot/catalog.ts";
import { openSnapshot, readHeader } from "../mirror/snapshot/open-snapshot.ts";
import { isPinned, type Pin, pinSnapshot, pinsOf, unpinSnapshot } from "../mirror/snapshot/pin.ts";
import type { Snapshot } from "../mirror/snapshot/snapshot.ts";
import { type SnapshotName, snapshotName } from "../mirror/snapshot/snapshot-name.ts";
import { takeSnapshot } from "../mirror/snapshot/take.ts";
import type { CliEnvironment } from "./environment.ts";
import { jsonLine } from "./json-line.ts";
import { type OpenMirror, openMirror } from "./open-mirror.ts";
import type { Options } from "./options.ts";
import type { Output } from "./output.ts";
import { keepHeapSmall } from "./small-heap.ts";
import { printDiff, printHeader, printListing, printPins, saySize } from "./snapshot-lines.ts";

type Act = (
  mirror: OpenMirror,
  names: readonly string[],
  options: Options,
  output: Output,
) => Promise<number>;

/** What may be done with snapshots, and how many names that takes. */
const ACTS: Readonly<
  Record<string, { readonly run: Act; readonly names: number; readonly writes: boolean }>
> = {
  take: { run: take, names: 0, writes: true },
  list: { run: list, names: 0, writes: false },
  show: { run: show, names: 1, writes: false },
  diff: { run: diff, names: 2, writes: false },
  pin: { run: pin, names: 1, writes: true },
  unpin: { run: unpin, names: 1, writes: true },
  expire: { run: expire, names: 1, writes: true },
};

/** The newest one may be called by this, wherever a name is asked for. */
const NEWEST = "latest";

/** `modferry snapshot`: takes, shows, compares and keeps snapshots, beside a `sync` that goes on. */
export async function snapshot(
  options: Options,
  environment: CliEnvironment,
  output: Output,
): Promise<number> {
  const [verb = "", ...names] = options.arguments;
  const act = Object.hasOwn(ACTS, verb) ? ACTS[verb] : undefined;
  const all = Object.keys(ACTS).join(", ");
  if (act === undefined) {
    const subject = verb === "" ? "snapshot" : verb;
    throw misuse(subject, `${subject}: say what to do: modferry snapshot ${all} (modferry help)`);
  }
  if (names.length !== act.names) {
    const right = ["no name", "the name of one snapshot", "the names of two snapshots"][act.names];
    throw misuse("NAME", `modferry snapshot ${verb}: takes ${right}; \`modferry snapshot list\` shows them`);
  }
  if (verb !== "take" && options.bundle.full)
    throw misuse("--full", `--full: not a flag of \`modferry snapshot ${verb}\``);
  if (verb !== "pin" && options.pause.reason !== undefined)
    throw misuse("--reason", `--reason: not a flag of \`modferry snapshot ${verb}\``);
  const mirror = await openMirror(options, environment, { mode: act.writes ? "beside" : "read" });
  try {
    return await act.run(mirror, names, options, output);
  } finally {
    await mirror.close();
  }
}

async function take(
  mirror: OpenMirror,
  _names: readonly string[],
  options: Options,
  output: Output,
): Promise<number> {
  keepHeapSmall();
  // Not in the mirror's own folder, which is swept by whoever begins to write it.
  const scratch = new ScratchFolder();
  try {
    const spools = new SpoolFolder(scratch.path);
    const { tree, vault, ledger } = mirror;
    const spool: SpoolFolder["spool"] = (chunks, limit, subject) => spools.spool(chunks, limit, subject);
    const began = performance.now();
    const closed = mirror.deployed ? {} : { closedAfter: 0 };
    const taken = await takeSnapshot(
      { tree, vault, ledger, now: Date.now, spool },
      // One machine has one clock.
      { owner: `${hostname()}:${process.pid}`, ...closed, full: options.bundle.full },
    );
    const seconds = Math.round(performance.now() - began) / 1000;
    if (taken.outcome === "busy") {
      output.error("modferry: another snapshot is being taken; try again when it has ended");
      return 1;
    }
    const name = taken.outcome === "taken" ? taken.header.name : taken.name;
    if (options.json)
      output.print(
        jsonLine({
          event: "snapshot",
          outcome: taken.outcome,
          ...(name === undefined ? {} : { name }),
          ...(taken.outcome === "taken" ? { counts: taken.header.counts, seconds } : {}),
        }),
      );
    else if (taken.outcome === "taken") {
      output.error(`modferry: ${saySize(taken.header.counts)}, in ${seconds} s`);
      output.print(taken.header.name);
    } else if (name === undefined) output.error("modferry: nothing taken: this mirror holds nothing yet");
    else {
      output.error("modferry: nothing has changed since");
      output.print(name);
    }
    return 0;
  } finally {
    scratch.remove();
  }
}

async function list(
  mirror: OpenMirror,
  _names: readonly string[],
  options: Options,
  output: Output,
): Promise<number> {
  const pins = await pinsOf(mirror.ledger);
  const now = Date.now();
  for (const entry of await listSnapshots(mirror)) {
    if (entry.state === "abandoned") continue;
    const header = entry.state === "kept" ? await readHeader(mirror.vault, entry.name) : undefined;
    printListing(entry, header?.counts, isPinned(pins, entry.name, now), options.json, output);
  }
  return 0;
}

async function show(
  mirror: OpenMirror,
  [text = ""]: readonly string[],
  options: Options,
  output: Output,
): Promise<number> {
  const opened = await openKept(mirror, text);
  try {
    const pins = (await pinsOf(mirror.ledger)).filter(({ snapshot }) => snapshot === opened.header.name);
    printHeader(opened.header, options.json, output);
    printPins(pins, options.json, output);
    return 0;
  } finally {
    await opened.close();
  }
}

async function diff(
  mirror: OpenMirror,
  [before = "", after = ""]: readonly string[],
  options: Options,
  output: Output,
): Promise<number> {
  const from = await openKept(mirror, before);
  try {
    const to = await openKept(mirror, after);
    try {
      await printDiff(from, to, options.json, output);
      return 0;
    } finally {
      await to.close();
    }
  } finally {
    await from.close();
  }
}

async function pin(
  mirror: OpenMirror,
  [text = ""]: readonly string[],
  options: Options,
  output: Output,
): Promise<number> {
  const name = await keptName(mirror, text);
  const reason = reasonText.safeParse(options.pause.reason ?? "pinned by hand");
  if (!reason.success)
    throw misuse("--reason", "--reason: say why it is kept, in one line of 300 characters at most");
  const by = options.by ?? `${userInfo().username}@${hostname()}`;
  const kept: Pin = { snapshot: name, reason: reason.data, by, at: Date.now() };
  await pinSnapshot(mirror.ledger, kept);
  if (options.json) output.print(jsonLine({ event: "pinned", name, reason: reason.data, by }));
  else output.error(`modferry: ${name}: kept until \`modferry snapshot unpin ${name}\``);
  return 0;
}

async function unpin(
  mirror: OpenMirror,
  [text = ""]: readonly string[],
  options: Options,
  output: Output,
): Promise<number> {
  const name = await keptName(mirror, text);
  const wasPinned = await unpinSnapshot(mirror.ledger, name);
  if (options.json) output.print(jsonLine({ event: "unpinned", name, wasPinned }));
  else output.error(`modferry: ${name}: ${wasPinned ? "expires like any other" : "was not pinned"}`);
  return 0;
}

async function expire(
  mirror: OpenMirror,
  [text = ""]: readonly string[],
  options: Options,
  output: Output,
): Promise<number> {
  const name = snapshotName(text);
  const expired = await expireSnapshot(mirror, name, Date.now());
  if (options.json) output.print(jsonLine({ event: "expired", name, wasKept: expired }));
  else if (expired)
    output.error(`modferry: ${name}: answers 410 from now on; garbage collection removes what it alone kept`);
  else output.error(`modferry: ${name}: had expired already`);
  return 0;
}

/** @throws MirrorError misuse where there is none of that name, or it has expired. */
async function keptName(mirror: OpenMirror, text: string): Promise<SnapshotName> {
  if (text === NEWEST) {
    const newest = await newestSnapshot(mirror);
    if (newest !== undefined) return newest;
    throw misuse(NEWEST, `${NEWEST}: no snapshot yet; \`modferry snapshot take\` makes one`);
  }
  const name = snapshotName(text);
  const entry = (await listSnapshots(mirror)).find((one) => one.name === name);
  if (entry?.state === "expired") throw misuse(name, `snapshot ${name}: has expired; name another`);
  if (entry?.state !== "kept") throw unknownSnapshot(name);
  return name;
}

async function openKept(mirror: OpenMirror, text: string): Promise<Snapshot> {
  const name = await keptName(mirror, text);
  const opened = await openSnapshot(mirror.vault, name);
  if (opened === undefined) throw unknownSnapshot(name);
  return opened;
}
