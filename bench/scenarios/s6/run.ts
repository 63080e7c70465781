/** One run of S6, from its processes' start to the moment at which counters and books are compared. */
import * as path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { Effect, Exit, Scope } from "effect"
import * as FaultProxy from "../../support/fault-proxy.ts"
import { temporary } from "../../child/lifetime.ts"
import type { Figures } from "../harness/case.ts"
import { sharedMs } from "../s9/clock.ts"
import { draw } from "../s9/draw.ts"
import * as Processes from "../s9/processes.ts"
import type { Process } from "../s9/processes.ts"
import type { Counts } from "../stores/faults.ts"
import * as OwnDatabase from "../stores/own-database.ts"
import * as FiguresOf from "./figures.ts"
import type { Status } from "./figures.ts"
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
    await Promise.all(fresh.map(({ process }) => process.ask("ready")))
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
    const isOurs = postgresUrl !== undefined && policy !== "check-then-add"
    const books = isOurs ? await auditor.ask<{ readonly microUsd: number }>("books") : undefined
    return FiguresOf.of({
      told: [...journals].flatMap(([name, journal]) => ToldBy.read(name, journal)),
      cap,
      reservationMs,
      toldMs: toldFactor * timeoutMs,
      counted,
      clean: codes.every((code) => code === 0),
      killedAt,
      quietAt: atMs,
      status,
      sum: books?.microUsd,
      entries: isOurs ? await OwnDatabase.booked(postgresUrl) : undefined
    })
  } finally {
    await Promise.all(members.map(({ process }) => process.kill()))
    await auditor.kill()
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
