import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FormatError } from "../../gomod/format-error.ts";
import { decodeUtf8 } from "../../gomod/go-unicode.ts";
import { basicAuthorization, MAX_NETRC_BYTES, parseNetrc } from "../../gomod/netrc.ts";
import { describeWithOracle } from "../go-command.ts";
import { askGoCommand } from "./go-command-oracle.ts";
import { mutant } from "./mutations.ts";
import { cases } from "./oracle.ts";

/** The header that a netrc makes us send to each URL; empty where it has no login. */
function headers(file: string | Uint8Array, urls: readonly string[]): string[] {
  const netrc = parseNetrc(file);
  return urls.map((url) => {
    const login = netrc.lookup(url);
    return login === undefined ? "" : basicAuthorization(login);
  });
}

function expectAsGo(files: readonly (string | Uint8Array)[], urls: readonly string[]): string[][] {
  const wanted = askGoCommand<string[]>(
    "netrc",
    files.map((file) => [file, ...urls]),
  );
  for (const [index, file] of files.entries()) {
    const input = Buffer.from(file).toString("latin1");
    expect({ input, headers: headers(file, urls) }).toEqual({ input, headers: wanted[index] });
  }
  return wanted;
}

/** The netrc of go's own test, out of its sources. */
function goTestNetrc(): string {
  const root = execFileSync("go", ["env", "GOROOT"], { encoding: "utf8" }).trim();
  const source = readFileSync(join(root, "src/cmd/go/internal/auth/netrc_test.go"), "utf8");
  const [, text] = /testNetrc = `([^`]+)`/.exec(source) ?? [];
  if (text === undefined) throw new Error("go's netrc_test.go has no testNetrc");
  return text;
}

describeWithOracle("netrc against the go command", () => {
  test("go's own test file gives the logins that go's test names", () => {
    const netrc = parseNetrc(goTestNetrc());
    expect(
      ["api.github.com", "test.host", "oneline", "hasmacro.too"].map((host) => netrc.lookup(host)),
    ).toEqual([
      { login: "user", password: "pwd" },
      { login: "user2", password: "pwd2" },
      { login: "user3", password: "pwd3" },
      { login: "user4", password: "pwd4" },
    ]);
    for (const host of ["incomplete", "incomlete.host", "ignore.host", "after.default", ""]) {
      expect(netrc.lookup(host)).toBeUndefined();
    }
  });

  test("addresses are looked up as go looks them up", () => {
    const file = [
      "machine a.b login u password p",
      "machine a.b/c login uc password pc",
      "machine a.b:8443 login port password p8443",
      "machine https://scheme.b/ login s password ps",
      "machine a.b login second password ignored",
    ].join("\n");
    const [answers = []] = expectAsGo(
      [file],
      [
        "https://a.b",
        "https://a.b/",
        "https://a.b/c",
        "https://a.b/c/d?q=/x",
        "https://a.b/cd",
        "https://a.b:8443/c",
        "https://a.b.c/x",
        "https://x.a.b/",
        "https://scheme.b/x",
        "http://a.b/x",
        "a.b/c",
        "https://example.com/?/../a.b/",
        "https://A.B/",
        "",
        "/",
        "//",
      ],
    );
    expect(answers.filter(Boolean)).toHaveLength(8);
  });

  test.each([
    ["a macro that ends at an empty line", "machine a.b macdef m\nlogin x\n\nlogin u password p\n"],
    [
      "a macro that a line with a carriage return does not end",
      "macdef m\n\r\nmachine a.b login u password p\n",
    ],
    ["default alone, which ends the file", "default\nmachine a.b login u password p\n"],
    ["default at a line's end", "machine x login y default\nmachine a.b login u password p\n"],
    [
      "default before other words, which go passes over",
      "default login x password y\nmachine a.b login u password p",
    ],
    [
      "a comment, of which go knows none",
      "# c\nmachine a.b login u password p # x\nmachine c.d login # password p",
    ],
    ["an odd number of words", "machine a.b login u password\np\nmachine a.b/c login v password p"],
    ["password before login", "machine a.b password p login u"],
    ["login before machine", "login u password p\nmachine a.b"],
    ["words on lines of their own", "machine\na.b\nlogin\nu\npassword\np"],
    ["account, which go passes over", "machine a.b account x login u password p"],
    ["a login that is lost by the next machine", "machine a.b login u\nmachine c.d password p\nlogin v"],
    ["Go's spaces", "machine\u00a0a.b\u3000login u\u0085password p\u2003"],
    [
      "bytes that are no UTF-8",
      Buffer.from("machine a.b login \xff password \xc3\xa9\xed\xa0\x80", "latin1"),
    ],
    ["a colon in the login", "machine a.b login u:v password p:q"],
  ])("%s is read as go reads it", (_, file) => {
    expectAsGo([file], ["https://a.b/x", "https://a.b/c", "https://c.d"]);
  });

  test("mutants of netrc files send what go sends", () => {
    const samples = [
      goTestNetrc(),
      "machine a.b login u password p\nmachine a.b/c login v password q\n",
      "machine a.b macdef x\nlogin n\n\nlogin u password p default\nmachine c.d login v password q",
      "default login a password b\nmachine\ta.b\tlogin é password ü\r\nmachine https://c.d/ password q login v",
    ];
    const word = fc.constantFrom(
      ..."machine login password macdef default account a.b c.d u p # é".split(" "),
      "\n",
      "\n\n",
      "\r\n",
    );
    const soup = fc.array(word, { maxLength: 20 }).map((words) => Buffer.from(words.join(" ")));
    const urls = ["a.b", "a.b/c/d", "c.d", "api.github.com", "test.host", "oneline", "hasmacro.too"];
    const files = cases(fc.oneof(mutant(samples), soup), 300);
    const wanted = expectAsGo(
      files,
      urls.map((url) => `https://${url}`),
    );
    const found = wanted.filter((answers) => answers.some(Boolean)).length;
    expect(found).toBeGreaterThan(files.length / 10);
    expect(found).toBeLessThan(files.length);
  });
});

describe("netrc", () => {
  test("a file above 1 MiB is refused, and no word of it is told", () => {
    const file = "machine a.b login u password hush\n".repeat(40_000);
    expect(() => parseNetrc(file)).toThrow(
      new FormatError("netrc", `netrc: ${file.length} bytes, more than ${MAX_NETRC_BYTES}`),
    );
    expect(() => parseNetrc(Buffer.from(file))).toThrow(/^(?!.*hush)/);
  });

  test("names of every object's own fields are no machines", () => {
    const netrc = parseNetrc("machine __proto__ login u password p");
    expect(netrc.lookup("constructor")).toBeUndefined();
    expect(netrc.lookup("__proto__")).toEqual({ login: "u", password: "p" });
  });

  test("what may go to a host are the logins of it and of addresses on it", () => {
    const netrc = parseNetrc(
      "machine a.b login 1 password p\nmachine a.b/c login 2 password p\nmachine a.b:1 login 3 password p\nmachine xa.b login 4 password p",
    );
    expect(netrc.onHost("a.b").map(({ login }) => login)).toEqual(["1", "2"]);
  });

  test("bytes are sent as the file has them", () => {
    const login = decodeUtf8(Buffer.of(0xff, 0x61));
    expect(basicAuthorization({ login, password: "é" })).toBe(
      `Basic ${Buffer.concat([Buffer.of(0xff, 0x61, 0x3a), Buffer.from("é")]).toString("base64")}`,
    );
  });
});
