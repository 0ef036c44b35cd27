/** The stacks, in the order in which they are deployed. */
export function stackNames(name: string): { storage: string; pipeline: string; endpoint: string } {
  return { storage: `${name}-storage`, pipeline: `${name}-pipeline`, endpoint: `${name}-endpoint` };
}
