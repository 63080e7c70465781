/** What the bench measures and how one burst is recorded. */
import type { Lab } from "./observe.ts"
import type { Peer } from "./servers.ts"

export const KINDS = ["saturation", "latency", "stream", "memory"] as const
export type Kind = (typeof KINDS)[number]

export interface Measurement {
  readonly kind: Kind
  readonly cycle: number
  readonly peer: Peer["name"]
  /** Why the burst failed; a failed burst has no values and is never averaged. */
  readonly error?: string
  readonly values: Readonly<Record<string, number>>
}

/** Sizes of the load; `--quick` shrinks them to a smoke test. */
export interface Sizes {
  readonly burstSeconds: number
  readonly connections: number
  readonly wideConnections: number
  readonly rate: number
  readonly streams: number
  readonly streamChunks: number
  readonly streamIntervalMs: number
  readonly streamGenerations: number
  readonly heldStreams: number
  readonly heldChunks: number
  readonly heldIntervalMs: number
}

/** One kind of measurement: `prepare` is its warm-up for one peer, `measure` one burst. */
export interface Method {
  readonly kind: Kind
  readonly withDirect: boolean
  readonly prepare: (lab: Lab, peer: Peer, sizes: Sizes, warmupSeconds: number) => Promise<void>
  readonly measure: (lab: Lab, peer: Peer, sizes: Sizes) => Promise<Readonly<Record<string, number>>>
}
