/**
 * The simulated model server without its protocol: it admits calls, gives each
 * its times, lets them share its capacity, and counts.
 *
 * Deterministic for a seed: the draws of a call depend on the seed and on how
 * many calls came before it. Time is Effect's `Clock`, so it runs in virtual
 * time as well. A call costs one heap entry, not a fiber; work for a caller
 * who has left (`abandoned: "continue"`) goes on in that entry alone.
 */
import { Clock, Duration, Effect } from "effect"
import type { Scope } from "effect"
import * as Failure from "./failure.ts"
import * as Faults from "./faults.ts"
import * as Limits from "./limits.ts"
import { decode } from "./options.ts"
import type { Directive, Fault, SimOptions, SimOptionsInput } from "./options.ts"
import * as Processor from "./processor.ts"
import * as Random from "./random.ts"

/**
 * Counters since the start.
 *
 * - `calls`: all that came; each is, in the end, one of refused, failed, finished or (only where the work stops when the
 *   caller leaves, and for hangs and stalls) abandoned
 * - `running`: calls the provider works on or keeps open now
 * - `finished`: the whole answer was made, wanted or not
 * - `abandoned`: the caller left before the end; with `abandoned: "continue"` such a call is `finished` later too
 * - `refused`: by the rate limits; `failed`: by a fault, in the middle of the answer too
 * - `generatedTokens`, `promptTokens`: what a bill would be about; refused calls cost nothing. Generated tokens are counted
 *   when the work ends
 */
export interface SimStats {
  readonly calls: number
  readonly running: number
  readonly finished: number
  readonly abandoned: number
  readonly refused: number
  readonly failed: number
  readonly generatedTokens: number
  readonly promptTokens: number
}

/** Commands to a running provider. */
export interface SimControl {
  /** Add faults; their times count from now. */
  readonly set: (...faults: ReadonlyArray<Fault>) => Effect.Effect<void>
  /** Remove all faults that were set by command. The timetable goes on. */
  readonly clear: Effect.Effect<void>
  readonly stats: Effect.Effect<SimStats>
}

/** What the engine must know about a call. */
export interface CallShape {
  readonly model: string
  readonly promptTokens: number
  /** Tokens of one choice, which come in pieces of `tokensPerChunk`; 0 for embeddings. */
  readonly tokens: number
  readonly choices: number
  /** Median and sigma of the time to the first piece. */
  readonly first: { readonly medianMs: number; readonly sigma: number }
  readonly directive: Directive | undefined
}

/** A call that was let in. It ends with the scope in which it began. */
export interface Call {
  /** 0 for the first call of the engine, then 1 … Refused calls count. */
  readonly ordinal: number
  /** Epoch ms. */
  readonly startedAt: number
  readonly fate: Faults.Fate
  readonly limits: Limits.LimitView
  /** The position at which a fault strikes instead of the chunk. Position 0 is the role, then come the pieces, then the end. */
  readonly struckAt: number | undefined
  /** On the clock of work, when the chunk at `position` is ready. */
  readonly dueAt: (position: number) => number
}

/** See the module's comment. */
export interface Engine extends SimControl {
  readonly options: SimOptions
  readonly processor: Processor.Processor
  /** Let a call in, or refuse it. Closing the scope is the caller's leaving. */
  readonly admit: (shape: CallShape) => Effect.Effect<Call, Failure.Failure, Scope.Scope>
}

/** Build an engine. Options that cannot be read are a defect: they were written by the programmer. */
export const make = (input: SimOptionsInput = {}): Effect.Effect<Engine, never, Scope.Scope> =>
  Effect.flatMap(Effect.orDie(decode(input)), makeDecoded)

