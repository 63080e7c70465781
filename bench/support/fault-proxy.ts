/**
 * A TCP proxy before a store (Redis, PostgreSQL) with switches for what
 * networks do: slow, mute, cut, closed, and now and then too late. It knows no
 * protocol: a reply is one piece of bytes that the server sends.
 */
import { connect, createServer } from "node:net"
import type { Server, Socket } from "node:net"
import { Effect } from "effect"
import type { Scope } from "effect"
import { draw } from "../scenarios/s9/draw.ts"

/** A running proxy with its switches. Each switch holds until it is set again; `heal` sets all of them back. */
export interface FaultProxy {
  readonly port: number
  /** The store's URL with the proxy in the place of the server. */
  readonly url: string
  /** Replies come `ms` later than they would. */
  readonly delay: (ms: number) => void
  /** Accepts connections and takes bytes, and says nothing. What the server has said meanwhile comes when it ends. */
  readonly hang: (on: boolean) => void
  /** Destroys all connections that there are, with a reset. New ones may be made. */
  readonly cut: () => void
  /** Closes the port and cuts all connections; `false` opens the port again. */
  readonly refuse: (on: boolean) => Promise<void>
  /**
   * A share of the replies, 0 to 1, is held back for `forMs` (longer than the client waits), and with each all that
   * follows it on its connection, since order is kept. `forMs` infinite: the reply is swallowed and its connection is
   * cut, since bytes that are missing in the middle leave no connection that anybody can use.
   */
  readonly dropShare: (share: number, seed: number, forMs?: number) => void
  /** No faults from now on. */
  readonly heal: () => Promise<void>
  /** Since the start: connections, bytes from the client and from the server, replies that were held back or swallowed. */
  readonly counts: () => Counts
}

export interface Counts {
  readonly connections: number
  readonly open: number
  readonly bytesUp: number
  readonly bytesDown: number
  readonly dropped: number
}

/** Both ends of a connection. `backlog` is what is not passed on yet, in order. */
interface Pair {
  readonly client: Socket
  readonly server: Socket
  readonly backlog: Array<{ readonly bytes: Buffer; readonly dueMs: number }>
  timer: NodeJS.Timeout | undefined
}

/** Start a proxy before `target` on a free port of loopback; it is gone with the scope. */
export const start = (target: string): Effect.Effect<FaultProxy, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(() => open(target)),
    ({ stop }) => Effect.promise(stop)
  )

const open = async (target: string): Promise<FaultProxy & { readonly stop: () => Promise<void> }> => {
  const upstream = new URL(target)
  const host = upstream.hostname
  const port = Number(upstream.port || (upstream.protocol.startsWith("redis") ? 6_379 : 5_432))
  const pairs = new Set<Pair>()
  let delayMs = 0
  let hanging = false
  let share = 0
  let heldMs = Infinity
  let chance = draw(0, "fault-proxy")
  const counts = { connections: 0, bytesUp: 0, bytesDown: 0, dropped: 0 }

  const end = (pair: Pair): void => {
    clearTimeout(pair.timer)
    pairs.delete(pair)
    pair.client.resetAndDestroy()
    pair.server.destroy()
  }
  /** Pass on what is due, and come back for the rest. */
  const flush = (pair: Pair): void => {
    clearTimeout(pair.timer)
    pair.timer = undefined
    if (hanging) return
    const now = performance.now()
    for (let next = pair.backlog[0]; next !== undefined; next = pair.backlog[0]) {
      if (next.dueMs > now) {
        pair.timer = setTimeout(flush, Math.ceil(next.dueMs - now), pair)
        return
      }
      pair.backlog.shift()
      pair.client.write(next.bytes)
    }
  }
  const reply = (pair: Pair, bytes: Buffer): void => {
    counts.bytesDown += bytes.length
    let ms = delayMs
    if (share > 0 && chance.unit() < share) {
      counts.dropped++
      if (heldMs === Infinity) {
        end(pair)
        return
      }
      ms += heldMs
    }
    const last = pair.backlog.at(-1)
    pair.backlog.push({ bytes, dueMs: Math.max(performance.now() + ms, last?.dueMs ?? 0) })
    flush(pair)
  }

  const accept = (client: Socket): void => {
    counts.connections++
    const server = connect({ host, port, noDelay: true })
    const pair: Pair = { client, server, backlog: [], timer: undefined }
    pairs.add(pair)
    client.setNoDelay(true)
    client.on("data", (bytes) => {
      counts.bytesUp += bytes.length
      server.write(bytes)
    })
    server.on("data", (bytes) => reply(pair, bytes))
    for (const socket of [client, server]) {
      socket.on("error", () => end(pair))
      socket.on("close", () => end(pair))
    }
  }

  let listener: Server
  const listen = (at: number): Promise<void> =>
    new Promise((resolve, reject) => {
      listener = createServer(accept)
      listener.once("error", reject)
      listener.listen(at, "127.0.0.1", () => resolve())
    })
  await listen(0)
  const address = listener!.address()
  const own = typeof address === "object" && address !== null ? address.port : 0
  const cut = (): void => {
    for (const pair of pairs) end(pair)
  }
  const refuse = async (on: boolean): Promise<void> => {
    if (on && listener.listening) {
      const closed = new Promise<void>((resolve) => listener.close(() => resolve()))
      cut()
      await closed
    } else if (!on && !listener.listening) {
      await listen(own)
    }
  }
  const hang = (on: boolean): void => {
    hanging = on
    for (const pair of pairs) flush(pair)
  }

  const url = new URL(target)
  url.hostname = "127.0.0.1"
  url.port = String(own)
  return {
    port: own,
    url: url.toString(),
    delay: (ms) => {
      delayMs = ms
    },
    hang,
    cut,
    refuse,
    dropShare: (of, seed, forMs = Infinity) => {
      share = of
      heldMs = forMs
      chance = draw(seed, "fault-proxy")
    },
    heal: async () => {
      delayMs = 0
      share = 0
      hang(false)
      await refuse(false)
    },
    counts: () => ({ ...counts, open: pairs.size }),
    stop: () => refuse(true)
  }
}
