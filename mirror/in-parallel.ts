import pLimit from "p-limit";

/**
 * At most `atOnce` at a time, in their order as far as they begin, and no more of a long list in memory than that.
 * @throws the first failure, once none is under way any more.
 */
export async function inParallel<T>(
  items: Iterable<T> | AsyncIterable<T>,
  atOnce: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const limit = pLimit(atOnce);
  const failures: unknown[] = [];
  const running = new Set<Promise<void>>();
  for await (const item of items) {
    if (failures.length > 0) break;
    const one = limit(() => work(item)).then(
      () => void running.delete(one),
      (error: unknown) => {
        running.delete(one);
        failures.push(error);
      },
    );
    running.add(one);
    if (running.size >= atOnce) await Promise.race(running);
  }
  await Promise.all(running);
  if (failures.length > 0) throw failures[0];
}
