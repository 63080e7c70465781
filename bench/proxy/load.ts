/**
 * The load generator process: opens connections to one target at a time and runs the load its parent asks for. Like
 * the mock it must cost far less than a proxy. Started with an IPC channel; ends when its parent does.
 */
import { Connection } from "./http-client.ts"
import type { Target } from "./http-client.ts"
import { streamedReply, wholeReply } from "./inspectors.ts"
import { serveParent } from "../child/ipc.ts"
import { closedLoop } from "./load-closed.ts"
import { openLoop } from "./load-open.ts"
import { heldStreams, releaseStreams, streamLoop } from "./load-streams.ts"
import { UNARY_MODEL, pacedModel, requestBody } from "./workload.ts"

export interface ClosedInput {
  readonly target: Target
  readonly connections: number
  readonly seconds: number
}

export interface OpenInput extends ClosedInput {
  readonly rate: number
}

export interface StreamInput {
  readonly target: Target
  readonly concurrency: number
  readonly chunks: number
  readonly intervalMs: number
  /** Streams each slot runs, one after the other. */
  readonly generations: number
}

export interface HoldInput {
  readonly target: Target
  readonly streams: number
  readonly chunks: number
  readonly intervalMs: number
}

let connections: ReadonlyArray<Connection> = []

const close = (): void => {
  for (const connection of connections) connection.close()
  connections = []
}

const open = async (count: number, make: () => Connection): Promise<void> => {
  close()
  connections = Array.from({ length: count }, make)
  await Promise.all(connections.map((connection) => connection.open()))
}

const openWhole = ({ connections: count, target }: ClosedInput): Promise<void> => {
  const body = requestBody(UNARY_MODEL, false)
  return open(count, () => new Connection(target, body, wholeReply()))
}

const openStreams = (count: number, { chunks, intervalMs, target }: StreamInput | HoldInput): Promise<void> => {
  const body = requestBody(pacedModel(intervalMs, chunks), true)
  return open(count, () => {
    const connection: Connection = new Connection(
      target,
      body,
      streamedReply(chunks, () => connection.onFirst())
    )
    return connection
  })
}

// Connections are opened by a command of their own: accepting them must not count as the cost of requests.
serveParent({
  openWhole: async (input: ClosedInput) => {
    await openWhole(input)
    const first = await closedLoop(connections, 0)
    return { errors: first.errors }
  },
  openStreams: (input: StreamInput) => openStreams(input.concurrency, input),
  closedLoop: (input: ClosedInput) => closedLoop(connections, input.seconds),
  openLoop: (input: OpenInput) => openLoop(connections, input.seconds, input.rate),
  streamLoop: (input: StreamInput) => streamLoop(connections, input),
  hold: async (input: HoldInput) => {
    await openStreams(input.streams, input)
    return heldStreams(connections)
  },
  release: () => {
    const errors = releaseStreams()
    close()
    return { errors }
  },
  close
})
