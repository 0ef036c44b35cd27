import { CfnOutput, Duration, Stack, type StackProps, Validations } from "aws-cdk-lib";
import {
  type CfnRestApi,
  EndpointType,
  type IResource,
  LambdaIntegration,
  ResponseType,
  RestApi,
} from "aws-cdk-lib/aws-apigateway";
import { AnyPrincipal, Effect, PolicyDocument, PolicyStatement } from "aws-cdk-lib/aws-iam";
import type { Construct } from "constructs";
import { sumdbEntries } from "../adapters/configuration/sumdb-shape.ts";
import { type Configuration, proxySecret, sourceSecrets } from "./configuration.ts";
import {
  grantDueIndex,
  grantLedger,
  grantSecrets,
  grantStateIndex,
  grantTree,
  grantVault,
} from "./grants.ts";
import { MirrorFunction } from "./mirror-function.ts";

/** The gateway's own limit for an answer (Amazon API Gateway quotas, integration timeout). */
const SERVE_TIMEOUT = Duration.seconds(29);
const STAGE = "go";

/** What developers reach: the private REST API. Holds nothing; can be deleted and deployed again. */
export class EndpointStack extends Stack {
  constructor(scope: Construct, id: string, props: StackProps & { readonly configuration: Configuration }) {
    super(scope, id, props);
    const { configuration } = props;
    const { fetchesTiles, requests } = configuration.endpoint;
    const serve = new MirrorFunction(this, "Serve", {
      configuration,
      function: "serve",
      timeout: SERVE_TIMEOUT,
      memoryMiB: 512,
      environment: {
        MODFERRY_FETCHES_TILES: fetchesTiles ? "yes" : "no",
        ...(requests && { MODFERRY_REQUEST_TOKEN_SECRET: requests.tokenSecret }),
      },
    });
    // Besides reading, it only ever adds proven tiles. IAM's * matches slashes too: after the name, nothing else fits.
    const tiles = sumdbEntries(configuration.sumdb).map(({ verifier: { name } }) => `sumdb/${name}/tile/8/*`);
    grantTree(serve, { read: ["*"], ...(fetchesTiles ? { write: tiles } : {}) });
    grantLedger(serve, ["GetItem", "BatchGetItem", "Query"]);
    // For what is told of the mirror itself, below /-/.
    grantDueIndex(serve);
    grantStateIndex(serve);
    // The mirror as it was, below /-/snapshot/ and /-/at/.
    grantVault(serve, {
      read: [
        "snapshots/*",
        "vulndb/*",
        ...(requests === undefined ? [] : ["inbox/requests/*", "requests/*"]),
      ],
      ...(requests === undefined ? {} : { write: ["inbox/requests/*"] }),
    });
    grantSecrets(serve, [
      // Also where it asks AWS alone.
      ...(fetchesTiles ? sourceSecrets(configuration) : proxySecret(configuration)),
      ...(requests === undefined ? [] : [requests.tokenSecret]),
    ]);
    const api = this.#api(configuration, serve);
    new CfnOutput(this, "ApiId", { value: api.restApiId });
    new CfnOutput(this, "Stage", { value: STAGE });
    configuration.endpoint.vpcEndpointIds.forEach((id, at) => {
      const host = `${api.restApiId}-${id}.execute-api.${this.region}.${this.urlSuffix}`;
      new CfnOutput(this, `Goproxy${at === 0 ? "" : at + 1}`, { value: `https://${host}/${STAGE}` });
    });
  }

