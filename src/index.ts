/**
 * Ballast: keeps LLM features upright under real customers.
 *
 * `complete` and `embed` are Effects; `Ballast.layer(config)` gives them all
 * that they need; `Server.serve(config)` is the same thing behind an
 * OpenAI-compatible HTTP server. Ports live in `ballast/services/*`, their
 * layers in `ballast/layers/*`, the vocabulary in `ballast/domain/*`.
 */
export * as Caller from "./domain/caller.ts"
export type { Degraded, DegradedReason, Rung } from "./domain/brownout.ts"
export type * from "./domain/chat.ts"
export type { ResolvedConfig } from "./domain/config.ts"
export type * from "./domain/embedding.ts"
export * from "./domain/errors.ts"
export { errorBody, retryAfterMs, rowOf } from "./domain/error-table.ts"
export * as Money from "./domain/money.ts"
export * as Ballast from "./programs/ballast.ts"
export { collect } from "./programs/collect.ts"
export { complete } from "./programs/complete.ts"
export * as Config from "./programs/config.ts"
export { embed } from "./programs/embed.ts"
export type { Guards, Requirements } from "./programs/guards.ts"
export * as Server from "./programs/server.ts"
export { CurrentCaller } from "./services/caller.ts"
export { Deadline } from "./services/deadline.ts"
export { events } from "./services/provider.ts"
export type { Completion, CompletionEvent } from "./services/provider.ts"
