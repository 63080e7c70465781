/**
 * What a request answers, written down while it is sent: bounded in bytes, and
 * in few large pieces however small those are that it is sent in.
 */
import type { StoredAnswer } from "../../services/idempotency.ts"

/** Pieces grow to about so many characters: a long stream is some dozen pieces, not thousands. */
const pieceChars = 16_384

/** An answer in the making. Not more than `limitBytes` (UTF-8) of it are kept. */
export class Recording {
  private readonly limitBytes: number
  private status: number | undefined
  private headers: ReadonlyArray<string> = []
  private body: Array<string> = []
  private last = ""
  private bytes = 0

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes
  }

  begin(status: number, headers: ReadonlyArray<string>): void {
    this.status = status
    this.headers = [...headers]
    for (const text of headers) this.count(text)
  }

  append(data: string): void {
    this.count(data)
    if (this.tooLarge) return
    this.last += data
    if (this.last.length < pieceChars) return
    this.body.push(this.last)
    this.last = ""
  }

  /** Bytes of the answer so far, those beyond the limit included. */
  get size(): number {
    return this.bytes
  }

  /** The answer, whole; `undefined` where there is none, or too much of it. */
  answer(): StoredAnswer | undefined {
    if (this.status === undefined || this.tooLarge) return undefined
    const body = this.last === "" ? [...this.body] : [...this.body, this.last]
    return { status: this.status, headers: this.headers, body }
  }

  private get tooLarge(): boolean {
    return this.bytes > this.limitBytes
  }

  private count(text: string): void {
    this.bytes += Buffer.byteLength(text)
    if (!this.tooLarge) return
    this.body = []
    this.last = ""
  }
}
