import { sha256Of } from "../body.ts";
import { asMirrorError, type MirrorError } from "../errors.ts";
import { ImportGap, type ImportParts, importBundles } from "./import.ts";
import { chainOf, pastError } from "./import-chain.ts";
import {
  type AnswerParts,
  type ImportedBundle,
  imported,
  type Refusal,
  refusalOf,
  refused,
} from "./inbox-answers.ts";
import type { Arrival } from "./inbox-ports.ts";
import { type Mark, readMark } from "./mark.ts";
import { type OpenedBundle, openBundle } from "./opened-bundle.ts";
import { readSigners } from "./signers.ts";

/** What is told of a bundle in the inbox. */
export type InboxEvent =
  | { readonly event: "waiting"; readonly where: string; readonly missing: readonly string[] }
  | {
      readonly event: "refused";
      readonly where: string;
      readonly error: MirrorError;
      readonly isGap: boolean;
    }
  | { readonly event: "imported"; readonly where: string; readonly imported: ImportedBundle };

export interface InboxParts extends ImportParts, AnswerParts {
  readonly ledger: ImportParts["ledger"];
  readonly tell: (event: InboxEvent) => void;
}

interface Candidate {
  readonly arrival: Arrival;
  readonly bundle: OpenedBundle;
}

/**
 * Imports what is complete in the inbox and leads on from what the mirror holds, one step after the other. What is
 * incomplete waits; what is refused gets a note beside it, and is tried again once any of its files, what the mirror holds
 * or whom it trusts is another; of a gap also when anything else has come. One bundle's fault holds up no other one.
 * @throws MirrorError transient where a store does not answer, or time is up: the same call goes on.
 */
export async function takeInbox(parts: InboxParts): Promise<void> {
  const told = new Set<string>();
  for (;;) {
    const arrivals = await parts.inbox.arrivals();
    const mark = await readMark(parts.ledger);
    const candidates = await candidatesOf(parts, arrivals, mark, told);
    const { steps, past, gap } = chainOf(
      mark,
      candidates.map(({ bundle }) => bundle),
    );
    const of = (bundles: readonly OpenedBundle[]) =>
      candidates.filter(({ bundle }) => bundles.includes(bundle));
    const context = { mark, arrivals };
    for (const candidate of of(past)) {
      const { header } = candidate.bundle;
      if (mark === undefined || header.to.name === mark.snapshot) await take(parts, [candidate], context);
      else await refuse(parts, candidate.arrival, pastError(mark, candidate.bundle), context);
    }
    const [step] = steps;
    if (step === undefined) {
      for (const candidate of of(gap)) await take(parts, [candidate], context);
      return;
    }
    await take(parts, of(step.bundles), context);
  }
}

interface Context {
  readonly mark: Mark | undefined;
  readonly arrivals: readonly Arrival[];
}

/** Those that are whole, were not refused as they are, and are what a trusted key has signed. */
async function candidatesOf(
  parts: InboxParts,
  arrivals: readonly Arrival[],
  mark: Mark | undefined,
  told: Set<string>,
): Promise<Candidate[]> {
  const trusted = await readSigners(parts.ledger);
  const candidates: Candidate[] = [];
  const context = { mark, arrivals };
  for (const arrival of arrivals) {
    if (await isAnswered(parts, arrival, context)) continue;
    const wait = (missing: readonly string[]) => {
      const where = arrival.source.name;
      // Once in a call, however often the inbox is looked through.
      if (!told.has(where)) parts.tell({ event: "waiting", where, missing });
      told.add(where);
    };
    if (arrival.lacks.length > 0) {
      wait(arrival.lacks);
      continue;
    }
    try {
      const bundle = await openBundle(arrival.source, trusted);
      const missing = bundle.packs.filter(({ name }) => arrival.sizeOf(name) === undefined);
      if (missing.length > 0) {
        wait(missing.map(({ name }) => name));
        continue;
      }
      await arrival.checkCopies();
      candidates.push({ arrival, bundle });
    } catch (thrown) {
      await refuseOrThrow(parts, [arrival], thrown, context);
    }
  }
  return candidates;
}

/** @param candidates bundles of one step, or one that leads on from nothing. */
async function take(parts: InboxParts, candidates: readonly Candidate[], context: Context): Promise<void> {
  const arrivals = candidates.map(({ arrival }) => arrival);
  try {
    const done = await importBundles(
      parts,
      arrivals.map(({ source }) => source),
    );
    for (const { arrival, bundle } of candidates) {
      const one = done.find(({ name }) => name === bundle.header.name) ?? done[0];
      if (one === undefined) continue;
      const receipt = await imported(parts, arrival, { ...one, name: bundle.header.name });
      parts.tell({ event: "imported", where: arrival.source.name, imported: receipt });
    }
  } catch (thrown) {
    await refuseOrThrow(parts, arrivals, thrown, context);
  }
}

/** What time alone may heal is thrown on. */
async function refuseOrThrow(
  parts: InboxParts,
  arrivals: readonly Arrival[],
  thrown: unknown,
  context: Context,
): Promise<void> {
  const error = asMirrorError(thrown, arrivals[0]?.source.name ?? "inbox");
  if (!REFUSING.has(error.class)) throw thrown;
  for (const arrival of arrivals) await refuse(parts, arrival, error, context);
}

/** What a store does not answer, or does not let us do, says nothing of a bundle. */
const REFUSING: ReadonlySet<MirrorError["class"]> = new Set(["mismatch", "malformed", "absent", "misuse"]);

async function refuse(
  parts: InboxParts,
  arrival: Arrival,
  error: MirrorError,
  context: Context,
): Promise<void> {
  const isGap = error instanceof ImportGap;
  const attempt = await attemptOf(parts, arrival, context, isGap);
  await refused(parts, arrival, error, attempt);
  parts.tell({ event: "refused", where: arrival.source.name, error, isGap });
}

/** Whether what lies beside a bundle is still true of it. It is of whoever may write there: whoever forges it lets it lie. */
async function isAnswered(parts: InboxParts, arrival: Arrival, context: Context): Promise<boolean> {
  const known: Refusal | undefined = await refusalOf(parts.inbox, arrival);
  if (known === undefined) return false;
  if (known.outcome === "imported") return known.attempt === arrival.objects;
  return known.attempt === (await attemptOf(parts, arrival, context, known.outcome === "gap"));
}

/** What a refusal is about: all that could make another attempt end otherwise. */
async function attemptOf(
  { ledger, verifiers }: InboxParts,
  { objects }: Arrival,
  { mark, arrivals }: Context,
  isGap: boolean,
): Promise<string> {
  const trusted = (await readSigners(ledger)).map((signer) => JSON.stringify(signer)).sort();
  const others = isGap ? arrivals.map((arrival) => arrival.objects).sort() : [];
  const databases = verifiers.map(({ name }) => name);
  return sha256Of(Buffer.from(JSON.stringify([objects, mark?.snapshot ?? null, trusted, databases, others])));
}
