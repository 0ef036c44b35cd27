import type { Collected } from "../mirror/garbage/collect.ts";

/** What a run of garbage collection comes to, for people. */
export function garbageLines(collected: Collected, what: "would" | "done"): string[] {
  const { held, ended, expired, kept, deleted, removing, acted, list, dollars, unfinished, outcome } =
    collected;
  const { forgotten } = collected;
  if (outcome !== "ran") return ["another run is at work; try again when it has ended"];
  const lines: string[] = [];
  if (ended > 0) lines.push(`${ended} requests are over and are not tried again`);
  for (const name of expired) lines.push(`snapshot ${name} has expired`);
  if (kept > 0) lines.push(`${kept} versions on their way out are needed after all`);
  if (deleted.versions > 0)
    lines.push(
      `${deleted.versions} versions are gone: ${size(deleted.bytes)}, ${price(dollars.deleted)} a month`,
    );
  if (acted?.problem !== undefined) lines.push(acted.problem);
  else if (acted !== undefined)
    lines.push(
      `of list ${acted.run} ${acted.removing} versions are off their lists, ${acted.spared} are needed again or wanted meanwhile, ${acted.objects} objects of the vault are gone`,
    );
  if (forgotten.versions + forgotten.requests > 0)
    lines.push(
      `${forgotten.versions} versions and ${forgotten.requests} requests that were gone long ago are forgotten`,
    );
  if (removing > 0) lines.push(`${removing} versions are on their way out; a later run takes their files`);
  if (list === undefined || list.versions + list.objects === 0)
    lines.push(`nothing to collect among ${held.versions} held versions, ${size(held.bytes)}`);
  else lines.push(...listLines(list, dollars.listed, what));
  if (unfinished) lines.push("not all of it was done; run it again");
  return lines;
}

function listLines(list: NonNullable<Collected["list"]>, dollars: number, what: "would" | "done"): string[] {
  const { run, versions, objects, bytes, share, stopped, approved, from, more } = list;
  const percent = `${(share * 100).toFixed(1)} % of what is held`;
  const rest = more > 0 ? `, and ${more} more for the next` : "";
  const counts = `${versions} versions (${size(bytes)}, ${price(dollars)} a month, ${percent}) and ${objects} objects of the vault${rest}`;
  if (what === "would") return [`nothing refers to ${counts}`];
  const where = `garbage/${run}.ndjson in the vault names ${counts}`;
  if (stopped === true && approved === undefined)
    return [`${where}: more than garbage.largestShare; look at it, then \`modferry gc --approve ${run}\``];
  return [
    `${where}; a run from ${from === undefined ? "now" : new Date(from).toISOString()} on acts upon it`,
  ];
}

function size(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : `${(bytes / 1e6).toFixed(2)} MB`;
}

function price(dollars: number): string {
  return `$${dollars >= 1 ? dollars.toFixed(2) : dollars.toFixed(4)}`;
}
