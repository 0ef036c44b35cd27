import { parseGoMod } from "../../gomod/go-mod.ts";
import type { MainModule } from "../../gomod/module-graph.ts";
import type { UniverseModule } from "./module-universe.ts";

/** In short: `name version go: requirements | what the root package imports`, such as `a v1.0.0 1.21: d v1.0.0 | d`. */
export function modules(...lines: string[]): UniverseModule[] {
  return lines.map((line) => {
    const [declared = "", imported = ""] = line.split("|");
    const [head = "", tail = ""] = declared.split(":");
    const [name, version = "", go] = head.trim().split(" ");
    const require = listed(tail).map((text) => {
      const [path = "", wanted = "", indirect] = text.split(" ");
      return { path: `example.com/${path}`, version: wanted, indirect: indirect !== undefined };
    });
    const imports = { root: listed(imported).map((path) => `example.com/${path}`), sub: [], test: [] };
    return { path: `example.com/${name}`, version, go, require, imports };
  });
}

function listed(text: string): string[] {
  return text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}

/** A main module, given the lines after its module line. */
export function main(text: string): MainModule {
  return { name: "go.mod", goMod: parseGoMod("go.mod", `module example.com/main\n${text}`, "strict") };
}
