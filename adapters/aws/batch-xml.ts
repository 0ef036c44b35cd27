/** An element of a reply: its children by name, in their order, or its text. */
export interface XmlElement {
  readonly children: ReadonlyMap<string, readonly XmlElement[]>;
  readonly text: string;
}

const LARGEST_REPLY = 1024 * 1024;
const DEEPEST = 32;
const ENTITIES: Readonly<Record<string, string>> = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };
/** A tag, text, or what carries nothing: declaration and comments. No DTD, so no entity but XML's own. */
const TOKEN = /<(\/?)([A-Za-z_][\w.:-]*)(?:\s[^<>]*?)?(\/?)>|<\?[^<>]*\?>|<!--[^<>]*-->|([^<]+)/y;

/**
 * Parses a reply of S3's REST XML protocol: elements and text; attributes are left out. Attacker-controlled.
 * @returns the root's name and content. @throws Error where it is none.
 */
export function parseXml(text: string): { readonly name: string; readonly root: XmlElement } {
  if (text.length > LARGEST_REPLY) throw new Error("larger than any reply");
  const top = element();
  const open: { readonly name: string; readonly node: Node }[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const [, closing, name, selfClosing, words] = TOKEN.exec(text) ?? [];
    const last = open.at(-1);
    if (words !== undefined) {
      if (last !== undefined) last.node.text += unescapeXml(words);
      else if (words.trim() !== "") throw new Error("text outside of its root");
    } else if (name === undefined) {
      if (TOKEN.lastIndex === 0) throw new Error("no XML");
    } else if (closing === "/") {
      if (last?.name !== name) throw new Error(`</${name}> closes nothing`);
      open.pop();
    } else {
      const node = element();
      const { children } = (last?.node ?? top) as Node;
      const known = children.get(name);
      if (known === undefined) children.set(name, [node]);
      else known.push(node);
      if (selfClosing !== "/") open.push({ name, node });
      if (open.length > DEEPEST) throw new Error("nested too deep");
    }
  }
  const [[name, [root] = []] = []] = top.children;
  if (open.length > 0 || name === undefined || root === undefined || top.children.size > 1)
    throw new Error("not one whole root");
  return { name, root };
}

interface Node extends XmlElement {
  readonly children: Map<string, XmlElement[]>;
  text: string;
}

const element = (): Node => ({ children: new Map(), text: "" });

/** Of the first of these; undefined where there is none. */
export function textAt(from: XmlElement | undefined, ...path: readonly string[]): string | undefined {
  return elementsAt(from, ...path)[0]?.text;
}

/** All of the last name, below the first of each name before it. */
export function elementsAt(from: XmlElement | undefined, ...path: readonly string[]): readonly XmlElement[] {
  const name = path.at(-1) ?? "";
  let at = from;
  for (const step of path.slice(0, -1)) at = at?.children.get(step)?.[0];
  return at?.children.get(name) ?? [];
}

/** A value as nested names have it: text, nested elements, or several of one name. */
export type XmlValue = string | readonly string[] | { readonly [name: string]: XmlValue };

/** Prints elements in their order; a list is one of `member` (Smithy, REST XML: lists that are not flattened). */
export function printXml(name: string, value: XmlValue, namespace?: string): string {
  const attribute = namespace === undefined ? "" : ` xmlns="${escapeXml(namespace)}"`;
  const inner =
    typeof value === "string"
      ? escapeXml(value)
      : Array.isArray(value)
        ? value.map((member: string) => printXml("member", member)).join("")
        : Object.entries(value)
            .map(([child, of]) => printXml(child, of))
            .join("");
  return `<${name}${attribute}>${inner}</${name}>`;
}

const escapeXml = (text: string): string =>
  text.replace(/[&<>"\r\n]/g, (sign) => `&#x${sign.charCodeAt(0).toString(16).toUpperCase()};`);

function unescapeXml(text: string): string {
  return text.replace(/&(#x?[0-9A-Fa-f]{1,6}|[a-z]{1,8});/g, (whole, name: string) => {
    if (!name.startsWith("#")) return ENTITIES[name] ?? whole;
    const code = name.startsWith("#x") ? Number.parseInt(name.slice(2), 16) : Number(name.slice(1));
    return Number.isInteger(code) && code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}
