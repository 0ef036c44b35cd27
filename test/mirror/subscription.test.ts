import { describe, expect, test } from "vitest";
import { modulePath } from "../../gomod/module-path.ts";
import { parseGoRange, parseToolchainVersion, toolchainVersion } from "../../gomod/toolchain-version.ts";
import { version } from "../../gomod/version.ts";
import { isFeedName, queueOf } from "../../mirror/orders.ts";
import { Subscriptions, subscriptions } from "../../mirror/subscription.ts";

const made = (...list: unknown[]) => new Subscriptions(subscriptions.parse(list));
const takes = (entry: object, text: string) => {
  const all = made({ modules: ["example.com"], ...entry });
  const found = all.of(modulePath("example.com/a"));
  return found !== undefined && all.takes(found, version(text));
};

describe("subscriptions", () => {
  test("of those that match the first decides, by GOPRIVATE's patterns", () => {
    const all = made(
      { modules: ["example.com/a/b"], versions: "all", follow: "none" },
      { modules: ["*.corp.example/team", "example.com/a"], follow: "upgrade" },
      { modules: ["example.com"], versions: ">=v1.2.0", follow: "build" },
    );
    const followOf = (path: string) => all.of(modulePath(path))?.follow;
    expect(followOf("example.com/a/b/c")).toBe("none");
    expect(followOf("example.com/a/c")).toBe("upgrade");
    expect(followOf("git.corp.example/team/x")).toBe("upgrade");
    expect(followOf("git.corp.example/other")).toBeUndefined();
    expect(followOf("example.com/z")).toBe("build");
    expect(followOf("example.community/z")).toBeUndefined();
    expect(all.exactPaths()).toEqual(["example.com/a/b", "example.com/a", "example.com"]);
  });

  test.each([
    [{ versions: "all" }, "v1.0.0", true],
    [{ versions: "all" }, "v2.0.0+incompatible", true],
    [{ versions: "all" }, "v1.0.0-rc.1", true],
    [{ versions: "all", prereleases: false }, "v1.0.0-rc.1", false],
    [{ versions: "all" }, "v0.0.0-20240102030405-0123456789ab", false],
    [{ versions: "all", pseudoVersions: true }, "v0.0.0-20240102030405-0123456789ab", true],
    [
      { versions: "all", pseudoVersions: true, prereleases: false },
      "v1.0.1-0.20240102030405-0123456789ab",
      true,
    ],
    [{ versions: ">=v1.2.0 <v2.0.0" }, "v1.9.9", true],
    [{ versions: ">=v1.2.0 <v2.0.0" }, "v1.1.9", false],
    [{ versions: ">=v1.2.0 <v2.0.0" }, "v2.0.0-rc.1", false],
    [{ versions: ">=v1.2.0 <v2.0.0", prereleases: true }, "v1.3.0-rc.1", true],
    [{ versions: ">=v2.0.0" }, "v2.1.0+incompatible", true],
    [{ versions: "v1.4 || v3" }, "v1.4.7", true],
    [{ versions: "v1.4 || v3" }, "v1.5.0", false],
  ])("%j takes %s: %s", (entry, text, expected) => {
    expect(takes(entry, text)).toBe(expected);
  });

  test.each([
    [{ modules: [] }, /modules/],
    [{ modules: ["a,b"] }, /pattern of module paths/],
    [{ modules: ["[a"] }, /pattern of module paths/],
    [{ modules: ["example.com"], versions: "newest" }, /version range/],
    [{ modules: ["example.com"], follow: "all" }, /follow/],
    [{ modules: ["example.com"], surprise: 1 }, /surprise/],
    [{ toolchains: { platforms: ["linux/amd64"], go: "latest" } }, /GOOS-GOARCH/],
    [{ toolchains: { platforms: ["linux-amd64"], go: "go1.22" } }, /Go range/],
    [{}, /./],
  ])("%j is refused", (entry, message) => {
    const parsed = subscriptions.safeParse([entry]);
    expect(parsed.success).toBe(false);
    expect(JSON.stringify(parsed.error)).toMatch(message);
  });
});

test("no user's request is called as a feed is", () => {
  for (const name of ["index", "index.corp", "index.corp.backfill", "poll"])
    expect(isFeedName(name)).toBe(true);
  for (const name of ["indexes", "polls", "team", "my.index"]) expect(isFeedName(name)).toBe(false);
  const queues = ["index", "index.corp", "index.backfill", "poll", "team", "team.backfill"];
  expect(queues.map((name) => queueOf({ name, time: "" }))).toEqual([
    "fresh",
    "fresh",
    "backfill",
    "backfill",
    "fresh",
    "fresh",
  ]);
});

describe("toolchains", () => {
  test.each([
    ["v0.0.1-go1.23.4.linux-arm64", "1.23.4", "linux-arm64"],
    ["v0.0.1-go1.21rc2.windows-amd64", "1.21rc2", "windows-amd64"],
    ["v0.0.1-go1.21.0.freebsd-riscv64", "1.21.0", "freebsd-riscv64"],
  ])("%s is go %s for %s", (text, go, platform) => {
    expect(parseToolchainVersion(text)).toEqual({ go, platform });
    expect(toolchainVersion({ go, platform })).toBe(text);
  });

  test.each([
    "v0.0.1-go1.linux",
    "v0.0.2-go1.23.4.linux-arm64",
    "v0.0.1-go1.23.4.linux",
    "v0.0.1-go01.2.linux-amd64",
    "v1.0.0",
  ])("%s is none", (text) => {
    expect(parseToolchainVersion(text)).toBeUndefined();
  });

  test.each([
    [">=1.22 <1.24", "1.23.4", true],
    [">=1.22 <1.24", "1.24rc1", false],
    [">=1.22 <1.24", "1.22.0", true],
    ["1.23", "1.23.0", true],
    ["1.23", "1.23rc1", true],
    ["1.2", "1.23.0", false],
    ["1.23.4 || >=1.25", "1.23.4", true],
    ["*", "1.9", true],
  ])("range %s has %s: %s", (range, go, expected) => {
    expect(parseGoRange(range).has(go)).toBe(expected);
  });
});
