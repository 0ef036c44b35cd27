import { z } from "zod";
import { pathPattern } from "../../mirror/configuration-field.ts";
import { misuse } from "../../mirror/errors.ts";
import { plainUrl, secretName } from "../configuration/fields.ts";
import type { UpstreamEntry } from "./sources.ts";
import { upstreamToken } from "./upstream-token.ts";
import { isLoopbackHost } from "./upstream-url.ts";

const token = z
  .strictObject({
    /** Name of the secret in Secrets Manager: in the cloud. */
    secret: secretName.optional(),
    /** Name of the variable: on a desk. */
    env: z
      .string()
      .regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, "give the name of a variable")
      .optional(),
    /** `bearer`: its value as it stands; `basic`: its value is USER:PASSWORD. */
    as: z.enum(["bearer", "basic"]).default("bearer"),
  })
  .refine(
    ({ secret, env }) => (secret === undefined) !== (env === undefined),
    "name either a secret or a variable (env)",
  );

const upstream = z.strictObject({
  /** For messages, and for a checksum database that is asked through it. */
  name: z.string().regex(/^[a-z][a-z0-9-]{0,31}$/, "lower-case letters, digits and hyphens, at most 32"),
  /** A GOPROXY, perhaps with a path. */
  url: plainUrl,
  /** GOPRIVATE patterns of the module paths that are asked of it; left out: all that no other one names. */
  modules: z.array(pathPattern).min(1).optional(),
  /** What it is asked with; it goes to no other host, wherever a redirect leads. */
  token: token.optional(),
  /** Requests a second by all workers together; left out: as many as it takes. */
  rate: z.number().positive().max(10_000).optional(),
});

/** `upstreams` of the configuration: a module is asked of the first one whose patterns match its path. */
export const upstreamsShape = z
  .array(upstream)
  .min(1)
  .max(32)
  .superRefine((all, context) => {
    const issue = (path: (string | number)[], message: string) =>
      context.addIssue({ code: "custom", path, message });
    const general = all.findIndex(({ modules }) => modules === undefined);
    all.forEach(({ name, url, modules, token: wanted }, at) => {
      if (all.findIndex((other) => other.name === name) < at) issue([at, "name"], `${name} is there twice`);
      if (modules === undefined && general < at)
        issue(
          [at, "modules"],
          `left out here and in ${all[general]?.name}; one alone takes what no other one names`,
        );
      if (wanted !== undefined && !isSafeForSecrets(url))
        issue([at, "url"], "would get its token over plain http; use https://");
    });
  });

export type UpstreamsConfiguration = z.output<typeof upstreamsShape>;

function isSafeForSecrets(text: string): boolean {
  const url = new URL(text);
  return url.protocol === "https:" || isLoopbackHost(url);
}

/** Where tokens are read. */
export interface TokenStores {
  /** The value of a secret by its name. */
  readonly secret?: (name: string) => Promise<string>;
  readonly variables?: Readonly<Record<string, string | undefined>>;
}

/**
 * The upstreams of a configuration, with their tokens yet to be read.
 * @throws MirrorError misuse where a token is named that cannot be read here.
 */
export function upstreamEntries(all: UpstreamsConfiguration, stores: TokenStores): UpstreamEntry[] {
  return all.map(({ name, url, modules, token: wanted, rate }, at) => ({
    name,
    url,
    modules: modules?.join(","),
    ...(rate === undefined ? {} : { rate }),
    ...(wanted === undefined ? {} : { token: tokenOf(wanted, `upstreams.${at}.token`, stores) }),
  }));
}

function tokenOf({ secret, env, as }: z.output<typeof token>, field: string, stores: TokenStores) {
  if (env !== undefined) {
    const value = stores.variables?.[env] ?? "";
    if (value === "") throw misuse(`${field}.env`, `${field}.env: ${env} is not set; set it to the token`);
    return upstreamToken(env, as, async () => value);
  }
  const read = stores.secret;
  if (read === undefined || secret === undefined)
    throw misuse(
      `${field}.secret`,
      `${field}.secret: there is no Secrets Manager here; name a variable (env)`,
    );
  return upstreamToken(secret, as, () => read(secret));
}
