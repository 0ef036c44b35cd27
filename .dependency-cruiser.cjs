/**
 * The order of rooms: dependencies point down this list only (docs/architecture.md).
 * TypeScript 7 is unknown to dependency-cruiser, which would then cruise nothing and pass;
 * hence the swc parser, and test/architecture/rooms.test.ts plants a forbidden import to see this fail.
 */
const rooms = ["cli", "infra", "functions", "adapters", "mirror", "sumdb", "gomod"];
const production = `^(${rooms.join("|")})/`;

/** What each room may not import: everything above it, and for the pure rooms all that does I/O. */
const above = {
  gomod: ["sumdb", "mirror", "adapters", "functions", "infra", "cli"],
  sumdb: ["mirror", "adapters", "functions", "infra", "cli"],
  mirror: ["adapters", "functions", "infra", "cli"],
  adapters: ["functions", "infra", "cli"],
  functions: ["infra", "cli"],
  infra: ["functions", "cli"],
  cli: ["functions"],
};

module.exports = {
  forbidden: [
    ...Object.entries(above).map(([room, forbidden]) => ({
      name: `${room}-points-up`,
      severity: "error",
      from: { path: `^${room}/` },
      to: { path: `^(${forbidden.join("|")})/` },
    })),
    {
      name: "pure-rooms-do-no-io",
      comment: "gomod/ and sumdb/ parse and prove; mirror/ speaks to the world through its ports only.",
      severity: "error",
      from: { path: "^(gomod|sumdb|mirror)/" },
      to: {
        dependencyTypes: ["core"],
        path: "^(node:)?(fs|fs/promises|http|https|net|tls|child_process|sqlite)$",
      },
    },
    {
      name: "sdk-in-adapters-only",
      severity: "error",
      from: { path: "^(gomod|sumdb|mirror|functions|cli)/" },
      to: { path: "node_modules/(@aws-sdk|undici)" },
    },
    { name: "no-circular", severity: "error", from: { path: production }, to: { circular: true } },
    { name: "not-to-test", severity: "error", from: { path: production }, to: { path: "^test/" } },
    {
      name: "not-to-unresolvable",
      comment: "aws-lambda is types alone (@types/aws-lambda).",
      severity: "error",
      from: {},
      to: { couldNotResolve: true, pathNot: "^aws-lambda$" },
    },
  ],
  options: {
    parser: "swc",
    doNotFollow: { path: "node_modules" },
    exclude: { path: "^(node_modules|cdk\\.out|dist|\\.modferry)/" },
    enhancedResolveOptions: {
      extensions: [".ts", ".js", ".json"],
      exportsFields: ["exports"],
      conditionNames: ["import", "node", "default", "types"],
    },
  },
};
