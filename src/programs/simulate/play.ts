/**
 * One policy of a scenario against one seed's traffic, from the first visit to
 * the last ending, in virtual time.
 */
import { Cause, Clock, Context, Deferred, Duration, Effect, Exit, Random, Result, Scope, Stream } from "effect"
import { keyOf } from "../../domain/error-table.ts"
import type { CompleteError } from "../../domain/errors.ts"
import type { SimStats } from "../../layers/provider/sim/engine.ts"
import * as SimRandom from "../../layers/provider/sim/random.ts"
import * as LeaseScope from "../../services/lease-scope.ts"
import * as RequestRecord from "../../services/request-record.ts"
import type * as Ballast from "../ballast.ts"
import { complete } from "../complete.ts"
import { newId } from "../request.ts"
import type { Ending } from "./ending.ts"
import * as Fleet from "./fleet.ts"
import * as Scenario from "./scenario.ts"
import * as Traffic from "./traffic.ts"
import * as VirtualTime from "./virtual-time.ts"
import type { Visit } from "./visit.ts"

/** All that happened, each list in the order in which it did. */
export interface Played {
  readonly scenario: Scenario.Scenario
  readonly policy: string
  readonly seed: number
  readonly visits: ReadonlyArray<Visit>
  readonly endings: ReadonlyArray<Ending>
  /** The providers' own books, by name. */
  readonly stats: Readonly<Record<string, SimStats>>
  readonly calls: ReadonlyArray<Fleet.ProviderCall>
  readonly transitions: ReadonlyArray<Fleet.FleetTransition>
  /** When the last visit had ended, in ms of virtual time. */
  readonly endedAtMs: number
}

/** Told of things as they happen in virtual time; a progress display, for example. */
export interface Observer {
  readonly ending?: (ending: Ending) => void
  readonly call?: (call: Fleet.ProviderCall) => void
  readonly transition?: (transition: Fleet.FleetTransition) => void
}

/** `Ending.code` of a visitor who left: that has failed, whether a call had been made or not, for nobody told them no. */
export const left = "left"

/** A run that goes on for so long (ms) after the last visit has no end. */
const afterlifeMs = 86_400_000

/** How long (ms) providers may go on with abandoned work after the last ending, and how often that is looked at. */
const aftermathMs = 3_600_000
const glanceMs = 10_000

type Needs = Ballast.Services | Scope.Scope

/** Ask, and read the answer to its end. */
const ask = (visit: Visit, onFirstToken: () => void): Effect.Effect<void, CompleteError, Needs> =>
  Effect.flatMap(complete(visit.chat), ({ first, rest }) => {
    if (first._tag === "Whole") return Effect.void
    onFirstToken()
    return Stream.runDrain(rest)
  })

/** The process that each visit goes to: chance alone decides, as a balancer's would that knows nothing. */
export const balance = (visits: ReadonlyArray<Visit>, processes: number, seed: number): ReadonlyArray<number> => {
  const random = SimRandom.make(seed, processes, 31)
  return visits.map(() => Math.floor(random() * processes))
}

/** Play `policy` of `scenario` with one seed's traffic. Same arguments, same result. The scenario was checked, so it cannot fail. */
export const play = (scenario: Scenario.Scenario, policy: string, seed: number, observer: Observer = {}): Played =>
  VirtualTime.runOrThrow(Effect.scoped(story(scenario, policy, seed, observer)), {
    untilMs: scenario.durationS * 1_000 + afterlifeMs
  })

