import { afterEach, expect, test } from "vitest";
import { parseGoMod } from "../../gomod/go-mod.ts";
import { isPseudoVersion } from "../../gomod/pseudo-version.ts";
import { compareVersions, type Version, version } from "../../gomod/version.ts";
import { answerQuery, isMadeUp, isRetracted, type VersionQuery } from "../../gomod/version-query.ts";
import { describeWithGo } from "../go-command.ts";
import { cleanUp, goProject } from "./go-project.ts";
import { type Random, random } from "./module-universe.ts";
import { startRecordingProxy } from "./recording-proxy.ts";
import { almostLegacy } from "./release-universe.ts";

const SEEDS = [1, 2, 3];
const MODULES_PER_RUN = 60;
const TIMEOUT = 120_000;

afterEach(cleanUp);

const RELEASES = ["v0.9.0", "v1.0.0", "v1.0.1", "v1.1.0-rc.1", "v1.1.0", "v1.2.0-beta.2", "v1.2.0", "v1.2.3"];
const INCOMPATIBLE = ["v2.0.0-pre+incompatible", "v2.0.0+incompatible", "v3.1.0+incompatible"];
const PSEUDO = ["v0.0.0-20200101000000-aaaaaaaaaaaa", "v1.0.1-0.20220101000000-bbbbbbbbbbbb"];

/** A module of a made-up upstream, the version of it that a project requires, and what the project excludes. */
interface Listed {
  readonly path: string;
  readonly listed: readonly Version[];
  readonly latest: Version | undefined;
  readonly goMods: ReadonlyMap<Version, string>;
  readonly current: Version;
  readonly excluded: readonly Version[];
}

function some<T>(of: readonly T[], pick: Random, one = 2): T[] {
  return of.filter(() => pick(one) === 0);
}

function listedModule(at: number, pick: Random): Listed {
  const path = `example.com/q${at}`;
  const names = [...some(RELEASES, pick, 3), ...(pick(2) === 0 ? some(INCOMPATIBLE, pick) : [])];
  const listed = names.map(version).sort(compareVersions);
  const all = [...listed, ...PSEUDO.map(version)];
  const highest = listed.at(-1);
  const goMods = new Map(
    all.map((name) => {
      const made = `module ${path}\n`;
      if (name.endsWith("+incompatible") || pick(3) === 0) return [name, made];
      const almost = almostLegacy(path);
      if (pick(4) === 0) return [name, almost[pick(almost.length)] ?? made];
      const low = all[pick(all.length)];
      const retract = pick(3) === 0 ? `retract ${low}\n` : pick(4) === 0 ? `retract [${low}, v1.1.0]\n` : "";
      return [name, `${made}\ngo 1.16\n${retract}`];
    }),
  );
  const current = all[pick(all.length)] ?? version("v1.0.0");
  const excluded = some(listed, pick, 6).filter((name) => name !== current && name !== highest);
  return {
    path,
    listed,
    latest: pick(2) === 0 ? version(PSEUDO[pick(2)] ?? "") : highest,
    goMods,
    current,
    excluded,
  };
}

/** The answer over a list, as the mirror finds it: retractions are those of the highest, whatever it is. */
async function answered(module: Listed, query: VersionQuery, of = module.listed) {
  const goMod = (name: Version) => parseGoMod("go.mod", module.goMods.get(name) ?? "", "lax");
  const hasGoMod = async (name: Version) => !isMadeUp(module.path, goMod(name));
  const latest = async () => module.latest;
  const all = await answerQuery(of, latest, { kind: "latest" }, { isAllowed: () => true, hasGoMod });
  const bars = all.found === undefined ? undefined : goMod(all.found);
  const isAllowed = (name: Version) =>
    !module.excluded.includes(name) && (bars === undefined || !isRetracted(name, bars));
  const answer = await answerQuery(of, latest, query, { isAllowed, hasGoMod });
  return { found: answer.found, named: [all.found, all.decider, answer.found, answer.decider] };
}

function proxyOf(modules: readonly Listed[]): Map<string, string> {
  const files = new Map<string, string>();
  for (const { path, listed, latest, goMods } of modules) {
    files.set(`/${path}/@v/list`, listed.map((name) => `${name}\n`).join(""));
    // One time for all, and later than any pseudo-version's: so time keeps nobody from an upgrade.
    const info = (name: string) => JSON.stringify({ Version: name, Time: "2030-01-01T00:00:00Z" });
    if (latest !== undefined) files.set(`/${path}/@latest`, info(latest));
    for (const [name, text] of goMods) {
      files.set(`/${path}/@v/${name}.mod`, text);
      files.set(`/${path}/@v/${name}.info`, info(name));
    }
  }
  return files;
}

describeWithGo("the answer to a version query", () => {
  test.each(SEEDS)(
    "is go's, for M@latest, M@upgrade and M@patch (seed %i)",
    async (seed) => {
      const pick = random(seed);
      const modules = Array.from({ length: MODULES_PER_RUN }, (_, at) => listedModule(at, pick));
      const proxy = await startRecordingProxy(proxyOf(modules));
      try {
        const lines = modules.flatMap(({ path, current, excluded }) => [
          `require ${path} ${current}\n`,
          ...excluded.map((name) => `exclude ${path} ${name}\n`),
        ]);
        const goMod = `module example.com/main\n\ngo 1.21\n\n${lines.join("")}`;
        const project = await goProject(proxy.url, { "go.mod": goMod });
        for (const kind of ["latest", "upgrade", "patch"] as const) {
          const queries = modules.map(({ path }) => `${path}@${kind}`);
          const format = "{{.Path}} {{if .Error}}none{{else}}{{.Version}}{{end}}";
          const printed = await project.go("list", "-mod=mod", "-m", "-e", "-f", format, ...queries);
          const expected = new Map(
            printed
              .trim()
              .split("\n")
              .map((line) => line.split(" ") as [string, string]),
          );
          for (const module of modules) {
            const query: VersionQuery = { kind, current: module.current };
            const { found } = await answered(module, query);
            const said = expected.get(module.path);
            // Where nothing else answers, go stays at the current version, or says that it may not be taken.
            const shown = said === "none" || said === module.current ? undefined : said;
            const here = found === module.current ? undefined : found;
            expect([module, kind, here]).toEqual([module, kind, shown]);
          }
        }
      } finally {
        await proxy.close();
      }
    },
    TIMEOUT,
  );
});

test("an answer stays the same over any part of the list that has what decided it", async () => {
  const pick = random(7);
  let parts = 0;
  for (let at = 0; at < 3_000; at++) {
    const module = listedModule(at, pick);
    for (const kind of ["latest", "upgrade", "patch"] as const) {
      const query: VersionQuery = { kind, current: module.current };
      const { found, named } = await answered(module, query);
      const part = module.listed.filter((name) => named.includes(name) || pick(2) === 0);
      if (part.length < module.listed.length && part.some((name) => !isPseudoVersion(name))) parts++;
      // `@latest` of a mirror is among what it lists; here it stays what it was.
      expect([module, part, (await answered(module, query, part)).found]).toEqual([module, part, found]);
    }
  }
  expect(parts).toBeGreaterThan(1_000);
});
