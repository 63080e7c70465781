/** Latency at a steady 500 requests a second over 64 connections, from the time each request was due. */
import type { OpenInput } from "./load.ts"
import type { OpenResult } from "./load-open.ts"
import { connect, saturation } from "./measure-saturation.ts"
import type { Method } from "./measurement.ts"
import { observe } from "./observe.ts"

export const latency: Method = {
  kind: "latency",
  withDirect: true,
  prepare: saturation.prepare,
  measure: async (lab, peer, sizes) => {
    const { burstSeconds: seconds, connections, rate } = sizes
    const input: OpenInput = { target: peer.target, connections, seconds, rate }
    await connect(lab, input)
    const { cost, result } = await observe<OpenResult>(lab, peer, (r) => r.completed, "openLoop", input)
    await lab.load.ask("close")
    return {
      requests: result.completed,
      p50Ms: result.p50Ms,
      p99Ms: result.p99Ms,
      maxMs: result.maxMs,
      generatorLagP99Ms: result.lagP99Ms,
      cpuUsPerRequest: (cost.serverCpuMs * 1000) / result.completed,
      serverCore: cost.serverCore,
      mockAndLoadCore: cost.mockAndLoadCore
    }
  }
}
