import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { misuse } from "../mirror/errors.ts";

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
        return (await promisify(execFile)("go", ["env", "GOPROXY"], { env, timeout: 30_000 })).stdout.trim();
      } catch (cause) {
        if (env.GOPROXY) return env.GOPROXY;
        throw misuse(
          "--upstream",
          "--upstream: not given, and there is no go command to ask for GOPROXY; give --upstream URL",
          cause,
        );
      }
    },
  };
}
