/**
 * More than any linear parser of ours needs for a megabyte, and far less than a quadratic one. Processor time, not
 * wall time: other work on the machine must not fail a test.
 */
export const LINEAR_MS = 3000;

/** The processor time that this process spends in `work`, in milliseconds. */
export function cpuMilliseconds(work: () => unknown): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}
