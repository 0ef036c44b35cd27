/** That a version existed at a time: who says so. */
export interface Sighting {
  /** As people read it: `record 4711 of sum.example.org, below its head of 5000`. */
  readonly by: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** The one that counts for a version's age. */
export function earliest(sightings: readonly Sighting[]): Sighting | undefined {
  return sightings.reduce<Sighting | undefined>(
    (first, next) => (first === undefined || next.at < first.at ? next : first),
    undefined,
  );
}
