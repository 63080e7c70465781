/** Other libraries in virtual time: they do what their documentation says, at the times it says, and the same every time. */
import { describe, expect, it } from "@effect/vitest"
import * as Breaking from "../../../../../bench/scenarios/baselines/breaking.ts"
import * as Queueing from "../../../../../bench/scenarios/baselines/queueing.ts"
import { promiseAny } from "../../../../../bench/scenarios/baselines/racing.ts"
import { retrying } from "../../../../../bench/scenarios/baselines/retrying.ts"
import * as World from "../../../../../bench/scenarios/world/play.ts"
import * as Caller from "../../../../../src/domain/caller.ts"
import type { SimOptionsInput } from "../../../../../src/layers/provider/sim/options.ts"
import type { Visit } from "../../../../../src/programs/simulate/visit.ts"

const visit = (id: number, atMs: number, stream = false): Visit => ({
  id,
  atMs,
  caller: Caller.make("tenant"),
  patienceMs: 10_000,
  chat: {
    model: "chat",
    messages: [{ role: "user", content: "How are you?" }],
    stream,
    sim: { ttftMs: 300, perTokenMs: 10, outputTokens: 71 }
  },
  inputTokens: 3,
  outputTokens: 71,
  serviceMs: 1_000
})

const play = (
  visits: ReadonlyArray<Visit>,
  baseline: World.Baseline,
  providers: Readonly<Record<string, SimOptionsInput>> = { provider: {} }
) => World.play({ seed: 1, visits, places: visits.map(() => 0), processes: 1, providers, baseline })

const callsAt = ({ calls }: World.Played, provider = "provider") =>
  calls.filter((call) => call.provider === provider).map(({ atMs }) => atMs)

const dead: SimOptionsInput = { faults: [{ kind: "outage" }] }

describe("other libraries in virtual time", () => {
  it("an answer takes as long as the visit says", async () => {
    const baseline = Queueing.fanOut({ provider: "provider" })
    const whole = await play([visit(0, 250)], baseline)
    expect(whole.endings).toMatchObject([{ kind: "answered", endedMs: 1_000, firstTokenMs: undefined }])
    const streamed = await play([visit(0, 250, true)], baseline)
    expect(streamed.endings).toMatchObject([{ kind: "answered", endedMs: 1_000, firstTokenMs: 300 }])
    expect(streamed.stats["provider"]).toMatchObject({ calls: 1, finished: 1, generatedTokens: 71 })
  })

  it("p-retry: four tries, 1, 2 and 4 s apart; with its jitter, later and never at the same times", async () => {
    const plain = await play([visit(0, 0)], retrying({ provider: "provider", tryMs: 5_000, jitter: false }), {
      provider: dead
    })
    expect(callsAt(plain)).toEqual([0, 1_000, 3_000, 7_000])
    expect(plain.endings).toMatchObject([{ kind: "failed", code: "Overloaded", endedMs: 7_000 }])
    const jitter = await play([visit(0, 0)], retrying({ provider: "provider", tryMs: 5_000, jitter: true }), {
      provider: dead
    })
    expect(callsAt(jitter)).toHaveLength(4)
    expect(callsAt(jitter)[1]).toBeGreaterThan(1_000)
  })

  it("a try that is given up is aborted", async () => {
    const played = await play([visit(0, 0)], retrying({ provider: "provider", tryMs: 400, jitter: false }))
    expect(callsAt(played)).toEqual([0, 1_400, 3_800, 8_200])
    expect(played.endings).toMatchObject([{ kind: "failed", code: "TimedOut" }])
    expect(played.stats["provider"]).toMatchObject({ calls: 4, abandoned: 4, finished: 0 })
  })

  it("p-limit: so many at a time, in order; who has left is not called for; a full queue refuses", async () => {
    const inOrder = [visit(0, 0), { ...visit(1, 0), patienceMs: 500 }, visit(2, 0)]
    const fifo = await play(inOrder, Queueing.fifo({ provider: "provider", places: 1 }))
    expect(callsAt(fifo)).toEqual([0, 1_000])
    expect(fifo.endings).toMatchObject([
      { visit: { id: 0 }, kind: "answered", endedMs: 1_000 },
      { visit: { id: 1 }, kind: "refused", code: "TimedOut" },
      { visit: { id: 2 }, kind: "answered", endedMs: 2_000 }
    ])
    const visits = Array.from({ length: 12 }, (_, id) => visit(id, 0))
    const bounded = await play(visits, Queueing.fifo({ provider: "provider", places: 1, maxQueue: 3 }))
    expect(bounded.endings.filter(({ code }) => code === "QueueFull")).toHaveLength(8)
    expect(callsAt(bounded)).toEqual([0, 1_000, 2_000, 3_000])
  })

  it.each([
    ["consecutive", 5],
    ["sampling", 10]
  ] as const)("cockatiel, %s: opens after %i failures, and the fallback answers", async (breaker, calls) => {
    const visits = Array.from({ length: 30 }, (_, id) => visit(id, id * 200))
    const played = await play(
      visits,
      Breaking.cockatiel({ primary: "provider", fallback: "other", tryMs: 6_000, breaker }),
      { provider: dead, other: {} }
    )
    expect(played.endings.every(({ kind }) => kind === "answered")).toBe(true)
    expect(callsAt(played)).toHaveLength(calls)
    expect(played.transitions).toMatchObject([{ from: "closed", to: "open", generation: 1 }])
  })

  it("opossum: opens at half of its calls, tries one after 30 s, and the fallback answers", async () => {
    const visits = Array.from({ length: 20 }, (_, id) => visit(id, id * 2_000))
    const played = await play(visits, Breaking.opossum({ primary: "provider", fallback: "other", tryMs: 6_000 }), {
      provider: dead,
      other: {}
    })
    expect(played.endings.every(({ kind }) => kind === "answered")).toBe(true)
    expect(played.transitions.map(({ to }) => to)).toEqual(["open", "half-open", "open"])
    expect(callsAt(played)).toHaveLength(2)
  })

  it("Promise.any: two calls each, and the loser is aborted", async () => {
    const played = await play([visit(0, 0, true)], promiseAny({ provider: "provider" }))
    expect(played.stats["provider"]).toMatchObject({ calls: 2, finished: 1, abandoned: 1 })
    expect(played.endings).toMatchObject([{ kind: "answered", firstTokenMs: 300 }])
  })

  it("gives the globals back", async () => {
    const before = Date.now()
    await play([visit(0, 0)], Queueing.fanOut({ provider: "provider" }))
    expect(Date.now() - before).toBeLessThan(60_000)
    expect(setTimeout(() => {}, 0)).toHaveProperty("hasRef")
  })

  it("the same seed does the same", async () => {
    const visits = Array.from({ length: 40 }, (_, id) => visit(id, id * 50))
    const run = () =>
      play(visits, retrying({ provider: "provider", tryMs: 2_000, jitter: true }), {
        provider: { concurrency: 10, abandoned: "continue", faults: [{ kind: "reject", probability: 0.3 }] }
      })
    const first = await run()
    expect(first.calls.length).toBeGreaterThan(40)
    expect(await run()).toEqual(first)
  })
})
