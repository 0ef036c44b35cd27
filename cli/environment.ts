import { type Egress, environmentEgress } from "../adapters/egress/egress.ts";
import { trustAsGo } from "../adapters/egress/root-certificates.ts";
import { goEnv } from "../adapters/local/go-env.ts";
import { readNetrcFile } from "../adapters/local/netrc-file.ts";
import type { Netrc } from "../gomod/netrc.ts";
import { asMirrorError, misuse } from "../mirror/errors.ts";

/** The environment as the command line reads it, once. */
export interface CliEnvironment {
  readonly mirror: string | undefined;
  /** The user's GOPROXY: the variable, or what `go env -w` has set. */
  goproxy(): Promise<string>;
  /** The user's GONOSUMDB, which GOPRIVATE stands in for: modules whose names no checksum database is told. */
  gonosumdb(): Promise<string>;
  /** The logins of the user's netrc: secrets. Read when they are asked for. */
  netrc(): Promise<Netrc>;
  /**
   * The way out: HTTPS_PROXY, HTTP_PROXY and NO_PROXY as go reads them. From then on this process trusts the certificates
   * that go trusts (SSL_CERT_FILE, SSL_CERT_DIR), and NODE_EXTRA_CA_CERTS. @throws MirrorError misuse naming the variable.
   */
  egress(): Egress;
  /** All variables, for a command that is run as the user would run it. */
  readonly variables: NodeJS.ProcessEnv;
}

export function readEnvironment(env: NodeJS.ProcessEnv): CliEnvironment {
  let egress: Egress | undefined;
  return {
    mirror: env.MODFERRY_MIRROR === "" ? undefined : env.MODFERRY_MIRROR,
    netrc: () => readNetrcFile(env),
    egress: () => {
      // Once: to trust what go trusts anew would take back what a configuration has added since.
      if (egress === undefined) trustAsGo(env);
      egress ??= environmentEgress(env);
      return egress;
    },
    variables: env,
    gonosumdb: async () => {
      try {
        return (await goEnv(["GONOSUMDB"], env, "give --no-sumdb PATTERN")).GONOSUMDB.trim();
      } catch {
        return env.GONOSUMDB ?? env.GOPRIVATE ?? "";
      }
    },
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
