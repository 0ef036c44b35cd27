import { afterAll, beforeAll, expect, test } from "vitest";
import { checkAndHashZip } from "../../gomod/zip-check.ts";
import { describeWithOracle } from "../go-command.ts";
import { buildZip, DESCRIPTOR_FLAG, type EntrySpec, type ZipSpec } from "./zip-builder.ts";
import { a, accepted, b, type Case, goMod, refused, stricter } from "./zip-cases.ts";
import { ZipOracle } from "./zip-oracle.ts";
import {
  compareWithGo,
  isH1,
  modulePath,
  moduleVersionText,
  prefix,
  slowSource,
  testModule,
  verdictOf,
} from "./zip-verdicts.ts";

describeWithOracle("hostile zips, against archive/zip and x/mod/zip", () => {
  let oracle: ZipOracle;
  beforeAll(() => {
    oracle = new ZipOracle();
  });
  afterAll(() => oracle.close());

  async function compare(entries: readonly EntrySpec[], zip: ZipSpec | undefined, cut = 0) {
    const built = buildZip(entries, zip);
    const file = built.subarray(0, built.length - cut);
    const ours = await verdictOf(file);
    const outcome = compareWithGo(ours, await oracle.verdict(file, modulePath, moduleVersionText));
    const later = await checkAndHashZip(slowSource(file), testModule).then(
      ({ h1 }) => h1,
      (error: Error) => error.message,
    );
    expect(later, "a file source gives the same verdict as bytes").toBe(ours.checked);
    return { ours, outcome };
  }

  test.each<Case>([...accepted])("accepts as Go does, with its h1: %s", async (_, entries, zip) => {
    const { ours, outcome } = await compare(entries, zip);
    expect(outcome, ours.checked).toBe("both accept");
  });

  test.each<Case>([...refused])("refuses as Go does: %s", async (what, entries, zip) => {
    const { ours, outcome } = await compare(entries, zip, what === "a comment that is cut" ? 2 : 0);
    expect(outcome).toBe("both refuse");
    expect(isH1(ours.checked)).toBe(false);
    expect(ours.checked).toContain("example.com/m@v1.0.0: ");
  });

  test.each(stricter)("refuses beyond Go: %s", async (_, entries, zip, message) => {
    const { ours } = await compare(entries, zip);
    expect(ours.checked).toMatch(message);
  });

  test("refuses any prefix of a zip, as Go does", async () => {
    const whole = buildZip([a, { ...b, flags: DESCRIPTOR_FLAG }, goMod]);
    for (let length = 0; length < whole.length; length++) {
      const file = whole.subarray(0, length);
      const outcome = compareWithGo(
        await verdictOf(file),
        await oracle.verdict(file, modulePath, moduleVersionText),
      );
      expect(outcome, `${length} bytes`).toBe("both refuse");
    }
  });

  test("accepts 70,000 entries in a zip without zip64, whose count wraps around", async () => {
    const many = Array.from({ length: 70_000 }, (_, i) => ({ name: `${prefix}${i}/`, method: 0 }));
    const file = buildZip(many, { records: 70_000 % 65_536 });
    const ours = await verdictOf(file);
    expect(ours.checked.slice(0, 3)).toBe("h1:");
    expect((await oracle.verdict(file, modulePath, moduleVersionText)).h1).toBe(ours.checked);
  });
});
