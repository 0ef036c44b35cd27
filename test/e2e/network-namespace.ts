import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A network of its own with nothing but a loopback: no route leads out of it. */
export interface NetworkNamespace {
  /** What to put before a command so that it runs inside. */
  readonly enter: readonly string[];
  /** A folder for PATH in which `go` is the real one, run inside. */
  readonly bin: string;
  close(): void;
}

/** undefined where this user may not make one. */
export function networkNamespace(): NetworkNamespace | undefined {
  const folder = mkdtempSync(join(tmpdir(), "modferry-net-"));
  const file = join(folder, "net");
  const enter = ["nsenter", `--net=${file}`];
  try {
    writeFileSync(file, "");
    execFileSync("unshare", [`--net=${file}`, "true"], { stdio: "ignore" });
    execFileSync("nsenter", [`--net=${file}`, "ip", "link", "set", "lo", "up"], { stdio: "ignore" });
    const go = execFileSync("which", ["go"], { encoding: "utf8" }).trim();
    const wrapper = join(folder, "go");
    writeFileSync(wrapper, `#!/bin/sh\nexec nsenter --net=${file} ${go} "$@"\n`);
    chmodSync(wrapper, 0o755);
  } catch {
    rmSync(folder, { recursive: true, force: true });
    return undefined;
  }
  return {
    enter,
    bin: folder,
    close: () => {
      execFileSync("umount", [file]);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
