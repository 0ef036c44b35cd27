import type { BundleReport, ReportedModule, ReportedVersion } from "./inspect.ts";

const STYLE = `body{font:14px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1b1f24}
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid #d0d7de}
td.n{text-align:right;white-space:nowrap}.bad{color:#b00020;font-weight:600}.new{color:#0a5}code{font:13px ui-monospace,monospace}`;

/** The report as one page without anything from elsewhere. All that comes out of the bundle is escaped. */
export function reportHtml(report: BundleReport): string {
  const { bundle, trusted, modules, removed, blocks } = report;
  const facts: readonly (readonly [string, string])[] = [
    ["kind", bundle.kind],
    ["from", bundle.from?.name ?? "nothing"],
    ["to", `${bundle.to.name}, state of ${new Date(bundle.to.until).toISOString()}`],
    ["signed by", `${bundle.signer}${trusted ? ", which is trusted" : ""}`],
    ["versions", `${bundle.counts.versions} of ${bundle.counts.modules} modules`],
    ["size", `${bundle.counts.bytes} bytes in ${bundle.counts.files} files`],
    ["packs", bundle.packs.map(({ name, missing }) => `${name}${missing ? " (missing)" : ""}`).join(", ")],
    ["vulnerability database", report.vulndb ?? "none in it"],
    ...bundle.introduces.map(({ key }) => ["introduces the key", key] as const),
  ];
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>${escapeHtml(bundle.name)}</title><style>${STYLE}</style>
<h1>${escapeHtml(bundle.name)}</h1>
${trusted ? "" : `<p class="bad">Not signed by a trusted key: this page says what the bundle says of itself.</p>\n`}<table>
${facts.map(([name, value]) => `<tr><th>${name}<td>${escapeHtml(value)}`).join("\n")}
</table>
<h2>Known vulnerabilities</h2>
${vulnerable(modules)}
<h2>Modules</h2>
<table><tr><th>module<th>version<th>bytes<th>licences<th>vulnerabilities
${modules.flatMap(rowsOf).join("\n")}
</table>
${listOf("Taken out", removed)}${listOf(
  "Blocked by the other side",
  blocks.map(({ name, reason }) => `${name}: ${reason}`),
)}</html>
`;
}

function vulnerable(modules: readonly ReportedModule[]): string {
  const rows = modules.flatMap(({ path, versions }) =>
    versions.flatMap(({ version, vulnerabilities }) =>
      vulnerabilities.map(
        ({ id, summary = "" }) =>
          `<tr><td class="bad">${escapeHtml(id)}<td><code>${escapeHtml(`${path}@${version}`)}</code><td>${escapeHtml(summary)}`,
      ),
    ),
  );
  return rows.length === 0 ? "<p>none" : `<table>\n${rows.join("\n")}\n</table>`;
}

function rowsOf({ path, isNew, versions }: ReportedModule): string[] {
  return versions.map((one, at) => {
    const name =
      at > 0 ? "" : `<code>${escapeHtml(path)}</code>${isNew ? ' <span class="new">new</span>' : ""}`;
    const state = one.held === "mod" ? " (go.mod only)" : one.listed ? "" : " (not listed)";
    const ids = one.vulnerabilities.map(({ id }) => id).join(", ");
    return `<tr><td>${name}<td><code>${escapeHtml(one.version)}</code>${state}<td class="n">${one.bytes}<td>${escapeHtml(licenceText(one))}<td class="bad">${escapeHtml(ids)}`;
  });
}

/** The licences of a version in one line. */
export function licenceText({ licences, held }: ReportedVersion): string {
  if (held === "mod") return "";
  if (licences.length === 0) return "no licence file";
  return [...new Set(licences.flatMap((found) => found.licences))].join(", ");
}

function listOf(title: string, lines: readonly string[]): string {
  if (lines.length === 0) return "";
  return `<h2>${title}</h2>\n<ul>\n${lines.map((line) => `<li>${escapeHtml(line)}`).join("\n")}\n</ul>\n`;
}

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Also what turns the direction of text. */
function escapeHtml(text: string): string {
  return text
    .replace(/[&<>"']/g, (character) => ESCAPES[character] as string)
    .replace(
      /[\p{Cc}\p{Cf}\u2028\u2029]/gu,
      (character) => `\\u${character.codePointAt(0)?.toString(16).padStart(4, "0")}`,
    );
}
