import { setTimeout as sleep } from "node:timers/promises";
import { type MirrorError, misuse } from "./errors.ts";
import type { Ledger } from "./ports.ts";

/** Leases of the functions' ticks (tick.ts, reconcile.ts, garbage/collect.ts, snapshot/take.ts). */
export const ALL_TICKS = ["plan", "reconcile", "garbage", "snapshot"] as const;
export type TickName = (typeof ALL_TICKS)[number];

/** Held by whoever rewrites much of a deployed mirror by hand: one at a time. */
export const BY_HAND = "by-hand";
/** Renewed three times before it runs out; one whose holder was killed keeps others off for so long. In ms. */
const LEASE = 90_000;
const RENEWED_EVERY = 25_000;
/** A tick has mostly ended within seconds, and whoever was killed has let go after a lease. In ms. */
const LONGEST_WAIT = LEASE + 10_000;
const POLL = 1_000;

export interface TickHoldParts {
  readonly ledger: Pick<Ledger, "takeLease" | "releaseLease">;
  readonly now: () => number;
  /** Names this process; no two holds have the same. */
  readonly owner: string;
  /** The mirror's address, for messages. */
  readonly mirror: string;
  /** Told once what is waited for. */
  readonly waiting: (lease: string) => void;
}

/** The ticks held off a mirror. */
export interface TickHold {
  /** For before each write. @throws MirrorError misuse where this process slept until somebody else could go on. */
  check(): void;
  release(): Promise<void>;
}

/**
 * Keeps ticks of a deployed mirror's functions from running, and whoever else works on it by hand, by their own leases:
 * what a writer's lock is for a folder. Orders that are on their way go on; each of them writes by comparison. A
 * holder that is killed keeps the ticks off for a minute and a half.
 * @throws MirrorError misuse where one of them is at work for longer than is waited.
 */
export async function holdTicks(parts: TickHoldParts, ticks: readonly TickName[]): Promise<TickHold> {
  const { ledger, now, owner, mirror } = parts;
  const names: readonly string[] = [BY_HAND, ...ticks];
  const taken: string[] = [];
  const release = async () => {
    await Promise.allSettled(taken.map((name) => ledger.releaseLease(name, owner)));
  };
  const giveUp = now() + LONGEST_WAIT;
  let until = Number.POSITIVE_INFINITY;
  try {
    for (const name of names) {
      let told = false;
      for (;;) {
        const at = now();
        if (await ledger.takeLease(name, owner, at, at + LEASE)) {
          until = Math.min(until, at + LEASE);
          break;
        }
        if (at > giveUp) throw busy(mirror, name);
        if (!told) parts.waiting(name);
        told = true;
        await sleep(POLL);
        // Those that are held already must not run out meanwhile.
        if (taken.length > 0 && until - now() < LEASE - RENEWED_EVERY) until = await renew(parts, taken);
      }
      taken.push(name);
    }
  } catch (error) {
    await release();
    throw error;
  }
  let renewal: Promise<void> = Promise.resolve();
  const timer = setInterval(() => {
    renewal = renew(parts, taken).then(
      // Whoever has lost one never has it again: somebody else may have been at work in between.
      (renewed) => {
        until = now() < until ? renewed : Number.NEGATIVE_INFINITY;
      },
      // The next round, or `check`, tells.
      () => undefined,
    );
  }, RENEWED_EVERY);
  timer.unref();
  return {
    check() {
      if (now() < until) return;
      throw misuse(
        mirror,
        `${mirror}: this process gave no sign of life for too long, and its functions may be at work again; run it again`,
      );
    },
    async release() {
      clearInterval(timer);
      // One that is on its way would take them again.
      await renewal;
      await release();
    },
  };
}

/** @returns until when all are held; the past where somebody else has one of them. */
async function renew({ ledger, now, owner }: TickHoldParts, names: readonly string[]): Promise<number> {
  const at = now();
  const held = await Promise.all(names.map((name) => ledger.takeLease(name, owner, at, at + LEASE)));
  return held.every((mine) => mine) ? at + LEASE : Number.NEGATIVE_INFINITY;
}

function busy(mirror: string, name: string): MirrorError {
  const remedy: Readonly<Record<string, string>> = {
    [BY_HAND]:
      "an import, a rollback or a rebuild is under way by another operator; try again when it has ended",
    plan: "its feeds are being read; `modferry pause` them, and try again in five minutes",
  };
  return misuse(
    mirror,
    `${mirror}: ${remedy[name] ?? `its function for ${name} is at work; try again in five minutes`}`,
  );
}
