/**
 * What becomes of a request's record: metrics from every one, a span tree from
 * the sampled, failed and slow ones. No prompt or answer text ever reaches it.
 */
import { Context } from "effect"
import type { RequestRecord } from "./request-record.ts"

export class Telemetry extends Context.Service<
  Telemetry,
  {
    /** Called once when a request begins. Must not fail or block. */
    readonly begin: (record: RequestRecord) => void
    /** Called once when a request has ended, whatever the outcome. Must not fail or block. */
    readonly end: (record: RequestRecord) => void
  }
>()("ballast/services/Telemetry") {}
