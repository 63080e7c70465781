/**
 * Budgets of all processes together, in Redis: what is spent and reserved under
 * each cap, checked and charged in the admission's one script
 * (`admission/lua.ts`). The books are the truth: the script that settles also
 * puts the entry into the stream from which they are written, and a window
 * that Redis does not know is set from them before anything is spent in it.
 *
 * - a reservation is settled once, by its id, however often that is said
 * - one whose holder is gone is booked as spent when it expires, as estimated; should the holder come back within a day,
 *   the difference is booked
 * - while Redis or the books are away, callers with a cap are refused; all others go on, and their costs are written to
 *   the books directly
 */
import { Clock, Duration, Effect, Layer, Random, Schedule } from "effect"
import { downgradeOf } from "../../domain/budget.ts"
import type { BudgetPolicy } from "../../domain/budget.ts"
import { StoreError } from "../../domain/errors.ts"
import type { BudgetError } from "../../domain/errors.ts"
import { Budget } from "../../services/budget.ts"
import * as BudgetPort from "../../services/budget.ts"
import type { BudgetRequest, BudgetReservation, BudgetStatus } from "../../services/budget.ts"
import { BudgetCaps } from "../../services/budget-caps.ts"
import { Ledger } from "../../services/ledger.ts"
import { Admission } from "../admission/admission.ts"
import type { Outcome, Part } from "../admission/admission.ts"
import * as Lua from "../admission/lua.ts"
import * as ProcessId from "../admission/process-id.ts"
import { RedisClient } from "../redis/client.ts"
import * as Caps from "./caps.ts"
import type { AppliedCap } from "./caps.ts"
import * as Entry from "./entry.ts"
import { Estimate } from "./estimate.ts"
import * as Question from "./question.ts"
import * as Windows from "./windows.ts"

/** Pause (ms) between two looks for expired reservations, of one process of several. */
const sweepMs = 500
/** Most of them in one script. */
const mostAtOnce = 200
/** The holder of an expired reservation may come back for so long (ms). */
const graceMs = 86_400_000
/** Entries that may wait for the books; beyond it nothing more is spent under a cap. Some 300 bytes each. */
const mostBacklog = 1_000_000
/** Tries of a recomputation while requests are being settled, and the pause between two (ms). */
const recomputeTries = 100
const recomputePauseMs = 20

