import { readdirSync } from "node:fs";
import { join, resolve } from "node:path";

const projectsDir = resolve(import.meta.dirname, "../e2e/projects");
const corporaDir = resolve(import.meta.dirname, "corpora");

/** A Go main module of the test world: a folder with go.mod and go.sum (a project also has main.go). */
export interface SampleProject {
  readonly name: string;
  readonly dir: string;
}

/** The sample projects under test/e2e/projects/, each of another shape: legacy, modern, shouting. */
export function sampleProjects(): SampleProject[] {
  return readdirSync(projectsDir)
    .sort()
    .map((name) => ({ name, dir: join(projectsDir, name) }));
}

/**
 * The folder of a sample project (`modern`, `legacy`, `shouting`), of a bench corpus (`small`: 36 modules,
 * `medium`: 219; each with its module list in modules.txt), or of the project at the path `name`.
 */
export function projectDir(name: string): string {
  if (name === "small" || name === "medium") return join(corporaDir, name);
  return sampleProjects().find((project) => project.name === name)?.dir ?? resolve(name);
}
