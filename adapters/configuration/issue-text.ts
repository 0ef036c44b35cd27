import type { z } from "zod";

type Issue = z.core.$ZodIssue;

/** What a field should be, in an operator's words; by zod's own. */
const WORDS: Readonly<Record<string, string>> = {
  array: "a list, […]",
  object: "an object, {…}",
  record: "an object, {…}",
  string: 'a text, "…"',
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  null: "null",
  undefined: "nothing",
};

/** The first thing that is wrong with a configuration, as one line: `field: what is wrong; what would be right`. */
export function issueText(issues: readonly Issue[]): { readonly field: string; readonly problem: string } {
  const [first] = issues;
  if (first === undefined) return { field: "configuration", problem: "not understood" };
  const issue = meant(first);
  const [unknown] = issue.code === "unrecognized_keys" ? issue.keys : [];
  const path = [...issue.path, ...(unknown === undefined ? [] : [unknown])];
  return { field: path.join(".") || "configuration", problem: problemOf(issue) };
}

/** Of a field that may be one of several things, what is wrong with that which it is most like. */
function meant(issue: Issue): Issue {
  if (issue.code !== "invalid_union") return issue;
  const likely = issue.errors
    .filter((issues) => issues.length > 0)
    .map((issues) => ({ issues, unlike: issues.filter(isUnlike).length }))
    .sort((a, b) => a.unlike - b.unlike)[0]?.issues;
  const [inner] = likely?.toSorted((a, b) => Number(isUnlike(a)) - Number(isUnlike(b))) ?? [];
  return inner === undefined ? issue : meant({ ...inner, path: [...issue.path, ...inner.path] });
}

/** A field that is left out, or that there is none of, is a sign of another kind of thing. */
function isUnlike(issue: Issue): boolean {
  return (
    issue.code === "unrecognized_keys" || (issue.code === "invalid_type" && receivedOf(issue) === "undefined")
  );
}

function problemOf(issue: Issue): string {
  switch (issue.code) {
    case "unrecognized_keys":
      return "no such field; docs/configuration.md lists them all";
    case "invalid_type": {
      const right = WORDS[issue.expected] ?? issue.expected;
      const received = receivedOf(issue);
      return received === "undefined"
        ? `left out; give ${right}`
        : `is ${WORDS[received] ?? received}; give ${right}`;
    }
    case "invalid_format":
      return issue.format === "url" ? "no URL; give one such as https://goproxy.example.com" : issue.message;
    case "too_small":
      return issue.origin === "array" ? `names nothing; give at least ${issue.minimum}` : issue.message;
    default:
      return issue.message;
  }
}

/** Zod says it in its message alone. */
function receivedOf({ message }: Issue): string {
  return /received (\w+)$/.exec(message)?.[1] ?? "something else";
}
