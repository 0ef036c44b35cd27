import { FormatError } from "./format-error.ts";
import { decodeUtf8, fields } from "./go-unicode.ts";

/** Who to be on one machine. The password is a secret: no message may hold it. */
export interface NetrcLogin {
  readonly login: string;
  readonly password: string;
}

/** The logins of a netrc file. */
export interface Netrc {
  /**
   * The login for an address `host[:port][/path]`: that of the machine with the same name, or with the longest one
   * that the address goes on from behind a slash; undefined where there is none (auth.loadCredential).
   */
  lookup(address: string): NetrcLogin | undefined;
  /** All logins whose machine is this host, or an address on it: what may go to it, and so may come back in an error. */
  onHost(host: string): readonly NetrcLogin[];
}

/** Ours (go has none): a netrc is written by hand. */
export const MAX_NETRC_BYTES = 1024 * 1024;

/**
 * Parses a netrc file as the go command reads it (cmd/go/internal/auth, parseNetrc and storeCredential). That is not
 * what curl or ftp make of it: words count in pairs within a line, so `default` on a line with other words is passed
 * over, alone on its line it ends the file; there are no comments and no quotes; a macro goes on to the next line that
 * is quite empty; a login counts when machine, login and password are there; the first one of a machine wins.
 * Anything at all is a netrc: what makes no sense is passed over.
 * @throws FormatError where it is larger than 1 MiB; no message holds any of its words.
 */
export function parseNetrc(text: string | Uint8Array): Netrc {
  const size = typeof text === "string" ? Buffer.byteLength(text) : text.length;
  if (size > MAX_NETRC_BYTES) {
    throw new FormatError("netrc", `netrc: ${size} bytes, more than ${MAX_NETRC_BYTES}`);
  }
  const logins = new Map<string, NetrcLogin>();
  let longest = 0;
  readLogins(typeof text === "string" ? text : decodeUtf8(text), (machine, login) => {
    const address = withoutScheme(machine);
    if (logins.has(address)) return;
    logins.set(address, login);
    longest = Math.max(longest, address.length);
  });
  return {
    lookup: (address) => lookup(logins, longest, withoutScheme(address)),
    onHost: (host) =>
      [...logins].filter(([name]) => name === host || name.startsWith(`${host}/`)).map(([, login]) => login),
  };
}

/**
 * The `Authorization` header of a login (net/http, Request.SetBasicAuth). A secret.
 * Bytes of the file that are no UTF-8 are sent as they stand there.
 */
export function basicAuthorization({ login, password }: NetrcLogin): string {
  return `Basic ${encodeUtf8(`${login}:${password}`).toString("base64")}`;
}

function readLogins(text: string, found: (machine: string, login: NetrcLogin) => void): void {
  let machine = "";
  let login = "";
  let password = "";
  let inMacro = false;
  for (let start = 0; start <= text.length; ) {
    const newline = text.indexOf("\n", start);
    const end = newline < 0 ? text.length : newline;
    const line = text.slice(start, end);
    start = end + 1;
    if (inMacro) {
      inMacro = line !== "";
      continue;
    }
    const words = fields(line);
    for (let at = 0; at + 1 < words.length; at += 2) {
      const value = words[at + 1] ?? "";
      switch (words[at]) {
        case "machine":
          [machine, login, password] = [value, "", ""];
          break;
        case "login":
          login = value;
          break;
        case "password":
          password = value;
          break;
        case "macdef":
          inMacro = true;
          break;
      }
      if (machine === "" || login === "" || password === "") continue;
      found(machine, { login, password });
      [machine, login, password] = ["", "", ""];
    }
    // Only a word without a partner can be here.
    if (words.length % 2 === 1 && words.at(-1) === "default") return;
  }
}

function withoutScheme(address: string): string {
  const bare = address.startsWith("https://") ? address.slice("https://".length) : address;
  return bare.endsWith("/") ? bare.slice(0, -1) : bare;
}

/** Tries the address, then what stands before each of its slashes from the last on. */
function lookup(
  logins: ReadonlyMap<string, NetrcLogin>,
  longest: number,
  address: string,
): NetrcLogin | undefined {
  for (let end = address.length; end >= 0; end = end === 0 ? -1 : address.lastIndexOf("/", end - 1)) {
    // No machine has so long a name: the address is a stranger's, and is not copied for each of its slashes.
    const found = end > longest ? undefined : logins.get(address.slice(0, end));
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The reverse of `decodeUtf8`. */
function encodeUtf8(text: string): Buffer {
  if (text.isWellFormed()) return Buffer.from(text, "utf8");
  return Buffer.concat(
    Array.from(text, (character) => {
      const code = character.codePointAt(0) ?? 0;
      return code >= 0xdc80 && code <= 0xdcff ? Buffer.of(code - 0xdc00) : Buffer.from(character, "utf8");
    }),
  );
}
