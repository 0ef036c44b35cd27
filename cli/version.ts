import manifest from "../package.json" with { type: "json" };

/** Modferry's own version, as package.json has it; in dist/ it is that of the build. */
export const VERSION: string = manifest.version;
