/** A comparator of a range: `>=`, `>`, `<=`, `<` or `=`, and its bound. */
export interface Comparator {
  readonly operator: string;
  readonly bound: string;
}

/**
 * Whether nothing can satisfy all of these comparators: the greatest lower bound is above the least upper one, or at it
 * where one of them leaves it out.
 * @param compare the order of the bounds: negative, 0 or positive.
 */
export function isEmptyRange(
  comparators: readonly Comparator[],
  compare: (a: string, b: string) => number,
): boolean {
  const lower = comparators.filter(({ operator }) => [">=", ">", "="].includes(operator));
  const upper = comparators.filter(({ operator }) => ["<=", "<", "="].includes(operator));
  return lower.some((low) =>
    upper.some((high) => {
      const order = compare(low.bound, high.bound);
      return order > 0 || (order === 0 && (low.operator === ">" || high.operator === "<"));
    }),
  );
}
