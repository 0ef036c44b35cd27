import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The checkout's folder. */
export const checkout = fileURLToPath(new URL("../..", import.meta.url));

/** A mirror in the emulator, and all that its bring-up writes; every path absolute. */
export interface Workplace {
  readonly folder: string;
  /** The output of all commands of this start. */
  readonly log: string;
  readonly emulatorLog: string;
  /** MiniStack's data. */
  readonly state: string;
  /** The port that the data was made on. */
  readonly port: string;
  /** The embedded mirror. */
  readonly mirror: string;
  readonly configuration: string;
  readonly cdkOut: string;
  /** What is deployed; see stacks.ts. */
  readonly deployed: string;
  /** What was built against which mirror; see go-build.ts. */
  readonly built: string;
  /** Where the go command builds: its module cache and GOPATH. */
  readonly go: string;
  readonly lock: string;
}

/** `npm start` works in .modferry/start of the checkout; tests have folders of their own. */
export function workplaceIn(folder: string): Workplace {
  return {
    folder,
    log: join(folder, "start.log"),
    emulatorLog: join(folder, "ministack.log"),
    state: join(folder, "state"),
    port: join(folder, "port"),
    mirror: join(folder, "mirror"),
    configuration: join(folder, "configuration.ts"),
    cdkOut: join(folder, "cdk.out"),
    deployed: join(folder, "deployed.json"),
    built: join(folder, "built"),
    go: join(folder, "go"),
    lock: join(folder, "lock"),
  };
}
