/**
 * Postgres in this process: PGlite behind the byte stream that the driver
 * takes in place of a socket, so that one dialect and one driver serve both.
 *
 * PGlite has one session, which outlives any stream: each new stream first
 * clears what the last one left (an open transaction, prepared statements). It
 * runs on this thread, and a question blocks it: for one process alone, for
 * tests and for trying things out. The module is loaded when it is asked for.
 */
import { Duplex } from "node:stream"
import type { PGlite } from "@electric-sql/pglite"
import { Effect } from "effect"
import type { Scope } from "effect"
import { StoreError } from "../../domain/errors.ts"

/** Codes of requests that begin a connection (PostgreSQL's manual, 55.7). */
const startup = 196_608
const cancelRequest = 80_877_102
const terminate = "X".charCodeAt(0)

/** A `Query` message. */
const query = (sql: string): Uint8Array => {
  const text = Buffer.from(`${sql}\0`)
  const frame = Buffer.alloc(5 + text.length)
  frame.write("Q")
  frame.writeInt32BE(4 + text.length, 1)
  frame.set(text, 5)
  return frame
}
const rollback = query("ROLLBACK")
const discard = query("DISCARD ALL")

/** One connection to `db`: whole messages in, whatever it answers out. */
class Session extends Duplex {
  readonly #db: PGlite
  #waiting: Buffer = Buffer.alloc(0)
  #begun = false

  constructor(db: PGlite) {
    super()
    this.#db = db
  }

  override _read(): void {
    // What comes is pushed as it comes: the driver asked for all of it.
  }

  override _write(chunk: Buffer, _encoding: string, written: (error?: Error | null) => void): void {
    this.#waiting = this.#waiting.length === 0 ? chunk : Buffer.concat([this.#waiting, chunk])
    this.#feed().then(
      () => written(),
      (cause: unknown) => written(cause instanceof Error ? cause : new Error(String(cause)))
    )
  }

  override _final(done: () => void): void {
    this.push(null)
    done()
  }

  async #feed(): Promise<void> {
    if (!this.#begun) await this.#begin()
    let end = 0
    while (this.#waiting.length >= end + 5) {
      const next = end + 1 + this.#waiting.readInt32BE(end + 1)
      // A `Terminate` would end the one session there is.
      if (this.#waiting.length < next || this.#waiting[end] === terminate) break
      end = next
    }
    if (end === 0) return
    // Copied: the driver's buffers are used again.
    const whole = Uint8Array.from(this.#waiting.subarray(0, end))
    this.#waiting = this.#waiting.subarray(end)
    await this.#exec(whole, (data) => {
      if (!this.destroyed) this.push(Buffer.from(data))
    })
  }

  async #begin(): Promise<void> {
    if (this.#waiting.length < 8 || this.#waiting.length < this.#waiting.readInt32BE(0)) return
    const length = this.#waiting.readInt32BE(0)
    const code = this.#waiting.readInt32BE(4)
    const frame = Uint8Array.from(this.#waiting.subarray(0, length))
    this.#waiting = this.#waiting.subarray(length)
    // A question runs to its end before anything else can: there is nothing left to cancel.
    if (code === cancelRequest) return void this.push(null)
    if (code !== startup) throw new Error(`unexpected request ${code}`)
    this.#begun = true
    await this.#exec(rollback, () => {})
    await this.#exec(discard, () => {})
    await this.#exec(frame, (data) => this.push(Buffer.from(data)))
  }

  #exec(frame: Uint8Array, onRawData: (data: Uint8Array) => void): Promise<void> {
    return this.#db.runExclusive(() => this.#db.execProtocolRawStream(frame, { onRawData }))
  }
}

/**
 * Open the database in `directory`, or an empty one in memory, until the scope
 * closes. Gives what opens a stream to it. `Unavailable`: it cannot be opened
 * (the directory is not writable, or holds something else).
 */
export const open = (directory: string | undefined): Effect.Effect<() => Duplex, StoreError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.tryPromise({
      try: async () => {
        const module = await import("@electric-sql/pglite")
        return module.PGlite.create(directory === undefined ? {} : { dataDir: directory })
      },
      catch: () =>
        new StoreError({
          store: "postgres",
          reason: {
            _tag: "Unavailable",
            detail: `PGlite cannot be opened ${directory === undefined ? "in memory" : `in '${directory}'`}`
          }
        })
    }),
    (db) => Effect.ignore(Effect.tryPromise(() => db.close()))
  ).pipe(Effect.map((db) => () => new Session(db)))
