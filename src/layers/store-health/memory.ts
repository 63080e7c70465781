/**
 * The health of the stores as this process sees it: a small breaker for each.
 *
 * - a store is known to be down after {@link tolerated} failures in a row, and no success for {@link silenceMs}: a share
 *   of lost answers among many good ones is no outage. One that has never answered is down with its first failure,
 *   since nothing speaks for waiting once more
 * - while it is down one probe may go to it every {@link probeMs}, times 1 to 1.5; whoever asks first makes it, as part
 *   of its own work
 * - the first success brings it up
 *
 * Each change is logged once, saying what it means, and `ballast_store_up` shows the state.
 */
import { Clock, Effect, Layer, PubSub, Random, Stream } from "effect"
import { StoreHealth } from "../../services/store-health.ts"
import type { StoreChange, StoreName } from "../../services/store-health.ts"
import * as Series from "../telemetry/series.ts"

/** Failures in a row after which a store that has answered before is down. */
export const tolerated = 3

/** A store that has answered within so many ms is not down. */
export const silenceMs = 50

/** Shortest time (ms) between two probes of a store that is down; the longest is half as much again. */
export const probeMs = 500

/** Changes kept for a subscriber that does not keep up; older ones are dropped. */
const backlog = 64

/** What it means that a store is away, in words for whoever reads the log. */
const meaning: Readonly<Record<StoreName, string>> = {
  redis:
    "Redis is away: limits run on this process's share, breakers and retries on what this process sees; budgets refuse",
  postgres:
    "Postgres is away: keys and budgets are those already known here; what is spent is written down once it is back"
}

const back: Readonly<Record<StoreName, string>> = {
  redis: "Redis is back: limits, breakers, retries and budgets are the fleet's again",
  postgres: "Postgres is back: what was spent meanwhile is being written down"
}

/** What is known of one store. Times are epoch ms. */
class Store {
  readonly name: StoreName
  state: StoreChange | undefined
  answeredAt = -Infinity
  failures = 0
  probedAt = -Infinity
  pauseMs = 0

  constructor(name: StoreName) {
    this.name = name
  }

  get down(): boolean {
    return this.state?.up === false
  }
}

/** Health over the current Clock; the jitter of the probes is drawn from the Random of the place where it is built. */
export const make = Effect.gen(function* () {
  const clock = yield* Clock.Clock
  const random = yield* Random.Random
  const context = yield* Effect.context<never>()
  const hub = yield* Effect.acquireRelease(PubSub.sliding<StoreChange>(backlog), PubSub.shutdown)
  const now = () => clock.currentTimeMillisUnsafe()
  const log = Effect.runForkWith(context)

  const storeOf = Series.once((name: StoreName) => {
    const store = new Store(name)
    Series.gauge(context, "ballast_store_up", "1 while the store answers, 0 while it is away", { store: name }, () =>
      store.down ? 0 : 1
    )
    return store
  })
  const known = new Set<Store>()

  const change = (store: Store, up: boolean, atMs: number, detail: string): void => {
    const before = store.state
    const state: StoreChange = { store: store.name, up, atMs, detail }
    store.state = state
    known.add(store)
    // That it answers for the first time is no change: nobody took it for away.
    if (before === undefined && up) return
    PubSub.publishUnsafe(hub, state)
    if (up) {
      const away = { store: store.name, awayMs: Math.max(0, atMs - (before?.atMs ?? atMs)) }
      log(Effect.annotateLogs(Effect.logInfo(back[store.name]), away))
    } else log(Effect.annotateLogs(Effect.logWarning(meaning[store.name]), { store: store.name, detail }))
  }

  /** The next probe may go in a while. */
  const pause = (store: Store, at: number): void => {
    store.probedAt = at
    store.pauseMs = probeMs * (1 + 0.5 * random.nextDoubleUnsafe())
  }

  return StoreHealth.of({
    usable: (name) => {
      const store = storeOf(name)
      if (!store.down) return true
      const at = now()
      // A clock that was set back must not put the probe off.
      if (at >= store.probedAt && at < store.probedAt + store.pauseMs) return false
      pause(store, at)
      return true
    },
    down: (name) => storeOf(name).down,
    ok: (name) => {
      const store = storeOf(name)
      store.failures = 0
      store.answeredAt = now()
      if (store.state?.up !== true) change(store, true, store.answeredAt, "it answers")
    },
    failed: (name, detail) => {
      const store = storeOf(name)
      store.failures++
      if (store.down) return
      const at = now()
      const silent = at - store.answeredAt >= silenceMs || at < store.answeredAt
      if (store.state !== undefined && (store.failures < tolerated || !silent)) return
      pause(store, at)
      change(store, false, at, detail)
    },
    changes: Stream.fromPubSub(hub),
    states: Effect.sync(() => [...known].flatMap(({ state }) => (state === undefined ? [] : [state])))
  })
})

/** {@link make} as a layer. */
export const layer: Layer.Layer<StoreHealth> = Layer.effect(StoreHealth, make)
