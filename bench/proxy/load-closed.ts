/** Closed loop: each connection sends its next request as soon as its last one is answered. Finds the saturation point. */
import type { Connection } from "./http-client.ts"
import { errorTally } from "./tally.ts"
import type { Errors } from "./tally.ts"

export interface ClosedResult {
  readonly completed: number
  readonly seconds: number
  readonly errors: Errors
}

const GRACE_MS = 15_000

/** At least one request a connection; after `seconds` no new ones, and the run ends with the last answer. */
export const closedLoop = (connections: ReadonlyArray<Connection>, seconds: number): Promise<ClosedResult> =>
  new Promise((resolve) => {
    const { add, errors } = errorTally()
    const start = performance.now()
    const end = start + seconds * 1000
    let completed = 0
    let active = connections.length
    const finish = (): void => {
      clearTimeout(deadline)
      resolve({ completed, seconds: (performance.now() - start) / 1000, errors })
    }
    const deadline = setTimeout(
      () => {
        add(`${active} connections without an answer`)
        for (const connection of connections) connection.close()
        finish()
      },
      seconds * 1000 + GRACE_MS
    )
    const leave = (): void => {
      if (--active === 0) finish()
    }
    for (const connection of connections) {
      const done = (error: string | undefined): void => {
        if (error !== undefined) {
          add(error)
          leave()
          return
        }
        completed++
        if (performance.now() < end) connection.send(done)
        else leave()
      }
      connection.send(done)
    }
  })
