import { availableParallelism } from "node:os";
import { relative } from "node:path";
import { redactUrl } from "../../adapters/upstream/upstream-url.ts";
import { misuse } from "../../mirror/errors.ts";
import type { TileExtent } from "../../sumdb/tile-extent.ts";
import type { ConfigurationInput } from "../configuration.ts";
import { checkout } from "./workplace.ts";

/** The emulator's only account and our region in it; no account of anybody's. */
export const LOCAL_ACCOUNT = "000000000000";
export const LOCAL_REGION = "us-east-1";
/** As in modferry.config.ts: the stacks of `npm start` are called what they are called on AWS. */
export const LOCAL_NAME = "modferry";

/** Each worker of the emulator is a process of about 100 MB; SQS takes 2 at least. */
const MOST_WORKERS = 4;

/** Where the deployed functions fetch from. */
export interface LocalUpstream {
  readonly url: string;
  /** The checksum databases, where they are not the public one alone. */
  readonly sumdb?: NonNullable<ConfigurationInput["sumdb"]>;
  readonly sumdbTiles?: TileExtent;
  readonly bundles?: NonNullable<ConfigurationInput["bundles"]>;
}

/**
 * Refuses an upstream whose URL holds a secret: the deployed functions' environment would hold it in the clear.
 * @throws MirrorError misuse.
 */
export function withoutSecrets(url: string, flag = "--upstream"): string {
  const { username, password, search } = new URL(url);
  if (username === "" && password === "" && search === "") return url;
  const remedy = "name one without, or run `npm start -- --embedded`, which keeps it in memory";
  throw misuse(
    flag,
    `${flag}: ${redactUrl(url)} comes with a user name, password or query, which deployed functions would show: ${remedy}`,
  );
}

/** The file that `-c configuration=FILE` names: the very stacks of AWS, with a local upstream, account and region. */
export function localConfiguration({ url, ...more }: LocalUpstream, folder: string): string {
  const workers = Math.min(Math.max(2, availableParallelism()), MOST_WORKERS);
  const input: ConfigurationInput = {
    name: LOCAL_NAME,
    upstreams: [{ name: "upstream", url }],
    ...more,
    limits: { workers },
    aws: { account: LOCAL_ACCOUNT, region: LOCAL_REGION },
  };
  const module = `${relative(folder, checkout)}/infra/configuration.ts`;
  return [
    "// Made by `npm start`; changes are lost.",
    `import { defineMirror } from ${JSON.stringify(module)};`,
    `export default defineMirror(${JSON.stringify(input, undefined, 2)});`,
    "",
  ].join("\n");
}
