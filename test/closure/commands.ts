import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Tier } from "../../gomod/closure.ts";
import { type PreparedProject, write } from "./prepared-project.ts";
import type { WishedRoot } from "./projects.ts";
import { type Toolchain, takesGoLine } from "./toolchains.ts";

/** One go command, run from an empty module cache. */
export interface Command {
  readonly args: readonly string[];
  /** What the table calls it, where that is not the arguments. */
  readonly name?: string;
  /** Below the project's folder. */
  readonly folder?: string;
  /** Online, too, it sees the lists of a mirror: what it asks for depends on what is newest. */
  readonly mirrorLists?: true;
  /** The tier predicts what follows from upstream's lists: less of what they lead to is let off. */
  readonly ownLists?: true;
  /** The project's copy is changed so first. */
  readonly before?: (dir: string) => Promise<void>;
}

/** The tiers with the commands that they are for, each beyond those of the tiers before it. */
export const TIERS = ["build", "tidy", "upgrade"] as const satisfies readonly Tier[];

export function commandsOf(project: PreparedProject, tier: Tier, toolchain: Toolchain): Command[] {
  if (tier === "build") return buildCommands(project, toolchain);
  if (tier === "upgrade") return project.subject.upgrade === true ? upgradeCommands(project) : [];
  return project.subject.kind === "wish"
    ? [...wishCommands(project.subject)]
    : tidyCommands(project, project.subject.get, toolchain);
}

/** What upstream's lists lead to is what this tier is for. */
function upgradeCommands({ subject, modules }: PreparedProject): Command[] {
  const commands: Command[] = [{ args: ["list", "-m", "-u", "all"] }];
  for (const folder of modules) {
    const called = folder === "" ? "" : ` (${folder})`;
    const at = folder === "" ? {} : { folder };
    commands.push({ args: ["get", "-u", "./..."], name: `get -u ./...${called}`, ...at });
    commands.push({ args: ["get", "-u=patch", "./..."], name: `get -u=patch ./...${called}`, ...at });
  }
  const [path = ""] = (subject.kind === "wish" ? subject.module : subject.get).split("@");
  const [folder = ""] = modules;
  commands.push({ args: ["get", `${path}@latest`], ...(folder === "" ? {} : { folder }) });
  if (subject.kind === "wish") {
    for (const program of subject.commands)
      commands.push({ args: ["install", `${program}@latest`], name: "install M@latest", before: emptied });
  }
  return commands.map((command) => ({ ...command, ownLists: true }));
}

function buildCommands({ subject, modules }: PreparedProject, toolchain: Toolchain): Command[] {
  const packages = modules.map((folder) => (folder === "" ? "./..." : `./${folder}/...`));
  const compiled: Command[] = [
    { args: ["build", ...packages], name: "build" },
    { args: ["vet", ...packages], name: "vet" },
    { args: ["test", "-run", "^$", ...packages], name: "test" },
  ];
  const listed: Command[] = [{ args: ["list", "-deps", "-test", ...packages], name: "list -deps -test" }];
  return [
    ...(isCompiled(subject.compiled, toolchain) ? compiled : listed),
    { args: ["mod", "verify"] },
    { args: ["mod", "graph"] },
  ];
}

function isCompiled(compiled: "all" | "none" | undefined, { newest }: Toolchain): boolean {
  return compiled === "all" || (compiled === undefined && newest);
}

function tidyCommands(project: PreparedProject, get: string, toolchain: Toolchain): Command[] {
  const { modules } = project;
  const isWorkspace = "go.work" in project.requestFiles;
  const commands: Command[] = [];
  for (const folder of modules) {
    const at = isWorkspace ? { folder } : {};
    const called = isWorkspace ? `mod tidy (${folder})` : "mod tidy";
    commands.push({ args: ["mod", "tidy"], name: called, ...at });
    commands.push({ args: ["mod", "tidy"], name: `${called}, no go.sum`, ...at, before: removeSums });
  }
  commands.push(
    { args: ["mod", "download"] },
    { args: ["mod", "download", "all"] },
    { args: ["list", "-m", "all"] },
    { args: ["mod", "why", "-m", "all"] },
  );
  if (!isWorkspace) commands.push({ args: ["mod", "vendor"] });
  else {
    commands.push({ args: ["work", "sync"] });
    if (takesGoLine(toolchain, "1.22")) commands.push({ args: ["work", "vendor"] });
  }
  const [folder] = modules;
  commands.push({ args: ["get", get], ...(folder === undefined ? {} : { folder }) });
  return commands;
}

function* wishCommands(subject: WishedRoot): Iterable<Command> {
  const { module, go, commands } = subject;
  const empty = async (dir: string) => {
    await rm(dir, { recursive: true });
    await write(dir, { "go.mod": `module example.com/main\n\ngo ${go}\n` });
  };
  yield { args: ["get", module], name: "get M@v, empty module", before: empty };
  yield { args: ["mod", "tidy"] };
  yield {
    args: ["mod", "tidy"],
    name: "mod tidy, only M required",
    // As an author writes it: the import, and one require line.
    before: async (dir) => {
      await removeSums(dir);
      const line = module.replace("@", " ");
      await write(dir, { "go.mod": `module example.com/main\n\ngo ${go}\n\nrequire ${line}\n` });
    },
  };
  yield { args: ["mod", "download"] };
  yield { args: ["mod", "download", "all"] };
  yield { args: ["list", "-m", "all"] };
  yield { args: ["mod", "why", "-m", "all"] };
  yield { args: ["mod", "vendor"] };
  const [path = "", version = ""] = module.split("@");
  yield {
    args: ["get", `${path}@latest`],
    name: "get M@latest, empty module",
    before: empty,
    mirrorLists: true,
  };
  for (const command of commands) {
    yield { args: ["install", `${command}@${version}`], name: "install M@v", before: emptied };
    yield {
      args: ["install", `${command}@latest`],
      name: "install M@latest",
      before: emptied,
      mirrorLists: true,
    };
  }
}

async function emptied(dir: string): Promise<void> {
  await rm(dir, { recursive: true });
  await mkdir(dir);
}

async function removeSums(dir: string): Promise<void> {
  for (const name of ["go.sum", "go.work.sum"]) await rm(join(dir, name), { force: true });
}
