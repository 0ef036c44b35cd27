import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { goEnv } from "../adapters/local/go-env.ts";
import type { ScratchFolder } from "../adapters/local/scratch-folder.ts";
import { PUBLIC_DATABASE_KEY } from "../sumdb/known-databases.ts";
import { oneLine } from "./output.ts";

/** The user's own go settings that a run against one proxy has to look at. */
const SETTINGS = [
  "GOFLAGS",
  "GONOPROXY",
  "GOSUMDB",
  "GOBIN",
  "GOPATH",
  "GOOS",
  "GOARCH",
  "GOHOSTOS",
  "GOHOSTARCH",
] as const;
type Settings = Readonly<Record<(typeof SETTINGS)[number], string>>;

/** How a command is run against one proxy. */
export interface ProxiedRun {
  readonly environment: NodeJS.ProcessEnv;
  /** A line for the user where modules will be fetched without the proxy. */
  readonly bypass: string | undefined;
}

/**
 * The user's environment with GOPROXY as `proxy` alone, an empty module cache that can be removed, and an empty GOPATH,
 * where go keeps the heads of checksum databases that it has seen: as on a new machine, so that everything that a command
 * needs is asked. All else is as the user has it, in the variables or by `go env -w`.
 * @param effects `as the user has it`: `go install` puts programs where it would, and a checksum database is asked where
 * GOSUMDB says. `none`: programs are lost with the GOPATH, and databases and modules are asked through the proxy only,
 * whatever address GOSUMDB names and GONOPROXY matches.
 */
export async function proxiedRun(
  variables: NodeJS.ProcessEnv,
  proxy: string,
  scratch: ScratchFolder,
  effects: "as the user has it" | "none",
): Promise<ProxiedRun> {
  const settings = await goSettings(variables);
  const environment: NodeJS.ProcessEnv = {
    ...variables,
    GOPROXY: proxy,
    GOMODCACHE: scratch.folder("modcache"),
    GOPATH: scratch.folder("gopath"),
    GOFLAGS: [settings.GOFLAGS, "-modcacherw"].filter(Boolean).join(" "),
  };
  if (effects === "as the user has it") keepInstalled(environment, settings);
  else {
    // `VKEY URL` would be asked at that URL, and so would a name that stands for one (modfetch, dbDial); the key alone
    // goes through the proxy.
    const [key = ""] = settings.GOSUMDB.trim().split(/\s+/);
    if (settings.GOSUMDB !== "off") environment.GOSUMDB = key.includes("+") ? key : PUBLIC_DATABASE_KEY;
    environment.GONOPROXY = "none";
  }
  const patterns = settings.GONOPROXY;
  const bypass =
    patterns === "" || patterns === "none" || effects === "none"
      ? undefined
      : `GONOPROXY (or GOPRIVATE) is ${oneLine(patterns)}: go fetches modules that match it without a proxy, so they are not seen here`;
  return { environment, bypass };
}

/** Has `go install` put programs where the user's own GOBIN or GOPATH says (cmd/go/internal/modload, BinDir). */
function keepInstalled(environment: NodeJS.ProcessEnv, settings: Settings): void {
  const [first = ""] = settings.GOPATH.split(delimiter);
  if (settings.GOBIN !== "" || first === "") return;
  const isCross = settings.GOOS !== settings.GOHOSTOS || settings.GOARCH !== settings.GOHOSTARCH;
  // go refuses to install programs for another system into a GOBIN.
  if (isCross) environment.GOPATH = settings.GOPATH;
  else environment.GOBIN = join(first, "bin");
}

/** What `go env` says; the variables alone where there is no go: the command may bring its own. */
async function goSettings(variables: NodeJS.ProcessEnv): Promise<Settings> {
  try {
    return await goEnv(SETTINGS, variables, "install Go");
  } catch {
    const of = (name: string) => variables[name] ?? "";
    const GONOPROXY = variables.GONOPROXY ?? of("GOPRIVATE");
    const GOPATH = of("GOPATH") || join(homedir(), "go");
    const same = { GOOS: "", GOARCH: "", GOHOSTOS: "", GOHOSTARCH: "" };
    return { ...same, GOFLAGS: of("GOFLAGS"), GOSUMDB: of("GOSUMDB"), GOBIN: of("GOBIN"), GOPATH, GONOPROXY };
  }
}
