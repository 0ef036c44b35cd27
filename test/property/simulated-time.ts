import { syncBuiltinESMExports } from "node:module";
import timers from "node:timers/promises";

/** Whoever waits (for a lease) waits in the simulation's time: this is told how long, in ms. */
let pass: (ms: number) => void = () => {};

const setTimeout = async <T>(ms?: number, value?: T): Promise<T> => {
  pass(ms ?? 0);
  await timers.setImmediate();
  return value as T;
};

/** For this process, for good: only a process that runs nothing but schedules may ask for it. */
export function simulateTime(): void {
  timers.setTimeout = setTimeout as typeof timers.setTimeout;
  syncBuiltinESMExports();
}

export function onWaiting(told: (ms: number) => void): void {
  pass = told;
}
