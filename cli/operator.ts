import { hostname, userInfo } from "node:os";
import { misuse } from "../mirror/errors.ts";
import { reasonText } from "../mirror/policy-settings.ts";
import type { Options } from "./options.ts";

/** Who decides: `--by`, else who runs the command. */
export function whoever({ by }: Options): string {
  return by ?? `${userInfo().username}@${hostname()}`;
}

/** Why an operator decides. @param shownTo who is shown it. @throws MirrorError misuse. */
export function reasonOf({ pause: { reason } }: Options, shownTo: string): string {
  const parsed = reasonText.safeParse(reason);
  if (parsed.success) return parsed.data;
  throw misuse("--reason", `--reason: say why, in one line of 300 characters at most; ${shownTo} shown it`);
}
