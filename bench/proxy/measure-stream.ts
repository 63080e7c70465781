/**
 * Streaming: 200 streams at a time, each 100 chunks 20 ms apart. Time to first token while most slots are streaming, and
 * CPU of the whole server process per chunk. A burst lasts as long as its streams (ramp, steady part, end: 6 s).
 */
import type { StreamInput } from "./load.ts"
import type { StreamResult } from "./load-streams.ts"
import type { Method, Sizes } from "./measurement.ts"
import { observe } from "./observe.ts"
import type { Lab } from "./observe.ts"
import type { Peer } from "./servers.ts"

const burst = async (lab: Lab, peer: Peer, sizes: Sizes) => {
  const input: StreamInput = {
    target: peer.target,
    concurrency: sizes.streams,
    chunks: sizes.streamChunks,
    intervalMs: sizes.streamIntervalMs,
    generations: sizes.streamGenerations
  }
  await lab.load.ask("openStreams", input)
  const observed = await observe<StreamResult>(lab, peer, (result) => result.streams, "streamLoop", input)
  await lab.load.ask("close")
  return observed
}

export const stream: Method = {
  kind: "stream",
  withDirect: true,
  prepare: async (lab, peer, sizes, warmupSeconds) => {
    const end = performance.now() + warmupSeconds * 1000
    // One burst at a time.
    // oxlint-disable-next-line no-await-in-loop
    do await burst(lab, peer, sizes)
    while (performance.now() < end)
  },
  measure: async (lab, peer, sizes) => {
    const { cost, result } = await burst(lab, peer, sizes)
    return {
      streams: result.streams,
      chunks: result.chunks,
      timedStreams: result.timed,
      firstTokenP50Ms: result.firstP50Ms,
      firstTokenP99Ms: result.firstP99Ms,
      cpuUsPerChunk: (cost.serverCpuMs * 1000) / result.chunks,
      seconds: result.seconds,
      serverCore: cost.serverCore,
      mockAndLoadCore: cost.mockAndLoadCore
    }
  }
}
