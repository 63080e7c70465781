/** CPU of the whole server process per request, and requests per second, with 64 connections that never pause. */
import type { ClosedInput } from "./load.ts"
import type { ClosedResult } from "./load-closed.ts"
import type { Method } from "./measurement.ts"
import { describeErrors, observe } from "./observe.ts"
import type { Lab } from "./observe.ts"
import type { Peer } from "./servers.ts"

/** Opens the connections and lets each answer once, so that accepting them is not part of what is measured. */
export const connect = async (lab: Lab, input: ClosedInput): Promise<void> => {
  const { errors } = await lab.load.ask<Pick<ClosedResult, "errors">>("openWhole", input)
  const failed = describeErrors(errors)
  if (failed !== "") throw new Error(failed)
}

export const saturate = async (lab: Lab, peer: Peer, connections: number, seconds: number) => {
  const input: ClosedInput = { target: peer.target, connections, seconds }
  await connect(lab, input)
  const observed = await observe<ClosedResult>(lab, peer, (result) => result.completed, "closedLoop", input)
  await lab.load.ask("close")
  return observed
}

export const saturation: Method = {
  kind: "saturation",
  withDirect: true,
  prepare: async (lab, peer, sizes, warmupSeconds) => {
    await saturate(lab, peer, sizes.connections, warmupSeconds)
  },
  measure: async (lab, peer, sizes) => {
    const { cost, result } = await saturate(lab, peer, sizes.connections, sizes.burstSeconds)
    return {
      requests: result.completed,
      requestsPerSecond: result.completed / result.seconds,
      cpuUsPerRequest: (cost.serverCpuMs * 1000) / result.completed,
      serverCore: cost.serverCore,
      mockAndLoadCore: cost.mockAndLoadCore
    }
  }
}
