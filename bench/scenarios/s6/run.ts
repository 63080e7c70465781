/** One run of S6, from its processes' start to the moment at which counters and books are compared. */
import * as path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { Effect, Exit, Scope } from "effect"
import * as FaultProxy from "../../support/fault-proxy.ts"
import * as History from "../../support/history.ts"
import { temporary } from "../../child/lifetime.ts"
import type { Figures } from "../harness/case.ts"
import { sharedMs } from "../s9/clock.ts"
import { draw } from "../s9/draw.ts"
import * as Processes from "../s9/processes.ts"
import type { Process } from "../s9/processes.ts"
import type { Counts } from "../stores/faults.ts"
import * as ToldBy from "./history.ts"
import type { Policy, Setup, Shape } from "./setup.ts"

const file = path.join(import.meta.dirname, "process.ts")

/** Replies that the proxy holds back, and for how much longer than the client waits. */
const heldShare = 0.01
const heldFactor = 1.5

/** Money is free when the store has been told, which nobody waits for: at the second try at the latest. */
const toldFactor = 4

export interface Options {
  readonly policy: Policy
  readonly seed: number
  readonly redisUrl: string
  readonly postgresUrl: string | undefined
  readonly sizes: string | undefined
}

interface Member {
  readonly name: string
  readonly process: Process
}

interface Status {
  readonly spent: number
  readonly reserved: number
}

let runs = 0

/** Look ten times a second until nothing is reserved; when that was (`Infinity`: never), and what was seen last. */
const quiet = async (
  auditor: Process,
  untilMs: number
): Promise<{ readonly atMs: number; readonly status: Status | undefined }> => {
  let status: Status | undefined
  while (sharedMs() < untilMs) {
    status = (await auditor.ask<Status | undefined>("status")) ?? status
    if (status?.reserved === 0) return { atMs: sharedMs(), status }
    await sleep(100)
  }
  return { atMs: Infinity, status }
}

const usd = (micro: number): number => micro / 1_000_000

const play = async (options: Options, shape: Shape, proxied: FaultProxy.FaultProxy): Promise<Figures> => {
  const { policy, postgresUrl, redisUrl, seed, sizes } = options
  const {
    callMs,
    callers,
    cap,
    claimMs,
    faults,
    kills,
    late,
    pauseMs,
    processes,
    quietMs,
    reservationMs,
    runMs,
    timeoutMs,
    twice
  } = shape
  const run = ++runs
  const chance = draw(seed, "s6")
  const journals = new Map<string, string>()
  const launch = (name: string, rest: Partial<Setup>): Member => {
    const journal = path.join(temporary(), `s6-${run}-${name}.jsonl`)
    journals.set(name, journal)
    const setup: Setup = {
      name,
      seed: seed * 1_000 + journals.size,
      policy,
      redisUrl: proxied.url,
      prefix: `s6-${run}`,
      postgresUrl,
      cap,
      callers,
      callMs,
      pauseMs,
      reservationMs,
      claimMs,
      faults,
      twice,
      late,
      timeoutMs,
      sizes,
      processes,
      journal,
      ...rest
    }
    return {
      name,
      process: Processes.start({ name, args: [file, JSON.stringify(setup)], askTimeoutMs: Processes.fleetAskTimeoutMs })
    }
  }
  const auditor = launch("auditor", { redisUrl, faults: 0, callers: 0 }).process
  let members: Array<Member> = []
  const killedAt = new Map<string, number>()
  try {
    const fresh = Array.from({ length: processes }, (_, index) => launch(`p${index}`, {}))
    await auditor.ask("ready")
    await Promise.all([...fresh.map(({ process }) => process.ask("ready"))])
    proxied.dropShare(heldShare, seed, heldFactor * timeoutMs)
    await Promise.all(fresh.map(({ process }) => process.ask("go")))
    members = fresh

    const startMs = sharedMs()
    const killAt = Array.from({ length: kills }, () => chance.between(0.15, 0.8) * runMs).toSorted((a, b) => a - b)
    const replacements: Array<Promise<void>> = []
    for (const [index, atMs] of killAt.entries()) {
      await sleep(Math.max(0, startMs + atMs - sharedMs()))
      const [victim] = members.splice(chance.whole(0, members.length - 1), 1)
      if (victim === undefined) continue
      killedAt.set(victim.name, sharedMs())
      await victim.process.kill()
      replacements.push(
        (async () => {
          const next = launch(`r${index}`, {})
          await next.process.ask("ready")
          await next.process.ask("go")
          members.push(next)
        })()
      )
    }
    await sleep(Math.max(0, startMs + runMs - sharedMs()))
    await Promise.all(replacements)
    const counted = await Promise.all(members.map(({ process }) => process.ask<Counts>("stop")))
    await Promise.all(members.map(({ process }) => process.ask("end")))
    const codes = await Promise.all(members.map(({ process }) => process.ended))
    const endMs = sharedMs()
    const { atMs, status } = await quiet(auditor, endMs + reservationMs + quietMs)
    const booked = postgresUrl === undefined ? undefined : await auditor.ask<{ readonly microUsd: number }>("books")
    return figures({
      told: [...journals].flatMap(([name, journal]) => ToldBy.read(name, journal)),
      cap,
      reservationMs,
      toldMs: toldFactor * timeoutMs,
      counted,
      clean: codes.every((code) => code === 0),
      killedAt,
      quietAt: atMs,
      status,
      booked: booked?.microUsd
    })
  } finally {
    await Promise.all(members.map(({ process }) => process.kill()))
    await auditor.kill()
  }
}

