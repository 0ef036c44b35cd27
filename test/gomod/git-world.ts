import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** A file of a commit; `null` takes it out. */
export type TreeFile = readonly [
  path: string | Buffer,
  content: string | Buffer | null,
  mode?: "100755" | "120000",
];

export interface MadeCommit {
  readonly files: readonly TreeFile[];
  /** Lightweight, or annotated where the name ends in `^`. */
  readonly tags?: readonly string[];
  /** `main` where it is not named; a new branch begins at main's last commit. */
  readonly branch?: string;
}

/** Settings of the machine's own git do not count here. */
export const gitEnvironment = {
  PATH: process.env.PATH ?? "",
  HOME: "/nonexistent",
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_CONFIG_GLOBAL: "/dev/null",
};

/** Commits are an hour apart, in a zone that is not UTC. */
const FIRST_COMMIT = 1_700_000_000;

/** Makes a repository by `git fast-import`, so that trees may hold what `git add` would not. @returns the commits. */
export function makeRepository(folder: string, commits: readonly MadeCommit[], format = "sha1"): string[] {
  mkdirSync(folder, { recursive: true });
  const run = (args: readonly string[], input?: Buffer) =>
    execFileSync("git", args, { cwd: folder, env: gitEnvironment, input, stdio: ["pipe", "pipe", "pipe"] });
  run(["init", "-q", "-b", "main", `--object-format=${format}`]);
  const parts: Buffer[] = [];
  const say = (...texts: (string | Buffer)[]) =>
    parts.push(...texts.map((text) => Buffer.from(text as string)));
  const data = (content: string | Buffer) => say(`data ${Buffer.byteLength(content)}\n`, content, "\n");
  let main = 0;
  const begun = new Set(["main"]);
  for (const [at, { files, tags = [], branch = "main" }] of commits.entries()) {
    const who = `Gopher <gopher@example.com> ${FIRST_COMMIT + 3600 * at} +0230`;
    say(`commit refs/heads/${branch}\nmark :${at + 1}\ncommitter ${who}\n`);
    data(`commit ${at}`);
    if (!begun.has(branch) && main > 0) say(`from :${main}\n`);
    begun.add(branch);
    for (const [path, content, mode = "100644"] of files) {
      if (content === null) say("D ", quoted(path), "\n");
      else {
        say(`M ${mode} inline `, quoted(path), "\n");
        data(content);
      }
    }
    say("\n");
    if (branch === "main") main = at + 1;
    for (const tag of tags) {
      if (tag.endsWith("^")) {
        say(`tag ${tag.slice(0, -1)}\nfrom :${at + 1}\ntagger ${who}\n`);
        data("a release");
      } else say(`reset refs/tags/${tag}\nfrom :${at + 1}\n\n`);
    }
  }
  say("done\n");
  run(["fast-import", "--quiet", "--done", "--export-marks=marks"], Buffer.concat(parts));
  const marks = new Map(
    readFileSync(join(folder, "marks"), "latin1")
      .trim()
      .split("\n")
      .filter(Boolean)
      .map((line) => line.split(" ") as [string, string]),
  );
  return commits.map((_, at) => marks.get(`:${at + 1}`) ?? "");
}

function quoted(path: string | Buffer): Buffer {
  const octal = [...Buffer.from(path as string)].map((byte) => `\\${byte.toString(8).padStart(3, "0")}`);
  return Buffer.from(`"${octal.join("")}"`);
}

/** What `go mod download -json` says of one query. */
export interface Downloaded {
  readonly Path: string;
  readonly Version?: string;
  readonly Error?: string;
  readonly Info?: string;
  readonly GoMod?: string;
  readonly Zip?: string;
  readonly Sum?: string;
  readonly GoModSum?: string;
}

/** The URL that go takes for a repository's, whose module path ends in `.git` (cmd/go/internal/vcs, vcsPaths). */
export const originOf = (address: string): string => `https://${address.replace(/\.git$/, "")}`;

/**
 * What the go command makes of queries `path@revision` of modules in the repository, which it takes for ADDRESS: direct,
 * without the network, in a new module cache.
 */
export function goDownload(repository: string, address: string, scratch: string, queries: readonly string[]) {
  mkdirSync(join(scratch, "home"), { recursive: true });
  const [host = ""] = address.split("/");
  const env = {
    ...gitEnvironment,
    HOME: join(scratch, "home"),
    GOENV: "off",
    GOFLAGS: "-modcacherw",
    GOMODCACHE: join(scratch, "cache"),
    GOPATH: join(scratch, "gopath"),
    GOPRIVATE: host,
    GOPROXY: "direct",
    GOTOOLCHAIN: "local",
    GOWORK: "off",
    GIT_CONFIG_COUNT: "1",
    GIT_CONFIG_KEY_0: `url.file://${repository}.insteadOf`,
    GIT_CONFIG_VALUE_0: originOf(address),
  };
  const run = spawnSync("go", ["mod", "download", "-json", ...queries], {
    cwd: scratch,
    env,
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
  });
  const answers = JSON.parse(`[${run.stdout.trim().replaceAll(/^}\n/gm, "},\n")}]`) as Downloaded[];
  if (answers.length !== queries.length) throw new Error(`go mod download: ${run.stderr}`);
  return answers;
}

/** A folder with a program of this name that leaves a file when it is run. */
export function trap(
  folder: string,
  names: readonly string[],
): { readonly command: string; readonly sprung: string } {
  mkdirSync(folder, { recursive: true });
  const sprung = join(folder, "sprung");
  const command = join(folder, names[0] ?? "trap");
  for (const name of names) {
    execFileSync("sh", [
      "-c",
      'printf \'#!/bin/sh\\ntouch "%s"\\ncat\\n\' "$1" > "$2"',
      "sh",
      sprung,
      join(folder, name),
    ]);
    chmodSync(join(folder, name), 0o755);
  }
  return { command, sprung };
}
