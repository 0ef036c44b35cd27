import { stat } from "node:fs/promises";
import { dirname, join, relative, resolve, sep } from "node:path";
import { watchModules } from "../adapters/local/module-watcher.ts";
import { readWishes } from "../adapters/local/read-wishes.ts";
import { sha256Of } from "../mirror/body.ts";
import { asMirrorError, misuse } from "../mirror/errors.ts";
import { printRequestBody } from "../mirror/requests.ts";
import type { CliEnvironment } from "./environment.ts";
import type { Options } from "./options.ts";
import { type Output, oneLine } from "./output.ts";
import { request } from "./request.ts";
import { syncRequests } from "./sync.ts";

/** The name of the requests that `modferry watch` makes. */
const REQUEST_NAME = "watch";

/**
 * `modferry watch`: mirrors what the modules below some folders need, and again whenever a go.mod, go.sum or go.work
 * changes, until Ctrl-C. What is held already costs nothing, so that only what a change added is fetched.
 */
export async function watch(options: Options, environment: CliEnvironment, output: Output): Promise<number> {
  const folders = options.arguments.length === 0 ? ["."] : options.arguments;
  for (const folder of folders) {
    const found = await stat(folder).catch(() => undefined);
    if (!found?.isDirectory()) throw misuse(folder, `${folder}: no such folder; name those to be watched`);
  }
  const mirror = new Watched(options, environment, output);
  const watcher = await watchModules(
    folders,
    (changed) => mirror.take(changed),
    ({ message }) => output.error(`modferry: ${oneLine(message)}`),
  );
  await new Promise<void>((ended) => {
    process.once("SIGINT", ended);
    process.once("SIGTERM", ended);
  });
  await watcher.close();
  return 0;
}

class Watched {
  readonly #options: Options;
  readonly #environment: CliEnvironment;
  readonly #output: Output;
  /** By wish: what it asked for when it was last mirrored. */
  readonly #done = new Map<string, string>();

  constructor(options: Options, environment: CliEnvironment, output: Output) {
    this.#options = options;
    this.#environment = environment;
    this.#output = output;
  }

  /** Never throws: what is wrong now is right after the next change. */
  async take(folders: readonly string[]): Promise<void> {
    const wishes = new Set<string>();
    for (const folder of folders) for (const wish of await wishesOf(folder)) wishes.add(wish);
    for (const wish of wishes) {
      try {
        await this.#mirror(wish);
      } catch (thrown) {
        this.#say(wish, oneLine(asMirrorError(thrown, wish).message));
      }
    }
  }

  async #mirror(wish: string): Promise<void> {
    const began = performance.now();
    const body = await readWishes([wish], this.#options, this.#output.stdin);
    const asked = sha256Of(printRequestBody(body));
    if (this.#done.get(wish) === asked) return;
    const lines: string[] = [];
    const captured: Output = {
      ...this.#output,
      status: undefined,
      error: (line) => void lines.push(line),
    };
    const { endpoint } = this.#options;
    const code =
      endpoint === undefined
        ? await syncRequests([body], REQUEST_NAME, this.#options, this.#environment, captured)
        : await request(
            {
              ...this.#options,
              arguments: [wish],
              name: REQUEST_NAME,
              wait: { ...this.#options.wait, wait: true },
            },
            this.#environment,
            captured,
          );
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    if (code === 0) {
      this.#done.set(wish, asked);
      this.#say(wish, `${lines.at(-1)?.replace(/^modferry: /, "") ?? "mirrored"} (${seconds} s)`);
      return;
    }
    this.#say(wish, `not all of it is mirrored (${seconds} s); it is tried again with the next change`);
    for (const line of lines) this.#output.error(line);
  }

  #say(wish: string, what: string): void {
    const shown = relative(".", wish) || wish;
    this.#output.error(`modferry: ${new Date().toTimeString().slice(0, 8)} ${shown}: ${what}`);
  }
}

/** The go.work that a changed folder belongs to, else its go.mod; nothing where neither is there. */
async function wishesOf(folder: string): Promise<string[]> {
  const work = await workspaceOf(folder);
  if (work !== undefined) return [work];
  const mod = join(folder, "go.mod");
  return (await isFile(mod)) ? [mod] : [];
}

/** As go looks for it: in the folder, then above (Go Modules Reference, GOWORK). */
async function workspaceOf(folder: string): Promise<string | undefined> {
  for (let at = resolve(folder); ; at = dirname(at)) {
    const file = join(at, "go.work");
    if (await isFile(file)) return file;
    if (at === dirname(at) || at === sep) return undefined;
  }
}

async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() === true;
}
