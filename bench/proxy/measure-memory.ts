/**
 * Memory: resident size right after a burst with 256 connections, and what one open stream holds. For the latter, slow
 * streams are opened, all collected garbage is taken off, and the growth of live and of resident bytes is divided by
 * their number. Afterwards the clients leave and the streams the server still holds open at the mock are counted, then cut.
 */
import { setTimeout as sleep } from "node:timers/promises"
import type { HoldInput } from "./load.ts"
import { saturate } from "./measure-saturation.ts"
import type { Method, Sizes } from "./measurement.ts"
import type { Memory } from "../child/live-memory.ts"
import type { MockStats } from "./mock.ts"
import { describeErrors } from "./observe.ts"
import type { Lab } from "./observe.ts"
import { rssBytes } from "./process-stats.ts"
import type { Peer } from "./servers.ts"
import type { Errors } from "./tally.ts"

const SETTLE_MS = 500
const LEAVE_TIMEOUT_MS = 3000

const memory = async ({ child }: Peer): Promise<Memory> => {
  if (child === undefined) throw new Error("not a server")
  await sleep(SETTLE_MS)
  return child.ask<Memory>("memory")
}

const checked = ({ errors }: { readonly errors: Errors }): void => {
  const failed = describeErrors(errors)
  if (failed !== "") throw new Error(failed)
}

/** Streams the server still holds open upstream some time after its clients have gone. */
const leftOpen = async ({ mock }: Lab): Promise<number> => {
  const end = performance.now() + LEAVE_TIMEOUT_MS
  let open = Number.NaN
  do {
    // Polling.
    // oxlint-disable-next-line no-await-in-loop
    await sleep(50)
    // oxlint-disable-next-line no-await-in-loop
    open = (await mock.ask<MockStats>("stats")).openStreams
  } while (open > 0 && performance.now() < end)
  return open
}

const heldOpen = async (lab: Lab, peer: Peer, sizes: Sizes) => {
  const input: HoldInput = {
    target: peer.target,
    streams: sizes.heldStreams,
    chunks: sizes.heldChunks,
    intervalMs: sizes.heldIntervalMs
  }
  const before = await memory(peer)
  checked(await lab.load.ask<{ readonly errors: Errors }>("hold", input))
  const during = await memory(peer)
  checked(await lab.load.ask<{ readonly errors: Errors }>("release"))
  const streamsLeftOpen = await leftOpen(lab)
  await lab.mock.ask("cutStreams")
  return {
    liveBytesPerStream: (during.liveBytes - before.liveBytes) / sizes.heldStreams,
    rssBytesPerStream: (during.rssBytes - before.rssBytes) / sizes.heldStreams,
    streamsLeftOpen
  }
}

export const memoryUse: Method = {
  kind: "memory",
  withDirect: false,
  prepare: async (lab, peer, sizes, warmupSeconds) => {
    await saturate(lab, peer, sizes.connections, warmupSeconds)
  },
  measure: async (lab, peer, sizes) => {
    await saturate(lab, peer, sizes.wideConnections, sizes.burstSeconds)
    const rssAfterLoad = rssBytes(peer.child?.pid ?? 0)
    const held = await heldOpen(lab, peer, sizes)
    return { rssAfterLoadBytes: rssAfterLoad, ...held }
  }
}
