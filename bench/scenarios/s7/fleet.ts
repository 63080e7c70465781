/** The processes of one run of S7: started, killed, stopped, replaced; and what they wrote down, as one history. */
import * as path from "node:path"
import type { Absence, Holding } from "../../support/history.ts"
import { temporary } from "../../child/lifetime.ts"
import { sharedMs } from "../s9/clock.ts"
import * as Processes from "../s9/processes.ts"
import type { Process } from "../s9/processes.ts"
import type { Stall } from "../s9/stalls.ts"
import * as Journal from "../stores/journal.ts"
import type { Event, Setup } from "./setup.ts"

/** A process that runs. */
export interface Member {
  readonly name: string
  readonly process: Process
}

/** A decision: asked for at `atMs`, answered after `tookMs`. */
export interface Decision {
  readonly process: string
  readonly atMs: number
  readonly tookMs: number
  /** Of the tenant whose money is capped: whether it was let in. */
  readonly capped: boolean
  readonly ok: boolean
  readonly reason: string | undefined
}

/** A permit, and whether its process gave it to itself. */
export interface Given extends Holding {
  readonly local: boolean
}

/** All that happened. */
export interface History {
  readonly holdings: ReadonlyArray<Given>
  readonly absences: ReadonlyArray<Absence>
  readonly decisions: ReadonlyArray<Decision>
}

const file = path.join(import.meta.dirname, "process.ts")

export interface Options {
  readonly setup: Omit<Setup, "name" | "seed" | "journal" | "skewMs">
  readonly seed: number
  /** How far the clock of the nth process is off (ms). */
  readonly skewMs: (index: number) => number
  /** By `faketime`, not by an injected clock. */
  readonly faketime: string | undefined
}

let runs = 0

/** A fleet without processes. */
export const make = ({ faketime, seed, setup, skewMs }: Options) => {
  const run = ++runs
  const members: Array<Member> = []
  const absences: Array<Absence> = []
  const journals = new Map<string, string>()
  let started = 0

  /** Start so many more; the first of all alone, so that the others find compiled what they need; they ask for permits when this resolves. */
  const add = async (count: number): Promise<void> => {
    if (started === 0 && count > 1) {
      await add(1)
      return add(count - 1)
    }
    const fresh = Array.from({ length: count }, () => {
      const index = started++
      const name = `p${index}`
      const journal = path.join(temporary(), `s7-${run}-${name}.jsonl`)
      journals.set(name, journal)
      const skew = skewMs(index)
      const told: Setup = {
        ...setup,
        name,
        journal,
        seed: seed * 1_000 + index,
        skewMs: faketime === undefined ? skew : 0
      }
      const env: Readonly<Record<string, string>> =
        faketime === undefined || skew === 0
          ? {}
          : {
              LD_PRELOAD: faketime,
              FAKETIME: `${skew < 0 ? "-" : "+"}${Math.abs(skew) / 1_000}s`,
              // What is measured must stay comparable.
              FAKETIME_DONT_FAKE_MONOTONIC: "1",
              DONT_FAKE_MONOTONIC: "1"
            }
      return {
        name,
        process: Processes.start({
          name,
          args: [file, JSON.stringify(told)],
          env,
          askTimeoutMs: Processes.fleetAskTimeoutMs
        })
      }
    })
    await Promise.all(fresh.map(({ process }) => process.ask("ready")))
    await Promise.all(fresh.map(({ process }) => process.ask("go")))
    members.push(...fresh)
  }

  /** SIGKILL the first `count`; when. */
  const kill = async (count: number): Promise<{ readonly atMs: number; readonly names: ReadonlyArray<string> }> => {
    const victims = members.splice(0, count)
    const atMs = sharedMs()
    for (const { process } of victims) process.signal("SIGKILL")
    await Promise.all(victims.map(({ process }) => process.ended))
    for (const { name } of victims) absences.push({ process: name, fromMs: atMs, toMs: Infinity })
    return { atMs, names: victims.map(({ name }) => name) }
  }

  /** SIGSTOP the first `count` for a while. Their ends are when they could run again. */
  const pause = async (count: number, during: () => Promise<void>): Promise<ReadonlyArray<Absence>> => {
    const victims = members.slice(0, count)
    const fromMs = sharedMs()
    for (const { process } of victims) process.signal("SIGSTOP")
    await during()
    const toMs = sharedMs()
    for (const { process } of victims) process.signal("SIGCONT")
    const gone = victims.map(({ name }) => ({ process: name, fromMs, toMs, lapses: toMs - fromMs > setup.ttlMs }))
    absences.push(...gone)
    return gone
  }

  /** End them in order; whether all of them did, and when each was kept from running. */
  const end = async () => {
    const stalls = new Map<string, ReadonlyArray<Stall>>()
    await Promise.all(
      members.map(async ({ name, process }) => stalls.set(name, await process.ask<ReadonlyArray<Stall>>("stop")))
    )
    await Promise.all(members.map(({ process }) => process.ask("end")))
    const codes = await Promise.all(members.map(({ process }) => process.ended))
    return { inOrder: codes.every((code) => code === 0), stalls }
  }

  const killAll = (): Promise<unknown> => Promise.all(members.map(({ process }) => process.kill()))

  return { add, kill, pause, end, killAll, history: (): History => historyOf(journals, absences) }
}

const historyOf = (journals: ReadonlyMap<string, string>, absences: ReadonlyArray<Absence>): History => {
  const holdings: Array<Given> = []
  const decisions: Array<Decision> = []
  for (const [process, journal] of journals) {
    const open = new Map<number, { f: number; a: number; t: number; local: boolean; seen: Array<number> }>()
    const close = (n: number, toMs: number, end: Holding["end"]): void => {
      const got = open.get(n)
      if (got === undefined) return
      open.delete(n)
      holdings.push({
        process,
        fence: got.f,
        askedMs: got.a,
        fromMs: got.t,
        toMs,
        end,
        seenMs: got.seen,
        local: got.local
      })
    }
    for (const event of Journal.read<Event>(journal)) {
      switch (event.k) {
        case "got":
          open.set(event.n, { f: event.f, a: event.a, t: event.t, local: event.l === 1, seen: [] })
          decisions.push({
            process,
            atMs: event.a,
            tookMs: event.t - event.a,
            capped: false,
            ok: true,
            reason: undefined
          })
          break
        case "seen":
          open.get(event.n)?.seen.push(event.t)
          break
        case "end":
          close(event.n, event.t, event.how)
          break
        case "no":
          decisions.push({
            process,
            atMs: event.a,
            tookMs: event.t - event.a,
            capped: false,
            ok: false,
            reason: event.r
          })
          break
        case "cap":
          decisions.push({
            process,
            atMs: event.a,
            tookMs: event.t - event.a,
            capped: true,
            ok: event.ok,
            reason: undefined
          })
      }
    }
    for (const n of Array.from(open.keys())) close(n, Infinity, "open")
  }
  return { holdings, absences, decisions }
}
