/** What a CI template has run: one shell after the other, each with variables of its own. */
export interface CiStep {
  readonly variables: Readonly<Record<string, string>>;
  /** Lines for one shell. */
  readonly script: string;
}

/** A value that YAML reads as it stands: without quotes, comment, mapping, anchor or flow. */
const PLAIN = /^(?!["'&*!|>%@`#[{-])(?!.*(?:: | #|:$)).*\S$/;

/**
 * The steps of a template of docs/ci, as GitLab (`variables`, lists named `script`) and GitHub (`env`, `run: |`) have them,
 * in the very layout of our templates: there is no YAML parser among our dependencies, and what this does not understand is
 * an error.
 */
export function ciSteps(template: string): CiStep[] {
  const steps = template.startsWith("# GitLab") ? gitlabSteps(template) : githubSteps(template);
  const written = template.match(/^ *(script|run):/gm)?.length ?? 0;
  if (steps.length === 0 || steps.length !== written)
    throw new Error(`${written} scripts, of which ${steps.length} are understood`);
  return steps;
}

function gitlabSteps(template: string): CiStep[] {
  const variables = variablesOf(block(template, /^variables:\n((?: {2}.*\n)+)/m));
  return [...template.matchAll(/^ {2}script:\n((?: {4}.*\n)+)/gm)].map(([, list = ""]) => ({
    variables,
    script: linesOf(list)
      .map((line) => plain(line.replace(/^- /, "")))
      .join("\n"),
  }));
}

function githubSteps(template: string): CiStep[] {
  const variables = variablesOf(block(template, /^ {4}env:\n((?: {6}.*\n)+)/m));
  return template.split(/^ {6}- /m).flatMap((step) => {
    const script = block(step, /^ {8}run: \|\n((?: {10}.*\n?)+)/m);
    if (script === "") return [];
    const own = variablesOf(block(step, /^ {8}env:\n((?: {10}.*\n)+)/m));
    return [{ variables: { ...variables, ...own }, script: linesOf(script).join("\n") }];
  });
}

function block(text: string, pattern: RegExp): string {
  return pattern.exec(text)?.[1] ?? "";
}

function linesOf(text: string): string[] {
  return text.split("\n").flatMap((line) => (line.trim() === "" ? [] : [line.trim()]));
}

function variablesOf(text: string): Record<string, string> {
  const lines = linesOf(text).filter((line) => !line.startsWith("#"));
  return Object.fromEntries(
    lines.map((line) => {
      const [, name = "", value = ""] = /^([A-Z_]+): (.+)$/.exec(line) ?? [];
      return [name, plain(value)];
    }),
  );
}

function plain(text: string): string {
  if (PLAIN.test(text)) return text;
  throw new Error(`not a plain line of YAML: ${text}`);
}
