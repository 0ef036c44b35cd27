import { expect, test } from "vitest";
import { defaultUpstream } from "../../../adapters/upstream/default-upstream.ts";
import { openUpstream } from "../../../adapters/upstream/open-upstream.ts";
import { isSameEndpoint, redactUrl } from "../../../adapters/upstream/upstream-url.ts";
import { MirrorError } from "../../../mirror/errors.ts";

test.each([
  ["https://proxy.example.com,direct", "https://proxy.example.com"],
  ["direct|https://proxy.example.com", "https://proxy.example.com"],
  ["off,file:///tree , http://one.example.com/go|https://two.example.com", "http://one.example.com/go"],
  ["/absolute/path,https://u:p@proxy.example.com/x", "https://u:p@proxy.example.com/x"],
  ["proxy.example.com/go,direct", "https://proxy.example.com/go"],
  [",,|https://proxy.example.com\n", "https://proxy.example.com"],
])("of GOPROXY=%s the upstream is %s", (list, url) => {
  expect(defaultUpstream(list)).toBe(url);
});

test.each(["", "off", "direct", "file:///x", ",", "https://", "https://bad host"])(
  "of GOPROXY=%j there is none, which is misuse with the remedy",
  (list) => {
    expect(() => defaultUpstream(list)).toThrow(/--upstream: .*name one with --upstream URL/);
  },
);

test("the mirror itself is refused, its password not printed", () => {
  const own = () => defaultUpstream("http://u:hush@localhost:3000/go,direct", "127.0.0.1:3000");
  expect(own).toThrow(/http:\/\/localhost:3000\/go is this mirror itself/);
  expect(own).not.toThrow(/hush/);
  expect(defaultUpstream("http://localhost:3001", "127.0.0.1:3000")).toBe("http://localhost:3001");
});

test.each([
  ["http://127.0.0.1:3000", "http://localhost:3000/-/snapshot/x", true],
  ["http://[::1]:3000/", "0.0.0.0:3000", true],
  ["https://Proxy.Example.com", "https://proxy.example.com:443/", true],
  ["https://host.example.com/a", "https://host.example.com/ab", false],
  ["https://host.example.com/a", "https://host.example.com/a/b", true],
  ["http://host.example.com", "https://host.example.com", false],
  ["file:///srv/mirror/tree", "/srv/mirror", true],
  ["file:///srv/mirror", "http://127.0.0.1:3000", false],
  ["not a url at all", "http://127.0.0.1:3000", false],
])("%s and %s are the same endpoint: %s", (a, b, same) => {
  expect(isSameEndpoint(a, b)).toBe(same);
  expect(isSameEndpoint(b, a)).toBe(same);
});

test.each([
  ["https://user:hush@proxy.example.com/go/?token=hush#x", "https://proxy.example.com/go"],
  ["https://hush@proxy.example.com", "https://proxy.example.com"],
  ["hush nonsense", "(not a URL)"],
])("%s is printed as %s", (url, printed) => {
  expect(redactUrl(url)).toBe(printed);
});

test.each([
  "ftp://x.example.com",
  "s3://bucket",
  "proxy",
  "file://host/x",
  "http://u:hush@proxy.example.com",
  "https://%zz@x.example.com",
])("%s cannot be opened: misuse without secrets", (url) => {
  expect(() => openUpstream(url)).toThrow(MirrorError);
  expect(() => openUpstream(url)).toThrow(/^--upstream: /);
  expect(() => openUpstream(url)).not.toThrow(/hush/);
});
