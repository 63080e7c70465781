/** What the processes of one run of S6 wrote down, as charges of one history. */
import type { Charge } from "../../support/history.ts"
import * as Journal from "../stores/journal.ts"
import type { Event } from "./setup.ts"

/** A charge, with what else is known of it. */
export interface Told extends Charge {
  readonly reservation: string
  readonly reason: string | undefined
  /** Set aside in the end, extensions included. */
  readonly granted: number
  readonly cut: boolean
}

interface Open {
  askedMs: number
  answeredMs: number
  answer: Charge["answer"]
  estimate: number
  granted: number
  cost: number
  settledMs: number
  reservation: string
  reason: string | undefined
  cut: boolean
}

/** The charges of one process, by its journal. */
export const read = (process: string, file: string): ReadonlyArray<Told> => {
  const calls = new Map<number, Open>()
  for (const event of Journal.read<Event>(file)) {
    if (event.k === "ask") {
      calls.set(event.n, {
        askedMs: event.t,
        answeredMs: Infinity,
        answer: "none",
        estimate: event.e,
        granted: 0,
        cost: 0,
        settledMs: Infinity,
        reservation: "",
        reason: undefined,
        cut: false
      })
      continue
    }
    const call = calls.get(event.n)
    if (call === undefined) continue
    switch (event.k) {
      case "yes":
        call.answer = "admitted"
        call.answeredMs = event.t
        call.estimate = event.e
        call.granted = event.e
        call.cost = event.c
        call.reservation = event.id
        break
      case "no":
        call.answer = event.r === "Exhausted" || event.r === "NeverFits" ? "refused" : "unavailable"
        call.answeredMs = event.t
        call.reason = event.r
        break
      case "more":
        call.granted = event.e
        // From when it was asked for, more or less: the benefit of the doubt for who refuses.
        call.estimate = event.e
        break
      case "cut":
        call.cost = event.c
        call.cut = true
        break
      case "end":
        call.cost = event.c
        call.settledMs = event.t
    }
  }
  return [...calls].map(([n, call]) => ({ id: `${process}/${n}`, process, ...call }))
}
