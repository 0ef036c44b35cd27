import { listModuleFolder } from "../../adapters/local/module-folder.ts";
import { checkFiles } from "../../gomod/zip-rules.ts";
import type { GoChecked } from "./module-files.ts";

/** Files and what is wrong with each. */
export type Problems = GoChecked["omitted"];

/** As x/mod's CheckDir: what the list says, then what the listing left out. */
export async function checkFolder(folder: string) {
  const { files, omitted } = await listModuleFolder(folder);
  const checked = await checkFiles(files);
  const valid = checked.valid.map((file) => file.path);
  return {
    valid,
    omitted: [...checked.omitted, ...omitted],
    invalid: checked.invalid,
    sizeProblem: checked.sizeProblem,
  };
}
