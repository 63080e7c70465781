/**
 * What hedging is for, and what it costs, against a simulated provider in
 * virtual time: a few slow calls, and then all of them slow.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Random, Stream } from "effect"
import type { FaultInput, SimOptionsInput } from "../../../src/layers/provider/sim/options.ts"
import * as SimUpstream from "../../../src/layers/provider/sim/upstream.ts"
import * as Ballast from "../../../src/programs/ballast.ts"
import { complete } from "../../../src/programs/complete.ts"
import * as VirtualTime from "../../../src/programs/simulate/virtual-time.ts"
import { Provider, events } from "../../../src/services/provider.ts"
import type { RequestRecord } from "../../../src/services/request-record.ts"
import { Telemetry } from "../../../src/services/telemetry.ts"
import { chat, configOf } from "../../support/scripted-ballast.ts"

const perSecond = 20
const message = "How deep is the hull, and how far does the ballast go down in it? ".repeat(6)

/** What one run showed. */
interface Seen {
  readonly records: ReadonlyArray<RequestRecord>
  /** Tokens that the provider worked for, prompts and answers, of calls that were given up too. */
  readonly billed: number
}

/** Streams that come evenly, `seconds` long, to a provider of whose calls one in twenty is ten times as slow. */
const play = (seconds: number, enabled: boolean, options: SimOptionsInput = {}): Seen =>
  VirtualTime.runOrThrow(
    Effect.gen(function* () {
      const records: Array<RequestRecord> = []
      const sim = yield* SimUpstream.make({
        seed: 7,
        tokensPerChunk: 1_000,
        perToken: { medianMs: 2 },
        straggler: { probability: 0.05, factor: 10 },
        ...options
      })
      const config = configOf({
        hedge: { enabled },
        bulkhead: { maxInFlight: 1_000 },
        timeouts: { hardMs: 60_000, firstTokenMs: 30_000 },
        // It is hedging that is looked at, not the breaker.
        breaker: { minimumCalls: 1_000_000 }
      })
      const layer = Layer.merge(
        Ballast.layerOver(config, Layer.succeed(Provider, sim.upstream)),
        Layer.succeed(Telemetry, { begin: () => {}, end: (record) => void records.push(record) })
      )
      // The same lengths in every run, so that what runs cost can be compared.
      const request = (n: number) =>
        Effect.scoped(
          Effect.flatMap(
            complete({
              ...chat({ model: "solo", stream: true, messages: [{ role: "user", content: message }] }),
              sim: { outputTokens: 50 + ((n * 37) % 200) }
            }),
            (completion) => Stream.runDrain(events(completion))
          )
        )
      yield* Effect.gen(function* () {
        const fibers = []
        for (let n = 0; n < seconds * perSecond; n++) {
          fibers.push(yield* Effect.forkChild(Effect.exit(request(n))))
          yield* Effect.sleep(1_000 / perSecond)
        }
        for (const fiber of fibers) yield* Fiber.await(fiber)
      }).pipe(Effect.provide(layer))
      const { generatedTokens, promptTokens } = yield* sim.control.stats
      return { records, billed: promptTokens + generatedTokens }
    }).pipe(Effect.scoped, Random.withSeed("hedging"))
  )

const sentIn =
  (fromS: number, toS: number) =>
  ({ startedAt }: RequestRecord): boolean =>
    startedAt >= fromS * 1_000 && startedAt < toS * 1_000

/** The 99th percentile of the first tokens, in ms. */
const p99 = (records: ReadonlyArray<RequestRecord>): number => {
  const times = records.map(({ openedAt, startedAt }) => (openedAt ?? Infinity) - startedAt).toSorted((a, b) => a - b)
  return times[Math.ceil(times.length * 0.99) - 1] ?? Number.NaN
}

const hedges = (records: ReadonlyArray<RequestRecord>): number =>
  records.filter(({ attempts }) => attempts.some(({ hedge }) => hedge)).length

describe("hedging in virtual time", () => {
  it("one call in twenty ten times as slow: the p99 of the first token falls by 40 % for 3 % more tokens", () => {
    const plain = play(150, false)
    const hedged = play(150, true)
    const settled = sentIn(30, 150)
    assert.strictEqual(hedges(plain.records), 0)
    assert.isAtMost(p99(hedged.records.filter(settled)), 0.6 * p99(plain.records.filter(settled)))
    assert.isAtMost(hedged.billed, 1.03 * plain.billed)
    // What the records say it cost is what the provider worked for.
    const told = hedged.records.reduce(
      (sum, { extraTokens, usage }) =>
        sum + extraTokens + (usage?.prompt_tokens ?? 0) + (usage?.completion_tokens ?? 0),
      0
    )
    assert.approximately(told, hedged.billed, 0.001 * hedged.billed)
  })

  it("everything five times as slow for a minute: hedges stop within some tens of calls, and come back", () => {
    const fault: FaultInput = { kind: "brownout", factor: 5, fromMs: 40_000, toMs: 80_000 }
    const slow = { faults: [fault], straggler: { probability: 0 } }
    const plain = play(160, false, slow)
    const hedged = play(160, true, slow)
    const between = (fromS: number, toS: number) => hedges(hedged.records.filter(sentIn(fromS, toS)))
    // Those that are late when it begins, and no more for as long as it takes until slow is what is usual.
    assert.isAtLeast(between(40, 43), 1)
    assert.isAtMost(between(40, 43), 15)
    assert.strictEqual(between(43, 50), 0)
    assert.isAtLeast(between(145, 160), 5)
    assert.isAtMost(hedged.billed, 1.05 * plain.billed)
  })
})
