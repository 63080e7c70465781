/**
 * A process of S7: callers of one tenant who always want a permit, hold it for a while, and look every 20 ms whether it
 * is still theirs. All that happens to a permit is in the journal before the caller goes on.
 */
import { flushCompileCache } from "node:module"
import { Effect, Exit, Fiber, Layer, ManagedRuntime, Scope } from "effect"
import { serveParent } from "../../child/ipc.ts"
import { RedisClient } from "../../../src/layers/redis/client.ts"
import * as Caller from "../../../src/domain/caller.ts"
import * as Decision from "../stores/decision.ts"
import * as Stores from "../stores/layers.ts"
import * as Journal from "../stores/journal.ts"
import * as SkewedClock from "../stores/skewed-clock.ts"
import { sharedMs } from "../s9/clock.ts"
import { draw } from "../s9/draw.ts"
import * as Stalls from "../s9/stalls.ts"
import { StoreHealth } from "../../../src/services/store-health.ts"
import * as Baselines from "./baselines.ts"
import type { Acquire } from "./permits.ts"
import type { Event, Setup } from "./setup.ts"

// Written by the bench.
const setup = JSON.parse(process.argv[2] ?? "{}") as Setup
const journal = Journal.open<Event>(setup.journal)
const chance = draw(setup.seed, setup.name)

const caller = Caller.make("crowd", { user: "u", ip: "10.0.0.1" })
const capped = Caller.make("capped")

const layer = Stores.layer({
  redisUrl: setup.redisUrl,
  prefix: setup.prefix,
  processes: setup.processes,
  timeoutMs: setup.timeoutMs,
  leases: { standard: setup.limit, ttlMs: setup.ttlMs },
  // One micro-dollar short of what would matter: the cap is there to be asked for.
  budgets: { tenants: { capped: { month: { microUsd: 1_000_000_000_000 } } } }
}).pipe(Layer.provide(setup.skewMs === 0 ? Layer.empty : SkewedClock.layer(setup.skewMs)))

const runtime = ManagedRuntime.make(layer)

/** Pause of a refused caller. */
const pauseMs = (): number => chance.between(15, 45)
const lookMs = 20
/** A look that comes so much later than it should comes after a pause of the process, or of the machine. */
const gapMs = 200

/** Some permits are held for much longer than a lease lives, and than a process is stopped. */
const longShare = 0.05
const longFactor = 3.5

let permits = 0
let stopping = false

const ours: Effect.Effect<Acquire, never, Stores.Stores> = Effect.map(
  Effect.all([Decision.make, StoreHealth]),
  ([decide, health]) =>
    Effect.suspend(() => {
      const askedMs = sharedMs()
      return Effect.mapError(
        Effect.map(decide(caller, setup.whole ? "all" : "lease"), ({ lease }) => ({
          fence: lease.fence,
          held: () => lease.held(),
          onLost: (lost: () => void) => lease.onLost(lost),
          local: health.down("redis") || sharedMs() - askedMs >= setup.timeoutMs
        })),
        (error) => error.reason._tag
      )
    })
)

const acquireOf = (): Effect.Effect<Acquire, never, Stores.Stores> => {
  switch (setup.policy) {
    case "ballast":
      return ours
    case "counter":
      return Effect.map(RedisClient, (client) => Baselines.counter(client, setup))
    case "zset-client-clock":
      return Effect.map(RedisClient, (client) => Baselines.zset(client, setup))
  }
}

/** Ask, hold, give back. */
const visit = Effect.fnUntraced(function* (acquire: Acquire) {
  const scope = yield* Scope.make()
  const a = sharedMs()
  const asked = yield* Effect.exit(Scope.provide(acquire, scope))
  const t = sharedMs()
  if (Exit.isFailure(asked)) {
    const [first] = asked.cause.reasons
    const r = first !== undefined && first._tag === "Fail" ? String(first.error) : "defect"
    journal.write({ k: "no", a, t, r })
    yield* Scope.close(scope, Exit.void)
    yield* Effect.sleep(pauseMs())
    return
  }
  const permit = asked.value
  const n = ++permits
  journal.write({ k: "got", n, f: permit.fence, a, t, ...(permit.local ? { l: 1 } : {}) })
  let open = true
  const end = (how: "released" | "lost"): void => {
    if (!open) return
    open = false
    journal.write({ k: "end", n, t: sharedMs(), how })
  }
  permit.onLost(() => end("lost"))
  // Some are long: those that a pause of their process, or a Redis that comes back, meets in the middle.
  const until = t + (chance.unit() < longShare ? longFactor * setup.ttlMs : chance.between(...setup.holdMs))
  let last = t
  // oxlint-disable-next-line eslint/no-unmodified-loop-condition -- callbacks change it
  while (open && last < until && !stopping) {
    yield* Effect.sleep(Math.min(lookMs, Math.max(1, until - last)))
    const now = sharedMs()
    if (!permit.held()) end("lost")
    else if (open && now - last > gapMs) journal.write({ k: "seen", n, t: now })
    last = now
  }
  end(permit.held() ? "released" : "lost")
  yield* Scope.close(scope, Exit.void)
})

const worker = (acquire: Acquire): Effect.Effect<void> => {
  const next: Effect.Effect<void> = Effect.suspend(() =>
    stopping ? Effect.void : Effect.andThen(visit(acquire), next)
  )
  // Not all at the same moment.
  return Effect.andThen(Effect.sleep(chance.between(0, setup.holdMs[1])), next)
}

/** A tenant whose money is capped: while the cap cannot be asked, it is let in by nobody. */
const watch = Effect.gen(function* () {
  const decide = yield* Decision.make
  // oxlint-disable-next-line eslint/no-unmodified-loop-condition -- callbacks change it
  while (!stopping) {
    const a = sharedMs()
    const asked = yield* Effect.exit(Effect.scoped(decide(capped, "all")))
    journal.write({ k: "cap", a, t: sharedMs(), ok: Exit.isSuccess(asked) })
    yield* Effect.sleep(chance.between(20, 60))
  }
})

const loop = Stalls.watch()

let running: Fiber.Fiber<unknown, unknown> | undefined

serveParent({
  ready: async () => {
    await runtime.runPromise(Effect.void)
    // What this one has compiled, those that start after it need not.
    flushCompileCache()
  },
  go: () => {
    running = runtime.runFork(
      Effect.flatMap(acquireOf(), (acquire) =>
        Effect.all(
          [
            ...Array.from({ length: setup.workers }, () => worker(acquire)),
            ...(setup.whole && setup.policy === "ballast" ? [watch] : [])
          ],
          { concurrency: "unbounded" }
        )
      )
    )
  },
  /** No new visits; resolves, when those that run are over, with the times at which this process was kept from running. */
  stop: async (): Promise<ReadonlyArray<Stalls.Stall>> => {
    stopping = true
    if (running !== undefined) await runtime.runPromise(Fiber.await(running))
    return loop.report().stalls
  },
  /** Close everything, and end; the exit code says whether that went well. */
  end: async () => {
    const code = await runtime.dispose().then(
      () => 0,
      (error: unknown) => {
        process.stderr.write(`${String(error)}\n`)
        return 1
      }
    )
    setTimeout(() => process.exit(code), 20)
  }
})
