import { redactUrl } from "../adapters/upstream/upstream-url.ts";
import { misuse } from "../mirror/errors.ts";

type From = "--mirror" | "MODFERRY_MIRROR";

/** A mirror that is deployed in AWS, by its configuration's name. */
export interface DeployedName {
  /** As it was given. */
  readonly text: string;
  readonly name: string;
  readonly region: string | undefined;
}

/** `aws:NAME[@REGION]`; names and regions as the configuration has them (infra/configuration.ts). */
const DEPLOYED = /^aws:([a-z][a-z0-9-]{1,19})(?:@([a-z]{2}(?:-[a-z]+)+-\d))?$/;

/** What cannot be done with a deployed mirror from a desk, and what is done instead. */
const FOLDERS_ALONE: Readonly<Record<string, string>> = {
  sync: "a deployed mirror's functions fetch; hand wishes in with `modferry request`",
  watch: "name the endpoint by its URL, with its token in MODFERRY_TOKEN",
  serve: "a deployed mirror has its own endpoint; `modferry pull --to DIR` copies its tree for another one",
  record: "record into a file with --to FILE.json, and hand that in with `modferry request`",
  rehearse: "rehearse against a folder: `modferry export` and `modferry import` copy the mirror into one",
};

/** @returns undefined where the address is none of an endpoint. */
export function endpointUrl(address: string, from: From): URL | undefined {
  if (!/^https?:/i.test(address)) return undefined;
  const url = URL.canParse(address) ? new URL(address) : undefined;
  const isPlain = url?.username === "" && url.password === "" && url.search === "" && url.hash === "";
  if (url !== undefined && isPlain) return url;
  throw misuse(
    from,
    `${from}: ${redactUrl(address)}: give an endpoint's plain URL; its token goes into MODFERRY_TOKEN`,
  );
}

/**
 * @returns undefined where the address is none of AWS.
 * @throws MirrorError misuse where it is one that is not well-formed, or this verb is for folders alone.
 */
export function deployedName(verb: string, address: string, from: From): DeployedName | undefined {
  if (!/^aws:/i.test(address)) return undefined;
  const [, name, region] = DEPLOYED.exec(address) ?? [];
  if (name === undefined)
    throw misuse(
      from,
      `${from}: ${address}: give aws:NAME or aws:NAME@REGION, such as aws:modferry@eu-central-1, NAME as the configuration has it`,
    );
  // A recording goes into a mirror only where the flag names it.
  const instead = verb === "record" && from !== "--mirror" ? undefined : FOLDERS_ALONE[verb];
  if (instead !== undefined)
    throw misuse(from, `${from}: ${address}: \`modferry ${verb}\` is for folders: ${instead}`);
  return { text: address, name, region };
}

/** The folder of a mirror. @throws MirrorError misuse where it is an address. */
export function mirrorFolder(address: string, from: From): string {
  if (address === "") throw misuse(from, `${from}: empty; give a folder, or aws:NAME`);
  if (address.includes("\0")) throw misuse(from, `${from}: holds a NUL byte; give a folder`);
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(address))
    throw misuse(
      from,
      `${from}: ${redactUrl(address)}: give a folder's path, or aws:NAME for a deployed mirror`,
    );
  return address;
}
