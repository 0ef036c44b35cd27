import type { BundleHeader } from "./bundle-json.ts";

/** The longest that readmeText gives, in bytes: names and hashes are of bounded length. */
export const LARGEST_README = 8 * 1024;

/** README.txt: for the person who finds the disc. It depends on what is in the bundle alone. */
export function readmeText(header: Omit<BundleHeader, "readme">, packs: number): string {
  const { name, kind, from, to, counts } = header;
  const since =
    from === null
      ? "It is a full bundle: it stands for itself."
      : `It holds what came after ${from.name}: a mirror takes it that holds that.`;
  return `This is a bundle of Go modules, made by modferry for a network without internet.

  name      ${name}
  kind      ${kind}
  state of  ${new Date(to.until).toISOString()}
  contents  ${counts.versions} module versions of ${counts.modules} modules, ${counts.files} files, ${counts.bytes} bytes
  packs     ${packs} (pack-0001.tar and so on; each volume has one, or one folder has all)
  signed by ${header.signer.split("+", 1)[0]}

${since}

What to do with it:

  modferry inspect DIR...            says what is in it, and changes nothing
  modferry import DIR... --mirror M  checks the signature, every hash and every proof, then publishes into the mirror M

DIR is the folder that this file lies in; of several volumes name all, in any order, or copy them into one folder.

Without modferry the packs are plain tar archives. Unpacked with \`tar -xf\`, in order, over those of the earlier bundles,
they are a folder that serves as GOPROXY (file://FOLDER, or by any web server). Nobody has then checked the signature
in bundle.json.note, of which bundle.json has the SHA-256 of every pack and file; and what was taken out since an earlier
bundle ("removed" in bundle.json) is still on the disk, though no list names it.
`;
}
