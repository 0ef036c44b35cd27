import { FormatError } from "./format-error.ts";
import { quote } from "./go-quote.ts";
import { decodeUtf8 } from "./go-unicode.ts";
import { type Version, version } from "./version.ts";
import { foldCase } from "./zip-names.ts";

/** Where a version came from (cmd/go's codehost.Origin); a field that is absent is not known. */
export interface Origin {
  readonly vcs?: string;
  readonly url?: string;
  readonly subdir?: string;
  readonly hash?: string;
  readonly tagPrefix?: string;
  readonly tagSum?: string;
  readonly ref?: string;
  readonly repoSum?: string;
}

/** What a `.info` file or `@latest` says (cmd/go's modfetch.RevInfo). */
export interface Info {
  readonly version: Version;
  /** The commit's time, RFC 3339, verbatim: it may carry nanoseconds, which a Date loses. */
  readonly time?: string;
  readonly origin?: Origin;
}

/** Ours (go has none): those of the public proxy are below 1 KB. */
export const MAX_INFO_BYTES = 64 * 1024;
/** Ours: the longest value of an Origin field, in UTF-16 units. */
export const MAX_ORIGIN_FIELD_LENGTH = 4096;

/** Origin's fields by their JSON names, in the order in which cmd/go writes them. */
const originFields = [
  ["VCS", "vcs"],
  ["URL", "url"],
  ["Subdir", "subdir"],
  ["Hash", "hash"],
  ["TagPrefix", "tagPrefix"],
  ["TagSum", "tagSum"],
  ["Ref", "ref"],
  ["RepoSum", "repoSum"],
] as const satisfies readonly (readonly [string, keyof Origin])[];

/** What Go prints for a time that is not known (time.Time's zero value). */
const ZERO_TIME = "0001-01-01T00:00:00Z";
const rfc3339 =
  /^(\d{4})-(\d{2})-(\d{2})T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/;

/**
 * Parses what an upstream gives as `.info` or `@latest`. Field names match in any case, as in Go's encoding/json;
 * unknown fields are passed over.
 * @param expected the version that was asked for, which the answer must repeat
 * @throws FormatError where it is larger than 64 KiB, no JSON object, names no canonical version or another one
 * than expected, has a field of a wrong type or in two cases, or a time that is not RFC 3339.
 */
export function parseInfo(text: string | Uint8Array, expected?: Version): Info {
  const subject = expected === undefined ? "@latest" : `${expected}.info`;
  const fields = parseObject(subject, text);
  const found = stringField(subject, fields, "Version") ?? "";
  if (expected !== undefined && found !== expected) {
    throw new FormatError(subject, `${subject} is of version ${quote(found)} instead of the requested one`);
  }
  const time = stringField(subject, fields, "Time");
  if (time !== undefined && !isRfc3339(time)) {
    throw new FormatError(subject, `${subject}: Time ${quote(time)} is not RFC 3339`);
  }
  const origin = parseOrigin(subject, fields.get("origin"));
  return {
    version: version(found),
    ...(time === undefined ? {} : { time }),
    ...(origin === undefined ? {} : { origin }),
  };
}

/** The `.info` as cmd/go writes it (encoding/json of modfetch.RevInfo), with the time verbatim; no line break. */
export function printInfo(info: Info): string {
  const origin = info.origin;
  const printed = {
    Version: info.version,
    Time: info.time ?? ZERO_TIME,
    ...(origin === undefined
      ? {}
      : {
          Origin: Object.fromEntries(originFields.map(([name, field]) => [name, origin[field] || undefined])),
        }),
  };
  // encoding/json escapes what could end a script element or a JavaScript line.
  const escaped = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return JSON.stringify(printed).replace(/[<>&\u2028\u2029]/g, escaped);
}

function parseOrigin(subject: string, value: unknown): Origin | undefined {
  if (value === undefined || value === null) return undefined;
  const fields = objectFields(`${subject}: Origin`, value);
  const origin: { -readonly [Field in keyof Origin]: Origin[Field] } = {};
  for (const [name, field] of originFields) {
    const text = stringField(`${subject}: Origin`, fields, name);
    if (text === undefined || text === "") continue;
    if (text.length > MAX_ORIGIN_FIELD_LENGTH) {
      throw new FormatError(subject, `${subject}: Origin.${name} is longer than ${MAX_ORIGIN_FIELD_LENGTH}`);
    }
    origin[field] = text;
  }
  return origin;
}

function parseObject(subject: string, text: string | Uint8Array): Map<string, unknown> {
  const size = typeof text === "string" ? Buffer.byteLength(text) : text.length;
  if (size > MAX_INFO_BYTES) {
    throw new FormatError(subject, `${subject}: ${size} bytes, more than ${MAX_INFO_BYTES}`);
  }
  let value: unknown;
  let source: string;
  try {
    source = typeof text === "string" ? text : decodeUtf8(text);
    value = JSON.parse(source);
  } catch {
    throw new FormatError(subject, `${subject} is not JSON`);
  }
  const repeated = repeatedName(source);
  if (repeated !== undefined) throw new FormatError(subject, `${subject} has ${quote(repeated)} twice`);
  return objectFields(subject, value);
}

/**
 * A name that an object of this JSON has twice. JSON.parse takes the last one, encoding/json merges objects: such a
 * file would say one thing to go and another to us.
 */
function repeatedName(json: string): string | undefined {
  const open: (Set<string> | undefined)[] = [];
  for (const found of json.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?|[{}[\]]/g)) {
    const [token, colon] = found;
    if (token === "{") open.push(new Set());
    else if (token === "[") open.push(undefined);
    else if (token === "}" || token === "]") open.pop();
    else if (colon !== undefined) {
      const name = String(JSON.parse(token.slice(0, -colon.length)));
      if (open.at(-1)?.has(name)) return name;
      open.at(-1)?.add(name);
    }
  }
  return undefined;
}

/** The fields under their names folded as encoding/json folds them (`ſ` is an s); one that is there as `Version` and `version` says two things. */
function objectFields(subject: string, value: unknown): Map<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new FormatError(subject, `${subject} is not a JSON object`);
  }
  const fields = new Map<string, unknown>();
  for (const [name, field] of Object.entries(value)) {
    const folded = foldCase(name);
    if (fields.has(folded)) throw new FormatError(subject, `${subject} has ${quote(name)} twice`);
    fields.set(folded, field);
  }
  return fields;
}

/** The text of a field; null counts as absent, as in encoding/json. */
function stringField(subject: string, fields: Map<string, unknown>, name: string): string | undefined {
  const value = fields.get(foldCase(name));
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "string") throw new FormatError(subject, `${subject}: ${name} is not a string`);
  return value.toWellFormed();
}

/** RFC 3339 as Go writes it. Go's reader also takes a one-digit hour and a comma, which nothing writes. */
function isRfc3339(text: string): boolean {
  const parts = rfc3339.exec(text);
  if (parts === null) return false;
  const [year, month, day] = [Number(parts[1]), Number(parts[2]), Number(parts[3])];
  const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  const days = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1] ?? 0;
  return day >= 1 && day <= days;
}
