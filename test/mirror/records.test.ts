import { expect, test } from "vitest";
import { moduleVersion } from "../../gomod/version.ts";
import { fetched, want } from "../../mirror/records.ts";

test("a go.mod that one worker stores takes nothing away from what another has stored whole meanwhile", () => {
  const version = moduleVersion("example.com/m", "v1.0.0");
  const wanted = want(undefined, version, "whole", "test", 1_000, true);
  const whole = fetched(wanted, { held: "whole", zipSize: 7 });
  expect(whole).toMatchObject({ state: "READY", held: "whole" });
  expect(
    fetched(want(whole, version, "mod", "other", 2_000, true), { held: "mod", modSize: 3 }),
  ).toMatchObject({
    state: "READY",
    held: "whole",
    zipSize: 7,
  });
});
