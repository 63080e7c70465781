/**
 * `ballast simulate`: a scenario's traffic against a fleet with each of its
 * policies, in virtual time, and what came of it.
 */
import { Clock, Console, Effect, FileSystem, Schema } from "effect"
import { ConfigError } from "../domain/config-error.ts"
import { nearest } from "./config/nearest.ts"
import type { Ending } from "./simulate/ending.ts"
import * as Picture from "./simulate/picture.ts"
import { play } from "./simulate/play.ts"
import type { Played } from "./simulate/play.ts"
import * as Report from "./simulate/report.ts"
import * as Scenario from "./simulate/scenario.ts"
import * as Svg from "./simulate/svg.ts"
import * as Tally from "./simulate/tally.ts"
import * as Timeline from "./simulate/timeline.ts"
import * as Traffic from "./simulate/traffic.ts"

/** What `ballast simulate` is asked for. */
export interface SimulateOptions {
  readonly file: string
  /** Seeds 1 to this. */
  readonly seeds: number
  /** One policy of the file; all where missing. */
  readonly policy: string | undefined
  readonly json: boolean
  /** Where to draw the timeline. */
  readonly svg: string | undefined
}

/** The simulation ran, but its picture could not be written. */
export class SimulateError extends Schema.TaggedError<SimulateError>()("SimulateError", { detail: Schema.String }) {
  override get message(): string {
    return this.detail
  }
}

/** The policies to play. */
const policiesOf = (scenario: Scenario.Scenario, asked: string | undefined) => {
  const known = Object.keys(scenario.policies)
  if (asked === undefined) return Effect.succeed(known)
  if (known.includes(asked)) return Effect.succeed([asked])
  const near = nearest(asked, known)
  return Effect.fail(
    new ConfigError({
      source: "the command line",
      problems: [
        {
          path: "--policy",
          found: JSON.stringify(asked),
          allowed: `a policy of the scenario: ${known.map((name) => JSON.stringify(name)).join(", ")}`,
          ...(near === undefined ? {} : { hint: `did you mean "${near}"?` })
        }
      ]
    })
  )
}

/** A run's tracks for the picture: one for each group of tenants, where the scenario has several. */
const tracksOf = ({ calls, endings, policy, scenario }: Played): ReadonlyArray<Picture.Track> => {
  const groupOf = Traffic.groups(scenario)
  const groups = [...new Set(groupOf.values())]
  return groups.map((group) => ({
    policy,
    group: groups.length === 1 ? "All visits" : group,
    seconds: Tally.make(
      groups.length === 1 ? endings : endings.filter(({ visit }) => groupOf.get(visit.caller.tenant) === group),
      calls,
      scenario.durationS
    ).seconds
  }))
}

const subtitleOf = ({ durationS, processes }: Scenario.Scenario, visits: number, seeds: number): string =>
  `${processes} process${processes === 1 ? "" : "es"}, ${visits} visits in ${durationS} s of virtual time, ` +
  (seeds === 1 ? "seed 1" : `mean of seeds 1 to ${seeds}`)

/** Progress goes to stderr, at most so often (ms); whoever is quicker says nothing. */
const quietMs = 2_000

/** Says where the runs are, when it is time to. A run is one synchronous step, so it cannot be asked from outside. */
const progress = Effect.fnUntraced(function* (scenario: Scenario.Scenario, runs: number) {
  const clock = yield* Clock.Clock
  const console = yield* Console.Console
  let told = clock.currentTimeMillisUnsafe()
  return (run: number, policy: string, seed: number) => ({
    ending: ({ visit }: Ending) => {
      const now = clock.currentTimeMillisUnsafe()
      if (now - told < quietMs) return
      told = now
      const second = Math.floor(visit.atMs / 1_000)
      console.error(`run ${run} of ${runs} (${policy}, seed ${seed}): second ${second} of ${scenario.durationS}`)
    }
  })
})

const write = Effect.fnUntraced(function* (file: string, text: string) {
  const fs = yield* FileSystem.FileSystem
  yield* fs.writeFileString(file, text).pipe(
    Effect.mapError(
      ({ reason }) =>
        new SimulateError({
          detail: `Cannot write ${file} (${reason._tag}). Choose another file with --svg, in a directory that exists and may be written to.`
        })
    )
  )
})

/** Play the scenario of a file and print what came of it. */
export const simulate = Effect.fnUntraced(function* (
  options: SimulateOptions
): Effect.fn.Return<void, ConfigError | SimulateError, FileSystem.FileSystem> {
  const { file, json, seeds, svg } = options
  const scenario = yield* Scenario.load(file)
  const policies = yield* policiesOf(scenario, options.policy)
  const watch = yield* progress(scenario, seeds * policies.length)
  const rows: Array<Report.Row> = []
  const tracks: Array<Picture.Track> = []
  for (let seed = 1; seed <= seeds; seed++) {
    for (const policy of policies) {
      const played = play(scenario, policy, seed, watch(rows.length + 1, policy, seed))
      const row = Report.row(played, Tally.make(played.endings, played.calls, scenario.durationS))
      rows.push(row)
      tracks.push(...tracksOf(played))
      if (json) yield* Console.log(JSON.stringify(row))
      // Let signals in between two runs.
      yield* Effect.sleep(0)
    }
  }
  const subtitle = subtitleOf(scenario, rows[0]?.offered ?? 0, seeds)
  if (!json) {
    const head = scenario.description === "" ? scenario.name : `${scenario.name}: ${scenario.description}`
    const picture = Picture.make(scenario, subtitle, tracks, Timeline.width)
    yield* Console.log([head, subtitle, "", ...Timeline.lines(picture), "", ...Report.table(rows)].join("\n"))
  }
  if (svg === undefined) return
  yield* write(svg, Svg.draw(Picture.make(scenario, subtitle, tracks, Svg.steps)))
  if (!json) yield* Console.log(`\nThe timeline is drawn in ${svg}`)
})
