/**
 * `npm run bench -- overhead`: what Ballast's policies cost in CPU and memory,
 * everything on, in memory, before an upstream that answers at once. Absolute
 * numbers drift with the machine: the ratio to cockatiel, measured in the same
 * rounds, is the steadier one.
 */
import { fork } from "node:child_process"
import { setFlagsFromString } from "node:v8"
import { parseArgs } from "node:util"
import { runInNewContext } from "node:vm"
import { Effect } from "effect"
import * as Calls from "./calls.ts"
import * as Deltas from "./deltas.ts"
import type { InFlight } from "./in-flight.ts"
import * as Profile from "./profile.ts"
import * as Refusals from "./refusals.ts"
import * as Stack from "./stack.ts"

const usage = `usage: npm run bench -- overhead [--quick] [--json] [--profile]

  --quick    fewer repetitions, for a first look
  --json     print one JSON object
  --profile  the cost of each guard alone, and of each module, instead
`

/** What we aim at. Absolute values are for an idle core of about 2.5 GHz. */
const targets = { inSituMicros: 30, deltaMicros: 5, bytesInFlight: 4_096 } as const

const table = (shares: Profile.Shares) =>
  shares.map(([name, micros]) => `  ${name.padEnd(46)}${micros.toFixed(2).padStart(8)} µs`)

/** Run the benchmark. */
export const main = async (argv: ReadonlyArray<string>): Promise<void> => {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      quick: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      profile: { type: "boolean", default: false },
      help: { type: "boolean", default: false }
    }
  })
  if (values.help) return void process.stdout.write(usage)
  // Rounds start on a clean heap, so that none pays for the garbage of the one before.
  setFlagsFromString("--expose-gc")
  globalThis.gc ??= runInNewContext("gc") as NonNullable<typeof globalThis.gc>
  const rounds = values.quick ? 5 : 9
  const times = values.quick ? 1 : 4
  if (values.profile) {
    const result = {
      alone: await Profile.alone(rounds, 10_000 * times),
      byModule: await Profile.byModule(20_000 * times)
    }
    const text = [
      "Each guard alone, through its port (tight loop, CPU over an empty scope):",
      ...table(result.alone),
      "",
      "Self time of each module in a tight loop of whole calls:",
      ...table(result.byModule)
    ].join("\n")
    process.stdout.write(values.json ? `${JSON.stringify(result, null, 2)}\n` : `${text}\n`)
    return
  }
  const calls = await Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        const instant = yield* Stack.context(Stack.instant)
        const isolated = yield* Effect.promise(() => Calls.isolated(instant, rounds, 5_000 * times))
        const nextTurn = yield* Stack.context(Stack.nextTurn)
        const inSitu = yield* Effect.promise(() => Calls.inSitu(nextTurn, rounds, 3_000 * times))
        return { isolated, inSitu }
      })
    )
  )
  const result = {
    ...calls,
    deltaReady: await Deltas.measure(2_000, false, rounds, 5 * times),
    deltaWaiting: await Deltas.measure(2_000, true, rounds, 5 * times),
    inFlight: await inFlight(10_000),
    refusals: await Refusals.measure(rounds, 5_000 * times)
  }
  const missed = [
    ...(result.inSitu.policy > targets.inSituMicros ? ["in situ"] : []),
    ...(result.deltaWaiting.policy > targets.deltaMicros ? ["delta"] : []),
    ...(result.inFlight.policyBytes > targets.bytesInFlight ? ["bytes in flight"] : []),
    ...(result.inFlight.permitsLeft > 0 ? ["permits left"] : [])
  ]
  process.stdout.write(values.json ? `${JSON.stringify({ ...result, targets, missed }, null, 2)}\n` : report(result))
  // A permit that stays away is a fault; a slow machine is not.
  if (result.inFlight.permitsLeft > 0) process.exitCode = 1
}

const inFlight = (calls: number): Promise<InFlight> =>
  new Promise((resolve, reject) => {
    const child = fork(new URL("./in-flight.ts", import.meta.url), [String(calls)], { execArgv: ["--expose-gc"] })
    child.once("message", (message) => resolve(message as InFlight))
    child.once("exit", (code) => reject(new Error(`the memory measurement ended with code ${code}`)))
  })

interface Result {
  readonly isolated: Calls.CallCost
  readonly inSitu: Calls.CallCost
  readonly deltaReady: Deltas.DeltaCost
  readonly deltaWaiting: Deltas.DeltaCost
  readonly inFlight: InFlight
  readonly refusals: Refusals.RefusalCost
}

const micros = (value: number) => `${value.toFixed(2)} µs`
const line = (name: string, value: string, target: string, met: boolean | undefined) =>
  `${name.padEnd(48)}${value.padStart(12)}   ${target.padEnd(16)}${met === undefined ? "" : met ? "met" : "MISSED"}`.trimEnd()

const report = ({ deltaReady, deltaWaiting, inFlight: memory, inSitu, isolated, refusals }: Result): string => {
  const call = (name: string, cost: Calls.CallCost, target: number | undefined) => [
    line(
      `policies of a call, ${name}`,
      micros(cost.policy),
      target === undefined ? "" : `target ${target} µs`,
      target === undefined ? undefined : cost.policy <= target
    ),
    line(`  whole call / bare call`, `${cost.ballast.toFixed(1)} / ${cost.bare.toFixed(1)}`, "µs", undefined),
    line("  cockatiel's retry+breaker+bulkhead+timeout", micros(cost.cockatiel), "", undefined),
    line("  Ballast's policies / cockatiel's four", cost.ratio.toFixed(2), "", undefined)
  ]
  return `${[
    "CPU of this process, garbage collection included; medians of interleaved rounds.",
    "Ballast: limits in 4 dimensions (requests, tokens), breaker, bulkhead, retry budget, deadline,",
    "kill switch, catalog, router, token estimate, metering, metrics.",
    "",
    ...call("tight loop", isolated, undefined),
    ...call("in situ", inSitu, targets.inSituMicros),
    line(
      "stream delta that had to be waited for",
      micros(deltaWaiting.policy),
      `target ${targets.deltaMicros} µs`,
      deltaWaiting.policy <= targets.deltaMicros
    ),
    line(
      "stream delta that was there",
      micros(deltaReady.policy),
      `target ${targets.deltaMicros} µs`,
      deltaReady.policy <= targets.deltaMicros
    ),
    line(
      `heap of a call in flight (${memory.calls} calls)`,
      `${memory.policyBytes.toFixed(0)} B`,
      `target ${targets.bytesInFlight} B`,
      memory.policyBytes <= targets.bytesInFlight
    ),
    line("  whole / bare fiber", `${memory.ballastBytes.toFixed(0)} / ${memory.bareBytes.toFixed(0)}`, "B", undefined),
    line(
      "  start all / give up all",
      `${memory.launchMs.toFixed(0)} / ${memory.releaseMs.toFixed(0)}`,
      "ms",
      undefined
    ),
    line(
      "  permits left / heap left a call",
      `${memory.permitsLeft} / ${memory.bytesLeft.toFixed(0)}`,
      "B",
      memory.permitsLeft === 0
    ),
    line("refusal: rate limited", micros(refusals.rateLimited), "", undefined),
    line("refusal: breaker open", micros(refusals.breakerOpen), "", undefined),
    line("refusal: queue full", micros(refusals.queueFull), "", undefined)
  ].join("\n")}\n`
}
