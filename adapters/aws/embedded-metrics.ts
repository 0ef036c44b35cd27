/** Units of CloudWatch that are used here (Amazon CloudWatch API, MetricDatum). */
export type MetricUnit = "Count" | "Bytes" | "Milliseconds";

/**
 * One dimension beside the function, from a closed list of words: each new value of a dimension is a metric of its own,
 * and is paid for, so that no module path, host or client's text may ever be one.
 */
export type MetricDimension =
  | { readonly name: "ErrorClass" | "StatusClass"; readonly value: string }
  | undefined;

interface Figure {
  readonly unit: MetricUnit;
  sum: number;
  /** Of a distribution: each value, at most MOST_VALUES. */
  readonly values: number[] | undefined;
}

/** Amazon CloudWatch, embedded metric format: most metrics of one directive, and most values of one metric. */
const MOST_METRICS = 100;
const MOST_VALUES = 100;

/**
 * The figures of one call of a function, added up, so that a call costs one line for each dimension that it has and not
 * one for each version: CloudWatch makes metrics of those lines by itself.
 */
export class EmbeddedMetrics {
  readonly #namespace: string;
  readonly #program: string;
  readonly #sets = new Map<string, { dimension: MetricDimension; figures: Map<string, Figure> }>();

  /** @param mirror the name of the deployed mirror; the namespace is `modferry/<mirror>`, as that of the alarms. */
  constructor(mirror: string, program: string) {
    this.#namespace = `modferry/${mirror}`;
    this.#program = program;
  }

  /** Adds to a figure that is summed up. */
  add(name: string, unit: MetricUnit, value: number, dimension?: MetricDimension): void {
    this.#figure(name, unit, dimension, false).sum += value;
  }

  /** Adds one value of a distribution, of which CloudWatch makes percentiles. */
  observe(name: string, unit: MetricUnit, value: number, dimension?: MetricDimension): void {
    const { values } = this.#figure(name, unit, dimension, true);
    if (values !== undefined && values.length < MOST_VALUES) values.push(value);
  }

  /**
   * Root members of a log line each, by dimension, for what was added since the last call; none where nothing was.
   * @param at ms since the epoch.
   */
  take(at: number): object[] {
    const lines = [...this.#sets.values()].map(({ dimension, figures }) => {
      const entries = [...figures].slice(0, MOST_METRICS);
      return {
        _aws: {
          Timestamp: at,
          CloudWatchMetrics: [
            {
              Namespace: this.#namespace,
              Dimensions: [["Function", ...(dimension === undefined ? [] : [dimension.name])]],
              Metrics: entries.map(([Name, { unit }]) => ({ Name, Unit: unit })),
            },
          ],
        },
        Function: this.#program,
        ...(dimension === undefined ? {} : { [dimension.name]: dimension.value }),
        ...Object.fromEntries(entries.map(([name, { sum, values }]) => [name, values ?? sum])),
      };
    });
    this.#sets.clear();
    return lines;
  }

  #figure(name: string, unit: MetricUnit, dimension: MetricDimension, distributed: boolean): Figure {
    const key = dimension === undefined ? "" : `${dimension.name}=${dimension.value}`;
    const set = this.#sets.get(key) ?? { dimension, figures: new Map<string, Figure>() };
    this.#sets.set(key, set);
    const figure = set.figures.get(name) ?? { unit, sum: 0, values: distributed ? [] : undefined };
    set.figures.set(name, figure);
    return figure;
  }
}
