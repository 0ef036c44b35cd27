import { open } from "node:fs/promises";
import { MirrorError, misuse } from "../../mirror/errors.ts";
import { parseRecording } from "../../mirror/recording.ts";
import {
  graphExtent,
  LARGEST_REQUEST,
  MOST_RECORDED,
  parseRequestBody,
  type RequestBody,
  tier,
} from "../../mirror/requests.ts";
import { whyUnread } from "./file-error.ts";

/** Whether a wish names a request file, such as `modferry record` writes. */
export function isRequestFile(wish: string): boolean {
  return !wish.includes("@") && wish.endsWith(".json");
}

/** Reads a request as it would lie in a vault's inbox. @throws MirrorError misuse naming the file and the field. */
export async function readRequestFile(path: string): Promise<RequestBody> {
  const bytes = await readBounded(path);
  try {
    const body = parseRequestBody(bytes);
    parseRecording(body.recorded);
    return body;
  } catch (thrown) {
    if (!(thrown instanceof MirrorError)) throw thrown;
    throw misuse(path, `${path}: ${thrown.message.replace(/^request: /, "")}`, thrown);
  }
}

async function readBounded(path: string): Promise<Uint8Array> {
  try {
    const file = await open(path);
    try {
      const stat = await file.stat();
      if (stat.isDirectory()) throw misuse(path, `${path}: a folder; name a file`);
      if (stat.size > LARGEST_REQUEST)
        throw misuse(path, `${path}: larger than the ${LARGEST_REQUEST} bytes that a request may have`);
      return await file.readFile();
    } finally {
      await file.close();
    }
  } catch (cause) {
    if (cause instanceof MirrorError) throw cause;
    throw misuse(path, `${path}: ${whyUnread(cause)}`, cause);
  }
}

/**
 * What a command line asks for, and what request files add to it. A file keeps what it says of its own files and wishes:
 * tier and graph are the widest that any of them asks for. A recording alone speaks of neither.
 * @throws MirrorError misuse when two of them have different files of one name, or together too much.
 */
export function joinRequests(
  own: RequestBody,
  requests: readonly (readonly [name: string, body: RequestBody])[],
): RequestBody {
  const files = new Map(Object.entries(own.files));
  for (const [name, body] of requests) {
    for (const [file, text] of Object.entries(body.files)) {
      if (files.has(file) && files.get(file) !== text)
        throw misuse(
          name,
          `${name}: its ${file} is another one than that of the other wishes; ask for it alone`,
        );
      files.set(file, text);
    }
  }
  const bodies = requests.map(([, body]) => body);
  const speaking = [own, ...bodies.filter((body) => !isRecordingAlone(body))];
  const recorded = [...new Set(bodies.flatMap((body) => body.recorded))];
  if (recorded.length > MOST_RECORDED) {
    const name = requests.at(-1)?.[0] ?? "recorded";
    throw misuse(
      name,
      `${name}: more than ${MOST_RECORDED} recorded files in all; sync them one after the other`,
    );
  }
  return {
    ...own,
    tier: widest(
      tier.options,
      speaking.map((body) => body.tier),
    ),
    graph: widest(
      graphExtent.options,
      speaking.map((body) => body.graph),
    ),
    files: Object.fromEntries(files),
    exact: [...own.exact, ...bodies.flatMap((body) => body.exact)],
    wishes: [...own.wishes, ...bodies.flatMap((body) => body.wishes)],
    together: own.wishes.length > 0 || bodies.length === 0 || bodies.some((body) => body.together),
    recorded,
  };
}

const isRecordingAlone = ({ files, exact, wishes }: RequestBody): boolean =>
  Object.keys(files).length + exact.length + wishes.length === 0;

/** The last one of `words`, which grow wider, that is among those given. */
function widest<Word extends string>(words: readonly Word[], given: readonly Word[]): Word {
  return words.findLast((word) => given.includes(word)) ?? (words[0] as Word);
}
