/** Recordings are read whatever is missing from them, and become traffic of the size that was asked for. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "@effect/vitest"
import * as Replay from "../../../../../bench/scenarios/s4/replay.ts"
import * as Trace from "../../../../../bench/scenarios/s4/trace.ts"

const sizes = "in_mean,in_p5,in_p25,in_p50,in_p75,in_p90,in_p99,out_mean,out_p5,out_p25,out_p50,out_p75,out_p90,out_p99"

let data = ""

beforeAll(() => {
  data = mkdtempSync(join(tmpdir(), "ballast-traces-"))
  const folder = join(data, "traces", "other")
  mkdirSync(folder, { recursive: true })
  const write = (name: string, lines: ReadonlyArray<string>) => writeFileSync(join(folder, name), lines.join("\r\n"))
  write("servegen_a_tenant_rates.csv", [
    "window_start_s,tenant,rate_rps,iat_cv,iat_dist,iat_p1,iat_p2",
    "600,big,20,4,Gamma,1,2",
    "600,small one,0.5,,Pareto,,",
    "0,big,10,2,Gamma,1,2",
    "0,none,0,1,Gamma,1,2",
    "0,odd,nonsense,1,Gamma,1,2",
    "0,small one,1.5,nan,Gamma,1,2",
    ""
  ])
  write("servegen_a_tenant_tokens.csv", [
    `window_start_s,tenant,${sizes}`,
    "0,big,120,10,50,100,150,200,900,60,5,20,50,80,100,400",
    "0,broken,,,,,,,,,,,,,,"
  ])
  write("servegen_b_tenant_rates.csv", ["window_start_s,tenant,rate_rps,iat_cv", "0,x,1,1", "0,y,3,1"])
  write("servegen_empty_tenant_rates.csv", ["window_start_s,tenant,rate_rps,iat_cv"])
  write("another.csv", ["a,b", "1,2"])
})

afterAll(() => rmSync(data, { recursive: true, force: true }))

const recording = (model: string) => {
  const found = Trace.find(data)?.recordings.find((one) => one.model === model)
  if (found === undefined) throw new Error(`no ${model}`)
  return found
}

describe("trace", () => {
  it("a folder that is not there is no error", () => {
    expect(Trace.find(join(data, "elsewhere"))).toBeUndefined()
  })

  it("finds recordings in every folder of the traces, and passes over empty ones and other files", () => {
    expect(Trace.find(data)?.recordings.map(({ model }) => model)).toEqual(["a", "b"])
  })

  it("sorts windows by time, and drops arrivals without a rate", () => {
    expect(recording("a").windows).toEqual([
      {
        startS: 0,
        arrivals: [
          { tenant: "big", ratePerS: 10, cv: 2 },
          { tenant: "small one", ratePerS: 1.5, cv: 1 }
        ]
      },
      {
        startS: 600,
        arrivals: [
          { tenant: "big", ratePerS: 20, cv: 4 },
          { tenant: "small one", ratePerS: 0.5, cv: 1 }
        ]
      }
    ])
  })

  it("a tenant without sizes has those of all", () => {
    const { sizeOf } = recording("a")
    expect(sizeOf("big")).toEqual({
      input: { p5: 10, p50: 100, p90: 200, p99: 900 },
      output: { p5: 5, p50: 50, p90: 100, p99: 400 }
    })
    expect(sizeOf("broken")).toEqual(sizeOf("big"))
    expect(recording("b").sizeOf("x").input.p50).toBeGreaterThan(0)
  })
})

describe("replay", () => {
  const options = {
    seed: 1,
    slots: 40,
    windows: 2,
    durationS: 40,
    meanServiceMs: 1_000,
    maxServiceMs: 4_000,
    maxWhalePerS: 10_000
  }

  /** Places that a tenant would keep busy, by its mean rate and its mean service. */
  const rates = (tenants: ReturnType<typeof Replay.tenants>["tenants"], name: string) =>
    tenants.filter((one) => one.name === name).map(({ ratePerS }) => ratePerS)

  it("the greatest tenant is the whale, and windows follow each other", () => {
    const { tenants, whale } = Replay.tenants(recording("a"), options)
    expect(whale).toBe("t-big")
    expect(tenants.map(({ fromS, name, toS }) => [name, fromS, toS])).toEqual([
      ["t-big", 0, 20],
      ["t-small-one", 0, 20],
      ["t-big", 20, 40],
      ["t-small-one", 20, 40]
    ])
    // The second window of the recording has twice as many of the whale's requests and a third of the other's.
    const [first = 0, second = 0] = rates(tenants, whale)
    expect(second / first).toBeCloseTo(2)
    const [early = 0, late = 0] = rates(tenants, "t-small-one")
    expect(late / early).toBeCloseTo(1 / 3)
  })

  it("all others ask for two thirds of the slots: one of a second's service, at two thirds of 40 a second", () => {
    const { tenants } = Replay.tenants(recording("b"), { ...options, windows: 5 })
    const [rate = 0, ...more] = rates(tenants, "t-x")
    expect(more).toEqual([])
    expect(rate).toBeCloseTo((2 / 3) * 40, 0)
    // The whale: three times 40, of the same size.
    expect(rates(tenants, "t-y")[0]).toBeCloseTo(120, 0)
  })

  it("the whale's rate is bounded", () => {
    const { tenants } = Replay.tenants(recording("b"), { ...options, maxWhalePerS: 50 })
    expect(rates(tenants, "t-y")).toEqual([50])
  })

  it("the same seed makes the same traffic", () => {
    expect(Replay.tenants(recording("a"), options)).toEqual(Replay.tenants(recording("a"), options))
  })
})
