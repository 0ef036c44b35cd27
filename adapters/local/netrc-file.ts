import { closeSync, openSync, readSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { FormatError } from "../../gomod/format-error.ts";
import { MAX_NETRC_BYTES, type Netrc, parseNetrc } from "../../gomod/netrc.ts";
import { misuse } from "../../mirror/errors.ts";
import { codeOf } from "./file-error.ts";
import { goEnv } from "./go-env.ts";

/**
 * The user's netrc, read where the go command reads it: NETRC, else `.netrc` in the home directory
 * (cmd/go/internal/auth, netrcPath; but on Windows go prefers `_netrc`, which is not read here). Where GOAUTH, the
 * variable or `go env -w`, does not hold `netrc` (it does when it is not set), there is none. GOAUTH's other commands
 * are not run. As with go, a file that is not there or cannot be read is an empty one.
 * @throws MirrorError misuse where the file is larger than 1 MiB.
 */
export async function readNetrcFile(environment: NodeJS.ProcessEnv): Promise<Netrc> {
  const methods = ((await goAuth(environment)) || "netrc").split(";").map((method) => method.trim());
  if (!methods.includes("netrc")) return parseNetrc("");
  const path = netrcPath(environment);
  try {
    return parseNetrc(readStart(path));
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    const message = `${path}: larger than the ${MAX_NETRC_BYTES} bytes that a netrc may have; name another with NETRC`;
    throw misuse("NETRC", message);
  }
}

/** Where there is no go command, the variable alone. */
async function goAuth(environment: NodeJS.ProcessEnv): Promise<string> {
  try {
    return (await goEnv(["GOAUTH"], environment, "set GOAUTH")).GOAUTH;
  } catch {
    return environment.GOAUTH ?? "";
  }
}

function netrcPath({ NETRC, HOME }: NodeJS.ProcessEnv): string {
  if (NETRC) return NETRC;
  return join(HOME || homedir(), ".netrc");
}

/** No more than shows that it is too much: the name may be that of a device. */
function readStart(path: string): Uint8Array {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (error) {
    if (codeOf(error) !== undefined) return new Uint8Array();
    throw error;
  }
  try {
    const bytes = Buffer.alloc(MAX_NETRC_BYTES + 1);
    let length = 0;
    for (let read = -1; read !== 0 && length < bytes.length; length += read) {
      read = readSync(file, bytes, length, bytes.length - length, null);
    }
    return bytes.subarray(0, length);
  } catch (error) {
    if (codeOf(error) !== undefined) return new Uint8Array();
    throw error;
  } finally {
    closeSync(file);
  }
}
