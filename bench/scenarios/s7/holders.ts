/**
 * The runs in which it is the holders that fail, and Redis is well: some are killed, others stopped for longer than a
 * lease lives and resumed. What is looked for: permits in use beyond the limit, and how long a killed holder's permits
 * are out of use.
 */
import { setTimeout as sleep } from "node:timers/promises"
import * as History from "../../support/history.ts"
import type { Absence, Holding } from "../../support/history.ts"
import type { Figures } from "../harness/case.ts"
import * as Fleet from "./fleet.ts"
import type { Shape } from "./setup.ts"

/**
 * A process that was stopped has so long (ms) to find out what it has lost: it has to hear from Redis first. Whoever
 * checks fences turns it away meanwhile. The promise for every loss of a lease: work is interrupted within 100 ms.
 */
export const noticeMs = 100

/** When the killed processes' permits were all in use again, as the whole limit was; `Infinity` where it never was. */
const backAt = (
  holdings: ReadonlyArray<Holding>,
  absences: ReadonlyArray<Absence>,
  limit: number,
  afterMs: number
): number => {
  const inUse = History.permitsInUse(holdings, absences)
  const index = inUse.atMs.findIndex((at, step) => at > afterMs && inUse.value[step]! >= limit)
  return index < 0 ? Infinity : inUse.atMs[index]!
}

/** Permits in the hands of killed processes when they died. */
const heldBy = (holdings: ReadonlyArray<Holding>, names: ReadonlyArray<string>, atMs: number): number =>
  holdings.filter(({ fromMs, process, toMs }) => names.includes(process) && fromMs < atMs && toMs >= atMs).length

export const run = async (options: Fleet.Options, shape: Shape): Promise<Figures> => {
  const fleet = Fleet.make(options)
  try {
    await fleet.add(shape.processes)
    await sleep(shape.warmUpMs)
    const killed = await fleet.kill(shape.victims)
    // Until their permits are back, and the second that is allowed for it is over.
    await sleep(shape.ttlMs + 1_500)
    await fleet.add(shape.victims)
    await sleep(shape.warmUpMs)
    const paused = await fleet.pause(shape.victims, () => sleep(shape.pauseMs).then(() => undefined))
    await sleep(shape.warmUpMs)
    const { inOrder } = await fleet.end()

    const { absences, decisions, holdings: all } = fleet.history()
    const holdings = all.filter(({ local }) => !local)
    const lenient = absences.map((absence) => ({ ...absence, toMs: absence.toMs + noticeMs }))
    const lost = holdings.filter(({ end }) => end === "lost")
    const pausedAt = paused[0]?.fromMs ?? 0
    const resumedAt = paused[0]?.toMs ?? 0
    const notices = lost.filter(({ toMs }) => toMs >= resumedAt).map(({ toMs }) => toMs - resumedAt)
    const leaked = heldBy(holdings, killed.names, killed.atMs)
    const back = backAt(holdings, absences, options.setup.limit, killed.atMs + 50)
    const failed = decisions.filter(({ reason }) => reason !== undefined && reason !== "Exceeded" && reason !== "limit")
    return {
      permits_over_limit: History.permitsOverLimit(holdings, lenient, options.setup.limit),
      release_s: leaked === 0 ? 0 : (back - killed.atMs - shape.ttlMs) / 1_000,
      permits_leaked: leaked,
      permits_lost: lost.length,
      lost_early: lost.filter(({ process, toMs }) => !paused.some((one) => one.process === process && toMs >= one.toMs))
        .length,
      lost_notice_ms: notices.length === 0 ? 0 : Math.max(...notices),
      paused_holders: holdings.filter(
        ({ fromMs, process, toMs }) =>
          paused.some((one) => one.process === process) && fromMs < pausedAt && toMs > pausedAt
      ).length,
      stale_releases: holdings.filter(
        ({ end, fromMs, process, toMs }) =>
          end === "released" && fromMs < pausedAt && toMs >= resumedAt && paused.some((one) => one.process === process)
      ).length,
      fence_violations: options.setup.policy === "ballast" ? History.fenceViolations(holdings) : undefined,
      permits_given: holdings.length,
      permits_local: all.length - holdings.length,
      decisions_failed: failed.length,
      clean_exits: inOrder ? 1 : 0
    }
  } finally {
    await fleet.killAll()
  }
}
