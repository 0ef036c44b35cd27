import { defineConfig } from "vitest/config";

/** .ci/run names a file here, for its closing line. */
const report = process.env.MODFERRY_TEST_REPORT;

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 30_000,
    hookTimeout: 300_000,
    maxWorkers: 2,
    globalSetup: ["test/differential/seed.ts"],
    ...(report === undefined ? {} : { reporters: ["default", ["json", { outputFile: report }]] }),
  },
});
