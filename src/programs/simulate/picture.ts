/**
 * What a timeline shows, before anybody draws it: for each group of tenants
 * the visits offered over time, and those that each policy answered in time.
 */
import type { Scenario } from "./scenario.ts"
import type { Second } from "./tally.ts"

/** One policy's line: visits a second, a number for each step. */
export interface Line {
  readonly name: string
  readonly values: ReadonlyArray<number>
}

/** One chart. `offered` has as many numbers as each line. */
export interface Panel {
  readonly title: string
  readonly offered: ReadonlyArray<number>
  readonly lines: ReadonlyArray<Line>
}

/** A span that is marked in all charts, in seconds. */
export interface PictureMark {
  readonly name: string
  readonly fromS: number
  readonly toS: number
}

/** Charts over one time axis. */
export interface Picture {
  readonly title: string
  readonly subtitle: string
  readonly durationS: number
  /** What one number of a line stands for, in seconds. */
  readonly stepS: number
  readonly marks: ReadonlyArray<PictureMark>
  readonly panels: ReadonlyArray<Panel>
}

/** The seconds of one run, of all tenants or of one group of them. */
export interface Track {
  readonly policy: string
  readonly group: string
  readonly seconds: ReadonlyArray<Second>
}

const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1_800, 3_600]

/** The finest step in round seconds at which `durationS` has at most `most` of them. */
export const stepOf = (durationS: number, most: number): number =>
  steps.find((step) => durationS / step <= most) ?? Math.ceil(durationS / most)

/** Visits a second, by step, as the mean of several runs. The last step may be shorter than the others. */
const rates = (
  runs: ReadonlyArray<ReadonlyArray<Second>>,
  durationS: number,
  stepS: number,
  countOf: (second: Second) => number
): ReadonlyArray<number> =>
  Array.from({ length: Math.ceil(durationS / stepS) }, (_, step) => {
    let count = 0
    for (const seconds of runs) {
      for (const second of seconds.slice(step * stepS, (step + 1) * stepS)) count += countOf(second)
    }
    return count / Math.max(1, runs.length) / Math.min(stepS, durationS - step * stepS)
  })

/** The distinct values, in the order in which they come first. */
const distinct = (values: ReadonlyArray<string>): ReadonlyArray<string> => [...new Set(values)]

/** The picture of some runs of a scenario, with at most `most` steps. Runs of the same policy are averaged. */
export const make = (scenario: Scenario, subtitle: string, tracks: ReadonlyArray<Track>, most: number): Picture => {
  const { durationS, marks } = scenario
  const stepS = stepOf(durationS, most)
  const policies = distinct(tracks.map(({ policy }) => policy))
  const panels = distinct(tracks.map(({ group }) => group)).map((group): Panel => {
    const of = (policy: string) =>
      tracks.filter((track) => track.group === group && track.policy === policy).map(({ seconds }) => seconds)
    return {
      title: group,
      // Each policy meets the same traffic.
      offered: rates(of(policies[0] ?? ""), durationS, stepS, ({ offered }) => offered),
      lines: policies.map((name) => ({ name, values: rates(of(name), durationS, stepS, ({ good }) => good) }))
    }
  })
  return { title: scenario.name, subtitle, durationS, stepS, marks, panels }
}
