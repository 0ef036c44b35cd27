import { MirrorError, misuse } from "../../mirror/errors.ts";
import { findPython } from "./python.ts";

/** How long a given endpoint may take to answer anything at all. */
const ANSWER_TIMEOUT = 3_000;

/** Where the local AWS is to be had. */
export type LocalEndpoint =
  /** It runs already; whoever started it stops it. */
  | { readonly kind: "given"; readonly url: string }
  /** To be installed and started: `ensureMiniStack`, `startMiniStack`. `ignored` is an AWS_ENDPOINT_URL that is dead. */
  | { readonly kind: "ministack"; readonly ignored?: string };

/**
 * Finds the endpoint that `npm start` and the suites deploy to: AWS_ENDPOINT_URL if it answers, else MiniStack.
 * @throws MirrorError misuse: the one message that names the ways, when there is neither.
 */
export async function findEndpoint(environment: NodeJS.ProcessEnv): Promise<LocalEndpoint> {
  const given = environment.AWS_ENDPOINT_URL;
  if (given && (await answers(given))) return { kind: "given", url: given };
  try {
    await findPython(environment);
  } catch (error) {
    const missing = error instanceof MirrorError ? error.message : String(error);
    const dead = given ? `AWS_ENDPOINT_URL=${given} does not answer; ` : "";
    throw misuse(
      "endpoint",
      `no AWS endpoint: ${dead}${missing}; or start a LocalStack-compatible container with Docker and set AWS_ENDPOINT_URL; or run without one: npm start -- --embedded`,
      error,
    );
  }
  return { kind: "ministack", ...(given ? { ignored: given } : {}) };
}

/** Whether anything speaks HTTP there: emulators differ in their health pages. */
async function answers(url: string): Promise<boolean> {
  try {
    const reply = await fetch(url, { signal: AbortSignal.timeout(ANSWER_TIMEOUT), redirect: "manual" });
    await reply.body?.cancel();
    return true;
  } catch {
    return false;
  }
}
