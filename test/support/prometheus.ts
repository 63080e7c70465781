/**
 * Prometheus' text format 0.0.4, read strictly: a line that its grammar does
 * not allow, or that stands where it may not, is an error.
 *
 * Source: https://prometheus.io/docs/instrumenting/exposition_formats/
 */

/** One line with a value. `labels` without `le` or `quantile` are the series. */
export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** All lines of one metric. */
export interface Family {
  readonly name: string
  readonly help: string
  readonly type: string
  readonly samples: Array<Sample>
}

const types = new Set(["counter", "gauge", "histogram", "summary", "untyped"])
const sampleLine = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/u
const label = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/u

const numberOf = (text: string): number => {
  if (text === "+Inf") return Infinity
  if (text === "-Inf") return -Infinity
  if (text !== "NaN" && !/^-?\d+(\.\d+)?(e[+-]?\d+)?$/u.test(text)) throw new Error(`no number: ${text}`)
  return Number(text)
}

const labelsOf = (text: string): Readonly<Record<string, string>> => {
  const labels: Record<string, string> = {}
  let rest = text
  while (rest !== "") {
    const [whole = "", name = "", value = ""] = label.exec(rest) ?? []
    if (whole === "" || name in labels) throw new Error(`bad labels: ${text}`)
    labels[name] = value.replaceAll(/\\(["\\n])/gu, (_, escaped: string) => (escaped === "n" ? "\n" : escaped))
    rest = rest.slice(whole.length)
  }
  return labels
}

/** Whether a sample of this name may stand in a family. */
const belongs = (name: string, family: Family): boolean =>
  family.type === "histogram" || family.type === "summary"
    ? [`${family.name}_bucket`, `${family.name}_sum`, `${family.name}_count`].includes(name) ||
      (family.type === "summary" && name === family.name)
    : name === family.name

/** The families of a page by name; every family must have its help and its type, once and before its samples. */
export const parse = (text: string): ReadonlyMap<string, Family> => {
  const families = new Map<string, Family>()
  const seen = new Set<string>()
  let help: readonly [name: string, text: string] | undefined
  let family: Family | undefined
  if (!text.endsWith("\n")) throw new Error("no line feed at the end")
  for (const line of text.slice(0, -1).split("\n")) {
    const [, comment, about = "", rest = ""] = /^# (HELP|TYPE) (\S+) (.+)$/u.exec(line) ?? []
    if (comment === "HELP") {
      help = [about, rest]
    } else if (comment === "TYPE") {
      if (help?.[0] !== about || !types.has(rest) || families.has(about)) throw new Error(`misplaced: ${line}`)
      family = { name: about, help: help[1], type: rest, samples: [] }
      families.set(about, family)
    } else {
      const [, name = "", labels = "", value = ""] = sampleLine.exec(line) ?? []
      if (family === undefined || !belongs(name, family)) throw new Error(`misplaced: ${line}`)
      const sample = { name, labels: labelsOf(labels), value: numberOf(value) }
      const key = `${name} ${JSON.stringify(Object.entries(sample.labels).toSorted())}`
      if (seen.has(key)) throw new Error(`twice: ${line}`)
      seen.add(key)
      family.samples.push(sample)
    }
  }
  return families
}

/** The value of the one sample with this name that has these labels, among others; `undefined` where there is none. */
export const value = (
  families: ReadonlyMap<string, Family>,
  name: string,
  labels: Readonly<Record<string, string>> = {}
): number | undefined => {
  const found = [...families.values()]
    .flatMap((family) => family.samples)
    .filter((each) => each.name === name && Object.entries(labels).every(([key, text]) => each.labels[key] === text))
  if (found.length > 1) throw new Error(`${found.length} samples of ${name} ${JSON.stringify(labels)}`)
  return found[0]?.value
}

/** The mistakes of the histograms: buckets that are not cumulative, or do not end in `+Inf` at the count. */
export const histogramMistakes = (families: ReadonlyMap<string, Family>): ReadonlyArray<string> => {
  const mistakes: Array<string> = []
  for (const { name, samples, type } of families.values()) {
    if (type !== "histogram") continue
    const series = Map.groupBy(samples, ({ labels: { le: _le, ...rest } }) =>
      JSON.stringify(Object.entries(rest).toSorted())
    )
    for (const [key, each] of series) {
      const buckets = each
        .filter((sample) => sample.name === `${name}_bucket`)
        .map(({ labels, value: count }) => [numberOf(labels["le"] ?? ""), count] as const)
      const count = each.find((sample) => sample.name === `${name}_count`)?.value
      const sum = each.find((sample) => sample.name === `${name}_sum`)?.value
      const rising = buckets.every(([bound, at], i) => {
        const [before, less] = buckets[i - 1] ?? [-Infinity, 0]
        return bound > before && at >= less
      })
      const [last, all] = buckets.at(-1) ?? []
      if (!rising || last !== Infinity || all !== count || sum === undefined) mistakes.push(`${name} ${key}`)
    }
  }
  return mistakes
}
