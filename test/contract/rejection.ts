import { expect } from "vitest";
import { MirrorError } from "../../mirror/errors.ts";

/** The MirrorError that `promise` ends in; fails the test when it does not, or when its text is not one line. */
export async function rejectionOf(promise: Promise<unknown>): Promise<MirrorError> {
  const thrown = await promise.then(
    () => new Error("no error was thrown"),
    (error: unknown) => error,
  );
  if (!(thrown instanceof MirrorError)) throw thrown;
  expect(thrown.message).toMatch(/^[^\n]{1,400}$/);
  return thrown;
}
