import { z } from "zod";

const UNITS = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** A field of the configuration that says how long: `90m`, `36h`, `7d`. */
export const duration = z
  .string()
  .regex(/^\d{1,4}[mhd]$/, "give minutes, hours or days, such as 90m, 36h or 7d");

/** Of a text that `duration` takes, in ms. */
export function milliseconds(text: string): number {
  return Number(text.slice(0, -1)) * UNITS[text.slice(-1) as keyof typeof UNITS];
}
