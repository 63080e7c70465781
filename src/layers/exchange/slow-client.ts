/**
 * Cuts a client that takes nothing of what waits for it. One that reads slowly
 * but steadily is left alone, however long the rest of its answer takes.
 */
import type { ServerResponse } from "node:http"
import type { Socket } from "node:net"
import type { Timers } from "../../services/timers.ts"

/** How often the client is looked at within its time: it is cut up to a quarter of that late, never early. */
const looks = 4

/** The part of a socket that Node does not document. */
interface WithHandle {
  readonly _handle?: { readonly writeQueueSize?: number } | null
}

/**
 * A number that stays the same only while the client takes nothing, as long as
 * nobody writes. The stream counts whole writes down; what is left of the one
 * under way only libuv knows, and Node's own socket timeouts look there too.
 */
const unread = (response: ServerResponse): number => {
  const socket: (Socket & WithHandle) | null = response.socket
  // oxlint-disable-next-line eslint/no-underscore-dangle -- Node's name; where it is missing, whole writes are counted
  return response.writableLength + (socket?._handle?.writeQueueSize ?? 0)
}

/**
 * Watch a response whose bytes wait for its client and that nobody writes to
 * meanwhile; destroy it once the client has taken none for `limitMs`. The
 * result ends the watch.
 */
export const watch = (response: ServerResponse, timers: Timers["Service"], limitMs: number): (() => void) => {
  let left = unread(response)
  let tookAt = timers.now()
  const timer = timers.make(() => {
    const now = timers.now()
    const before = left
    left = unread(response)
    if (left !== before) tookAt = now
    if (now >= tookAt + limitMs) response.destroy()
    else timer.arm(now + limitMs / looks)
  })
  timer.arm(tookAt + limitMs / looks)
  return () => timer.disarm()
}
