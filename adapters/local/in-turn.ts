/** Replacements under way in this process, by path. */
const replacing = new Map<string, Promise<unknown>>();

/** Runs `work` once those before it at the same path have ended: the one writer's own workers must not overtake each other. */
export async function inTurn<T>(path: string, work: () => Promise<T>): Promise<T> {
  const turn = (replacing.get(path) ?? Promise.resolve()).then(work, work);
  replacing.set(path, turn);
  try {
    return await turn;
  } finally {
    if (replacing.get(path) === turn) replacing.delete(path);
  }
}
