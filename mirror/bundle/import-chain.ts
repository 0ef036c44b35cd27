import { MirrorError } from "../errors.ts";
import { timeOfSnapshot } from "../snapshot/snapshot-name.ts";
import type { Mark } from "./mark.ts";
import type { OpenedBundle } from "./opened-bundle.ts";

/** Bundles with one target, of which together comes what a mirror of `from` lacks. */
export interface ImportStep {
  readonly bundles: readonly OpenedBundle[];
}

export interface ImportChain {
  readonly steps: readonly ImportStep[];
  /** What this mirror holds already: that or a later state. */
  readonly past: readonly OpenedBundle[];
  /** What begins where this mirror would not be, the oldest target first. */
  readonly gap: readonly OpenedBundle[];
}

/** In which order bundles, given in any, lead on from what a mirror holds. */
export function chainOf(mark: Mark | undefined, bundles: readonly OpenedBundle[]): ImportChain {
  const byTarget = [...bundles].sort((a, b) => a.header.to.until - b.header.to.until);
  const past = byTarget.filter(({ header }) => mark !== undefined && isPast(mark, header.to));
  let left = byTarget.filter((bundle) => !past.includes(bundle));
  const steps: ImportStep[] = [];
  let at: string | undefined = mark?.snapshot;
  for (;;) {
    const next = nextOf(left, at);
    if (next === undefined) return { steps, past, gap: left };
    // Others of that target may hold what a needs bundle leaves out.
    const isOfIt = ({ header }: OpenedBundle) => header.to.hash === next.header.to.hash;
    const complete = next.header.kind !== "needs";
    steps.push({ bundles: complete ? [next] : [next, ...left.filter((one) => one !== next && isOfIt(one))] });
    const until = next.header.to.until;
    left = left.filter((bundle) => bundle.header.to.until > until);
    at = next.header.to.name;
  }
}

/** An increment from there, else what stands for itself, else what was made to fill a gap. */
function nextOf(left: readonly OpenedBundle[], at: string | undefined): OpenedBundle | undefined {
  return (
    left.find(({ header }) => header.kind === "increment" && header.from?.name === at) ??
    left.find(({ header }) => header.kind === "full") ??
    left.find(({ header }) => header.kind === "needs" && (header.from?.name ?? undefined) === at)
  );
}

function isPast(mark: Mark, to: { readonly name: string; readonly until: number }): boolean {
  return to.name === mark.snapshot || Math.floor(to.until / 1000) * 1000 <= timeOfSnapshot(mark.snapshot);
}

/** A bundle that would lead back. */
export function pastError(mark: Mark, { source, header }: OpenedBundle): MirrorError {
  const message = `${source.name}: leads to ${header.to.name}, and this mirror holds ${mark.snapshot} already; nothing was taken over`;
  return new MirrorError("mismatch", source.name, message);
}
