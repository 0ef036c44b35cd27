import { expect, test } from "vitest";
import { deployedName, mirrorFolder } from "../../cli/mirror-address.ts";

test.each([
  ["aws:modferry", "modferry", undefined],
  ["aws:team-a1@eu-central-1", "team-a1", "eu-central-1"],
  ["aws:team@us-gov-west-1", "team", "us-gov-west-1"],
])("%s is a deployed mirror", (text, name, region) => {
  expect(deployedName("status", text, "--mirror")).toEqual({ text, name, region });
});

test.each([
  "aws:",
  "aws:M",
  "AWS:modferry",
  "aws:modferry@",
  "aws:modferry@Frankfurt",
  "aws:modferry@eu-central-1@x",
  "aws:a/../b",
  "aws:a.b",
  "aws:-a",
  "aws:a",
  `aws:${"a".repeat(21)}`,
  "aws:modferry\n@eu-central-1",
  "aws:modferry@eu-central-1\n",
])("%j is none, and what is right is said", (text) => {
  expect(() => deployedName("status", text, "MODFERRY_MIRROR")).toThrow(
    /^MODFERRY_MIRROR: (.|\n)*: give aws:NAME or aws:NAME@REGION, such as aws:modferry@eu-central-1/,
  );
});

test.each(["./aws", "aws", "/srv/aws:mirror", "C:/mirror", "awsome:mirror"])("%s is a folder", (text) => {
  expect(deployedName("status", text, "--mirror")).toBeUndefined();
  expect(mirrorFolder(text, "--mirror")).toBe(text);
});

test("a recording into a file needs no mirror, whatever the environment names", () => {
  expect(deployedName("record", "aws:modferry", "MODFERRY_MIRROR")?.name).toBe("modferry");
  expect(() => deployedName("record", "aws:modferry", "--mirror")).toThrow(
    /`modferry record` is for folders/,
  );
});
