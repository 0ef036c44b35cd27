/** One step of a glob: a run of any length without slashes, or one character of a set. */
type Step = "run" | CharacterSet;

interface CharacterSet {
  readonly negated: boolean;
  /** Pairs of first and last code point. */
  readonly ranges: readonly (readonly [number, number])[];
}

const SLASH = 47;
const notSlash: CharacterSet = { negated: true, ranges: [[SLASH, SLASH]] };

/**
 * Whether a leading part of `target` with as many path elements as the glob matches one of the comma-separated globs,
 * as GOPRIVATE and GONOSUMDB are matched (module.MatchPrefixPatterns, path.Match).
 * Empty and malformed globs match nothing. `target` is a module path: ASCII. Time is at most globs × target.
 */
export function matchPrefixPatterns(globs: string, target: string): boolean {
  for (const listed of globs.split(",")) {
    const glob = listed.endsWith("/") ? listed.slice(0, -1) : listed;
    if (glob === "") continue;
    const leading = leadingElements(target, glob.split("/").length);
    const steps = leading === undefined ? undefined : parseGlob(glob);
    if (leading !== undefined && steps !== undefined && matches(steps, leading)) return true;
  }
  return false;
}

/** Whether each of the comma-separated globs can match a module path: not empty, well-formed, of its characters. */
export function arePathPatterns(globs: string): boolean {
  return globs.split(",").every((listed) => {
    const glob = listed.endsWith("/") ? listed.slice(0, -1) : listed;
    return /^[\w~./*?^[\]\\-]+$/.test(glob) && parseGlob(glob) !== undefined;
  });
}

/** The first `count` elements of a path, or undefined where it has fewer. */
function leadingElements(path: string, count: number): string | undefined {
  let end = -1;
  for (let left = count; left > 0; left--) {
    end = path.indexOf("/", end + 1);
    if (end < 0) return left === 1 ? path : undefined;
  }
  return path.slice(0, end);
}

/** The steps of a glob, or undefined where it is malformed. */
function parseGlob(glob: string): Step[] | undefined {
  const steps: Step[] = [];
  for (let at = 0; at < glob.length; ) {
    const character = glob.charAt(at);
    if (character === "*") {
      if (steps.at(-1) !== "run") steps.push("run");
      at++;
    } else if (character === "?") {
      steps.push(notSlash);
      at++;
    } else if (character === "[") {
      const set = parseSet(glob, at + 1);
      if (set === undefined) return undefined;
      steps.push(set);
      at = set.end;
    } else {
      if (character === "\\") at++;
      if (at === glob.length) return undefined;
      const code = glob.charCodeAt(at++);
      steps.push({ negated: false, ranges: [[code, code]] });
    }
  }
  return steps;
}

/** Parses what follows a `[`; `end` is behind its `]`. */
function parseSet(glob: string, start: number): (CharacterSet & { readonly end: number }) | undefined {
  const negated = glob.charAt(start) === "^";
  const ranges: [number, number][] = [];
  for (let at = negated ? start + 1 : start; ; ) {
    if (glob.charAt(at) === "]" && ranges.length > 0) return { negated, ranges, end: at + 1 };
    const low = parseMember(glob, at);
    if (low === undefined) return undefined;
    const high = glob.charAt(low.end) === "-" ? parseMember(glob, low.end + 1) : low;
    if (high === undefined) return undefined;
    ranges.push([low.code, high.code]);
    at = high.end;
  }
}

/**
 * One character inside brackets; a bare `-` or `]` there is malformed, and so are the glob's end and a byte that is no
 * UTF-8 (path.getEsc), which decodeUtf8 has made a lone surrogate.
 */
function parseMember(glob: string, start: number): { code: number; end: number } | undefined {
  const first = glob.charAt(start);
  if (first === "-" || first === "]") return undefined;
  const at = first === "\\" ? start + 1 : start;
  const code = glob.codePointAt(at);
  if (code === undefined || (code >= 0xd800 && code <= 0xdfff)) return undefined;
  return { code, end: at + (code > 0xffff ? 2 : 1) };
}

/** Matches all of `name`: on a mismatch the last run takes one more character, but never a slash. */
function matches(steps: readonly Step[], name: string): boolean {
  let step = 0;
  let at = 0;
  let runStep = -1;
  let runEnd = 0;
  while (at < name.length || step < steps.length) {
    const wanted = steps[step];
    if (wanted === "run") {
      runStep = step++;
      runEnd = at;
    } else if (wanted !== undefined && at < name.length && contains(wanted, name.charCodeAt(at))) {
      step++;
      at++;
    } else {
      if (runStep < 0 || runEnd >= name.length || name.charCodeAt(runEnd) === SLASH) return false;
      at = ++runEnd;
      step = runStep + 1;
    }
  }
  return true;
}

function contains(set: CharacterSet, code: number): boolean {
  return set.ranges.some(([low, high]) => low <= code && code <= high) !== set.negated;
}