interface Seen {
  readonly told: ReadonlyArray<ToldBy.Told>
  readonly cap: number
  readonly reservationMs: number
  /** From the end of a call to the moment at which its money must be free. */
  readonly toldMs: number
  readonly counted: ReadonlyArray<Counts>
  readonly clean: boolean
  readonly killedAt: ReadonlyMap<string, number>
  readonly quietAt: number
  readonly status: Status | undefined
  readonly booked: number | undefined
}

/** A process that is killed takes with it what it had not yet told the store: whether it had, nobody can know. */
const known = (one: ToldBy.Told, killedMs: number, toldMs: number): ToldBy.Told => {
  if (one.answer === "admitted" && one.settledMs + toldMs > killedMs) return { ...one, settledMs: Infinity }
  if (one.answer === "unavailable" && one.answeredMs + toldMs > killedMs) return { ...one, answer: "none" }
  return one
}

/**
 * What the books may hold beyond what was really spent: what is booked as estimated because its process was killed, and
 * whatever that process had not told any more.
 */
const allowance = (told: ReadonlyArray<ToldBy.Told>): number =>
  told.reduce((sum, { answer, cost, estimate, granted, settledMs }) => {
    if (answer === "none") return sum + estimate
    return answer === "admitted" && settledMs === Infinity ? sum + Math.max(0, granted - cost) : sum
  }, 0)

const figures = ({
  booked,
  cap,
  clean,
  counted,
  killedAt,
  quietAt,
  reservationMs,
  status,
  told,
  toldMs
}: Seen): Figures => {
  const admitted = told.filter(({ answer }) => answer === "admitted")
  const open = admitted.filter(({ settledMs }) => settledMs === Infinity)
  const refused = told.filter(({ answer }) => answer === "refused")
  const unavailable = told.filter(({ answer }) => answer === "unavailable")
  // A reservation of which nothing is heard expires so long after it was made at the latest.
  const lastExpiry = Math.max(
    0,
    ...told
      .filter(({ settledMs, answer }) => settledMs === Infinity && answer !== "refused")
      .map(({ askedMs, answeredMs }) => (answeredMs === Infinity ? askedMs : answeredMs) + reservationMs)
  )
  const lastEnd = Math.max(
    0,
    ...admitted.filter(({ settledMs }) => settledMs !== Infinity).map(({ settledMs }) => settledMs)
  )
  const sum = (of: ReadonlyArray<ToldBy.Told>, what: (one: ToldBy.Told) => number) =>
    of.reduce((total, one) => total + what(one), 0)
  const calls = counted.reduce((total, one) => total + one.calls, 0)
  const spent = History.reallySpent(told)
  const asKnown = told.map((one) => known(one, killedAt.get(one.process) ?? Infinity, toldMs))
  const explained = spent + allowance(asKnown)
  return {
    overshoot_ratio: History.overshoot(told, cap),
    false_refusal_ratio: History.falseRefusals(asKnown, cap, toldMs).length / Math.max(1, told.length),
    ledger_mismatch_usd:
      booked === undefined || status === undefined ? undefined : usd(Math.abs(status.spent - booked)),
    leak_return_s: open.length === 0 ? 0 : Math.max(0, quietAt - Math.max(lastExpiry, lastEnd)) / 1_000,
    used_ratio: spent / cap,
    unavailable_ratio: unavailable.length / Math.max(1, told.length),
    redis_timeout_ratio: counted.reduce((total, one) => total + one.timedOut, 0) / Math.max(1, calls),
    asked: told.length,
    admitted: admitted.length,
    refused: refused.length,
    cut: admitted.filter(({ cut }) => cut).length,
    killed: killedAt.size,
    killed_in_flight: open.length,
    counters_usd: status === undefined ? undefined : usd(status.spent),
    books_usd: booked === undefined ? undefined : usd(booked),
    really_spent_usd: usd(spent),
    // What killed calls were booked as, beyond what they did cost.
    estimated_usd: usd(sum(open, ({ cost, granted }) => granted - cost)),
    // Spent by nobody: reservations of calls that never were, which came to be booked.
    phantom_ratio: status === undefined ? undefined : Math.max(0, status.spent - explained) / cap,
    reserved_after_usd: status === undefined ? undefined : usd(status.reserved),
    clean_exits: clean ? 1 : 0
  }
}

/** Play it, behind a proxy of its own. */
export const once = (options: Options, shape: Shape): Promise<Figures> =>
  Effect.runPromise(
    Effect.acquireUseRelease(
      Scope.make(),
      (scope) =>
        Effect.flatMap(Scope.provide(FaultProxy.start(options.redisUrl), scope), (proxied) =>
          Effect.promise(() => play(options, shape, proxied))
        ),
      (scope) => Scope.close(scope, Exit.void)
    )
  )