/** A budget over `Admission`. */
export const make = Effect.fnUntraced(function* (policy: BudgetPolicy) {
  const { join, settlements } = yield* Admission
  const client = yield* RedisClient
  const clock = yield* Clock.Clock
  const random = yield* Random.Random
  const ledger = yield* Ledger
  const budgetCaps = yield* BudgetCaps
  const context = yield* Effect.context<never>()
  const estimate = new Estimate(policy)
  const base = client.key("")
  const keys = [client.key("fence")]
  const ttlUs = Math.round(policy.reservationMs * 1_000)
  const prefix = ProcessId.make(random)
  let made = 0
  let backlog = 0

  const sweep = Effect.gen(function* () {
    if (!client.usable()) return
    const [swept, length] = yield* client.run<readonly [number, number]>(Lua.sweep, keys, [
      base,
      "1",
      mostAtOnce,
      graceMs
    ])
    backlog = length
    if (swept > 0) {
      yield* Effect.logWarning(
        `${swept} reservations expired: their holders are gone. They are booked as spent, as estimated.`
      )
    }
  })
  yield* Effect.forkScoped(
    Effect.repeat(Effect.ignore(sweep), Schedule.jittered(Schedule.spaced(Duration.millis(sweepMs))))
  )

  /** Set the counters of a window from the books. */
  const seed = Effect.fnUntraced(function* ({ feature, name, tenant, window: kind }: AppliedCap, window: string) {
    const { microUsd, tokens } = yield* ledger.sum({ tenant, feature, ...Windows.spanOf(window) })
    yield* client.run(Lua.seed, keys, [base, name, window, microUsd, tokens, 0, Windows.keptMs(kind), ""])
  })

  const decide: Question.Decide = (question, restore, requestId) => {
    const { asked, caps, input, output, request } = question
    const id = `${prefix}-${++made}`
    if (caps.length === 0) return Effect.succeed(uncapped(id, request, asked))
    if (backlog > mostBacklog) return Effect.fail(Caps.unavailable(requestId))
    const args: Array<string | number> = [
      "B",
      id,
      asked.microUsd,
      input,
      output,
      ttlUs,
      JSON.stringify(Entry.metaOf(request)),
      caps.length
    ]
    for (const { cap, name, window } of caps) args.push(name, window, cap.microUsd ?? -1, cap.tokens ?? -1)
    const part: Part = {
      section: "B",
      args,
      size: 2 * caps.length,
      giveBack: (to) => to.push(["X", id]),
      seed: (cap, window, again) => {
        const of = caps[cap]
        if (of === undefined) return again(false)
        Effect.runForkWith(context)(
          Effect.matchCause(seed(of, window), { onFailure: () => again(false), onSuccess: () => again(true) })
        )
      }
    }
    const answer = (outcome: Outcome): Effect.Effect<BudgetReservation, BudgetError> => {
      switch (outcome._tag) {
        case "Admitted":
          return Effect.succeed(capped(id, request, caps, input, output, asked.microUsd, outcome.values))
        case "Refused": {
          const [cap = 1, unit = 0, used = 0] = outcome.values
          return Effect.fail(
            Caps.exhausted(requestId, caps[cap - 1] ?? caps[0]!, unit === 1 ? "tokens" : "micro-usd", used)
          )
        }
        case "Else":
          return Effect.succeed(nothing)
        case "Away":
          return Effect.fail(Caps.unavailable(requestId))
      }
    }
    return Effect.flatMap(restore(join(requestId, request.caller, part)), answer)
  }

  /** No cap of a tenant or a feature: nothing to set aside; what it costs is booked all the same. */
  const uncapped = (id: string, request: BudgetRequest, asked: Caps.Asked): BudgetReservation => {
    const bounded = Question.isBounded(policy)
    let open = true
    let { microUsd, tokens } = asked
    return {
      id,
      granted: () => (bounded ? microUsd : Infinity),
      grantedTokens: () => (bounded ? tokens : Infinity),
      advice: "full",
      warnings: [],
      extend: (more, moreTokens) =>
        Effect.sync(() => {
          if (!open || (bounded && !Question.fitsRequest(policy, microUsd + more, tokens + moreTokens))) return false
          microUsd += Caps.amount(more)
          tokens += Caps.amount(moreTokens)
          return true
        }),
      settle: (spending) => {
        if (!open) return
        open = false
        const entry = Entry.settled(id, clock.currentTimeMillisUnsafe(), request, spending)
        estimate.learn(request.model, request.caller.feature, entry.outputTokens)
        if (client.down()) return void ledger.append(entry)
        const { inputTokens, microUsd: spent, outputTokens } = entry
        settlements.push(["A", id, spent, inputTokens, outputTokens, JSON.stringify(Entry.metaOf(request, spending))])
      },
      release: () => {
        open = false
      }
    }
  }

  const capped = (
    id: string,
    request: BudgetRequest,
    caps: ReadonlyArray<AppliedCap>,
    input: number,
    output: number,
    reserved: number,
    values: ReadonlyArray<number>
  ): BudgetReservation => {
    const states = caps.flatMap((cap, index) => Caps.statesOf(cap, values[2 * index] ?? 0, values[2 * index + 1] ?? 0))
    let open = true
    let microUsd = reserved
    let extra = 0
    const limits = caps.flatMap(({ cap }) => [cap.microUsd ?? -1, cap.tokens ?? -1])
    return {
      id,
      granted: () => microUsd,
      grantedTokens: () => input + output + extra,
      advice: Question.adviceOf(policy, request, states),
      warnings: Caps.past(states, policy.soft),
      extend: (more, moreTokens) =>
        Effect.suspend(() => {
          const [usd, tokens] = [microUsd + Caps.amount(more), extra + Caps.amount(moreTokens)]
          if (!open || !client.usable() || !Question.fitsRequest(policy, usd, input + output + tokens)) {
            return Effect.succeed(false)
          }
          return Effect.match(
            client.run<number>(Lua.extend, keys, [base, id, usd, input, output + tokens, ttlUs, ...limits]),
            {
              onFailure: () => false,
              onSuccess: (answer) => {
                if (answer !== 1) return false
                microUsd = Math.max(microUsd, usd)
                extra = Math.max(extra, tokens)
                return true
              }
            }
          )
        }),
      settle: (spending) => {
        if (!open) return
        open = false
        const spent = Caps.amount(spending.cost)
        const [inputTokens, outputTokens] = [Caps.amount(spending.inputTokens), Caps.amount(spending.outputTokens)]
        estimate.learn(request.model, request.caller.feature, outputTokens)
        settlements.push(["B", id, spent, inputTokens, outputTokens, JSON.stringify(Entry.metaOf(request, spending))])
      },
      release: () => {
        if (!open) return
        open = false
        settlements.push(["X", id])
      }
    }
  }

  /** Counters of caps as they stand, with the windows they are of. */
  const look = (caps: ReadonlyArray<AppliedCap>) =>
    Effect.map(
      client.run<ReadonlyArray<number | string>>(Lua.look, keys, [
        base,
        ...caps.flatMap(({ name, window }) => [name, window])
      ]),
      (answer) =>
        caps.map((applied, index) => {
          const [window = "", version = 0, spent = 0, reserved = 0, tokens = 0, reservedTokens = 0] = answer.slice(
            1 + 6 * index,
            7 + 6 * index
          )
          return {
            applied,
            window: String(window),
            version: Number(version),
            spent: Number(spent),
            reserved: Number(reserved),
            tokens: Number(tokens),
            reservedTokens: Number(reservedTokens)
          }
        })
    )

  const status = Effect.fnUntraced(function* (tenant: BudgetRequest["caller"]["tenant"], feature?: string) {
    const caps = Caps.applied(policy, yield* budgetCaps.load(tenant), tenant, feature)
    if (caps.length === 0) return { caps: [] } satisfies BudgetStatus
    let seen = yield* look(caps)
    const unknown = seen.filter(({ version }) => version === 0)
    if (unknown.length > 0) {
      yield* Effect.forEach(unknown, ({ applied, window }) => seed(applied, window))
      seen = yield* look(caps)
    }
    return {
      caps: seen.flatMap(({ applied, reserved, reservedTokens, spent, tokens }) =>
        Caps.statesOf(applied, spent + reserved, tokens + reservedTokens).map((state) => ({
          ...state,
          name: applied.name,
          spent: state.unit === "tokens" ? tokens : spent,
          reserved: state.unit === "tokens" ? reservedTokens : reserved
        }))
      )
    } satisfies BudgetStatus
  })

  /** Only a moment in which nothing waits for the books, and nothing has been settled since they were read, will do. */
  const recompute = Effect.fnUntraced(function* (tenant: BudgetRequest["caller"]["tenant"]) {
    for (const applied of Caps.applied(policy, yield* budgetCaps.load(tenant), tenant)) {
      let done = false
      for (let tries = 0; !done && tries < recomputeTries; tries++) {
        if (tries > 0) yield* Effect.sleep(recomputePauseMs)
        yield* ledger.flush
        const [seen] = yield* look([applied])
        if (seen === undefined) break
        const { microUsd, tokens } = yield* ledger.sum({ tenant, ...Windows.spanOf(seen.window) })
        const kept = Windows.keptMs(applied.window)
        const args = [base, applied.name, seen.window, microUsd, tokens, seen.version, kept]
        done =
          (yield* client.run<number>(Lua.seed, keys, [...args, seen.version === 0 ? "" : String(seen.spent)])) === 1
      }
      if (!done) {
        const detail = "requests are being settled all the time; try again"
        return yield* new StoreError({ store: "redis", reason: { _tag: "Conflict", detail } })
      }
    }
    return yield* status(tenant)
  })

  return BudgetPort.make({
    reserveUnsafe: Question.asking(policy, estimate, budgetCaps, decide),
    downgrade: ({ plan }) => downgradeOf(policy, plan),
    status,
    recompute
  })
})

/** Nothing was taken, for another part of the request's admission was refused. */
const nothing: BudgetReservation = {
  id: "",
  granted: () => 0,
  grantedTokens: () => 0,
  advice: "full",
  warnings: [],
  extend: () => Effect.succeed(false),
  settle: () => {},
  release: () => {}
}

/** {@link make} as a layer. */
export const layer = (
  policy: BudgetPolicy
): Layer.Layer<Budget, never, Admission | RedisClient | Ledger | BudgetCaps> => Layer.effect(Budget, make(policy))
