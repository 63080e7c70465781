/**
 * The simulated provider as an application without Effect sees it: a function
 * that gives a promise and takes an `AbortSignal`.
 */
import { Cause, Context, Effect, Exit, Result, Scope, Stream } from "effect"
import { retryAfterMs } from "../../../src/domain/error-table.ts"
import { ProviderError } from "../../../src/domain/errors.ts"
import type { SimStats } from "../../../src/layers/provider/sim/engine.ts"
import type { SimOptionsInput } from "../../../src/layers/provider/sim/options.ts"
import * as SimUpstream from "../../../src/layers/provider/sim/upstream.ts"
import type { ProviderCall } from "../../../src/programs/simulate/fleet.ts"
import type { Visit } from "../../../src/programs/simulate/visit.ts"
import type { FakeTime } from "./fake-time.ts"

/** The first token is here (of a stream), or the whole answer; `ended` when nothing more comes. */
export interface Reply {
  readonly ended: Promise<void>
}

/** Ask a provider for the answer to a visit. Aborting ends the call wherever it stands. */
export type Call = (provider: string, visit: Visit, signal?: AbortSignal) => Promise<Reply>

/** A call failed, as an HTTP client would say it. */
export class CallFailed extends Error {
  override readonly name = "CallFailed"
  readonly code: string
  /** The `Retry-After` of the answer, in ms. */
  readonly retryAfterMs: number | undefined
  constructor(code: string, afterMs?: number) {
    super(code)
    this.code = code
    this.retryAfterMs = afterMs
  }
}

/** Providers by name, and what happened to them. */
export interface Providers {
  /** The way of one process to them. */
  readonly callFrom: (process: number) => Call
  /** All calls so far. */
  readonly calls: ReadonlyArray<ProviderCall>
  /** Calls made for each visit, by its id. */
  readonly callsOf: ReadonlyMap<number, number>
  readonly stats: () => Promise<Readonly<Record<string, SimStats>>>
  readonly close: () => Promise<void>
}

const failed = (exit: Exit.Exit<unknown, unknown>): CallFailed => {
  if (Exit.isSuccess(exit)) return new CallFailed("none")
  const error = Cause.findError(exit.cause)
  if (Result.isFailure(error)) return new CallFailed("aborted")
  if (!(error.success instanceof ProviderError)) return new CallFailed("unknown")
  return new CallFailed(error.success.reason._tag, retryAfterMs(error.success))
}

/** Start the providers. */
export const make = async (time: FakeTime, options: Readonly<Record<string, SimOptionsInput>>): Promise<Providers> => {
  const run = Effect.runPromiseWith(time.context)
  const fork = Effect.runForkWith(time.context)
  const scope = await run(Scope.make())
  const sims = await run(
    Effect.all(Object.fromEntries(Object.entries(options).map(([name, one]) => [name, SimUpstream.make(one)]))).pipe(
      Effect.provideContext(Context.make(Scope.Scope, scope))
    )
  )
  const calls: Array<ProviderCall> = []
  const callsOf = new Map<number, number>()

  const call = (process: number, provider: string, visit: Visit, signal?: AbortSignal): Promise<Reply> =>
    new Promise((opened, refused) => {
      const sim = sims[provider]
      if (sim === undefined) return refused(new CallFailed("no such provider"))
      if (signal?.aborted === true) return refused(new CallFailed("aborted"))
      calls.push({ provider, process, atMs: time.now() })
      callsOf.set(visit.id, (callsOf.get(visit.id) ?? 0) + 1)
      const candidate = { provider, model: visit.chat.model }
      const request = {
        chat: visit.chat,
        body: undefined,
        includeUsage: false,
        deadlineMs: Infinity,
        traceparent: undefined
      }
      let end: (exit: Exit.Exit<unknown, unknown>) => void = () => {}
      const ended = new Promise<void>((resolve, reject) => {
        end = (exit) => (Exit.isSuccess(exit) ? resolve() : reject(failed(exit)))
      })
      // Whoever does not read to the end does not care how it ended.
      ended.catch(() => {})
      const fiber = fork(
        Effect.scoped(
          Effect.flatMap(sim.upstream.open(candidate, request), ({ rest }) => {
            opened({ ended })
            return Stream.runDrain(rest)
          })
        )
      )
      const abort = () => fiber.interruptUnsafe()
      signal?.addEventListener("abort", abort, { once: true })
      fiber.addObserver((exit) => {
        signal?.removeEventListener("abort", abort)
        end(exit)
        if (Exit.isFailure(exit)) refused(failed(exit))
      })
    })

  return {
    callFrom: (process) => (provider, visit, signal) => call(process, provider, visit, signal),
    calls,
    callsOf,
    stats: () =>
      run(Effect.all(Object.fromEntries(Object.entries(sims).map(([name, sim]) => [name, sim.control.stats])))),
    close: () => run(Scope.close(scope, Exit.void))
  }
}
