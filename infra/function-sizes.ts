import { Duration } from "aws-cdk-lib";

/** One unit of work (docs/architecture.md, Errors): leases, and what is taken out, wait by it (mirror/records.ts). */
export const UNIT_OF_WORK = Duration.seconds(300);
/** The memory at which Lambda gives a whole core (AWS Lambda, Configure memory). */
export const ONE_CORE_MIB = 1769;
/** Room for the spooled zips of 500 MB that functions/spool-budget.ts lets in at once; and for sorted runs of a listing. */
export const SPOOL_MIB = 2048;
/** Room besides for the tiles and lookups that an import keeps at hand (functions/bundle-parts.ts). */
export const BUNDLE_SPOOL_MIB = 4096;
