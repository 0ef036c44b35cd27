import type { RequestBody } from "../../mirror/requests.ts";
import type { GoCommand } from "./preflight.ts";
import type { StartOptions } from "./start-options.ts";
import type { Steps } from "./steps.ts";
import type { Workplace } from "./workplace.ts";

/** What both ways of bringing a mirror up are given. */
export interface BringUp {
  readonly options: StartOptions;
  readonly place: Workplace;
  readonly steps: Steps;
  readonly go: GoCommand;
  /** The project: its go.mod, and the request that it makes. */
  readonly goMod: string;
  readonly request: RequestBody;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  /** What must be done at the end, whatever happens until then; the last first. */
  readonly atEnd: (stop: () => Promise<void>) => void;
}

/** A mirror that serves. */
export interface Running {
  readonly goproxy: string;
  /** Whether all that the project needs is there; what is not has been said. */
  readonly complete: boolean;
  /** Settles when it ends by itself; never, where somebody else runs it. */
  readonly ended: Promise<void>;
  /** Changes with the mirror's code and whenever its data is made anew; undefined where that cannot be told. */
  readonly identity?: string;
  /** Where its data is. */
  readonly data: string;
}
