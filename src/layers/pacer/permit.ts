/** Leave to make one call: what the caller reports of it goes to the limit's cell. */
import type { PacerPermit, PacerRequest } from "../../services/pacer.ts"
import type { UpstreamLimits } from "../../services/provider.ts"
import type { Cell } from "./cell.ts"

/** While nothing is known of a limit: one for all calls. It holds nothing, and can only learn. */
export class Free implements PacerPermit {
  readonly waitedMs = 0
  private readonly cell: Cell

  constructor(cell: Cell) {
    this.cell = cell
  }

  answered(_ms: number, limits: UpstreamLimits | undefined): void {
    if (limits !== undefined) this.cell.learn(limits)
  }

  limited(retryAfterMs: number | undefined): void {
    this.cell.limited(Infinity, retryAfterMs)
  }

  settle(): void {}
  release(): void {}
  unused(): void {}
}

export class Permit implements PacerPermit {
  readonly waitedMs: number
  private readonly cell: Cell
  private readonly request: PacerRequest
  private readonly sentAt: number
  /** What we believed to be left when the call left. */
  private readonly requestsAfter: number | undefined
  private readonly tokensAfter: number | undefined
  private held = true
  private settled = false

  constructor(
    cell: Cell,
    request: PacerRequest,
    sentAt: number,
    waitedMs: number,
    requestsAfter: number | undefined,
    tokensAfter: number | undefined
  ) {
    this.cell = cell
    this.request = request
    this.sentAt = sentAt
    this.waitedMs = waitedMs
    this.requestsAfter = requestsAfter
    this.tokensAfter = tokensAfter
  }

  answered(ms: number, limits: UpstreamLimits | undefined): void {
    if (!this.held) return
    this.cell.answered(this.request, ms)
    if (limits === undefined) return
    this.cell.learn(limits)
    this.cell.correct(limits, this.sentAt, this.requestsAfter, this.tokensAfter)
  }

  limited(retryAfterMs: number | undefined): void {
    if (this.held) this.cell.limited(this.sentAt, retryAfterMs)
  }

  settle(tokens: number): void {
    if (!this.held || this.settled) return
    this.settled = true
    this.cell.give(0, this.request.tokens - Math.max(0, tokens))
  }

  release(): void {
    this.held = false
  }

  unused(): void {
    if (!this.held) return
    this.held = false
    this.cell.give(1, this.settled ? 0 : this.request.tokens)
  }
}
