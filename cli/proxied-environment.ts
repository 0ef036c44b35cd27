import { goEnv } from "../adapters/local/go-env.ts";
import type { ScratchFolder } from "../adapters/local/scratch-folder.ts";
import { oneLine } from "./output.ts";

/** The user's own go settings that a run against one proxy has to look at. */
const SETTINGS = ["GOFLAGS", "GONOPROXY", "GOSUMDB"] as const;
type Settings = Readonly<Record<(typeof SETTINGS)[number], string>>;

/** How a command is run against one proxy. */
export interface ProxiedRun {
  readonly environment: NodeJS.ProcessEnv;
  /** A line for the user where modules will be fetched without the proxy. */
  readonly bypass: string | undefined;
}

/**
 * The user's environment with GOPROXY as `proxy` alone and an empty module cache that can be removed, so that
 * everything that a command needs is asked. All else is as the user has it, in the variables or by `go env -w`.
 * @param database `as it is`: the client goes on from the heads that it knows. `fresh`: as on a new machine (they lie in
 * the first GOPATH, where `go install` puts programs too), and asked through the proxy whatever address GOSUMDB names.
 */
export async function proxiedRun(
  variables: NodeJS.ProcessEnv,
  proxy: string,
  scratch: ScratchFolder,
  database: "as it is" | "fresh",
): Promise<ProxiedRun> {
  const settings = await goSettings(variables);
  const environment: NodeJS.ProcessEnv = {
    ...variables,
    GOPROXY: proxy,
    GOMODCACHE: scratch.folder("modcache"),
    GOFLAGS: [settings.GOFLAGS, "-modcacherw"].filter(Boolean).join(" "),
  };
  if (database === "fresh") {
    environment.GOPATH = scratch.folder("gopath");
    // `VKEY URL` would be asked at that URL (modfetch, dbDial); the key alone goes through the proxy.
    const [key] = settings.GOSUMDB.trim().split(/\s+/);
    if (key !== undefined && key !== "") environment.GOSUMDB = key;
  }
  const patterns = settings.GONOPROXY;
  const bypass =
    patterns === "" || patterns === "none"
      ? undefined
      : `GONOPROXY (or GOPRIVATE) is ${oneLine(patterns)}: go fetches modules that match it without a proxy, so they are not seen here`;
  return { environment, bypass };
}

/** What `go env` says; the variables alone where there is no go: the command may bring its own. */
async function goSettings(variables: NodeJS.ProcessEnv): Promise<Settings> {
  try {
    return await goEnv(SETTINGS, variables, "install Go");
  } catch {
    const { GOFLAGS = "", GOPRIVATE = "", GOSUMDB = "" } = variables;
    return { GOFLAGS, GOSUMDB, GONOPROXY: variables.GONOPROXY ?? GOPRIVATE };
  }
}
