import type { S3Client } from "@aws-sdk/client-s3";
import type { NodeHttpHandler } from "@smithy/node-http-handler";
import { MirrorError } from "../../mirror/errors.ts";
import { elementsAt, parseXml, textAt, type XmlElement } from "./batch-xml.ts";
import { fromSdk, sdkError } from "./errors.ts";
import { pause } from "./retry.ts";

type Request = Parameters<NodeHttpHandler["handle"]>[0];

const TRIES = 3;
const LARGEST_REPLY = 1024 * 1024;
const STORE = "S3 Control";

/**
 * Requests of S3 Control's two operations that we need, with the S3 client's own credentials, signer, connections and way
 * out: the service is signed as `s3` too. A client of its own would add half of S3's once more to each program.
 */
export class ControlRequests {
  readonly #client: S3Client;
  readonly #region: string;
  readonly #account: string;
  readonly #endpoint: URL;

  constructor(options: {
    readonly client: S3Client;
    readonly region: string;
    readonly account: string;
    readonly endpointUrl?: string;
  }) {
    this.#client = options.client;
    this.#region = options.region;
    this.#account = options.account;
    this.#endpoint = endpointOf(options);
  }

  /**
   * @returns the reply's root; undefined where there is no such thing.
   * @throws MirrorError, as any client's errors (errors.ts).
   */
  async send(method: "GET" | "POST", path: string, body: string | undefined, subject: string) {
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#sendOnce(method, path, body);
      } catch (thrown) {
        const error = fromSdk(thrown, STORE, subject);
        if (isGone(thrown) && method === "GET") return undefined;
        const { status = 500 } = sdkError(thrown);
        // What S3 refuses as it stands it will refuse again.
        if (error.class !== "transient" || (status < 500 && status !== 429) || attempt + 1 >= TRIES)
          throw error;
        await pause(attempt + 3);
      }
    }
  }

  async #sendOnce(method: string, path: string, body: string | undefined): Promise<XmlElement> {
    const { protocol, hostname, port, host } = this.#endpoint;
    const request = {
      protocol,
      hostname,
      ...(port === "" ? {} : { port: Number(port) }),
      method,
      path,
      query: {},
      headers: {
        host,
        "x-amz-account-id": this.#account,
        ...(body === undefined
          ? {}
          : { "content-type": "application/xml", "content-length": String(Buffer.byteLength(body)) }),
      },
      ...(body === undefined ? {} : { body }),
    } as unknown as Request;
    const { config } = this.#client;
    const scheme = { name: "sigv4", signingName: "s3", signingRegion: this.#region, properties: {} };
    const signer = await config.signer(scheme);
    const signing = { signingRegion: this.#region, signingService: "s3" };
    const signed = (await signer.sign(request, signing)) as Request;
    const { response } = await config.requestHandler.handle(signed);
    const text = await textOf(response.body as AsyncIterable<Uint8Array>);
    const { statusCode } = response;
    if (statusCode >= 200 && statusCode < 300) return parsed(text).root;
    throw refusal(statusCode, text);
  }
}

/** `https://<account>.s3-control.<region>.<suffix>` (Amazon S3 endpoints and quotas). */
function endpointOf({
  region,
  account,
  endpointUrl,
}: {
  readonly region: string;
  readonly account: string;
  readonly endpointUrl?: string;
}): URL {
  const suffix = region.startsWith("cn-") ? "amazonaws.com.cn" : "amazonaws.com";
  if (endpointUrl === undefined) return new URL(`https://${account}.s3-control.${region}.${suffix}`);
  const url = new URL(endpointUrl);
  // As the SDKs do with an endpoint of one's own (s3control's endpoint rules, RequiresAccountId); addresses have no names.
  const isName = /[a-z]/i.test(url.hostname) && url.hostname.includes(".");
  if (isName) url.hostname = `${account}.${url.hostname}`;
  return url;
}

async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.byteLength;
    if (size > LARGEST_REPLY) throw new Error("its reply is larger than any");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parsed(text: string) {
  try {
    return parseXml(text);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new MirrorError("transient", STORE, `${STORE}: its reply is not what it must be: ${why}`, {
      cause,
    });
  }
}

/** `<ErrorResponse><Error><Code>` as S3 Control says it, or `<Error><Code>` as S3 does. */
function refusal(status: number, text: string): Error {
  let code = "";
  let message = "";
  try {
    const { name, root } = parseXml(text);
    const error = name === "Error" ? root : elementsAt(root, "Error")[0];
    code = textAt(error, "Code") ?? "";
    message = textAt(error, "Message") ?? "";
  } catch {
    // A proxy's page, perhaps: the status says enough.
  }
  const error = new Error(message || `status ${status}`);
  error.name = code || "Error";
  return Object.assign(error, { $metadata: { httpStatusCode: status } });
}

function isGone(thrown: unknown): boolean {
  const { status, name } = sdkError(thrown);
  return status === 404 && ["NoSuchJob", "NotFoundException", "NoSuchKey"].includes(name);
}
