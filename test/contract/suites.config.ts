import { defineConfig } from "vitest/config";

/** Suites that `npm test` does not run: over whatever S3 the environment names, and over LocalStack. */
export default defineConfig({
  test: {
    root: `${import.meta.dirname}/../..`,
    include: ["test/contract/*.suite.ts"],
    testTimeout: 60_000,
    hookTimeout: 600_000,
    maxWorkers: 2,
  },
});