/** The same from options that were read before. */
export const makeDecoded = Effect.fnUntraced(function* (
  options: SimOptions
): Effect.fn.Return<Engine, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const startedAt = clock.currentTimeMillisUnsafe()
  const timetable = Faults.schedule(options.faults, startedAt)
  let scheduled = timetable
  const concurrency = options.concurrency ?? Infinity
  const processor = yield* Processor.make({
    at: (now) => Faults.capacityAt(scheduled, concurrency, now),
    nextChange: (now) => Faults.nextCapacityChange(scheduled, now)
  })
  const limits = Limits.make(options, startedAt)
  const known = options.strictModels ? new Set<string>(options.models) : undefined
  const stats = {
    calls: 0,
    running: 0,
    finished: 0,
    abandoned: 0,
    refused: 0,
    failed: 0,
    generatedTokens: 0,
    promptTokens: 0
  }

  const refuse = (failure: Failure.Failure): Effect.Effect<never, Failure.Failure> => {
    if (failure._tag === "Status" && failure.status === 429) stats.refused++
    else stats.failed++
    return options.errorMs === 0
      ? Effect.fail(failure)
      : Effect.andThen(clock.sleep(Duration.millis(options.errorMs)), Effect.fail(failure))
  }

  // Due times by position: 0 is the first token (and the role), n the nth piece. One draw for each piece.
  const timesOf = (shape: CallShape, steps: number, fate: Faults.Fate, random: Random.Random, begins: number) => {
    const { perToken, straggler, tokensPerChunk } = options
    const slow = straggler.probability > 0 && random() < straggler.probability ? straggler.factor : 1
    const first = shape.directive?.ttftMs ?? Random.logNormal(random, shape.first.medianMs, shape.first.sigma)
    const dues = new Float64Array(steps + 1)
    let at = begins + first * fate.ttftFactor * slow
    dues[0] = at
    const factor = fate.tokenFactor * slow
    for (let step = 1; step <= steps; step++) {
      const tokens = Math.min(tokensPerChunk, shape.tokens - (step - 1) * tokensPerChunk) - (step === 1 ? 1 : 0)
      if (tokens > 0) {
        const each = shape.directive?.perTokenMs ?? Random.logNormal(random, perToken.medianMs, perToken.sigma)
        at += tokens * each * factor
      }
      dues[step] = at
    }
    return dues
  }

  const enter = (shape: CallShape, fate: Faults.Fate, random: Random.Random, ordinal: number, now: number) => {
    const { mid } = fate
    const steps = Math.ceil(shape.tokens / options.tokensPerChunk)
    const dues = timesOf(shape, steps, fate, random, processor.work())
    const dueAt = (position: number) => dues[Math.min(position, steps)] ?? 0
    const struckAt = mid === undefined ? undefined : Math.min(mid.afterChunks, steps + 1)
    let left = false
    let ended = false
    let stalled = false
    const end = () => {
      ended = true
      stats.running--
    }
    const countTokens = () => {
      const work = processor.work()
      let made = 0
      const most = struckAt === undefined ? steps : Math.min(steps, Math.max(0, struckAt - 1))
      while (made < most && (dues[made + 1] ?? Infinity) <= work + Processor.epsilonMs) made++
      stats.generatedTokens += Math.min(shape.tokens, made * options.tokensPerChunk) * shape.choices
    }
    const onDone = () => {
      countTokens()
      if (mid?.kind === "stall") {
        stalled = true
        if (left) end()
        return
      }
      if (mid === undefined) stats.finished++
      else stats.failed++
      end()
    }
    stats.running++
    stats.promptTokens += shape.promptTokens
    const job = fate.hang === undefined ? processor.begin(dueAt(struckAt ?? steps), onDone) : undefined
    const leave = () => {
      processor.work()
      if (ended) return
      left = true
      stats.abandoned++
      if (job === undefined || stalled) return end()
      if (options.abandoned === "continue") return
      processor.stop(job)
      countTokens()
      end()
    }
    const call: Call = { ordinal, startedAt: now, fate, limits: limits.view(), struckAt, dueAt }
    return { call, leave }
  }

  const admit: Engine["admit"] = (shape) =>
    Effect.suspend(() => {
      const now = processor.now()
      const ordinal = stats.calls++
      const random = Random.make(options.seed, ordinal, 1)
      const own = shape.directive?.fault
      const fate = Faults.fateOf(
        own === undefined ? scheduled : [...Faults.schedule([own], now), ...scheduled],
        now,
        random
      )
      if (fate.refusal !== undefined) return refuse(fate.refusal)
      if (known !== undefined && !known.has(shape.model)) {
        return refuse(Failure.status(404, { param: "model", message: `The model '${shape.model}' does not exist.` }))
      }
      const tokens = shape.promptTokens + shape.tokens * shape.choices
      const verdict = limits.take(now, tokens)
      if (verdict._tag === "Refused") {
        return refuse(
          verdict.retryAfterMs === Infinity
            ? Failure.status(413, { message: `Request too large: ${tokens} tokens, more than the limit ever allows.` })
            : Failure.status(429, {
                message: `Rate limit reached for ${shape.model} on ${verdict.unit} per minute.`,
                retryAfterMs: Math.ceil(verdict.retryAfterMs)
              })
        )
      }
      const entered = Effect.map(
        Effect.acquireRelease(
          Effect.sync(() => enter(shape, fate, random, ordinal, now)),
          ({ leave }) => Effect.sync(leave)
        ),
        ({ call }) => call
      )
      return fate.hang === "headers" ? Effect.andThen(entered, Effect.never) : entered
    })

  return {
    options,
    processor,
    admit,
    set: (...faults) =>
      Effect.sync(() => {
        scheduled = [...Faults.schedule(faults, processor.now()), ...scheduled]
        processor.refresh()
      }),
    clear: Effect.sync(() => {
      processor.work()
      scheduled = timetable
      processor.refresh()
    }),
    stats: Effect.sync(() => {
      processor.work()
      return { ...stats }
    })
  }
})
