import { existsSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { join } from "node:path";
import { goEnv } from "../../adapters/local/go-env.ts";
import { misuse } from "../../mirror/errors.ts";

const NODE_MAJOR = 24;
/** The go command that verifies and builds as the README says. */
const OLDEST_GO_MINOR = 21;
/** The emulator, the mirrored sample and its module cache take about 1 GB. */
const FREE_DISK = 2_000_000_000;

/** What the go command says of itself. */
export interface GoCommand {
  readonly version: string;
  /** The user's GOPROXY list, perhaps with secrets. */
  readonly goproxy: string;
  /** The user's build cache. */
  readonly buildCache: string;
}

/**
 * Checks what `npm start` needs of the machine, apart from Python and the port.
 * @throws MirrorError misuse: one line with what is lacking and what mends it.
 */
export async function checkMachine(checkout: string, environment: NodeJS.ProcessEnv): Promise<GoCommand> {
  const major = Number(process.versions.node.split(".", 1)[0]);
  if (major < NODE_MAJOR) {
    const mend = "run `npm ci`, which installs it, then `npm start`";
    throw misuse("node", `node: this is ${process.version}, Node ${NODE_MAJOR} is needed: ${mend}`);
  }
  if (!existsSync(join(checkout, "node_modules", ".bin", "cdk"))) {
    throw misuse("node_modules", "node_modules: the CDK is not installed: run `npm ci`");
  }
  const go = await findGo(environment);
  const { bavail, bsize } = await statfs(checkout);
  const free = bavail * bsize;
  if (free < FREE_DISK) {
    const gigabytes = (free / 1e9).toFixed(1);
    const mend = "make room, for example with `go clean -modcache`, or move the checkout";
    throw misuse("disk", `disk: ${gigabytes} GB free at ${checkout}, 2 GB are needed: ${mend}`);
  }
  return go;
}

async function findGo(environment: NodeJS.ProcessEnv): Promise<GoCommand> {
  const install = "install Go (macOS: brew install go; Debian, Ubuntu: apt-get install golang-go)";
  const needed = `Go 1.${OLDEST_GO_MINOR} or newer is needed`;
  const values = await goEnv(["GOVERSION", "GOPROXY", "GOCACHE"], environment, `${needed}: ${install}`);
  const version = values.GOVERSION;
  const [, minor] = /go1\.(\d+)/.exec(version) ?? [];
  if (minor === undefined || Number(minor) < OLDEST_GO_MINOR) {
    throw misuse("go", `go: this is ${version}, ${needed}: ${install}`);
  }
  return { version, goproxy: values.GOPROXY, buildCache: values.GOCACHE };
}
