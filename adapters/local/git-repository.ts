import { mkdir, realpath, writeFile } from "node:fs/promises";
import { devNull } from "node:os";
import { join } from "node:path";
import type { CodeRepository, Commit, Tag } from "../../gomod/code-repository.ts";
import { decodeUtf8 } from "../../gomod/go-unicode.ts";
import { comparePaths } from "../../gomod/module-path.ts";
import { MAX_GO_MOD_BYTES } from "../../gomod/zip-check.ts";
import { MirrorError, misuse } from "../../mirror/errors.ts";
import { codeOf, fileError } from "./file-error.ts";
import { archiveCommit } from "./git-archive.ts";
import { type GitPlace, git } from "./git-command.ts";
import { ScratchFolder } from "./scratch-folder.ts";

/** Ours: what the list of all refs may take, in bytes; a million tags take less. */
const MAX_REFS_BYTES = 256 * 1024 * 1024;
const MAX_LINE_BYTES = 64 * 1024;
/** A LICENSE may have as much as a go.mod (x/mod/zip); one byte more shows that it has more. */
const MAX_FILE_BYTES = MAX_GO_MOD_BYTES + 1;
/** The least digits of a hash that name a commit (codehost, minHashDigits). */
const MIN_HASH_DIGITS = 7;
/** 9999-12-31T23:59:59Z, the last that RFC 3339 can tell (time.Time.MarshalJSON), in Unix seconds. */
const LAST_SECOND = 253_402_300_799;
/** What cmd/go appends to its own clone's info/attributes (codehost.ensureGitAttributes, go.dev/issue/27153). */
const ATTRIBUTES = "\n* -export-subst -export-ignore\n";

/**
 * A local git repository, read only. Names and history are asked of the repository itself, with no transport, hook or
 * program that its configuration names. Files are read through an empty git directory of ours that shares only its
 * objects, so that nothing of its configuration (filters, attributes, encodings, replaced objects) touches content:
 * what cmd/go sees in its own clone of the repository.
 */
export class GitRepository implements CodeRepository {
  readonly tags: readonly Tag[];
  readonly #heads: ReadonlyMap<string, string>;
  readonly #place: GitPlace;
  readonly #clean: GitPlace;
  readonly #scratch: ScratchFolder;
  readonly #isShallow: boolean;
  #archives = 0;

  private constructor(
    opened: {
      readonly place: GitPlace;
      readonly clean: GitPlace;
      readonly scratch: ScratchFolder;
      readonly isShallow: boolean;
    },
    refs: { readonly tags: readonly Tag[]; readonly heads: ReadonlyMap<string, string> },
  ) {
    this.#place = opened.place;
    this.#clean = opened.clean;
    this.#scratch = opened.scratch;
    this.#isShallow = opened.isShallow;
    this.tags = refs.tags;
    this.#heads = refs.heads;
  }

  /**
   * Opens the repository whose top is `folder`, or that is bare there.
   * @throws MirrorError misuse where there is none, or it is inside one.
   */
  static async open(folder: string, variables: NodeJS.ProcessEnv): Promise<GitRepository> {
    const place = { folder: await existing(folder), variables, env: {} };
    const asked = ["--show-prefix", "--is-shallow-repository", "--show-object-format"];
    const printed = await git(place, ["rev-parse", ...asked], { maxBytes: MAX_LINE_BYTES }).catch((error) => {
      if (
        error instanceof MirrorError &&
        error.subject === "git" &&
        error.message.startsWith("git rev-parse: ")
      )
        throw misuse(folder, `${folder}: ${error.message}`, error);
      throw error;
    });
    const [prefix, shallow, format] = printed.toString("utf8").split("\n");
    if (prefix !== "") {
      throw misuse(
        folder,
        `${folder}: ${prefix} of a git repository; name its top, and the rest as --subdir`,
      );
    }
    const objects = await git(place, ["rev-parse", "--path-format=absolute", "--git-path", "objects"], {
      maxBytes: MAX_LINE_BYTES,
    });
    const scratch = new ScratchFolder();
    try {
      const clean = await cleanPlace(
        scratch.path,
        objects.toString("utf8").replace(/\n$/, ""),
        format === "sha256",
        variables,
      );
      const refs = await readRefs(place, clean);
      return new GitRepository({ place, clean, scratch, isShallow: shallow === "true" }, refs);
    } catch (error) {
      scratch.remove();
      throw error;
    }
  }

  /** Removes what was written for it; what was listed cannot be read any more. */
  async close(): Promise<void> {
    this.#scratch.remove();
  }