const story = Effect.fnUntraced(function* (
  scenario: Scenario.Scenario,
  policy: string,
  seed: number,
  observer: Observer
): Effect.fn.Return<Played, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const config = yield* Effect.orDie(Scenario.configOf(scenario, policy))
  const calls: Array<Fleet.ProviderCall> = []
  const transitions: Array<Fleet.FleetTransition> = []
  const endings: Array<Ending> = []
  const fleet = yield* Fleet.make({
    size: scenario.processes,
    seed,
    config,
    providers: scenario.providers,
    listener: {
      call: (call) => {
        calls.push(call)
        observer.call?.(call)
      },
      transition: (transition) => {
        transitions.push(transition)
        observer.transition?.(transition)
      }
    }
  })
  const visits = Traffic.make(scenario, seed)
  const places = balance(visits, fleet.processes.length, seed)
  const background = Effect.runForkWith(yield* Effect.context<never>())
  let waiting = 0
  /** Ends the wait for the last ending, or the run where the program itself is wrong. */
  const over = Deferred.makeUnsafe<void>()
  let sending = true

  const end = (
    visit: Visit,
    process: number,
    exit: Exit.Exit<void, CompleteError>,
    record: RequestRecord.RequestRecord,
    firstAt: number | undefined
  ) => {
    if (Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      return Deferred.doneUnsafe(over, Effect.failCause(Cause.die(Cause.squash(exit.cause))))
    const failure = Exit.isSuccess(exit) ? undefined : Cause.findError(exit.cause)
    const code = failure === undefined ? undefined : Result.isSuccess(failure) ? keyOf(failure.success) : left
    const bothered = code === left || record.attempts.some(({ called }) => called)
    const ending: Ending = {
      visit,
      kind: code === undefined ? "answered" : bothered ? "failed" : "refused",
      code,
      firstTokenMs: firstAt === undefined ? undefined : firstAt - visit.atMs,
      endedMs: clock.currentTimeMillisUnsafe() - visit.atMs,
      process,
      ...(code === undefined && record.rung !== "full" ? { rung: record.rung } : {})
    }
    endings.push(ending)
    observer.ending?.(ending)
    waiting--
    if (waiting === 0 && !sending) Deferred.doneUnsafe(over, Effect.void)
  }

  const send = (visit: Visit) => {
    const process = fleet.processes[places[visit.id] ?? 0]
    if (process === undefined) return
    const record = RequestRecord.make({
      id: newId(Context.get(process.context, Random.Random)),
      operation: "chat",
      caller: visit.caller,
      startedAt: clock.currentTimeMillisUnsafe()
    })
    let firstAt: number | undefined
    waiting++
    const asked = LeaseScope.scoped(
      ask(visit, () => {
        firstAt = clock.currentTimeMillisUnsafe()
      })
    )
    const fiber = Effect.runForkWith(Context.add(process.context, RequestRecord.CurrentRecord, record))(asked)
    const leaving = scenario.leaves
      ? background(
          Effect.andThen(
            clock.sleep(Duration.millis(visit.patienceMs)),
            Effect.sync(() => fiber.interruptUnsafe())
          )
        )
      : undefined
    fiber.addObserver((exit) => {
      leaving?.interruptUnsafe()
      end(visit, process.index, exit, record, firstAt)
    })
  }

  for (const visit of visits) {
    const pause = visit.atMs - clock.currentTimeMillisUnsafe()
    if (pause > 0) yield* clock.sleep(Duration.millis(pause))
    if (Deferred.isDoneUnsafe(over)) break
    send(visit)
  }
  sending = false
  if (waiting > 0) yield* Deferred.await(over)
  const endedAtMs = clock.currentTimeMillisUnsafe()
  // What providers still do for visitors who have left is billed too; a call that hangs never ends.
  const books = Effect.forEach(Object.entries(fleet.providers), ([name, provider]) =>
    Effect.map(provider.stats, (stats) => [name, stats] as const)
  )
  for (let waited = 0; waited < aftermathMs; waited += glanceMs) {
    yield* clock.sleep(Duration.millis(glanceMs))
    if ((yield* books).every(([, { running }]) => running === 0)) break
  }
  const stats = Object.fromEntries(yield* books)
  return { scenario, policy, seed, visits, endings, stats, calls, transitions, endedAtMs }
})
