import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GetQueueAttributesCommand, ListQueuesCommand } from "@aws-sdk/client-sqs";
import { sqsClient } from "../../adapters/aws/clients.ts";
import { type DeployedMirror, deployedMirror, followRequest } from "../../infra/local/deployed-mirror.ts";
import type { LocalUpstream } from "../../infra/local/local-configuration.ts";
import { deployStacks, prepareStacks } from "../../infra/local/stacks.ts";
import { workplaceIn } from "../../infra/local/workplace.ts";
import { handIn } from "../../mirror/inbox.ts";
import type { RequestBody, RequestRecord } from "../../mirror/requests.ts";
import { type Missing, missingOf } from "../../mirror/settle.ts";
import { emulatedAws } from "../contract/ministack.ts";
import { requestBody } from "../mirror/request-body.ts";

/** The stacks as they go to AWS, in an emulator. */
export interface DeployedWorld {
  readonly goproxy: string;
  readonly mirror: DeployedMirror;
  /** Hands a request in, as an object in the vault's inbox, and waits until the functions are done with it. */
  request(body: Partial<RequestBody>): Promise<{ record: RequestRecord; missing: Missing[] }>;
  /** Deploys once more. @returns whether there was anything to do. */
  deployAgain(): Promise<boolean>;
  /** Messages in each dead-letter queue: calls of functions that failed again and again. */
  deadLetters(): Promise<Readonly<Record<string, number>>>;
  close(): Promise<void>;
}

export async function deployedWorld(upstream: LocalUpstream): Promise<DeployedWorld> {
  const settings = await emulatedAws();
  const endpoint = settings.endpointUrl ?? "";
  const place = workplaceIn(await mkdtemp(join(tmpdir(), "modferry-deployed-")));
  const { signal } = new AbortController();
  const deploy = async () =>
    deployStacks(endpoint, place, await prepareStacks(place, upstream, signal), signal);
  const { goproxy } = await deploy();
  const mirror = deployedMirror(endpoint);
  let requests = 0;
  return {
    goproxy,
    mirror,
    request: async (body) => {
      const whole: RequestBody = requestBody(body);
      // A name of its own: two requests of one name and millisecond would be one.
      const key = await handIn(mirror, `e2e-${++requests}`, whole);
      const record = await followRequest(mirror, key, () => undefined, signal);
      return { record, missing: record.state === "INCOMPLETE" ? await missingOf(mirror, key) : [] };
    },
    deployAgain: async () => (await deploy()).changed,
    deadLetters: async () => {
      const client = sqsClient(settings);
      const { QueueUrls = [] } = await client.send(new ListQueuesCommand({}));
      const dead = QueueUrls.filter((url) => url.endsWith("-dead"));
      const counts = dead.map(async (QueueUrl) => {
        const names = ["ApproximateNumberOfMessages"] as const;
        const asked = new GetQueueAttributesCommand({ QueueUrl, AttributeNames: [...names] });
        const { Attributes } = await client.send(asked);
        return [QueueUrl.slice(QueueUrl.lastIndexOf("/") + 1), Number(Attributes?.[names[0]])] as const;
      });
      return Object.fromEntries(await Promise.all(counts));
    },
    close: () => rm(place.folder, { recursive: true, force: true }),
  };
}
