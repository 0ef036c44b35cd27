import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { egressShape, environmentEgress } from "../../../adapters/egress/egress.ts";
import { describeWithOracle } from "../../go-command.ts";
import { ask, cases } from "../../gomod/oracle.ts";

const HOSTS = [
  "corp.example",
  "a.corp.example",
  "xcorp.example",
  "corp.example.",
  "CORP.example",
  "bücher.example",
  "localhost",
  "a.localhost",
  "127.0.0.1",
  "127.9.9.9",
  "10.1.2.3",
  "10.1.2.4",
  "192.168.7.1",
  "0.0.0.0",
  "[::1]",
  "[::]",
  "[fd00::1]",
  "[fd00::2]",
  "[2001:db8:0:1::7]",
  "[::ffff:10.1.2.3]",
  "[::ffff:127.0.0.1]",
];
const URLS = HOSTS.flatMap((host) => [`https://${host}/x`, `http://${host}:8080/x`, `https://${host}:8443/`]);

const ENTRIES = [
  ...[
    "corp.example",
    ".corp.example",
    "*.corp.example",
    "corp.example:8443",
    ".corp.example:8080",
    "example",
    ".",
  ],
  ...[
    "bücher.example",
    "xn--bcher-kva.example",
    "*.bücher.example",
    "*",
    "*.",
    "*corp.example",
    "localhost",
    "",
  ],
  ...[
    "10.1.2.3",
    "10.1.2.3:8443",
    "10.0.0.0/8",
    "10.1.2.0/31",
    "10.1.2.3/33",
    "10.1.2.3/",
    "10.1.2.3/08",
    "010.1.2.3",
  ],
  ...[
    "::1",
    "[::1]",
    "[::1]:8443",
    "fd00::1",
    "[fd00::1]:8080",
    "fd00::/127",
    "fd00::/8",
    "2001:db8::/32",
    "::/0",
  ],
  ...[
    "::ffff:10.1.2.3",
    "::ffff:10.1.2.0/120",
    "::ffff:0:0/96",
    "::ffff:0:0/95",
    "0.0.0.0/0",
    "fd00::1%eth0",
  ],
  ...[
    ":8443",
    "corp.example:",
    "corp.example:80:80",
    "[corp.example]:8443",
    "a:b",
    "https://corp.example",
    "/8",
  ],
  ...[
    "CORP.EXAMPLE",
    " a.corp.example ",
    "\tcorp.example",
    "corp.example.",
    "fd00::1:8443",
    "[fd00::1",
    "fd00::1]",
  ],
];

const PROXIES = [
  "http://p:3128",
  "p:3128",
  "p",
  "https://p:3128",
  "http://u:p%40@p:3128/",
  "10.9.9.9:3128",
  "[fd00::9]:3128",
];

/** As the oracle says it: with the port as it was written. */
function ours(variables: Record<string, string>): string[] {
  const egress = environmentEgress(variables);
  return URLS.map((url) => egress.proxyFor(new URL(url))?.name ?? "");
}

/** One line for each address about which the two do not agree. */
function differences(environments: readonly Record<string, string>[], theirs: readonly string[][]): string[] {
  return environments.flatMap((environment, at) => {
    const proxies = ours(environment);
    return URLS.flatMap((url, i) =>
      proxies[i] === theirs[at]?.[i]
        ? []
        : [`${JSON.stringify(environment)} ${url}: ${proxies[i]}, not ${theirs[at]?.[i]}`],
    );
  });
}

describeWithOracle("which proxy leads to an address is what net/http takes from the same variables", () => {
  test("for each entry of NO_PROXY alone", () => {
    const environments = ENTRIES.map((entry) => ({
      HTTPS_PROXY: "http://s:1",
      HTTP_PROXY: "http://p:1",
      NO_PROXY: entry,
    }));
    const theirs = ask<string[]>(environments.map((one) => ["proxies", JSON.stringify(one), ...URLS]));
    expect(differences(environments, theirs)).toEqual([]);
  });

  test("for random variables, names in both cases and lists of entries", () => {
    const pick = (values: readonly string[]) =>
      fc.option(fc.constantFrom(...values), { nil: undefined, freq: 2 });
    const list = fc.array(fc.constantFrom(...ENTRIES), { maxLength: 4 }).map((entries) => entries.join(","));
    const random = cases(
      fc.record({
        HTTPS_PROXY: pick([...PROXIES, ""]),
        https_proxy: pick(PROXIES),
        HTTP_PROXY: pick([...PROXIES, ""]),
        http_proxy: pick(PROXIES),
        NO_PROXY: fc.option(list, { nil: undefined }),
        no_proxy: fc.option(list, { nil: undefined }),
      }),
      150,
    );
    // A name that is not in ASCII can be no variable's value in every locale, but it can here; undefined is left out.
    const environments = random.map((one) => JSON.parse(JSON.stringify(one)) as Record<string, string>);
    const theirs = ask<string[]>(environments.map((one) => ["proxies", JSON.stringify(one), ...URLS]));
    expect(differences(environments, theirs)).toEqual([]);
  });
});

describe("a proxy that cannot be used is refused, and its variable shown without its value", () => {
  test.each([
    ["socks5://user:hush@p:1080", /^HTTPS_PROXY: socks5 proxies are not supported/],
    ["http://user:hush@", /^HTTPS_PROXY: not an address of a proxy/],
    ["http://us%er:hush@p:1", /^HTTPS_PROXY: its user or password has a %/],
  ])("%s", (value, message) => {
    let told = "";
    try {
      environmentEgress({ HTTPS_PROXY: value });
    } catch (error) {
      told = error instanceof Error ? error.message : "";
    }
    expect(told).toMatch(message);
    expect(told).not.toContain("hush");
  });
});

describe("the configuration's egress", () => {
  test.each([
    [{}, undefined],
    [{ proxy: "http://p:3128", noProxy: ["corp.example", "10.0.0.0/8"], extraCa: "ca.pem" }, undefined],
    [{ proxy: "http://user:hush@p:3128" }, "must not hold a user name or password"],
    [{ proxy: "socks5://p:1" }, "not supported"],
    [{ noProxy: ["a,b"] }, "one per entry"],
    [{ prxy: "http://p:3128" }, "Unrecognized"],
  ])("%j", (value, problem) => {
    const parsed = egressShape.safeParse(value);
    expect(parsed.success).toBe(problem === undefined);
    const told = parsed.error?.issues[0]?.message ?? "";
    if (problem !== undefined) expect(told).toContain(problem);
    expect(told).not.toContain("hush");
  });
});
