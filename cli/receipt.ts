import { readFile } from "node:fs/promises";
import { whyUnread } from "../adapters/local/file-error.ts";
import { replaceFile } from "../adapters/local/replace-file.ts";
import { readReceipt, writeReceipt } from "../mirror/bundle/receipt.ts";
import { misuse } from "../mirror/errors.ts";
import { openSigner } from "./bundle-key.ts";
import type { CliEnvironment } from "./environment.ts";
import { jsonLine } from "./json-line.ts";
import { openMirror } from "./open-mirror.ts";
import type { Options } from "./options.ts";
import type { Output } from "./output.ts";

/**
 * `modferry receipt --key FILE`: signs what this mirror holds; `modferry receipt FILE --trust VKEY`, on the other side:
 * checks such a receipt, and prints the snapshot that has arrived.
 */
export async function receipt(
  options: Options,
  environment: CliEnvironment,
  output: Output,
): Promise<number> {
  const [file, surplus] = options.arguments;
  if (surplus !== undefined) throw misuse(surplus, `${surplus}: \`modferry receipt\` takes one file`);
  return file === undefined ? await write(options, environment, output) : await read(file, options, output);
}

async function write(options: Options, environment: CliEnvironment, output: Output): Promise<number> {
  const { bundle, to } = options;
  if (bundle.key === undefined)
    throw misuse("--key", "--key: not given; name this mirror's key file, which `modferry keygen` makes");
  const signer = await openSigner(bundle.key, environment);
  const mirror = await openMirror(options, environment, { mode: "read" });
  try {
    const note = await writeReceipt(mirror.ledger, signer);
    if (to === undefined) output.print(Buffer.from(note).toString("utf8").trimEnd());
    else await replaceFile(to, note);
    return 0;
  } finally {
    await mirror.close();
  }
}

async function read(file: string, { bundle, json }: Options, output: Output): Promise<number> {
  if (bundle.trust.length === 0)
    throw misuse("--trust", "--trust: not given; give the key of the mirror that has signed the receipt");
  const note = await readFile(file).catch((thrown: unknown) => {
    throw misuse(file, `${file}: ${whyUnread(thrown)}`, thrown);
  });
  const { snapshot, at } = readReceipt(note, bundle.trust, file);
  if (json) output.print(jsonLine({ event: "receipt", snapshot, at: new Date(at).toISOString() }));
  else output.print(snapshot);
  return 0;
}
