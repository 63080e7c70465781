/**
 * Which faults are in force, and what they do to one call.
 *
 * Faults come from the timetable (relative to the provider's start), from a
 * command (relative to the command) and from the call's own directive. Those
 * that end a call are looked at in that reverse order, the call's own first;
 * slow-downs multiply.
 */
import { Effect } from "effect"
import * as Failure from "./failure.ts"
import type { Fault } from "./options.ts"
import type { Random } from "./random.ts"

/** A fault that strikes in the middle of an answer. */
export type MidFault = Extract<Fault, { readonly kind: "cut" | "stall" | "broken-frame" | "stream-error" }>

/** What happens to a call. */
export interface Fate {
  /** The call ends before any work. */
  readonly refusal: Failure.Failure | undefined
  /** The call never gets an answer. */
  readonly hang: "headers" | "body" | undefined
  readonly mid: MidFault | undefined
  readonly ttftFactor: number
  readonly tokenFactor: number
}

/** A fault with its times as epoch ms. */
export interface Scheduled {
  readonly fault: Fault
  readonly from: number
  readonly to: number
}

/** Put faults on the clock: their times count from `origin` (epoch ms). */
export const schedule = (faults: ReadonlyArray<Fault>, origin: number): ReadonlyArray<Scheduled> =>
  faults.map((fault) => ({
    fault,
    from: origin + fault.fromMs,
    to: fault.toMs === undefined ? Infinity : origin + fault.toMs
  }))

const inForce = ({ from, to }: Scheduled, now: number) => from <= now && now < to

const refusalOf = (fault: Extract<Fault, { readonly kind: "outage" | "flapping" | "reject" }>) =>
  Failure.status(fault.status, fault)

// Every fault in force draws, whatever the others do, so that adding one does not shift the draws of the next call's.
const strikes = (fault: Fault, random: Random) => fault.probability >= 1 || random() < fault.probability

/** Decide about one call that arrives at `now`. `random` belongs to this call alone. */
export const fateOf = (scheduled: ReadonlyArray<Scheduled>, now: number, random: Random): Fate => {
  let refusal: Failure.Failure | undefined
  let hang: Fate["hang"]
  let mid: MidFault | undefined
  let ttftFactor = 1
  let tokenFactor = 1
  for (const one of scheduled) {
    const fault = one.fault
    if (fault.kind === "capacity" || !inForce(one, now) || !strikes(fault, random)) continue
    switch (fault.kind) {
      case "outage":
      case "reject":
        refusal ??= refusalOf(fault)
        break
      case "flapping":
        if (fault.periodMs > 0 && (now - one.from) % fault.periodMs < fault.periodMs / 2) refusal ??= refusalOf(fault)
        break
      case "refuse":
        refusal ??= { _tag: "Refused" }
        break
      case "hang":
        hang ??= fault.phase
        break
      case "brownout":
        ttftFactor *= fault.factor
        break
      case "slow-drip":
        tokenFactor *= fault.factor
        break
      default:
        mid ??= fault
    }
  }
  return { refusal, hang, mid, ttftFactor, tokenFactor }
}

/**
 * What the reader gets where `mid` strikes: a failure, or (a stall) nothing ever more. An error inside a `streamed` answer
 * is one without a status; where nothing was sent yet, it still has its status.
 */
export const strike = (mid: MidFault | undefined, streamed: boolean): Effect.Effect<never, Failure.Failure> => {
  switch (mid?.kind) {
    case "cut":
      return Effect.fail({ _tag: "Cut" })
    case "broken-frame":
      return Effect.fail({ _tag: "BrokenFrame" })
    case "stream-error":
      return Effect.fail(Failure.status(mid.status, { ...mid, tag: streamed ? "StreamError" : "Status" }))
    default:
      return Effect.never
  }
}

/** `concurrency` as the capacity faults leave it at `now`. Their `probability` is not looked at: capacity belongs to all calls. */
export const capacityAt = (scheduled: ReadonlyArray<Scheduled>, concurrency: number, now: number): number => {
  let places = concurrency
  for (const one of scheduled) {
    // Infinity x 0 is no number: an unlimited provider has no capacity to lose.
    if (one.fault.kind === "capacity" && places !== Infinity && inForce(one, now)) places *= one.fault.factor
  }
  return places
}

/** When the capacity changes next after `now`, or `Infinity`. */
export const nextCapacityChange = (scheduled: ReadonlyArray<Scheduled>, now: number): number => {
  let next = Infinity
  for (const { fault, from, to } of scheduled) {
    if (fault.kind !== "capacity") continue
    if (from > now && from < next) next = from
    if (to > now && to < next) next = to
  }
  return next
}
