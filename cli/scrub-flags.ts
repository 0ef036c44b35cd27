import { misuse } from "../mirror/errors.ts";
import { SCRUB_LEVELS, type ScrubLevel } from "../mirror/scrub/scrub.ts";
import { MOST_SHARDS, parseShard, type Shard, WHOLE } from "../mirror/scrub/tree-order.ts";

/** @throws MirrorError misuse where more than one is given; `quick` where none is. */
export function parseLevel(given: Readonly<Record<ScrubLevel, boolean | undefined>>): ScrubLevel {
  const levels = SCRUB_LEVELS.filter((level) => given[level] === true);
  const [level = "quick", other] = levels;
  if (other === undefined) return level;
  throw misuse(`--${other}`, `--${other}: given with --${level}; give one of --quick, --stored and --deep`);
}

/** @throws MirrorError misuse: jobs of S3 are about a bucket, and stand in for a deep scrub's reading. */
export function parseBatch(batch: boolean, deep: boolean, deployed: boolean): boolean {
  if (batch && !deep) throw misuse("--batch", "--batch: is a way of --deep; give both");
  if (batch && !deployed)
    throw misuse(
      "--batch",
      "--batch: has S3 read a bucket; give --mirror aws:NAME, or --deep alone for a folder",
    );
  return batch;
}

/** `2/8`: the second of eight. @throws MirrorError misuse. */
export function shardOf(text: string | undefined): Shard {
  if (text === undefined) return WHOLE;
  const shard = parseShard(text);
  if (shard !== undefined) return shard;
  throw misuse(
    "--shard",
    `--shard ${text}: give a part and how many there are, such as 2/8, of at most ${MOST_SHARDS}`,
  );
}
