import { z } from "zod";
import { misuse } from "../../mirror/errors.ts";
import { secretName } from "../configuration/fields.ts";
import { parseNoProxy } from "./no-proxy.ts";
import { type HttpProxy, parseProxy, type ReadSecret } from "./proxy.ts";

/** The way out of this network: which proxy leads to an address. */
export interface Egress {
  /** undefined where it is reached directly. */
  proxyFor(url: URL): HttpProxy | undefined;
}

/** Out directly, wherever to. */
export const directEgress: Egress = { proxyFor: () => undefined };

/** What an entry of NO_PROXY may hold; a comma would make it several. */
const noProxyEntry = z
  .string()
  .regex(
    /^[^\s,]{1,253}$/,
    "give a host, .domain, address or network, such as corp.example or 10.0.0.0/8, one per entry",
  );

/**
 * `egress` of the configuration. Where the proxy wants a login, its secret's value is `USER:PASSWORD`: a URL with one
 * would be shown by deployed functions.
 */
export const egressShape = z.strictObject({
  /** http:// or https://, for all that is asked over http and https. */
  proxy: z
    .string()
    .superRefine((text, context) => {
      const problem = proxyProblem(text);
      if (problem !== undefined) context.addIssue({ code: "custom", message: problem });
    })
    .optional(),
  /** Name of the secret in Secrets Manager. */
  proxySecret: secretName.optional(),
  /** As NO_PROXY has it; AWS's own endpoints inside of a VPC belong here. */
  noProxy: z.array(noProxyEntry).default([]),
  /** A PEM file with CA certificates that are trusted besides those that Node brings. */
  extraCa: z.string().min(1).optional(),
});

export type EgressConfiguration = z.output<typeof egressShape>;

function proxyProblem(text: string): string | undefined {
  try {
    parseProxy(text, "proxy");
  } catch (error) {
    return error instanceof Error ? error.message.replace(/^proxy: /, "") : "not understood";
  }
  return text.includes("@")
    ? "must not hold a user name or password: deployed functions would show it; store USER:PASSWORD as a secret and name it in proxySecret"
    : undefined;
}

/**
 * The way out that the configuration names; extraCa is for `trustCertificates` (root-certificates.ts).
 * @param readSecret the value of a secret by its name.
 * @throws MirrorError misuse where a secret is named, and there is nothing to read it with.
 */
export function configuredEgress(
  { proxy, proxySecret, noProxy }: EgressConfiguration,
  readSecret?: (name: string) => Promise<string>,
): Egress {
  if (proxy === undefined) return directEgress;
  let login: ReadSecret | undefined;
  if (proxySecret !== undefined) {
    if (readSecret === undefined)
      throw misuse(
        "egress.proxySecret",
        "egress.proxySecret: there is no Secrets Manager here; leave it out",
      );
    login = () => readSecret(proxySecret);
  }
  const one = parseProxy(proxy, "egress.proxy", login);
  const isDirect = parseNoProxy(noProxy.join(","));
  return { proxyFor: (url) => (isDirect(url) ? undefined : one) };
}

/**
 * The way out that a process's variables name, as the go command reads them: HTTPS_PROXY for https, HTTP_PROXY for http,
 * NO_PROXY, each also in lower case, where the upper-case one counts first (httpproxy.FromEnvironment). Their values are
 * secrets.
 * @throws MirrorError misuse naming the variable, without its value.
 */
export function environmentEgress(variables: Readonly<Record<string, string | undefined>>): Egress {
  const proxy = (name: string): HttpProxy | undefined => {
    const used = [name, name.toLowerCase()].find((one) => (variables[one] ?? "") !== "");
    return used === undefined ? undefined : parseProxy(variables[used] ?? "", used);
  };
  const https = proxy("HTTPS_PROXY");
  const http = proxy("HTTP_PROXY");
  if (https === undefined && http === undefined) return directEgress;
  const isDirect = parseNoProxy(variables.NO_PROXY || variables.no_proxy || "");
  return {
    proxyFor: (url) => {
      const chosen = url.protocol === "https:" ? https : url.protocol === "http:" ? http : undefined;
      return chosen === undefined || isDirect(url) ? undefined : chosen;
    },
  };
}
