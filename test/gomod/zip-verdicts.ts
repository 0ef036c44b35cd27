import { expect } from "vitest";
import { FormatError } from "../../gomod/format-error.ts";
import { moduleVersion } from "../../gomod/version.ts";
import { checkAndHashZip, hashZip } from "../../gomod/zip-check.ts";
import { bytesSource, type ZipSource } from "../../gomod/zip-source.ts";
import type { GoAnswer } from "./zip-oracle.ts";

export const modulePath = "example.com/m";
export const moduleVersionText = "v1.0.0";
/** How every name in a zip of the test module begins. */
export const prefix = `${modulePath}@${moduleVersionText}/`;
export const testModule = moduleVersion(modulePath, moduleVersionText);

/** Our two answers about one zip: an h1, or the error's text. */
export interface Verdict {
  readonly checked: string;
  readonly hashed: string;
}

/** Asks our own code; anything but an h1 or a FormatError of one line fails the test. */
export async function verdictOf(zip: Uint8Array): Promise<Verdict> {
  const answer = async (h1: () => Promise<string>) => {
    try {
      return await h1();
    } catch (error) {
      if (!(error instanceof FormatError) || error.message.includes("\n")) throw error;
      return error.message;
    }
  };
  return {
    checked: await answer(async () => (await checkAndHashZip(bytesSource(zip), testModule)).h1),
    hashed: await answer(() => hashZip(bytesSource(zip))),
  };
}

/** The same bytes as a file gives them: later, and into one buffer that the next read overwrites. */
export function slowSource(zip: Uint8Array): ZipSource {
  const shared = Buffer.alloc(zip.length);
  return {
    size: zip.length,
    async read(offset, length) {
      await new Promise((resolve) => setImmediate(resolve));
      shared.fill(0xee);
      shared.set(zip.subarray(offset, offset + length));
      return shared.subarray(0, length);
    },
  };
}

/** What we refuse though Go accepts it, and why that harms no real module. */
export const stricterThanGo: readonly { readonly why: string; readonly text: RegExp }[] = [
  {
    why: "entries that share bytes: one byte would be unpacked many times (zip bombs)",
    text: /overlaps the /,
  },
  { why: "data said to go on past the end: a cut file", text: /reaches past its end/ },
  { why: "one name twice: which one counts differs between programs", text: /the name is given twice/ },
  { why: "names that unpack elsewhere or not at all", text: /its name is (not UTF-8|empty, absolute)/ },
  { why: "encrypted entries: Go reads the cipher text", text: /: encrypted$/ },
  {
    why: "several disks: Go ignores the numbers, others do not",
    text: /on another disk|spread over several disks/,
  },
  { why: "64-bit numbers above 2^53, where Go's arithmetic wraps around", text: /beyond any file's size/ },
  {
    why: "zip64 counts that are wrong: Go compares 16 bits of 64",
    text: /entries found, but its end record/,
  },
  { why: "more than 250,000 entries: they would fill the memory", text: /more than 250000 entries/ },
  { why: "above 500 MiB: no module can be (hashZip; CheckZip refuses them too)", text: /zip too large/ },
];

/**
 * Holds our verdicts against Go's: the same h1 where both accept; never accepted where Go refuses;
 * where Go accepts and we do not, the reason is one of `stricterThanGo`.
 * @returns how the two compare, for counting.
 */
export function compareWithGo(ours: Verdict, go: GoAnswer): "both accept" | "both refuse" | "stricter" {
  const goChecks = go.check === "" && go.unzip === "" && go.hash === "";
  if (isH1(ours.hashed)) expect({ hash: "", h1: ours.hashed }).toEqual({ hash: go.hash, h1: go.h1 });
  else if (go.hash === "") expectNamed(ours.hashed);
  if (isH1(ours.checked))
    expect({ ...go, h1: ours.checked }).toEqual({ ...go, check: "", unzip: "", hash: "", h1: go.h1 });
  else if (goChecks) expectNamed(ours.checked);
  if (isH1(ours.checked)) return "both accept";
  return goChecks ? "stricter" : "both refuse";
}

export function isH1(answer: string): boolean {
  return answer.startsWith("h1:");
}

function expectNamed(message: string): void {
  expect(
    stricterThanGo.find(({ text }) => text.test(message))?.why,
    `Go accepts, we say: ${message}`,
  ).toBeDefined();
}
