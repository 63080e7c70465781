/**
 * Connections to Redis by ioredis: one for commands, bounded in time and
 * without a queue of its own, and more of them for subscriptions and blocking
 * commands. Here is all that knows ioredis.
 *
 * - no offline queue and no resending: a command that cannot be sent now fails now, and one whose reply is lost is not
 *   sent twice (it may have been executed)
 * - commands of one turn of the event loop leave in one write (auto-pipelining)
 * - a connection that is lost is made again, for ever, at most a second later
 */
import { Cluster, Redis } from "ioredis"
import { Redacted } from "effect"
import type { RedisConfig } from "../../domain/config.ts"

/** Called once with the reply, or with what went wrong. */
export type Reply = (error: Error | undefined, value: unknown) => void

/** One connection, or one to each node of a cluster. */
export interface Connection {
  /** Send a command. `reply` is called once, never before this returns. */
  readonly call: (command: string, args: ReadonlyArray<string>, reply: Reply) => void
  /** Whether commands can be sent at the moment. */
  readonly ready: () => boolean
  readonly on: (event: "ready" | "close", listener: () => void) => void
  readonly subscribe: (channel: string, onMessage: (channel: string, message: string) => void) => Promise<unknown>
  /** Run `act` once all that has come by now has been read. */
  readonly afterReading: (act: () => void) => void
  readonly close: () => void
}

/** Pause before the nth attempt to connect again, in ms: twice as long each time, at most a second. */
const pauseMs = (attempt: number): number => Math.min(1_000, 25 * 2 ** Math.min(attempt, 10))

const common = (batched: boolean) => ({
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  autoResubscribe: true,
  maxRetriesPerRequest: 0,
  enableAutoPipelining: batched,
  connectTimeout: 2_000,
  retryStrategy: pauseMs
})

/** `redis://user:password@host:port/db` in parts; TLS for `rediss://`. */
const parse = (url: string) => {
  const { hostname, password, pathname, port, protocol, username } = new URL(url)
  const db = Number(pathname.slice(1))
  return {
    host: hostname.replace(/^\[|\]$/gu, ""),
    port: port === "" ? 6379 : Number(port),
    ...(username === "" ? {} : { username: decodeURIComponent(username) }),
    ...(password === "" ? {} : { password: decodeURIComponent(password) }),
    ...(Number.isInteger(db) && db > 0 ? { db } : {}),
    ...(protocol === "rediss:" ? { tls: {} } : {})
  }
}

const clientOf = (config: RedisConfig, batched: boolean): Redis | Cluster => {
  const { host, port, ...rest } = parse(Redacted.value(config.url))
  const options = { ...common(batched), ...rest }
  if (!config.cluster) return new Redis({ ...options, host, port })
  const cluster = {
    enableOfflineQueue: false,
    enableAutoPipelining: batched,
    clusterRetryStrategy: pauseMs,
    retryDelayOnFailover: 50,
    retryDelayOnClusterDown: 50,
    slotsRefreshTimeout: 1_000,
    redisOptions: options
  }
  return new Cluster([{ host, port }], cluster)
}

/** Open a connection. `batched`: commands of one turn leave together, which a blocking command must not wait for. */
export const connect = (config: RedisConfig, batched: boolean): Connection => {
  const client = clientOf(config, batched)
  // What is wrong with the connection shows in the commands that fail; an event without a listener would end the process.
  client.on("error", () => {})
  return {
    call: (command, args, reply) => {
      client.call(command, ...args).then(
        (value) => reply(undefined, value),
        (error: unknown) => reply(error instanceof Error ? error : new Error(String(error)), undefined)
      )
    },
    ready: () => client.status === "ready",
    on: (event, listener) => void client.on(event, listener),
    subscribe: (channel, onMessage) => {
      client.on("message", onMessage)
      return client.subscribe(channel)
    },
    afterReading: (act) => void setImmediate(act),
    close: () => client.disconnect()
  }
}
