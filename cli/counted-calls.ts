import type { Ledger, Tree } from "../mirror/ports.ts";

/** S3 lists, and DynamoDB's scan of records of some 700 bytes gives, about so many a request. */
const KEYS_PER_LIST = 1_000;
const RECORDS_PER_SCAN = 1_400;

export type Calls = Record<"list" | "get" | "open" | "head" | "scan" | "query", number>;

/** The stores, with each request counted as it would be asked of S3 and DynamoDB, so that a desk shows what a cloud costs. */
export function countedCalls<T extends Tree, L extends Ledger>(
  tree: T,
  ledger: L,
): { readonly tree: T; readonly ledger: L; readonly calls: Calls } {
  const calls: Calls = { list: 0, get: 0, open: 0, head: 0, scan: 0, query: 0 };
  const counted =
    <A extends readonly unknown[], R>(name: keyof Calls, call: (...args: A) => R) =>
    (...args: A): R => {
      calls[name]++;
      return call(...args);
    };
  const paged = <A extends readonly unknown[], E>(
    name: keyof Calls,
    size: number,
    list: (...args: A) => AsyncIterable<E>,
  ) =>
    async function* (...args: A): AsyncGenerator<E> {
      let seen = 0;
      for await (const entry of list(...args)) {
        if (seen++ % size === 0) calls[name]++;
        yield entry;
      }
      if (seen === 0) calls[name]++;
    };
  const trees: Partial<Tree> = {
    get: counted("get", (key, limit) => tree.get(key, limit)),
    open: counted("open", (key) => tree.open(key)),
    keys: paged("list", KEYS_PER_LIST, (after?: string) => tree.keys(after)),
    ...(tree.checksum && { checksum: counted("head", tree.checksum.bind(tree)) }),
  };
  const ledgers: Partial<Ledger> = {
    read: counted("query", (versions) => ledger.read(versions)),
    readModule: counted("query", (path) => ledger.readModule(path)),
    records: paged("scan", RECORDS_PER_SCAN, () => ledger.records()),
  };
  return { tree: over(tree, trees), ledger: over(ledger, ledgers), calls };
}

/** The object itself but for these methods; its private fields stay its own. */
function over<T extends object>(inner: T, methods: object): T {
  return new Proxy(inner, {
    get: (target, name) => {
      const own = Reflect.get(methods, name);
      if (own !== undefined) return own;
      const value = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
