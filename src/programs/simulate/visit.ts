/**
 * One request of simulated traffic, as the scenario's generator wrote it down
 * before anybody answered it: the same for every policy that is compared.
 */
import type { ChatRequest } from "../../domain/chat.ts"
import type { Caller } from "../../domain/caller.ts"

/** Who asks, when, for what, and how long the answer is wanted. */
export interface Visit {
  readonly id: number
  /** When it is sent, in ms after the start. Latency counts from here, however late anybody gets round to it (open loop). */
  readonly atMs: number
  readonly caller: Caller
  /** After so many ms nobody wants the answer any more: an answer that comes later is no good one. */
  readonly patienceMs: number
  /** The request itself. Its field `sim` fixes the provider's times for it, so that they are the same for every policy. */
  readonly chat: ChatRequest
  readonly inputTokens: number
  readonly outputTokens: number
  /** How long an idle provider takes for the whole answer, in ms. */
  readonly serviceMs: number
}
