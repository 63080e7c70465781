/**
 * The run: starts the mock, the load generator and every server, warms each server up, then goes round the servers in
 * short bursts, cycle after cycle, so that each pair of figures is taken within seconds. All servers stay up all the
 * time; only one is under load at a time. The order turns by one each cycle, so that none always follows the same one.
 */
import * as os from "node:os"
import * as path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { bindToProcess, endChildren } from "../child/lifetime.ts"
import { start } from "./children.ts"
import { latency } from "./measure-latency.ts"
import { memoryUse } from "./measure-memory.ts"
import { saturation } from "./measure-saturation.ts"
import { stream } from "./measure-stream.ts"
import type { Kind, Measurement, Method } from "./measurement.ts"
import type { Lab } from "./observe.ts"
import type { Options } from "./options.ts"
import { findPlacement } from "./placement.ts"
import type { Placement } from "./placement.ts"
import { direct, startPeer } from "./servers.ts"
import type { Peer } from "./servers.ts"
import { UNARY_MODEL, pacedModel } from "./workload.ts"

export interface Outcome {
  readonly measurements: ReadonlyArray<Measurement>
  /** Servers that did not come up, and why. */
  readonly skipped: ReadonlyMap<string, string>
}

const METHODS: Record<Kind, Method> = { saturation, latency, stream, memory: memoryUse }
const PAUSE_MS = 150
const LIMIT_MS = 60 * 60_000

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const startLab = (placement: Placement): Lab => {
  const own = (name: "mock" | "load") =>
    start(placement, { name, role: name, command: ["node", path.join(import.meta.dirname, `${name}.ts`)] })
  return { mock: own("mock"), load: own("load") }
}

const startPeers = async (
  { ballastCommand, peers, sizes }: Options,
  placement: Placement,
  mockPort: number,
  say: (line: string) => void
): Promise<{ readonly started: ReadonlyArray<Peer>; readonly skipped: ReadonlyMap<string, string> }> => {
  const started: Array<Peer> = []
  const skipped = new Map<string, string>()
  const models = [
    UNARY_MODEL,
    pacedModel(sizes.streamIntervalMs, sizes.streamChunks),
    pacedModel(sizes.heldIntervalMs, sizes.heldChunks)
  ]
  for (const name of peers) {
    try {
      // One after the other, on the one core they share.
      // oxlint-disable-next-line no-await-in-loop
      started.push(await startPeer(name, { placement, mockPort, ballastCommand, models, say }))
    } catch (error) {
      skipped.set(name, reason(error))
      say(`skipped ${name}: ${reason(error)}`)
    }
  }
  return { started, skipped }
}

const rotated = <A>(all: ReadonlyArray<A>, by: number): ReadonlyArray<A> => [
  ...all.slice(by % all.length),
  ...all.slice(0, by % all.length)
]

/* oxlint-disable no-await-in-loop -- bursts must not overlap */
const measureKind = async (
  method: Method,
  options: Options,
  lab: Lab,
  peers: ReadonlyArray<Peer>,
  warm: Set<string>,
  emit: (measurement: Measurement) => void
): Promise<void> => {
  const { cycles, sizes, warmupSeconds } = options
  const load = method.kind === "stream" ? "stream" : "whole"
  for (const peer of peers) {
    const key = `${peer.name} ${load}`
    if (peer.child === undefined || warm.has(key)) continue
    warm.add(key)
    // A failure here shows again, and is recorded, in the bursts.
    await method.prepare(lab, peer, sizes, warmupSeconds).catch(() => lab.load.ask("close"))
  }
  const under = method.withDirect ? peers : peers.filter((peer) => peer.child !== undefined)
  for (let cycle = 0; cycle < cycles; cycle++) {
    for (const peer of rotated(under, cycle)) {
      await sleep(PAUSE_MS)
      const burst = { kind: method.kind, cycle, peer: peer.name }
      try {
        emit({ ...burst, values: await method.measure(lab, peer, sizes) })
      } catch (error) {
        await lab.load.ask("close").catch(() => undefined)
        emit({ ...burst, error: reason(error), values: {} })
      }
    }
  }
}
/* oxlint-enable no-await-in-loop */

export const run = async (
  options: Options,
  say: (line: string) => void,
  onMeasurement: (measurement: Measurement) => void
): Promise<Outcome> => {
  bindToProcess(LIMIT_MS)
  const placement = findPlacement()
  const busy = os.loadavg()[0] ?? 0
  say(`node ${process.version}, ${os.availableParallelism()} cores, ${placement.text}`)
  if (busy > 0.5) say(`load average is ${busy.toFixed(1)}: something else runs here, ratios will be wider`)
  if (options.quick) say("--quick: a smoke test, the figures mean nothing")
  try {
    const lab = startLab(placement)
    const mockPort = await lab.mock.ask<number>("port")
    const { skipped, started } = await startPeers(options, placement, mockPort, say)
    const peers = [direct(mockPort), ...started]
    const measurements: Array<Measurement> = []
    const warm = new Set<string>()
    for (const kind of options.kinds) {
      say(`${kind}: warm-up, then ${options.cycles} cycles`)
      // oxlint-disable-next-line no-await-in-loop
      await measureKind(METHODS[kind], options, lab, peers, warm, (measurement) => {
        measurements.push(measurement)
        onMeasurement(measurement)
      })
    }
    return { measurements, skipped }
  } finally {
    endChildren()
  }
}
