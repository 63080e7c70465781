/**
 * The runs in which Redis fails: killed and started again without what it knew, or stopped with its connections open.
 * What is looked for: how long decisions take meanwhile, how much the fleet lets in, and that a cap on money lets in
 * nobody.
 */
import { setTimeout as sleep } from "node:timers/promises"
import { quantile } from "../../proxy/tally.ts"
import * as History from "../../support/history.ts"
import type { Figures } from "../harness/case.ts"
import { sharedMs } from "../s9/clock.ts"
import * as Stalls from "../s9/stalls.ts"
import type { OwnRedis } from "../stores/own-redis.ts"
import * as Fleet from "./fleet.ts"
import type { Shape } from "./setup.ts"

/** What happens to Redis. */
export type Trouble = "killed" | "hung"

/** A moment within which a process that is told of it still may let in what it had asked for before. */
const settleMs = 250

/** A tenth of what a decision may take. */
const noiseMs = 5

export const run = async (
  options: Fleet.Options,
  shape: Shape,
  redis: OwnRedis,
  trouble: Trouble
): Promise<Figures> => {
  const fleet = Fleet.make(options)
  const { limit } = options.setup
  try {
    await fleet.add(shape.processes)
    // Until each process has been told how many there are.
    await sleep(shape.warmUpMs + 1_500)
    const away = { fromMs: sharedMs(), toMs: 0 }
    if (trouble === "killed") await redis.kill()
    else redis.pause()
    await sleep(shape.awayMs)
    away.toMs = sharedMs()
    if (trouble === "killed") await redis.restart()
    else redis.resume()
    const backMs = sharedMs()
    await sleep(shape.warmUpMs + 3_000)
    const overMs = sharedMs()
    const { inOrder, stalls } = await fleet.end()

    const { absences, decisions, holdings } = fleet.history()
    const inUse = History.permitsInUse(holdings, absences)
    const meanwhile = decisions.filter(({ atMs }) => atMs >= away.fromMs && atMs < away.toMs)
    // What a process has to wait for a core is not the store's doing, nor ours; as in S9, it is left out and counted.
    const measured = meanwhile.filter(
      ({ atMs, process, tookMs }) => !Stalls.starved(stalls.get(process) ?? [], atMs, atMs + tookMs, noiseMs)
    )
    const times = measured.map(({ tookMs }) => tookMs)
    const raw = meanwhile.map(({ tookMs }) => tookMs)
    const ofRedis = History.permitsInUse(
      holdings.filter(({ local }) => !local),
      absences
    )
    // The last time that more were in use than may be.
    const lastOver = inUse.value.findLastIndex((value) => value > limit)
    const overUntil = lastOver < 0 ? backMs : (inUse.atMs[lastOver + 1] ?? overMs)
    return {
      decision_p50_ms: quantile(times, 0.5),
      decision_p99_ms: quantile(times, 0.99),
      decision_max_ms: Math.max(...times),
      decision_raw_p99_ms: quantile(raw, 0.99),
      decisions: times.length,
      samples_excluded: raw.length - times.length,
      admission_ratio: History.meanIn(inUse, away) / limit,
      admission_max_ratio: History.mostIn(inUse, away) / limit,
      admission_back_max_ratio: History.mostIn(inUse, { fromMs: away.toMs, toMs: overMs }) / limit,
      admission_before_ratio: History.meanIn(inUse, { fromMs: away.fromMs - 1_000, toMs: away.fromMs }) / limit,
      admission_after_ratio: History.meanIn(inUse, { fromMs: overMs - 1_000, toMs: overMs }) / limit,
      capped_let_in: meanwhile.filter(({ atMs, capped, ok }) => capped && ok && atMs > away.fromMs + settleMs).length,
      capped_after: decisions.some(({ atMs, capped, ok }) => capped && ok && atMs > backMs) ? 1 : 0,
      permits_over_limit: Math.max(0, History.mostIn(ofRedis, { fromMs: 0, toMs: away.fromMs }) - limit),
      heal_s: Math.max(0, overUntil - backMs) / 1_000,
      clean_exits: inOrder ? 1 : 0
    }
  } finally {
    if (trouble === "hung") redis.resume()
    await fleet.killAll()
  }
}
