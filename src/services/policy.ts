/**
 * The timeouts that the programs themselves apply. Guards get their own policy
 * when their layer is built; these are read for each request.
 */
import { Context } from "effect"
import { defaults } from "../domain/policy.ts"
import type { Timeouts } from "../domain/policy.ts"

/** Timeouts of requests, attempts and streams; the shipped defaults unless configured. */
export const CurrentTimeouts = Context.Reference<Timeouts>("ballast/services/CurrentTimeouts", {
  defaultValue: () => defaults.timeouts
})
