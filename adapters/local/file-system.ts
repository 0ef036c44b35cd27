import { linkSync, realpathSync, rmSync, statfsSync, statSync, writeFileSync } from "node:fs";
import { misuse } from "../../mirror/errors.ts";
import { fileError } from "./file-error.ts";

/**
 * Network file systems by the magic number that statfs gives on Linux (statfs(2), linux/magic.h). On these SQLite's
 * locks and shared memory do not hold between machines, nor does a link made by one show at once to the others.
 */
const NETWORK_FILE_SYSTEMS: ReadonlyMap<number, string> = new Map([
  [0x6969, "NFS"],
  [0x517b, "SMB"],
  [0xff534d42, "CIFS"],
  [0xfe534d42, "SMB2"],
  [0x65735546, "FUSE (sshfs and its like)"],
  [0x01021997, "9P"],
  [0x564c, "NCP"],
  [0x5346414f, "AFS"],
  [0x6b414653, "AFS"],
  [0x73757245, "Coda"],
  [0x00c36400, "Ceph"],
  [0x0bd00bd0, "Lustre"],
  [0x47504653, "GPFS"],
  [0x01161970, "GFS2"],
  [0x7461636f, "OCFS2"],
  [0x786f4256, "VirtualBox shared folder"],
]);

/** The name of the network file system whose statfs type this is; undefined for any other, and off Linux. */
export function networkFileSystem(type: number): string | undefined {
  return process.platform === "linux" ? NETWORK_FILE_SYSTEMS.get(type) : undefined;
}

/** @throws MirrorError misuse when the existing folder lies on a network file system. */
export function refuseNetwork(folder: string): void {
  const found = networkFileSystem(statfsSync(realpathSync(folder)).type);
  if (found === undefined) return;
  throw misuse(
    folder,
    `${folder}: on a network file system, ${found}; name a folder on a disk of this machine`,
  );
}

/**
 * Tries what the tree relies on: hard links, and one file system for all parts.
 * @throws MirrorError misuse where one of them is lacking.
 */
export function checkFileSystem(mirror: string, temporary: string, parts: readonly string[]): void {
  const device = statSync(temporary).dev;
  const apart = parts.find((part) => statSync(part).dev !== device);
  if (apart !== undefined)
    throw misuse(apart, `${apart}: on another file system than ${temporary}; keep both on one`);
  const [probe, link] = [`${temporary}/probe`, `${temporary}/probe-link`];
  try {
    writeFileSync(probe, "");
    linkSync(probe, link);
  } catch (error) {
    const failed = fileError(error, mirror);
    if (failed.class === "transient") throw failed;
    throw misuse(
      mirror,
      `${mirror}: its file system makes no hard links (exFAT?); name a folder on another disk`,
      error,
    );
  } finally {
    rmSync(probe, { force: true });
    rmSync(link, { force: true });
  }
}
