/**
 * Circuit breakers in the memory of this process, one for each key.
 *
 * - closed: outcomes go into a time window; enough of them and too many failures or slow first tokens open the breaker
 *   (resilience4j's two rates)
 * - open: everything is refused for `openMs`, doubled with each probing that failed up to `maxOpenMs`, times 0.8 to 1.2,
 *   so that a fleet does not probe in step. A `Retry-After` of the provider makes it longer, up to twice `maxOpenMs`
 * - half-open: `probes` calls at a time are let through, everyone else is refused at once (nobody waits for a probe). As
 *   many answers close it, unless too many of them were slow; one failure opens it again
 *
 * Each change of state begins a generation, and the verdict of a lease of an
 * older one is ignored (as in gobreaker). A probe that ends without a verdict
 * gives its place to another.
 *
 * Keys are the configured candidates, so their number is small and they are
 * never forgotten.
 */
import { Clock, Effect, Layer, PubSub, Random, Stream } from "effect"
import { CircuitBreakerError } from "../../domain/errors.ts"
import type { BreakerPolicy } from "../../domain/policy.ts"
import { CircuitBreaker } from "../../services/circuit-breaker.ts"
import * as CircuitBreakerPort from "../../services/circuit-breaker.ts"
import type { BreakerLease, BreakerState, BreakerTransition } from "../../services/circuit-breaker.ts"
import * as Guard from "../../services/guard.ts"
import { Window } from "./window.ts"

/** Transitions kept for a subscriber that does not keep up; older ones are dropped. */
const backlog = 256

/** Longest `retryAfterMs` of a refusal: a breaker tripped by hand for ever still names a finite time. */
const maxAdviceMs = 86_400_000

class Cell {
  readonly key: string
  readonly window: Window
  state: BreakerState = "closed"
  generation = 0
  /** Probings that failed in a row. */
  failedProbings = 0
  openUntil = 0
  /** The latest Retry-After that the provider asked for, as epoch ms. */
  notBefore = 0
  probing = 0
  answered = 0
  slowAnswers = 0

  constructor(key: string, windowMs: number) {
    this.key = key
    this.window = new Window(windowMs)
  }
}

type Reason = BreakerTransition["reason"]

