import { goEnv } from "../adapters/local/go-env.ts";
import { asMirrorError, misuse } from "../mirror/errors.ts";

/** The environment as the command line reads it, once. */
export interface CliEnvironment {
  readonly mirror: string | undefined;
  /** The user's GOPROXY: the variable, or what `go env -w` has set. */
  goproxy(): Promise<string>;
}

export function readEnvironment(env: NodeJS.ProcessEnv): CliEnvironment {
  return {
    mirror: env.MODFERRY_MIRROR === "" ? undefined : env.MODFERRY_MIRROR,
    goproxy: async () => {
      try {
        return (await goEnv(["GOPROXY"], env, "give --upstream URL")).GOPROXY.trim();
      } catch (thrown) {
        if (env.GOPROXY) return env.GOPROXY;
        const error = asMirrorError(thrown, "go");
        throw misuse(
          "--upstream",
          `--upstream: not given, and GOPROXY is not to be had: ${error.message}`,
          thrown,
        );
      }
    },
  };
}
