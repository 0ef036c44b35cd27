import { setFlagsFromString } from "node:v8";

/**
 * For verbs that stream a whole mirror. V8 gives its nursery up to 100 MB, which lines that live for milliseconds fill,
 * and lets the rest grow fourfold before it collects, with the buffers that hang on it: a million versions then take
 * more than 256 MB, for a tenth less CPU time. These flags count from the next collection on.
 */
export function keepHeapSmall(): void {
  for (const flag of ["--max-semi-space-size=8", "--semi-space-growth-factor=1", "--heap-growing-percent=60"])
    setFlagsFromString(flag);
}
