/** The flags of `npm run bench -- proxy`. */
import { parseArgs } from "node:util"
import { KINDS } from "./measurement.ts"
import type { Kind, Sizes } from "./measurement.ts"
import { PEERS } from "./servers.ts"
import type { PeerName } from "./servers.ts"

export interface Options {
  readonly cycles: number
  readonly warmupSeconds: number
  readonly kinds: ReadonlyArray<Kind>
  readonly peers: ReadonlyArray<PeerName>
  readonly ballastCommand: string
  readonly json: boolean
  readonly quick: boolean
  readonly sizes: Sizes
}

export const USAGE = `npm run bench -- proxy [flags]
  --cycles N      bursts of each server in each measurement (5)
  --warmup S      seconds each server is warmed up before it is measured (10)
  --burst S       seconds of one burst (2; a burst of streams lasts as long as its streams)
  --only LIST     of ${KINDS.join(",")}
  --peers LIST    of ${PEERS.join(",")}
  --ballast CMD   how Ballast is started; {config} and {port} are filled in
  --json          one JSON object a line: each burst, then each figure
  --quick         a short smoke test with a small load; its figures mean nothing
  --help`

const SIZES: Sizes = {
  burstSeconds: 2,
  connections: 64,
  wideConnections: 256,
  rate: 500,
  streams: 200,
  streamChunks: 100,
  streamIntervalMs: 20,
  streamGenerations: 2,
  heldStreams: 1000,
  heldChunks: 30,
  heldIntervalMs: 2000
}

const QUICK: Partial<Sizes> = { burstSeconds: 0.5, streams: 50, streamChunks: 25, heldStreams: 100 }

const positive = (flag: string, text: string | undefined, fallback: number): number => {
  const value = text === undefined ? fallback : Number(text)
  if (!Number.isFinite(value) || value <= 0) throw new Error(`--${flag} must be a number above 0, not "${text}"`)
  return value
}

const list = <A extends string>(flag: string, text: string | undefined, all: ReadonlyArray<A>): ReadonlyArray<A> => {
  if (text === undefined) return all
  const asked = text.split(",").map((one) => one.trim())
  const unknown = asked.find((one) => !all.some((known) => known === one))
  if (unknown !== undefined) throw new Error(`--${flag}: "${unknown}" is none of ${all.join(", ")}`)
  return all.filter((one) => asked.includes(one))
}

/** Undefined when help was asked for. Throws with a message for the user. */
export const parseOptions = (argv: ReadonlyArray<string>): Options | undefined => {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      cycles: { type: "string" },
      warmup: { type: "string" },
      burst: { type: "string" },
      only: { type: "string" },
      peers: { type: "string" },
      ballast: { type: "string", default: "node src/programs/cli.ts serve --config {config}" },
      json: { type: "boolean", default: false },
      quick: { type: "boolean", default: false },
      help: { type: "boolean", default: false }
    }
  })
  if (values.help) return undefined
  const base = values.quick ? { ...SIZES, ...QUICK } : SIZES
  return {
    cycles: Math.ceil(positive("cycles", values.cycles, values.quick ? 2 : 5)),
    warmupSeconds: positive("warmup", values.warmup, values.quick ? 1 : 10),
    kinds: list("only", values.only, KINDS),
    peers: list("peers", values.peers, PEERS),
    ballastCommand: values.ballast,
    json: values.json,
    quick: values.quick,
    sizes: { ...base, burstSeconds: positive("burst", values.burst, base.burstSeconds) }
  }
}
