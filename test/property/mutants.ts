/** A bug to be put into the product: one place of one file, and what stands there instead. */
export interface Mutant {
  readonly name: string;
  /** From the repository's root. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
  /** Caught soon enough for every run of the suite. */
  readonly isQuick?: true;
}

/**
 * Each has to be caught by the schedules. What one in some thousands of them shows has a test of its own instead: a block
 * without its second pass (test/mirror/block.test.ts).
 */
export const MUTANTS: readonly Mutant[] = [
  {
    name: "the watermark moves before the records are written",
    file: "mirror/feed-index.ts",
    find: `      if (!asBefore) await this.#handIn(fresh);
`,
    replace: `      if (!asBefore) {
        await this.#move(page.entries);
        await this.#handIn(fresh);
      }
`,
    isQuick: true,
  },
  {
    name: "a list names a version before its .info is stored",
    file: "mirror/store-files.ts",
    find: "info && (await storeInfo(parts, version, info, files.info?.time, create));",
    replace: `info &&
      (setTimeout(() => storeInfo(parts, version, info, files.info?.time, create).catch(() => {}), 5),
      { sha256: info.sha256, time: files.info?.time });`,
    isQuick: true,
  },
  {
    name: "a ledger write ignores the revision",
    file: "adapters/local/memory-series.ts",
    find: `if ((items.get(key)?.revision ?? 0) !== item.revision) return "changed";`,
    replace: "",
  },
  {
    name: "tree.replace ignores the ETag",
    file: "adapters/local/memory-tree.ts",
    find: `if ((current && sha256Of(current)) !== previous) return "changed";`,
    replace: "void current; void previous;",
  },
  {
    name: "tree.create overwrites what is there",
    file: "adapters/local/memory-tree.ts",
    find: `if (this.#objects.has(key)) return "exists";`,
    replace: "",
  },
  {
    name: "a head is published before its tiles",
    file: "mirror/checksum-database.ts",
    find: `    await this.#tiles.store(tiles);
    (await this.#open()).stored(tiles.map(({ tile }) => tile));
    await this.#publishHead(head, fill);
`,
    replace: `    await this.#publishHead(head, fill);
    await this.#tiles.store(tiles);
    (await this.#open()).stored(tiles.map(({ tile }) => tile));
`,
  },
  {
    name: "a lookup is stored before the tiles that prove it",
    file: "mirror/checksum-database.ts",
    find: `    await this.#stop.guard(async () => {
      await this.#publishProven(proven);
    });
    await this.#stop.check();
    await storeLookup(this.#parts.tree, this.name, version, proven);
`,
    replace: `    await storeLookup(this.#parts.tree, this.name, version, proven);
    await this.#publishProven(proven);
`,
  },
  {
    name: "a root is listed without its closure",
    file: "mirror/settle.ts",
    find: "if (!needs.every((need) => isHeld(need, records))) continue;",
    replace: "if (!needs.some((need) => isHeld(need, records))) continue;",
    isQuick: true,
  },
  {
    name: "a block leaves the version on the list",
    file: "mirror/publish.ts",
    find: `  await shrinkList(parts, path, remove);
`,
    replace: "",
    isQuick: true,
  },
  {
    name: "a block leaves on their lists the roots that need the version",
    file: "mirror/block.ts",
    find: "const unlisted = await unlistDependents(parts, isMeant, pass.walk(after));",
    replace:
      "const unlisted = { roots: pass.walk(after) === undefined ? 1 : 0, isDone: isMeant !== undefined };",
  },
  {
    name: "a block takes zips out before the roots that need them are off their lists",
    file: "mirror/block.ts",
    find: "      versions += await refuseVersions(parts, some, block);\n",
    replace: `      versions += await refuseVersions(parts, some, block);
      await takeOut(parts, (await parts.ledger.read(some)).filter((record) => record !== undefined));
`,
  },
  {
    name: "blocks do not find requests whose names have a slash",
    file: "mirror/requests.ts",
    find: "/^requests\\/(.+)\\/([^/]+)\\/closure",
    replace: "/^requests\\/([^/]+)\\/([^/]+)\\/closure",
  },
  {
    name: "a version that is HELD counts as held",
    file: "mirror/missing.ts",
    find: `return record !== undefined && covers(dependable(record), extent);`,
    replace: `return record !== undefined && (record.state === "HELD" || covers(record.held, extent));`,
    isQuick: true,
  },
  {
    name: "a record says whole before the zip is stored",
    file: "mirror/store-files.ts",
    find: "zip && (await storeZip(parts, version, zip, files.zip?.h1, create));",
    replace: `zip &&
      (setTimeout(() => storeZip(parts, version, zip, files.zip?.h1, create).catch(() => {}), 5),
      { sha256: zip.sha256, size: sizeOf(zip.body) });`,
    isQuick: true,
  },
  {
    name: "reconcile forgets what has FAILED, and the requests that wait for it",
    file: "mirror/reconcile.ts",
    find: "  if (item.due === undefined) return false;\n",
    replace: `  if (item.due === undefined || item.state === "FAILED" || item.state === "INCOMPLETE") return false;\n`,
  },
  {
    name: "a zip is taken out before it lies in quarantine",
    file: "mirror/quarantine.ts",
    find: `    await vault.put(zipVaultKey(version), bytes);
    // \`changed\`: another one was stored meanwhile, which goes the same way.
    if ((await tree.remove(key, stored.etag)) === "removed") return;
`,
    replace: `    const isOut = (await tree.remove(key, stored.etag)) === "removed";
    await vault.put(zipVaultKey(version), bytes);
    if (isOut) return;
`,
  },
  {
    name: "an unblock says READY before the zip is back",
    file: "mirror/unblock.ts",
    find: `const ready = note?.state === "kept" && note.ready && (await restore(parts, record));`,
    replace: `const ready = note?.state === "kept" && note.ready;
  setTimeout(() => restore(parts, record).catch(() => {}), 5);`,
  },
  {
    name: "an index's overlap is not read again",
    file: "mirror/feed-index.ts",
    find: "known === undefined ? this.#position : secondsBefore(known, OVERLAP);",
    replace: "this.#position;",
  },
  {
    name: "what a policy refused is not asked again under another one",
    file: "mirror/policy-sweep.ts",
    find: "if (begun === undefined && isDone) return 0;",
    replace: "if (known !== undefined) return 0;",
  },
  {
    name: "completeUntil does not wait for what has FAILED",
    file: "mirror/feed-work.ts",
    find: `  return record.state === "FAILED";`,
    replace: "  return false;",
  },
  {
    name: "completeUntil does not wait for what comes out of HELD",
    file: "mirror/feed-work.ts",
    find: `  if (record.state === "PENDING") return !wasGivenUp(record);`,
    replace: `  if (record.state === "PENDING") return record.lastError?.class !== "denied" && !wasGivenUp(record);`,
  },
  {
    name: "completeUntil passes a root whose closure is at work",
    file: "mirror/feed-work.ts",
    find: `record.state === "READY" && record.awaited === true && !record.listed;`,
    replace: "false;",
  },
  {
    name: "a version that is being fetched is answered with a 404",
    file: "mirror/not-there.ts",
    find: `    case "GONE":
    case "WITHHELD":
      return notFound(`,
    replace: `    case "PENDING":
    case "GONE":
    case "WITHHELD":
      return notFound(`,
  },
  {
    name: "a lifted block is forgotten at once, whoever still goes by it",
    file: "mirror/reconcile.ts",
    find: "  await finishUnblocks(parts, blocks, deadline);\n",
    replace: "",
  },
  {
    name: "an unblock leaves what a block has begun half done",
    file: "mirror/unblock.ts",
    find: "if (inForce && block.applied === undefined && (await applyBlock(parts, block, deadline)).unfinished) {",
    replace: "if (inForce && block.at < 0 && (await applyBlock(parts, block, deadline)).unfinished) {",
  },
  {
    name: "roots that only a list names stay there when what they need is blocked",
    file: "mirror/dependents.ts",
    find: `if (held === "whole") byPath`,
    replace: `if (records.some((known) => known.listed && known.path === path && known.version === version)) byPath`,
  },
];