  /**
   * The commit of a tag, branch, HEAD or hash of 7 digits and more, in this order (codehost.gitRepo.stat). Nothing
   * else reaches git: no `HEAD~1`, no option.
   * @throws MirrorError misuse where there is none, or several.
   */
  async commit(revision: string): Promise<Commit> {
    const tag = this.tags.find(({ name }) => name === revision);
    if (tag !== undefined) return this.#commitOf(tag.hash, revision);
    const head = revision === "HEAD" ? "HEAD" : `refs/heads/${revision}`;
    const hash = this.#heads.get(head);
    if (hash !== undefined) return this.#commitOf(hash, undefined);
    if (!/^[0-9a-f]+$/.test(revision) || revision.length < MIN_HASH_DIGITS) throw unknown(revision);
    const named = [...this.tags.map((each) => each.hash), ...this.#heads.values()];
    const matching = new Set(named.filter((each) => each.startsWith(revision)));
    if (matching.size > 1) throw misuse(revision, `${revision}: ambiguous revision; give more digits`);
    const [full = await this.#fullHash(revision)] = matching;
    return this.#commitOf(full, undefined);
  }

  async readFile(commit: string, path: string): Promise<Uint8Array | undefined> {
    const listed = await git(this.#clean, ["ls-tree", "-z", commit, "--", path], {
      maxBytes: MAX_LINE_BYTES,
    });
    const [, type, hash] = /^\d+ (\w+) ([0-9a-f]+)\t/.exec(listed.toString("latin1")) ?? [];
    if (type !== "blob" || hash === undefined) return undefined;
    return git(this.#clean, ["cat-file", "blob", hash], { maxBytes: MAX_FILE_BYTES });
  }

  async tagsUpTo(commit: string): Promise<readonly string[]> {
    if (this.#isShallow) {
      throw misuse(
        "git",
        "git: a shallow clone does not have the tags before a commit; run git fetch --unshallow",
      );
    }
    const args = ["for-each-ref", "--format=%(refname)", `--merged=${commit}`, "refs/tags"];
    const names = decodeUtf8(await git(this.#place, args, { maxBytes: MAX_REFS_BYTES })).split("\n");
    return names.filter(Boolean).map((name) => name.slice("refs/tags/".length));
  }

  /** The files of a commit in or below `directory`, which can be read until `close`. */
  async files(commit: string, directory: string) {
    return archiveCommit(
      this.#clean,
      commit,
      directory,
      join(this.#scratch.path, `archive-${this.#archives++}.tar`),
    );
  }

  async #fullHash(revision: string): Promise<string> {
    const args = ["rev-parse", "--verify", "--quiet", "--end-of-options", `${revision}^{commit}`];
    const found = await git(this.#clean, args, { maxBytes: MAX_LINE_BYTES, mayFail: true });
    if (found === undefined) throw unknown(revision);
    return found.toString("latin1").trim();
  }

  async #commitOf(hash: string, tag: string | undefined): Promise<Commit> {
    const args = ["log", "--no-walk", "--no-decorate", "--format=%H %ct", "--end-of-options", hash, "--"];
    const printed = await git(this.#clean, args, { maxBytes: MAX_LINE_BYTES });
    const [, full, seconds] = /^([0-9a-f]{40,64}) (\d+)\n?$/.exec(printed.toString("latin1")) ?? [];
    if (full === undefined) throw misuse(hash, `${tag ?? hash}: names no commit`);
    if (Number(seconds) > LAST_SECOND) {
      throw misuse(hash, `${full}: the commit's time is outside years 1970 to 9999; no .info can tell it`);
    }
    return { hash: full, time: new Date(Number(seconds) * 1000), tag };
  }
}

async function existing(folder: string): Promise<string> {
  try {
    return await realpath(folder);
  } catch (thrown) {
    if (codeOf(thrown) === "ENOENT") throw misuse(folder, `${folder}: no such folder`, thrown);
    throw fileError(thrown, folder);
  }
}

function unknown(revision: string): MirrorError {
  return misuse(revision, `${revision}: no tag, branch or commit of this repository; give one, or HEAD`);
}

/** A bare git directory without anything of its own but attributes, that reads another one's objects. */
async function cleanPlace(
  scratch: string,
  objects: string,
  isSha256: boolean,
  variables: NodeJS.ProcessEnv,
): Promise<GitPlace> {
  const directory = join(scratch, "git");
  for (const folder of ["refs", "info", "objects"]) await mkdir(join(directory, folder), { recursive: true });
  await writeFile(join(directory, "HEAD"), "ref: refs/heads/none\n");
  const format = isSha256
    ? "\trepositoryformatversion = 1\n[extensions]\n\tobjectformat = sha256\n"
    : "\trepositoryformatversion = 0\n";
  await writeFile(join(directory, "config"), `[core]\n\tbare = true\n${format}`);
  await writeFile(join(directory, "info", "attributes"), ATTRIBUTES);
  const env = {
    GIT_DIR: directory,
    GIT_OBJECT_DIRECTORY: objects,
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: devNull,
    HOME: scratch,
    XDG_CONFIG_HOME: scratch,
  };
  return { folder: scratch, variables, env };
}

/** All tags and branches, and HEAD, each with the commit (or what else) it names. */
async function readRefs(place: GitPlace, clean: GitPlace) {
  const format = "--format=%(refname)%00%(objecttype)%00%(objectname)%00%(*objecttype)%00%(*objectname)";
  const args = ["for-each-ref", format, "refs/tags", "refs/heads"];
  const lines = decodeUtf8(await git(place, args, { maxBytes: MAX_REFS_BYTES })).split("\n");
  const tags: Tag[] = [];
  const heads = new Map<string, string>();
  for (const line of lines.filter(Boolean)) {
    const [ref = "", type, name = "", tagged, target = ""] = line.split("\0");
    // A tag of a tag is followed to its end, as ls-remote does.
    const hash = type !== "tag" ? name : tagged !== "tag" ? target : await peeled(clean, target);
    if (ref.startsWith("refs/tags/")) tags.push({ name: ref.slice("refs/tags/".length), hash });
    else heads.set(ref, hash);
  }
  tags.sort((a, b) => comparePaths(a.name, b.name));
  const head = await git(place, ["rev-parse", "--verify", "--quiet", "HEAD^{commit}"], {
    maxBytes: MAX_LINE_BYTES,
    mayFail: true,
  });
  if (head !== undefined) heads.set("HEAD", head.toString("latin1").trim());
  return { tags, heads };
}

async function peeled(clean: GitPlace, hash: string): Promise<string> {
  const printed = await git(clean, ["rev-parse", "--verify", `${hash}^{}`], { maxBytes: MAX_LINE_BYTES });
  return printed.toString("latin1").trim();
}
