import { type H1, isH1 } from "../gomod/dirhash.ts";
import type { GoSum } from "../gomod/go-sum.ts";
import type { ModuleVersion } from "../gomod/version.ts";
import { MirrorError } from "./errors.ts";
import { readRequestBody } from "./inbox.ts";
import type { RequestKey } from "./orders.ts";
import type { MirrorParts } from "./parts.ts";
import { parseWishes } from "./wishes.ts";

/**
 * Which hash the request's own go.sum claims of a version's zip, where the policy lets such in although they are young:
 * whoever wrote that line has built with it already. A claim is no proof: the gate compares it (gate.ts). Elsewhere none,
 * and the request is not read.
 */
export async function pinsOf(
  parts: Pick<MirrorParts, "vault" | "policy">,
  request: RequestKey,
): Promise<(version: ModuleVersion) => readonly H1[]> {
  if (parts.policy?.settings.cooldown?.exempt !== "gosum") return () => [];
  const sums = await goSumsOf(parts, request);
  return ({ path, version }) => sums.flatMap((sum) => sum.hashes(path, version, "zip")).filter(isH1);
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
