import { type ChildProcess, execFile, spawn } from "node:child_process";
import { devNull } from "node:os";
import { type MirrorError, misuse } from "../../mirror/errors.ts";
import { oneLine } from "../../mirror/missing-table.ts";

/** One git process may take as long; all that we ask is read from a local disk. In ms. */
const GIT_TIMEOUT = 600_000;
/** As much of git's own words is passed on. */
const SHOWN = 300;

/**
 * Settings that hold whatever a repository's own configuration says. A repository that somebody else made may name
 * commands in it, for file system monitors, pagers, signatures or transports: nothing of that may run.
 */
const FIXED_SETTINGS = [
  "advice.graftFileDeprecated=false",
  "core.fsmonitor=false",
  `core.hooksPath=${devNull}`,
  `core.attributesFile=${devNull}`,
  "core.pager=cat",
  "core.sshCommand=false",
  "credential.helper=",
  "gpg.program=false",
  "log.showSignature=false",
  "protocol.allow=never",
  "submodule.recurse=false",
  // As cmd/go's gitRepo.ReadZip: what git writes is the same on every system.
  "core.autocrlf=input",
  "core.eol=lf",
].flatMap((setting) => ["-c", setting]);

/** What git needs of the environment to be found and to work; no GIT_* of the caller's reaches it. */
const PASSED_ON = ["PATH", "HOME", "USERPROFILE", "SystemRoot", "TMPDIR", "TEMP", "TMP", "XDG_CONFIG_HOME"];

const FIXED_ENVIRONMENT = {
  LC_ALL: "C",
  GIT_TERMINAL_PROMPT: "0",
  GIT_OPTIONAL_LOCKS: "0",
  GIT_NO_REPLACE_OBJECTS: "1",
  GIT_NO_LAZY_FETCH: "1",
  GIT_GRAFT_FILE: devNull,
  GIT_LITERAL_PATHSPECS: "1",
  GIT_ATTR_NOSYSTEM: "1",
  // No transport is of this name, so none is allowed, whatever protocol.*.allow says.
  GIT_ALLOW_PROTOCOL: "none",
};

/** Where git runs, and what it is told besides. */
export interface GitPlace {
  readonly folder: string;
  /** The caller's own environment, of which only PASSED_ON is used. */
  readonly variables: NodeJS.ProcessEnv;
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Runs git on a local repository, without a shell, a hook, a prompt or the network.
 * @param maxBytes of its standard output.
 * @returns the output, or undefined where git ends with a status other than 0 and `mayFail` is set.
 * @throws MirrorError misuse with git's own line.
 */
export function git(
  place: GitPlace,
  args: readonly string[],
  limits: { readonly maxBytes: number; readonly mayFail: true },
): Promise<Buffer | undefined>;
export function git(
  place: GitPlace,
  args: readonly string[],
  limits: { readonly maxBytes: number },
): Promise<Buffer>;
export function git(
  place: GitPlace,
  args: readonly string[],
  { maxBytes, mayFail }: { readonly maxBytes: number; readonly mayFail?: boolean },
): Promise<Buffer | undefined> {
  return new Promise((done, reject) => {
    const options = {
      cwd: place.folder,
      env: environment(place),
      encoding: "buffer",
      maxBuffer: maxBytes,
      timeout: GIT_TIMEOUT,
      killSignal: "SIGKILL",
    } as const;
    execFile("git", [...FIXED_SETTINGS, "--no-pager", ...args], options, (error, stdout, stderr) => {
      if (error === null) done(stdout);
      else if (mayFail === true && typeof error.code === "number") done(undefined);
      else reject(gitError(args, error, stderr));
    });
  });
}

/** Starts git with its output as a stream; the caller waits for `exit`. */
export function spawnGit(place: GitPlace, args: readonly string[]): ChildProcess {
  return spawn("git", [...FIXED_SETTINGS, "--no-pager", ...args], {
    cwd: place.folder,
    env: environment(place),
    stdio: ["ignore", "pipe", "pipe"],
    timeout: GIT_TIMEOUT,
    killSignal: "SIGKILL",
  });
}

/** What went wrong with a git command, in git's own last line. */
export function gitError(args: readonly string[], cause: unknown, stderr: Buffer | string): MirrorError {
  const { code, killed } = cause as { code?: unknown; killed?: boolean };
  if (code === "ENOENT" || code === "EACCES") {
    return misuse("git", "git: there is no git command on PATH; install git, or zip a folder", cause);
  }
  const lines = String(stderr).trim().split("\n").filter(Boolean);
  const line = lines.findLast((text) => text.startsWith("fatal: ")) ?? lines.at(-1);
  const reason =
    code === "ERR_CHILD_PROCESS_STDIO_MAXBUFFER"
      ? "prints more than can be"
      : killed === true
        ? `no end after ${GIT_TIMEOUT / 1000} s`
        : oneLine((line ?? `exit ${String(code)}`).replace(/^fatal: /, "")).slice(0, SHOWN);
  return misuse("git", `git ${args[0] ?? ""}: ${reason}`, cause);
}

function environment(place: GitPlace): NodeJS.ProcessEnv {
  const passed = PASSED_ON.flatMap((name) => {
    const value = place.variables[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return { ...Object.fromEntries(passed), ...FIXED_ENVIRONMENT, ...place.env };
}
