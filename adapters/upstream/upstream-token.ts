import { MirrorError } from "../../mirror/errors.ts";
import type { ReadSecret } from "../egress/proxy.ts";

/** What an upstream is asked with, beside its URL; its value comes from a store of secrets and may change there. */
export interface UpstreamToken {
  /** The Authorization header: a secret. @throws MirrorError where it cannot be read, or is none. */
  authorization(): Promise<string>;
  /** Strings that no message may hold: those read so far. */
  readonly secrets: readonly string[];
}

/** How a token is sent: as a bearer's (RFC 6750), or as `USER:PASSWORD` (RFC 7617). */
export type TokenScheme = "bearer" | "basic";

/** A token that was changed in its store is sent this long after at the latest, in ms. */
const TOKEN_TTL = 300_000;
/** Far above any that is known (a JSON web token with all its claims has some KB); Node takes 16 KB of headers. */
const LONGEST_TOKEN = 12_000;

/**
 * A token that is read when it is first needed, then once in five minutes.
 * @param name of the secret or variable, for messages.
 */
export function upstreamToken(
  name: string,
  scheme: TokenScheme,
  read: ReadSecret,
  clock: () => number = Date.now,
): UpstreamToken {
  const secrets = new Set<string>();
  let last: { readonly at: number; readonly header: Promise<string> } | undefined;
  const readHeader = async (): Promise<string> => {
    const value = (await read()).trim();
    if (value === "" || value.length > LONGEST_TOKEN || !/^[\x21-\x7e][\x20-\x7e]*$/.test(value))
      throw unfit(name, "not one line of printable ASCII");
    if (scheme === "basic" && !value.includes(":")) throw unfit(name, "not USER:PASSWORD");
    const sent = scheme === "basic" ? Buffer.from(value, "utf8").toString("base64") : value;
    for (const secret of [value, sent, ...(scheme === "basic" ? value.split(":") : [])])
      if (secret !== "") secrets.add(secret);
    return scheme === "basic" ? `Basic ${sent}` : `Bearer ${sent}`;
  };
  return {
    authorization: () => {
      const now = clock();
      if (last === undefined || now - last.at > TOKEN_TTL) {
        const header = readHeader();
        last = { at: now, header };
        // What could not be read is read again by the next request.
        header.catch(() => {
          if (last?.header === header) last = undefined;
        });
      }
      return last.header;
    },
    get secrets() {
      return [...secrets];
    },
  };
}

function unfit(name: string, what: string): MirrorError {
  return new MirrorError("unauthorized", name, `token ${name}: its value is ${what}; store it anew`);
}
