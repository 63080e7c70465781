/**
 * One run without Ballast: the visits of a scenario, sent in an open loop to a
 * fleet whose processes guard their calls with another library, or not at all.
 */
import type { SimStats } from "../../../src/layers/provider/sim/engine.ts"
import type { SimOptionsInput } from "../../../src/layers/provider/sim/options.ts"
import type { Ending } from "../../../src/programs/simulate/ending.ts"
import type { Visit } from "../../../src/programs/simulate/visit.ts"
import type { BreakerState } from "../../../src/services/circuit-breaker.ts"
import type { FleetTransition, ProviderCall } from "../../../src/programs/simulate/fleet.ts"
import * as Calls from "./calls.ts"
import * as FakeTime from "./fake-time.ts"

/** Gets the answer to a visit, whatever it takes, and says when its first token came. */
export type Client = (visit: Visit, firstToken: () => void) => Promise<void>

/** Told by a library that has a breaker when the breaker's state changes. */
export type OnState = (key: string, state: BreakerState) => void

/** The code of one process: its own breaker, its own queue. Made once for each process of the fleet. */
export type Baseline = (call: Calls.Call, onState: OnState) => Client

/** What to play. */
export interface Setup {
  readonly seed: number
  readonly visits: ReadonlyArray<Visit>
  /** Which process gets a visit, by the visit's id. */
  readonly places: ReadonlyArray<number>
  readonly processes: number
  readonly providers: Readonly<Record<string, SimOptionsInput>>
  readonly baseline: Baseline
}

/** What happened. Times in ms after the start. */
export interface Played {
  readonly endings: ReadonlyArray<Ending>
  readonly calls: ReadonlyArray<ProviderCall>
  readonly transitions: ReadonlyArray<FleetTransition>
  readonly stats: Readonly<Record<string, SimStats>>
}

const codeOf = (error: unknown): string => {
  if (!(error instanceof Error)) return "unknown"
  return "code" in error && typeof error.code === "string" ? error.code : error.name
}

/** Turns states into the changes between them, counted as Ballast counts its own. */
const history = (now: () => number) => {
  const transitions: Array<FleetTransition> = []
  const last = new Map<string, FleetTransition>()
  const onState = (process: number, key: string, to: BreakerState): void => {
    const before = last.get(`${process} ${key}`)
    const transition: FleetTransition = {
      process,
      key,
      from: before?.to ?? "closed",
      to,
      atMs: now(),
      // Libraries do not say.
      reason: "manual",
      generation: (before?.generation ?? 0) + 1
    }
    last.set(`${process} ${key}`, transition)
    transitions.push(transition)
  }
  return { onState, transitions }
}

/** Play it to the end: until the last visit has its answer or its error. */
export const play = async (setup: Setup): Promise<Played> => {
  const time = FakeTime.begin(setup.seed)
  try {
    const providers = await Calls.make(time, setup.providers)
    const { onState, transitions } = history(time.now)
    const clients = Array.from({ length: setup.processes }, (_, process) =>
      setup.baseline(providers.callFrom(process), (key, state) => onState(process, key, state))
    )
    const endings: Array<Ending> = []

    const visit = async (one: Visit): Promise<void> => {
      const process = setup.places[one.id] ?? 0
      const client = clients[process]
      if (client === undefined) throw new Error(`no process ${process}`)
      let firstTokenMs: number | undefined
      const end = (kind: Ending["kind"], code: string | undefined) =>
        void endings.push({ visit: one, kind, code, firstTokenMs, endedMs: time.now() - one.atMs, process })
      try {
        await client(one, () => {
          firstTokenMs ??= time.now() - one.atMs
        })
        if (one.chat.stream !== true) firstTokenMs = undefined
        end("answered", undefined)
      } catch (error) {
        end(providers.callsOf.has(one.id) ? "failed" : "refused", codeOf(error))
      }
    }

    const send = async (): Promise<void> => {
      const pending: Array<Promise<void>> = []
      for (const one of setup.visits) {
        const wait = one.atMs - time.now()
        if (wait > 0) await new Promise<void>((resolve) => void setTimeout(resolve, Math.ceil(wait)))
        pending.push(visit(one))
      }
      await Promise.all(pending)
    }

    await time.until(send())
    const stats = await providers.stats()
    await providers.close()
    return { endings, calls: providers.calls, transitions, stats }
  } finally {
    time.end()
  }
}