/** Breakers over the current Clock; the jitter of the open time is drawn from the Random of the place where it is built. */
export const make = Effect.fnUntraced(function* (policy: BreakerPolicy) {
  const clock = yield* Clock.Clock
  const random = yield* Random.Random
  const now = () => clock.currentTimeMillisUnsafe()
  const cells = new Map<string, Cell>()
  const hub = yield* Effect.acquireRelease(PubSub.sliding<BreakerTransition>(backlog), PubSub.shutdown)

  const cellOf = (key: string): Cell => {
    let cell = cells.get(key)
    if (cell === undefined) {
      cell = new Cell(key, policy.windowMs)
      cells.set(key, cell)
    }
    return cell
  }

  const become = (cell: Cell, to: BreakerState, reason: Reason, atMs: number): void => {
    const from = cell.state
    cell.state = to
    cell.generation++
    cell.probing = 0
    cell.answered = 0
    cell.slowAnswers = 0
    if (to === "closed") {
      cell.failedProbings = 0
      cell.notBefore = 0
      cell.window.clear()
    }
    PubSub.publishUnsafe(hub, { key: cell.key, from, to, atMs, reason, generation: cell.generation })
  }

  const open = (cell: Cell, reason: Reason, at: number): void => {
    const grown = Math.min(policy.maxOpenMs, policy.openMs * 2 ** cell.failedProbings)
    const jittered = grown * (0.8 + 0.4 * random.nextDoubleUnsafe())
    cell.openUntil = Math.max(at + jittered, Math.min(cell.notBefore, at + 2 * policy.maxOpenMs))
    become(cell, "open", reason, at)
  }

  /** An open breaker whose time is over is half-open: noticed when somebody looks, not by a timer. */
  const advance = (cell: Cell, at: number): void => {
    if (cell.state === "open" && at >= cell.openUntil) become(cell, "half-open", "open-time-over", at)
  }

  const judge = (cell: Cell, at: number): void => {
    const totals = cell.window.totals(at)
    if (totals.calls < policy.minimumCalls) return
    if (totals.failures > 0 && totals.failures >= policy.failureRate * totals.calls) open(cell, "failure-rate", at)
    else if (totals.slow > 0 && totals.slow >= policy.slowRate * totals.calls) open(cell, "slow-first-token", at)
  }

  const count = (cell: Cell, at: number, failed: boolean, slow: boolean): void => {
    cell.window.add(at, failed, slow)
    judge(cell, at)
  }

  const reopen = (cell: Cell, at: number): void => {
    cell.failedProbings++
    open(cell, "probe-failed", at)
  }

  const probed = (cell: Cell, at: number, slow: boolean): void => {
    cell.probing--
    cell.answered++
    if (slow) cell.slowAnswers++
    if (cell.answered < policy.probes) return
    if (cell.slowAnswers > 0 && cell.slowAnswers >= policy.slowRate * cell.answered) reopen(cell, at)
    else become(cell, "closed", "probes-succeeded", at)
  }

  const leaseOf = (cell: Cell): BreakerLease => {
    const { generation } = cell
    const probe = cell.state === "half-open"
    let verdict: "none" | "answered" | "final" = "none"
    let answeredAt = 0
    return {
      begin: () => {},
      gap: () => {},
      succeed: (firstTokenMs) => {
        if (verdict !== "none" || cell.generation !== generation) return
        verdict = "answered"
        answeredAt = now()
        const slow = firstTokenMs > policy.slowMs
        if (probe) probed(cell, answeredAt, slow)
        else count(cell, answeredAt, false, slow)
      },
      fail: (retryAfterMs = 0) => {
        if (verdict === "final" || cell.generation !== generation) return
        const at = now()
        if (retryAfterMs > 0) cell.notBefore = Math.max(cell.notBefore, at + retryAfterMs)
        if (probe) reopen(cell, at)
        else if (verdict === "none") count(cell, at, true, false)
        else {
          cell.window.amend(at, answeredAt)
          judge(cell, at)
        }
        verdict = "final"
      },
      cutShort: (elapsedMs) => {
        if (verdict !== "none" || cell.generation !== generation) return
        verdict = "final"
        const slow = elapsedMs > policy.slowMs
        if (probe && slow) probed(cell, now(), true)
        else if (probe) cell.probing--
        else if (slow) count(cell, now(), false, true)
      },
      release: () => {
        // Without a verdict so far there is none; a probe gives its place to another.
        if (probe && verdict === "none" && cell.generation === generation) {
          verdict = "final"
          cell.probing--
        }
      }
    }
  }

  const refuse = (requestId: string | undefined, cell: Cell, tag: "Open" | "Probing", afterMs: number) =>
    Effect.fail(
      new CircuitBreakerError({
        ...Guard.withRequestId(requestId),
        reason: { _tag: tag, key: cell.key, retryAfterMs: Math.min(afterMs, maxAdviceMs) }
      })
    )

  const acquireUnsafe =
    (key: string) =>
    (_restore: Guard.Restore, requestId: string | undefined): Effect.Effect<BreakerLease, CircuitBreakerError> => {
      const cell = cellOf(key)
      if (cell.state === "closed") return Effect.succeed(leaseOf(cell))
      const at = now()
      advance(cell, at)
      if (cell.state === "open") return refuse(requestId, cell, "Open", cell.openUntil - at)
      if (cell.probing + cell.answered < policy.probes) {
        cell.probing++
        return Effect.succeed(leaseOf(cell))
      }
      // By then a probe has answered, or is too slow to count for much.
      return refuse(requestId, cell, "Probing", Math.min(policy.openMs, policy.slowMs))
    }

  return CircuitBreakerPort.make({
    acquireUnsafe,
    state: (key) =>
      Effect.sync(() => {
        const cell = cellOf(key)
        advance(cell, now())
        return cell.state
      }),
    trip: (key, forMs) =>
      Effect.sync(() => {
        const cell = cellOf(key)
        const at = now()
        cell.openUntil = at + forMs
        become(cell, "open", "manual", at)
      }),
    reset: (key) => Effect.sync(() => become(cellOf(key), "closed", "manual", now())),
    transitions: Stream.fromPubSub(hub)
  })
})

/** {@link make} as a layer. */
export const layer = (policy: BreakerPolicy): Layer.Layer<CircuitBreaker> => Layer.effect(CircuitBreaker, make(policy))
