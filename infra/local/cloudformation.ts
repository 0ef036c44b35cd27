import { MirrorError } from "../../mirror/errors.ts";
import { LOCAL_REGION } from "./local-configuration.ts";

const TIMEOUT = 10_000;

/** A stack as the emulator has it. */
export interface DeployedStack {
  /** Another one of the same name, after a new start without the old data, has another id. */
  readonly id: string;
  readonly status: string;
  readonly outputs: ReadonlyMap<string, string>;
}

/**
 * All stacks at an emulator's endpoint, by name (AWS CloudFormation API, DescribeStacks). By plain HTTP, since
 * emulators check no signature and one call is not worth another SDK client.
 * @throws MirrorError transient when the endpoint does not answer as CloudFormation does.
 */
export async function describeStacks(endpoint: string): Promise<ReadonlyMap<string, DeployedStack>> {
  let reply: Response;
  try {
    reply = await fetch(endpoint, {
      method: "POST",
      headers: {
        // Emulators read region and service from it.
        Authorization: `AWS4-HMAC-SHA256 Credential=test/20260101/${LOCAL_REGION}/cloudformation/aws4_request, SignedHeaders=host, Signature=0`,
        "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
      },
      body: "Action=DescribeStacks&Version=2010-05-15",
      signal: AbortSignal.timeout(TIMEOUT),
    });
  } catch (cause) {
    throw new MirrorError("transient", "endpoint", `endpoint: ${endpoint} does not answer`, { cause });
  }
  const text = await reply.text();
  if (!reply.ok || !text.includes("<DescribeStacksResponse")) {
    const problem = `answers ${reply.status} to CloudFormation's DescribeStacks: is it LocalStack-compatible?`;
    throw new MirrorError("transient", "endpoint", `endpoint: ${endpoint} ${problem}`);
  }
  return new Map(
    text
      .split("<StackName>")
      .slice(1)
      .map((stack) => [stack.split("<", 1)[0] ?? "", parseStack(stack)]),
  );
}

function parseStack(xml: string): DeployedStack {
  const outputs = [...xml.matchAll(/<OutputKey>([^<]*)<\/OutputKey>\s*<OutputValue>([^<]*)<\/OutputValue>/g)];
  return {
    id: /<StackId>([^<]*)</.exec(xml)?.[1] ?? "",
    status: /<StackStatus>([^<]*)</.exec(xml)?.[1] ?? "",
    outputs: new Map(outputs.map(([, key = "", value = ""]) => [key, value])),
  };
}