  #api(configuration: Configuration, serve: MirrorFunction): RestApi {
    const api = new RestApi(this, "Api", {
      restApiName: configuration.name,
      endpointConfiguration: { types: [EndpointType.PRIVATE] },
      policy: resourcePolicy(configuration.endpoint.vpcEndpointIds),
      // A go.mod that is no UTF-8 travels in base64; all else is text or a link (functions/gateway-reply.ts).
      binaryMediaTypes: ["*/*"],
      deployOptions: { stageName: STAGE },
      // An account-wide singleton that is not ours to set (facts: emulators).
      cloudWatchRole: false,
      disableExecuteApiEndpoint: false,
    });
    const { vpcEndpointIds } = configuration.endpoint;
    if (vpcEndpointIds.length > 0) {
      // Only an endpoint that is associated with the API gets the name <api>-<endpoint>.execute-api… (Amazon API Gateway,
      // Invoke a private API using a Route53 alias); by the L1 property, since the ids are all that we have.
      const made = api.node.defaultChild as CfnRestApi;
      made.endpointConfiguration = { types: [EndpointType.PRIVATE], vpcEndpointIds };
    }
    this.#plainErrors(api);
    const integration = new LambdaIntegration(serve.function, { proxy: true });
    for (const resource of [api.root, api.root.addResource("{proxy+}")]) addRead(resource, integration);
    if (configuration.endpoint.requests !== undefined) this.#desk(api, integration);
    acknowledge(api);
    return api;
  }

  /** Where CI hands in requests: the one place that takes a body. */
  #desk(api: RestApi, integration: LambdaIntegration): void {
    const desk = api.root.addResource("-").addResource("requests").addResource("{request+}");
    // A resource of its own: the general one's methods do not count here.
    addRead(desk, integration);
    desk.addMethod("POST", integration);
    // The gateway refuses a body above 10 MB itself, and one above Lambda's 6 MB (Amazon API Gateway quotas).
    api.addGatewayResponse("RequestTooLarge", {
      type: ResponseType.REQUEST_TOO_LARGE,
      statusCode: "413",
      templates: { "text/plain": "request: larger than this endpoint takes; hand it in in parts" },
    });
  }

  /** go shows a person text/plain only. */
  #plainErrors(api: RestApi): void {
    for (const [id, type] of [
      ["Default4xx", ResponseType.DEFAULT_4XX],
      ["Default5xx", ResponseType.DEFAULT_5XX],
    ] as const) {
      api.addGatewayResponse(id, { type, templates: { "text/plain": "$context.error.message" } });
    }
  }
}

function addRead(resource: IResource, integration: LambdaIntegration): void {
  for (const method of ["GET", "HEAD"]) resource.addMethod(method, integration);
}

/** Only through the named VPC endpoints; with none named, nobody. */
function resourcePolicy(vpcEndpointIds: readonly string[]): PolicyDocument {
  const anyone = {
    principals: [new AnyPrincipal()],
    actions: ["execute-api:Invoke"],
    resources: ["execute-api:/*"],
  };
  if (vpcEndpointIds.length === 0) {
    return new PolicyDocument({ statements: [new PolicyStatement({ ...anyone, effect: Effect.DENY })] });
  }
  return new PolicyDocument({
    statements: [
      new PolicyStatement({ ...anyone, effect: Effect.ALLOW }),
      new PolicyStatement({
        ...anyone,
        effect: Effect.DENY,
        conditions: { StringNotEquals: { "aws:SourceVpce": vpcEndpointIds } },
      }),
    ],
  });
}

function acknowledge(api: RestApi): void {
  const open =
    "The API is private: its resource policy admits the named VPC endpoints only, and go sends no credentials.";
  for (const [id, reason] of [
    ["AwsSolutions-APIG4", open],
    ["AwsSolutions-COG4", open],
    [
      "AwsSolutions-APIG1",
      "Access logs need the account-wide CloudWatch role, which is not this stack's to set.",
    ],
    [
      "AwsSolutions-APIG6",
      "Execution logs need the account-wide CloudWatch role, which is not this stack's to set.",
    ],
    [
      "AwsSolutions-APIG2",
      "The function parses every path strictly before it is used, and a request's body once its token is right; there is no query.",
    ],
    ["AwsSolutions-APIG3", "No web ACL: nothing from the internet reaches a private API."],
  ] as const) {
    Validations.of(api).acknowledge({ id, reason });
  }
}
