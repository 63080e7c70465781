/** What the algorithms were compared in. Limits are for each process; one provider of 40 places serves four of them. */
import { defaults } from "../../src/domain/policy.ts"
import type { World } from "./world.ts"

const processes = 4
const concurrency = 40
const rightLimit = concurrency / processes

export interface Case {
  readonly name: string
  readonly about: string
  readonly world: Omit<World, "seed" | "limitOf">
  /** What is looked at, in seconds. `capacity` is what is left of the provider's in that time. */
  readonly spans: ReadonlyArray<{
    readonly name: string
    readonly fromS: number
    readonly toS: number
    readonly capacity?: number
  }>
}

const base = (streamed: boolean, load: number, maxInFlight: number, durationS: number): Case["world"] => ({
  processes,
  concurrency,
  load,
  streamed,
  durationS,
  deadlineMs: streamed ? defaults.timeouts.hardMs : 10_000,
  tenants: 10,
  policy: { ...defaults.bulkhead, maxInFlight, adaptive: true }
})

const factors: Readonly<Record<string, number>> = { right: 1, high: 5, low: 0.5 }

const steady = (streamed: boolean): ReadonlyArray<Case> =>
  [0.8, 2, 10].flatMap((load) =>
    Object.entries(factors).map(([name, factor]) => ({
      name: `${load}x ${name}`,
      about: `${load} times the capacity offered, the highest limit ${factor} times what is right`,
      world: base(streamed, load, rightLimit * factor, load > 2 ? 60 : 120),
      spans: [
        { name: "start", fromS: 0, toS: 20 },
        { name: "settled", fromS: 20, toS: load > 2 ? 60 : 120 }
      ]
    }))
  )

/** All cases, for streams or for whole answers. */
export const cases = (streamed: boolean): ReadonlyArray<Case> => [
  ...steady(streamed),
  {
    name: "drop",
    about: "2x; the provider has 30 % of its capacity from 80 s to 120 s",
    world: {
      ...base(streamed, 2, rightLimit * 5, 200),
      faults: [{ kind: "capacity", factor: 0.3, fromMs: 80_000, toMs: 120_000 }]
    },
    spans: [
      { name: "before", fromS: 60, toS: 80 },
      { name: "in it", fromS: 90, toS: 120, capacity: 0.3 },
      { name: "next 20 s", fromS: 120, toS: 140 },
      { name: "then", fromS: 140, toS: 200 }
    ]
  },
  {
    name: "slower",
    about: "2x; from 80 s on everything takes twice as long, however few calls there are",
    world: {
      ...base(streamed, 2, rightLimit * 5, 300),
      faults: [
        { kind: "brownout", factor: 2, fromMs: 80_000 },
        { kind: "slow-drip", factor: 2, fromMs: 80_000 }
      ]
    },
    spans: [
      { name: "before", fromS: 60, toS: 80 },
      { name: "next 40 s", fromS: 85, toS: 125, capacity: 0.5 },
      { name: "then", fromS: 125, toS: 300, capacity: 0.5 }
    ]
  },
  {
    name: "long",
    about: "2x for a quarter of an hour: does the limit drift?",
    world: base(streamed, 2, rightLimit * 5, 900),
    spans: [
      { name: "minute 2", fromS: 60, toS: 120 },
      { name: "last", fromS: 840, toS: 900 }
    ]
  }
]
