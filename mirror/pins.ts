import type { GoSum } from "../gomod/go-sum.ts";
import type { ModuleVersion } from "../gomod/version.ts";
import { MirrorError } from "./errors.ts";
import { readRequestBody } from "./inbox.ts";
import type { RequestKey } from "./orders.ts";
import type { MirrorParts } from "./parts.ts";
import { parseWishes } from "./wishes.ts";

/**
 * Which versions' zips the request's own go.sum names, where the policy lets such in although they are young: whoever
 * wrote that line has built with them already. Elsewhere none, and the request is not read.
 */
export async function pinsOf(
  parts: Pick<MirrorParts, "vault" | "policy">,
  request: RequestKey,
): Promise<(version: ModuleVersion) => boolean> {
  if (parts.policy?.settings.cooldown?.exempt !== "gosum") return () => false;
  const sums = await goSumsOf(parts, request);
  return ({ path, version }) => sums.some((sum) => sum.hashes(path, version, "zip").length > 0);
}

/** A request whose object has left the inbox since has no go.sum any more. */
async function goSumsOf(parts: Pick<MirrorParts, "vault">, request: RequestKey): Promise<readonly GoSum[]> {
  try {
    return parseWishes(await readRequestBody(parts, request)).allSums;
  } catch (thrown) {
    if (thrown instanceof MirrorError && thrown.class === "misuse") return [];
    throw thrown;
  }
}
