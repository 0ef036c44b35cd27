import { execFileSync } from "node:child_process";
import { chmod, cp, mkdir, mkdtemp, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * `npm run package`: one archive that installs where no registry is at hand. It has the command line with a Node to run
 * it, the stacks as synthesized of modferry.config.ts (or of the file that `npm run package -- FILE` names) with the
 * functions' code, the CDK's command line that deploys them, and the documents.
 */
const project = import.meta.dirname;
const configuration = process.argv[2] ?? "modferry.config.ts";
const { version } = JSON.parse(await readFile(join(project, "package.json"), "utf8")) as { version: string };
const name = `modferry-${version}`;
const archive = join(project, "dist", `${name}-${process.platform}-${process.arch}.tar.gz`);

const node = (args: readonly string[]) =>
  execFileSync(process.execPath, args, { cwd: project, stdio: "inherit" });
const scratch = await mkdtemp(join(tmpdir(), "modferry-package-"));
try {
  const root = join(scratch, name);
  for (const folder of ["bin", "lib", "node"]) await mkdir(join(root, folder), { recursive: true });
  node(["build.ts"]);
  const cdk = join(project, "node_modules/aws-cdk");
  const synth = [
    "synth",
    "--quiet",
    "--output",
    join(root, "cdk.out"),
    "-c",
    `configuration=${configuration}`,
  ];
  node([join(cdk, "bin/cdk"), ...synth]);

  for (const file of ["modferry.mjs", "THIRD_PARTY_LICENSES"])
    await cp(join(project, "dist", file), join(root, "lib", file));
  await cp(cdk, join(root, "lib/aws-cdk"), { recursive: true, dereference: true });
  await cp(await realpath(process.execPath), join(root, "node/node"));
  for (const path of ["docs", "README.md", "LICENSE"])
    await cp(join(project, path), join(root, path), { recursive: true });
  await rm(join(root, "docs/plan"), { recursive: true, force: true });
  await program(
    join(root, "bin/modferry"),
    'exec "$root/node/node" --no-warnings "$root/lib/modferry.mjs" "$@"',
  );
  const deploy = 'exec "$root/node/node" "$root/lib/aws-cdk/bin/cdk" --app "$root/cdk.out" "$@"';
  await program(join(root, "bin/cdk"), deploy);
  await writeFile(join(root, "INSTALL.md"), installation(name));

  await rm(archive, { force: true });
  execFileSync("tar", ["-czf", archive, "-C", scratch, name], { stdio: "inherit" });
  console.log(archive);
} finally {
  await rm(scratch, { recursive: true, force: true });
}

/** A POSIX shell script that finds what lies beside it, also through a link to it. */
async function program(path: string, line: string): Promise<void> {
  const text = `#!/bin/sh
# The CDK writes no notices and asks nobody: there is no network here.
export CDK_DISABLE_CLI_TELEMETRY=true
file="$0"
while [ -L "$file" ]; do
  target=$(readlink "$file")
  case "$target" in /*) file="$target" ;; *) file="$(dirname "$file")/$target" ;; esac
done
root=$(cd "$(dirname "$file")/.." && pwd)
${line}
`;
  await writeFile(path, text);
  await chmod(path, 0o755);
}

function installation(folder: string): string {
  return `# Installing modferry where no registry is at hand

Unpack the archive where it is to stay, such as /opt; nothing else has to be installed.

    tar -xzf ${folder}-*.tar.gz -C /opt
    ln -s /opt/${folder}/bin/modferry /usr/local/bin/modferry

On an island that is fed by disc (docs/bundles.md):

    modferry import BUNDLE… --mirror DIR --trust KEYS
    modferry serve --mirror DIR --listen 0.0.0.0:3000

In an AWS account (docs/deploy.md), with the stacks as they were synthesized of the configuration that lay there when this
archive was made; the account and region are those of your credentials:

    bin/cdk bootstrap
    bin/cdk deploy --all

Another configuration needs another archive: \`npm run package -- FILE\`, where the network is.
`;
}
