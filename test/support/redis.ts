/**
 * Redis for tests: a shared one with a prefix of one's own, servers that may be
 * broken, and a cluster of three nodes.
 *
 * The shared one is that of `REDIS_URL`, else whatever listens on the standard
 * port, else one that is started from the `PATH`, else one that is installed
 * (Debian, root).
 */
import { randomBytes } from "node:crypto"
import { Effect } from "effect"
import type { Scope } from "effect"
import { Redis } from "ioredis"
import * as Server from "./store-server.ts"
import type { StoreServer } from "./store-server.ts"

const binary = "redis-server"

/** Whether a server of our own can be started. */
const startable = (): boolean => {
  if (!Server.installed(binary)) Server.install("redis-server", "redis-tools")
  return Server.installed(binary)
}

/** A connection for a test's own commands, closed with the scope. */
export const connection = (url: string): Effect.Effect<Redis, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const client = new Redis(url)
      // Shows in the commands that fail.
      client.on("error", () => {})
      return client
    }),
    (client) => Effect.sync(() => client.disconnect())
  )

const answers = async (url: string): Promise<boolean> => {
  const client = new Redis(url, { lazyConnect: true, retryStrategy: () => null, maxRetriesPerRequest: 0 })
  client.on("error", () => {})
  try {
    await client.connect()
    return (await client.ping()) === "PONG"
  } catch {
    return false
  } finally {
    client.disconnect()
  }
}

/** How to start a server: bound to loopback, keeps nothing on disk. */
const specOf = async (extra: ReadonlyArray<string>, directory: string): Promise<Server.Spec> => {
  const port = await Server.freePort()
  const url = `redis://127.0.0.1:${port}`
  const fixed = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", directory]
  return { url, port, command: binary, args: [...fixed, ...extra], ready: () => answers(url) }
}

const shared = async (): Promise<string | undefined> => {
  const given = process.env["REDIS_URL"]
  if (given !== undefined && given !== "") {
    if (!(await answers(given))) throw new Error("REDIS_URL is set, but no Redis answers there.")
    return given
  }
  const standard = "redis://127.0.0.1:6379"
  if (await answers(standard)) return standard
  if (!startable()) return undefined
  const directory = Server.folder("redis")
  return Server.startForGood(await specOf([], directory), () => Server.remove(directory))
}

const sharedUrl = await shared()

/** Whether there is a Redis, decided once; for `describe.skipIf(!available)`. */
export const available: boolean = sharedUrl !== undefined || Server.missing("Redis", "no REDIS_URL, no redis-server")

/** Whether tests can start servers of their own. False only where Redis is somewhere else, and cannot be installed here. */
export const breakable: boolean = available && (startable() || Server.missing(binary, "it cannot be installed here"))

/** A Redis that may be used, and a fresh prefix. All keys that contain the prefix are deleted when the scope closes. */
export const redis: Effect.Effect<{ readonly url: string; readonly prefix: string }, never, Scope.Scope> =
  Effect.suspend(() => {
    if (sharedUrl === undefined) return Effect.die("no Redis: ask `available` first")
    const url = sharedUrl
    const prefix = `test-${randomBytes(6).toString("hex")}`
    return Effect.acquireRelease(Effect.succeed({ url, prefix }), () =>
      Effect.scoped(Effect.flatMap(connection(url), (client) => Effect.promise(() => forget(client, prefix))))
    )
  })

const forget = async (client: Redis, prefix: string): Promise<void> => {
  let cursor = "0"
  do {
    const [next, keys] = await client.scan(cursor, "MATCH", `*${prefix}*`, "COUNT", 1_000)
    cursor = next
    if (keys.length > 0) await client.unlink(keys)
  } while (cursor !== "0")
}

const startWith = (extra: ReadonlyArray<string>): Effect.Effect<StoreServer, never, Scope.Scope> =>
  Effect.suspend(() => {
    const directory = Server.folder("redis")
    return Effect.flatMap(
      Effect.promise(() => specOf(extra, directory)),
      (spec) => Server.start(spec, () => Server.remove(directory))
    )
  })

/** A server of one's own, to be broken. It keeps nothing: after `restart` it is empty. */
export const startRedis: Effect.Effect<StoreServer, never, Scope.Scope> = startWith([])

/** {@link startRedis} whose data survives `kill` and `restart` (each write is on disk before it is answered). */
export const startDurableRedis: Effect.Effect<StoreServer, never, Scope.Scope> = startWith([
  "--appendonly",
  "yes",
  "--appendfsync",
  "always"
])

/** All slots of a cluster, in three parts. */
const slots: ReadonlyArray<readonly [number, number]> = [
  [0, 5_460],
  [5_461, 10_922],
  [10_923, 16_383]
]

/** A cluster of three nodes without replicas; `url` is one of them. */
export const startCluster: Effect.Effect<
  { readonly url: string; readonly nodes: ReadonlyArray<StoreServer> },
  never,
  Scope.Scope
> = Effect.gen(function* () {
  // The nodes talk to each other over a port of their own; the usual one (port + 10,000) may be taken or not exist.
  const node = Effect.flatMap(Effect.promise(Server.freePort), (bus) =>
    startWith(["--cluster-enabled", "yes", "--cluster-port", String(bus), "--cluster-node-timeout", "2000"])
  )
  const nodes = yield* Effect.all([node, node, node])
  const clients = yield* Effect.forEach(nodes, ({ url }) => connection(url))
  yield* Effect.promise(async () => {
    const [first, ...others] = nodes
    const buses = await Promise.all(
      clients.map(async (client) => /@(\d+)/u.exec(String(await client.cluster("NODES")))?.[1])
    )
    for (const [at, client] of clients.entries()) {
      const [from, to] = slots[at]!
      await client.call("CLUSTER", "SET-CONFIG-EPOCH", at + 1)
      await client.call("CLUSTER", "ADDSLOTSRANGE", from, to)
    }
    for (const [at] of others.entries()) {
      await clients[at + 1]!.call("CLUSTER", "MEET", "127.0.0.1", first!.port, buses[0] ?? "")
    }
    const agreed = async () => {
      for (const client of clients) {
        const info = String(await client.cluster("INFO"))
        if (!/cluster_state:ok/u.test(info) || !/cluster_known_nodes:3/u.test(info)) return false
        // A node that is met but not yet greeted has no slots to tell of.
        if (((await client.cluster("SLOTS")) as ReadonlyArray<unknown>).length < 3) return false
      }
      return true
    }
    while (!(await agreed())) await new Promise((resolve) => setTimeout(resolve, 20))
  })
  return { url: nodes[0]!.url, nodes }
})
