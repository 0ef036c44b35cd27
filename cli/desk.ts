import type { RequestReport } from "../mirror/request-desk.ts";
import type { RequestBody } from "../mirror/requests.ts";

/** Where a request is handed in, and asked about. */
export interface Desk {
  /** @returns `name/time`. */
  handIn(name: string, body: RequestBody): Promise<string>;
  /** @returns undefined where there is no such request any more. */
  report(request: string): Promise<RequestReport | undefined>;
  /** One line on why nobody works on what is handed in, and what to do; undefined where somebody does, or may. */
  idle?(): Promise<string | undefined>;
  close(): Promise<void>;
}
