import { readFileSync } from "node:fs";
import { join } from "node:path";
import { goProject } from "./go-project.ts";
import { chooseDirect, goFile, type Random, type UniverseModule } from "./module-universe.ts";
import { type ProjectFiles, randomModule } from "./project-files.ts";
import type { RecordingProxy } from "./recording-proxy.ts";

/** Not every random choice is something that go can build. */
const TRIES = 20;

/** A random module that imports from a universe, after `go mod tidy`. */
export async function tidyProject(
  universe: readonly UniverseModule[],
  proxy: RecordingProxy,
  pick: Random,
): Promise<ProjectFiles> {
  for (let tries = 0; tries < TRIES; tries++) {
    const files = randomModule(universe, pick);
    const imports = chooseDirect(universe, pick).map(({ path }) => (pick(3) === 0 ? `${path}/sub` : path));
    const mainGo = goFile("main", imports);
    const project = await goProject(proxy.url, { ...files, "main.go": mainGo });
    const tidied = await succeeds(async () => {
      await project.go("mod", "tidy");
      await project.go("mod", "tidy");
    });
    if (tidied)
      return { ...files, "main.go": mainGo, "go.mod": readFileSync(join(project.dir, "go.mod"), "utf8") };
  }
  throw new Error(`none of ${TRIES} random projects could be tidied`);
}

/** Whether what it does with go works; what else goes wrong is thrown. */
export async function succeeds(body: () => Promise<void>): Promise<boolean> {
  try {
    await body();
    return true;
  } catch (error) {
    if (error instanceof Error && error.message.startsWith("go ")) return false;
    throw error;
  }
}
