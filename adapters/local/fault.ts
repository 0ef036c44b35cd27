/** One call of a port's method, as a fault hook sees it. */
export interface Call {
  /** The port's name and the method's: `tree.create`. */
  readonly method: string;
  /** The key, `module@version`, feed, … that the call is about; the first of several. */
  readonly key: string;
}

/** What goes wrong with one call: whether it took effect, and what its caller sees instead of the answer. */
export interface Fault {
  readonly applied: boolean;
  readonly sees: Error;
}

/**
 * Decides before each call of an in-memory port; undefined lets it pass. With `applied: true` a test reaches
 * "failed but persisted": the write is there, and its caller does not know. A hook may wait, to hold a call up.
 */
export type FaultHook = (call: Call) => Fault | undefined | Promise<Fault | undefined>;

/** Runs `apply` as the hook decides. `apply` is synchronous, so that every call is atomic. */
export async function underFault<T>(hook: FaultHook | undefined, call: Call, apply: () => T): Promise<T> {
  const fault = await hook?.(call);
  if (fault === undefined) return apply();
  if (fault.applied) apply();
  throw fault.sees;
}
