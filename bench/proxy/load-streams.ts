/**
 * Streams. `streamLoop`: a steady number of paced streams, started one after the other over the length of one stream
 * so that they do not move in step. `heldStreams`: open N slow ones and keep them, to see what an open stream holds.
 */
import type { Connection } from "./http-client.ts"
import type { StreamInput } from "./load.ts"
import { errorTally, quantile } from "./tally.ts"
import type { Errors } from "./tally.ts"

export interface StreamResult {
  readonly streams: number
  readonly chunks: number
  readonly firstP50Ms: number
  readonly firstP99Ms: number
  /** Streams whose first token was timed: those that began while more than 60 % of the slots were streaming. */
  readonly timed: number
  readonly seconds: number
  readonly errors: Errors
}

const TIMED_ABOVE = 0.6
const GRACE_MS = 30_000

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** One stream from request to terminator, and the time of its first token. */
const oneStream = (connection: Connection, timed: boolean, firsts: Array<number>): Promise<string | undefined> =>
  new Promise((resolve) => {
    const sent = performance.now()
    connection.onFirst = () => {
      if (timed) firsts.push(performance.now() - sent)
    }
    connection.send(resolve)
  })

export const streamLoop = async (
  connections: ReadonlyArray<Connection>,
  { chunks, generations, intervalMs }: StreamInput
): Promise<StreamResult> => {
  const { add, errors } = errorTally()
  const firsts: Array<number> = []
  const streamMs = chunks * intervalMs
  const start = performance.now()
  let active = 0
  let streams = 0
  const slot = async (connection: Connection, index: number): Promise<void> => {
    await sleep((index * streamMs) / connections.length)
    for (let generation = 0; generation < generations; generation++) {
      active++
      // A slot is one stream after another: that is what the loop is for.
      // oxlint-disable-next-line no-await-in-loop
      const error = await oneStream(connection, active > TIMED_ABOVE * connections.length, firsts)
      active--
      if (error !== undefined) return add(error)
      streams++
    }
  }
  const deadline = setTimeout(
    () => {
      for (const connection of connections) connection.fail("stream did not end in time")
    },
    streamMs * (generations + 1) + GRACE_MS
  )
  await Promise.all(connections.map(slot))
  clearTimeout(deadline)
  return {
    streams,
    chunks: streams * chunks,
    firstP50Ms: quantile(firsts, 0.5),
    firstP99Ms: quantile(firsts, 0.99),
    timed: firsts.length,
    seconds: (performance.now() - start) / 1000,
    errors
  }
}

let held = errorTally()

/** Resolves when every stream has had its first token, or none can any more. */
export const heldStreams = (connections: ReadonlyArray<Connection>): Promise<{ readonly errors: Errors }> => {
  const { add, errors } = (held = errorTally())
  return new Promise((resolve) => {
    let waiting = connections.length
    const finish = (): void => {
      clearTimeout(deadline)
      resolve({ errors })
    }
    const settle = (): void => {
      if (--waiting === 0) finish()
    }
    const deadline = setTimeout(() => {
      add(`${waiting} streams without a first token`)
      finish()
    }, GRACE_MS)
    for (const connection of connections) {
      let settled = false
      const once = (): void => {
        if (!settled) settle()
        settled = true
      }
      connection.onFirst = once
      connection.send((error) => {
        add(error ?? "stream ended while it should be open")
        once()
      })
    }
  })
}

/** Errors of the held streams up to now. */
export const releaseStreams = (): Errors => held.errors
