/**
 * One observed burst: runs a load command against a peer and reads, before and after, the CPU time of the server, the
 * mock and the load generator, and how many calls reached the mock. A burst with an error, or one in which the mock was
 * not called once for each request (a cache, a retry), has no figures.
 */
import type { Child } from "./children.ts"
import type { MockStats } from "./mock.ts"
import { cpuMs } from "./process-stats.ts"
import type { Peer } from "./servers.ts"
import type { Errors } from "./tally.ts"

export interface Lab {
  readonly mock: Child
  readonly load: Child
}

export interface Cost {
  readonly serverCpuMs: number
  /** Share of one core each used: a server far below 1 at saturation was not what limited. */
  readonly serverCore: number
  readonly mockAndLoadCore: number
}

export const describeErrors = (errors: Errors): string =>
  Object.entries(errors)
    .map(([error, count]) => `${count}x ${error}`)
    .join("; ")

const reading = async ({ load, mock }: Lab, { child }: Peer) => ({
  at: performance.now(),
  server: child === undefined ? Number.NaN : cpuMs(child.pid),
  beside: cpuMs(mock.pid) + cpuMs(load.pid),
  calls: (await mock.ask<MockStats>("stats")).requests
})

export const observe = async <A extends { readonly errors: Errors }>(
  lab: Lab,
  peer: Peer,
  requests: (result: A) => number,
  op: string,
  input: unknown
): Promise<{ readonly result: A; readonly cost: Cost }> => {
  const before = await reading(lab, peer)
  const result = await lab.load.ask<A>(op, input)
  const after = await reading(lab, peer)
  const failed = describeErrors(result.errors)
  if (failed !== "") throw new Error(failed)
  const calls = after.calls - before.calls
  if (calls !== requests(result)) throw new Error(`${calls} upstream calls for ${requests(result)} requests`)
  const wall = after.at - before.at
  const serverCpuMs = after.server - before.server
  return {
    result,
    cost: {
      serverCpuMs,
      serverCore: serverCpuMs / wall,
      mockAndLoadCore: (after.beside - before.beside) / wall
    }
  }
}
