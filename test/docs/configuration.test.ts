import { readFileSync } from "node:fs";
import { join } from "node:path";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import type { z } from "zod";
import { configurationShape, defineMirror } from "../../infra/configuration.ts";

const page = readFileSync(join(import.meta.dirname, "../../docs/configuration.md"), "utf8");

/** A field of the configuration, as the shapes have it. */
interface Field {
  readonly path: string;
  /** As JSON; undefined where there is none. */
  readonly preset: string | undefined;
  readonly isRequired: boolean;
  /** Of an enum or a union of literals. */
  readonly words: readonly string[];
}

/** What this walk has to know of zod's own description of a shape (zod 4, core/schemas.ts). */
interface Node {
  readonly shape?: Readonly<Record<string, Node>>;
  readonly def: {
    readonly type: string;
    readonly innerType?: Node;
    readonly element?: Node;
    readonly options?: readonly Node[];
    readonly entries?: Readonly<Record<string, string>>;
    readonly values?: readonly unknown[];
    readonly defaultValue?: unknown;
  };
}

const WRAPPERS = ["optional", "default", "prefault"];
const LEAVES = ["string", "number", "boolean", "record", "enum", "literal"];

/** Every property of every object, in the shapes' order. @throws Error at a kind of shape that this does not know. */
function fieldsOf(shape: z.ZodType): Field[] {
  const fields: Field[] = [];
  const visit = (node: Node, path: string, isProperty: boolean): void => {
    let bare = node;
    let preset: unknown;
    while (WRAPPERS.includes(bare.def.type) && bare.def.innerType !== undefined) {
      preset ??= bare.def.defaultValue;
      bare = bare.def.innerType;
    }
    const { type, element, options = [], entries = {} } = bare.def;
    const words = [
      ...Object.values(entries),
      ...options.flatMap(({ def: { values = [] } }) => values.map(String)),
    ];
    if (isProperty) fields.push({ path, preset: asJson(preset), isRequired: bare === node, words });
    if (bare.shape !== undefined)
      for (const [name, property] of Object.entries(bare.shape))
        visit(property, path === "" ? name : `${path}.${name}`, true);
    else if (element !== undefined) visit(element, `${path}[]`, false);
    else if (options.length > 0) for (const option of options) visit(option, path, false);
    else if (!LEAVES.includes(type)) throw new Error(`${path}: a shape of kind ${type}: teach this test`);
  };
  visit(shape as unknown as Node, "", false);
  return fields;
}

function asJson(value: unknown): string | undefined {
  return value === undefined ? undefined : JSON.stringify(value);
}

/** The page's rows: a field in backticks, its type, its default, what it means. */
const rows = new Map(
  [...page.matchAll(/^\| `([^`]+)` \| (.*?) \| (.*?) ?\| (.*?) ?\|$/gm)].map(
    ([, path = "", type = "", preset = "", meaning = ""]) => [path, { type, preset, meaning }],
  ),
);
const fields = fieldsOf(configurationShape);

describe("docs/configuration.md", () => {
  test("names every field of the configuration, and none that is not there", () => {
    expect([...rows.keys()].sort()).toEqual(fields.map(({ path }) => path).sort());
  });

  test.each(fields)("$path: the page has its default, and the words that it takes", (field) => {
    const { type = "", preset = "", meaning = "" } = rows.get(field.path) ?? {};
    if (field.isRequired) expect(preset).toBe("required");
    else if (field.preset === undefined) expect(preset).toBe("none");
    // What an object or a list holds by default stands with its own fields, or in words.
    else if (/^[^[{]|^(\[\]|\{\})$/.test(field.preset) && preset !== "")
      expect(preset.replaceAll("`", "")).toBe(field.preset.replaceAll('"', ""));
    for (const word of field.words) expect(type).toContain(word);
    expect(type).not.toBe("");
    if (type !== "object") expect(meaning).not.toBe("");
  });

  const examples = [...page.matchAll(/^```js\n(.*?)^```$/gms)].map(([, text = ""]) => text);

  test("has an example of each part", () => {
    expect(examples.length).toBeGreaterThanOrEqual(7);
    const shown = examples.join("\n");
    const parts = new Set(fields.map(({ path }) => /^\w+/.exec(path)?.[0] ?? ""));
    // One number, said in its row.
    parts.delete("limits");
    for (const part of parts) expect(shown).toMatch(new RegExp(`^${part}: `, "m"));
  });

  test.each(examples)("its example %# is a configuration", (example) => {
    const base = `name: "docs", upstreams: [{ name: "general", url: "https://goproxy.example.com" }]`;
    // A field that is there twice is the later one.
    const input: unknown = runInNewContext(`JSON.stringify({ ${base}, ${example} })`);
    expect(() => defineMirror(JSON.parse(String(input)))).not.toThrow();
  });
});
