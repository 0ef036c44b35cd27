import { defineMirror } from "./infra/configuration.ts";

/**
 * The one file to edit before `npx cdk deploy --all`. Checked before synth; an unknown field is an error.
 * infra/configuration.ts says what each field means and which others there are.
 */
export default defineMirror({
  name: "modferry",
  upstreams: [
    // The GOPROXY that the functions fetch from; it must also serve the checksum database under /sumdb/.
    { name: "public", url: "https://goproxy.example.com" },
  ],
  // Modules whose new versions are mirrored on schedule, such as { modules: ["corp.example/*"], versions: "all" }.
  // Anything else comes by request.
  subscriptions: [],
  endpoint: {
    // The VPC endpoints (service execute-api) through which developers reach the mirror.
    vpcEndpointIds: [],
  },
});
