import type { RequestBody } from "../../mirror/requests.ts";

/** A request that asks for nothing but what `body` says, at the default tier. */
export function requestBody(body: Partial<RequestBody> = {}): RequestBody {
  return {
    format: 1,
    tier: "tidy",
    files: {},
    exact: [],
    wishes: [],
    together: true,
    graph: "pruned",
    recorded: [],
    ...body,
  };
}
