/**
 * Keys and answers in a process's memory: those that run, and those that were
 * answered, bounded in number and bytes. Running ones are as many as the server
 * has requests, and are never turned out.
 */
import type { StoredAnswer } from "../../services/idempotency.ts"
import type { Limits } from "./limits.ts"

/** An answer with what it takes up and until when it is kept (epoch ms). */
interface Kept {
  readonly fingerprint: string
  readonly answer: StoredAnswer
  readonly bytes: number
  readonly untilMs: number
}

/** What is known of a key. */
export type Found =
  | { readonly _tag: "Unknown" }
  | { readonly _tag: "InFlight" }
  | { readonly _tag: "OtherBody" }
  | { readonly _tag: "Answered"; readonly answer: StoredAnswer }

const unknown: Found = { _tag: "Unknown" }
const inFlight: Found = { _tag: "InFlight" }
const otherBody: Found = { _tag: "OtherBody" }

/** Bytes that an answer takes up besides its own text, about. */
const overheadBytes = 500

export class Entries {
  private readonly limits: Limits
  private readonly running = new Map<string, string>()
  /** Oldest first: all live equally long. */
  private readonly answered = new Map<string, Kept>()
  private bytes = 0

  constructor(limits: Limits) {
    this.limits = limits
  }

  find(id: string, fingerprint: string, nowMs: number): Found {
    const running = this.running.get(id)
    if (running !== undefined) return running === fingerprint ? inFlight : otherBody
    this.expire(nowMs)
    const kept = this.answered.get(id)
    if (kept === undefined) return unknown
    return kept.fingerprint === fingerprint ? { _tag: "Answered", answer: kept.answer } : otherBody
  }

  /** The key is taken. Only for one that is unknown. */
  take(id: string, fingerprint: string): void {
    this.running.set(id, fingerprint)
  }

  /** It runs no more. */
  free(id: string): void {
    this.running.delete(id)
  }

  /** It is answered. */
  keep(id: string, fingerprint: string, answer: StoredAnswer, size: number, nowMs: number): void {
    this.running.delete(id)
    this.forget(id)
    const bytes = size + overheadBytes
    this.answered.set(id, { fingerprint, answer, bytes, untilMs: nowMs + this.limits.lifeMs })
    this.bytes += bytes
    for (const oldest of this.answered.keys()) {
      if (this.answered.size <= this.limits.entries && this.bytes <= this.limits.bytes) break
      this.forget(oldest)
    }
  }

  /** Whether an answer is kept under the key. */
  has(id: string): boolean {
    return this.answered.has(id)
  }

  /** The answer is not needed here any more. */
  forget(id: string): void {
    this.bytes -= this.answered.get(id)?.bytes ?? 0
    this.answered.delete(id)
  }

  /** What there is, for tests and metrics. */
  get sizes(): { readonly running: number; readonly answered: number; readonly bytes: number } {
    return { running: this.running.size, answered: this.answered.size, bytes: this.bytes }
  }

  private expire(nowMs: number): void {
    for (const [id, { untilMs }] of this.answered) {
      if (untilMs > nowMs) return
      this.forget(id)
    }
  }
}
