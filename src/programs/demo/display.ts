/**
 * The progress of both sides while the incident runs, on stderr so that the
 * result alone goes to stdout. In a terminal three lines that are redrawn in
 * place, one write for each redraw, so that nothing flickers; elsewhere a plain
 * line for each side now and then.
 */
import { Clock, Effect } from "effect"
import * as Scenario from "./scenario.ts"
import type { Live } from "./tally.ts"

/** One side as the display sees it. */
export interface View {
  readonly name: string
  readonly live: () => Live
  readonly providerCalls: Effect.Effect<number>
}

/** Where to draw. `write` takes a piece of text as it is. */
export interface Screen {
  readonly tty: boolean
  readonly columns: number
  readonly write: (text: string) => Effect.Effect<void>
}

/** Standard error. */
export const stderr: Effect.Effect<Screen> = Effect.sync(() => ({
  tty: process.stderr.isTTY === true,
  columns: process.stderr.columns ?? 100,
  write: (text) => Effect.sync(() => void process.stderr.write(text))
}))

const number = (value: number, width: number) => String(value).padStart(width)

/** A bar of all users so far: answered, refused, error, waiting. */
const bar = ({ answered, errors, refused, waiting }: Live, total: number, width: number): string => {
  const cells = (count: number) => Math.round((count / Math.max(1, total)) * width)
  return `${"█".repeat(cells(answered))}${"▒".repeat(cells(refused))}${"x".repeat(cells(errors))}${"·".repeat(cells(waiting))}`
    .slice(0, width)
    .padEnd(width)
}

const barWidth = 24

/** The line of one side. */
export const sideLine = (name: string, live: Live, calls: number, total: number): string =>
  `${name.padEnd(10)} ${bar(live, total, barWidth)} answered${number(live.answered, 5)}  refused${number(live.refused, 4)}  ` +
  `errors${number(live.errors, 4)}  waiting${number(live.waiting, 4)}  provider calls${number(calls, 6)}`

/** The line above the sides: where in the incident we are. */
export const headLine = (scenario: Scenario.Scenario, atMs: number): string => {
  const phase = Scenario.phaseAt(scenario, atMs)
  return `${number(Math.floor(atMs / 1000), 3)} s ${phase === undefined ? "" : phase === "aftermath" ? "no new users" : `provider ${phase}`}`
}

/** Draw until interrupted; the last state stays. */
export const run = (scenario: Scenario.Scenario, views: ReadonlyArray<View>, screen: Screen): Effect.Effect<never> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const startedAt = clock.currentTimeMillisUnsafe()
    let drawn = 0
    const draw = Effect.gen(function* () {
      const lines = [headLine(scenario, clock.currentTimeMillisUnsafe() - startedAt)]
      for (const { live, name, providerCalls } of views) {
        lines.push(sideLine(name, live(), yield* providerCalls, scenario.visits.length))
      }
      if (!screen.tty) return yield* screen.write(`${lines.join("\n")}\n`)
      // Up over the last drawing; each line clears what is left of the old one.
      const up = drawn === 0 ? "" : `\u001B[${drawn}A`
      drawn = lines.length
      return yield* screen.write(
        `${up}${lines.map((line) => `${line.slice(0, screen.columns - 1)}\u001B[K\n`).join("")}`
      )
    })
    const cursor = (code: string) => (screen.tty ? screen.write(`\u001B[?25${code}`) : Effect.void)
    const drawing = Effect.andThen(draw, Effect.sleep(screen.tty ? "200 millis" : "5 seconds")).pipe(Effect.forever)
    return yield* Effect.acquireUseRelease(
      cursor("l"),
      () => drawing,
      () => Effect.andThen(draw, cursor("h"))
    )
  })
