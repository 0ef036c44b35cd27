import type { Mutant } from "../mutants.ts";

/** The process that runs schedules of a mirror that collects its garbage, for runSchedules. */
export const GARBAGE_CHILD = "garbage/garbage-child.ts";

/** Bugs in garbage collection; each has to be caught by its schedules. */
export const GARBAGE_MUTANTS: readonly Mutant[] = [
  {
    name: "a listed version's closure is not kept with it",
    file: "mirror/garbage/references.ts",
    find: "fresh.filter((version) => isListed(listed, version) && !marks.isClosed(formatModuleVersion(version))),",
    replace: "[],",
  },
  {
    name: "what was wanted since the list was written is collected all the same",
    file: "mirror/garbage/sweep.ts",
    find: "  if (record.wantedAt !== line.wantedAt) return undefined;\n",
    replace: "",
  },
  {
    name: "what is held and wanted again leaves no trace in its record",
    file: "mirror/dispatch.ts",
    find: `  return mayBeListed && record.state === "READY" ? { ...record, wantedAt: now } : record;`,
    replace: "  return mayBeListed && now < 0 ? { ...record, wantedAt: now } : record;",
  },
  {
    name: "files go as soon as a version is off its list",
    file: "mirror/garbage/collect.ts",
    find: "  return onlyWriter ? seen : Math.max(seen, REMOVAL_WAIT);",
    replace: "  return onlyWriter ? seen : Math.max(0, REMOVAL_WAIT - 900_000);",
  },
  {
    name: "a root may be listed although what it needs is being collected",
    file: "mirror/records.ts",
    find: `  return state === "REMOVING" ? (removal?.keeps ?? "nothing") : held;`,
    replace: `  return state === "REMOVING" ? (removal?.keeps ?? held) : held;`,
    isQuick: true,
  },
  {
    name: "files go although their record was taken back meanwhile",
    file: "mirror/garbage/delete-files.ts",
    find: `  return written === undefined || written === "changed" ? undefined : written;`,
    replace: `  return written === undefined || written === "changed" ? next : written;`,
  },
  {
    name: "the newest request of a name ends the others before it is resolved",
    file: "mirror/garbage/current-requests.ts",
    find: "      isCovered = await replaces(request, isWhole);",
    replace: "      isCovered = (await replaces(request, isWhole)) || true;",
  },
  {
    name: "files go in the order of publishing",
    file: "mirror/garbage/delete-files.ts",
    find: "  for (const key of keys) await removeFile(parts, key);",
    replace: "  for (const key of keys.reverse()) await removeFile(parts, key);",
    isQuick: true,
  },
  {
    name: "what a snapshot names is deleted with the rest",
    file: "mirror/garbage/removable.ts",
    find: "  for (const name of await snapshots.naming(open)) open.delete(name);\n",
    replace: "",
    isQuick: true,
  },
  {
    name: "what a list still names, or what that needs, loses its files",
    file: "mirror/garbage/removable.ts",
    find: "    return (await known).has(version);",
    replace: "    return (await known).has(version) && known === undefined;",
  },
  {
    name: "a go.mod that graphs read goes with the zip",
    file: "mirror/garbage/delete-files.ts",
    find: "    ...(keepsMod ? [] : [modKey(record)]),",
    replace: "    modKey(record),",
    isQuick: true,
  },
  {
    name: "what is collected is forgotten although somebody waits for it",
    file: "mirror/garbage/removal.ts",
    find: "  if (removal.wanted !== undefined && !covers(rest.held, removal.wanted))",
    replace: "  if (removal.wanted !== undefined && covers(rest.held, removal.wanted))",
  },
  {
    name: "a pinned snapshot is no reference",
    file: "mirror/garbage/snapshot-holds.ts",
    find: "filter((name) => name === mark || isPinned(pins, name, now())),",
    replace: "filter((name) => name === mark && isPinned(pins, name, now())),",
  },
];
