/**
 * A Redis server of the scenario's own, on a free port of the loopback, without persistence: to be killed, started
 * again empty, stopped and resumed. It ends with the bench.
 */
import { execFile, spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import * as net from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { own, temporary } from "../../child/lifetime.ts"

export interface OwnRedis {
  readonly port: number
  readonly url: string
  /** SIGKILL; all that it knew is gone. */
  readonly kill: () => Promise<void>
  /** Start it again; resolves when it answers. */
  readonly restart: () => Promise<void>
  /** SIGSTOP: connections stay open, and nothing is answered. */
  readonly pause: () => void
  readonly resume: () => void
  readonly stop: () => Promise<void>
  /** Ask it one command over a connection of its own. */
  readonly ask: (...words: ReadonlyArray<string>) => Promise<string>
}

/** Whether a program can be run. */
export const isThere = (program: string, ...args: ReadonlyArray<string>): Promise<boolean> =>
  new Promise((resolve) => execFile(program, args, (error) => resolve(error === null)))

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = net.createServer()
    server.once("error", reject)
    server.listen(0, "127.0.0.1", () => {
      // Bound to an address, not to a pipe.
      const { port } = server.address() as net.AddressInfo
      server.close(() => resolve(port))
    })
  })

/** One inline command; resolves with everything that was answered by the time its reply is complete enough to be told. */
const askOnce = (port: number, words: ReadonlyArray<string>): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = net.connect(port, "127.0.0.1")
    let answer = ""
    socket.setTimeout(5_000, () => socket.destroy(new Error(`no answer from port ${port}`)))
    socket.on("connect", () => socket.write(`${words.join(" ")}\r\nQUIT\r\n`))
    socket.on("data", (piece) => (answer += piece.toString()))
    socket.on("error", reject)
    socket.on("close", () => resolve(answer.replace(/\+OK\r\n$/u, "")))
  })

const startUpMs = 10_000

const ready = async (port: number): Promise<void> => {
  const endsAt = performance.now() + startUpMs
  while (performance.now() < endsAt) {
    if ((await askOnce(port, ["PING"]).catch(() => "")).startsWith("+PONG")) return
    await sleep(20)
  }
  throw new Error(`redis-server on port ${port} did not start`)
}

const launch = (port: number): ChildProcess => {
  const args = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no"]
  const child = spawn("redis-server", [...args, "--dir", temporary()], { stdio: "ignore" })
  own(child)
  return child
}

const gone = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve()
    else child.once("exit", () => resolve())
  })

/** Start one. */
export const start = async (): Promise<OwnRedis> => {
  const port = await freePort()
  let child = launch(port)
  await ready(port)
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL")
    await gone(child)
  }
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    kill,
    stop: kill,
    restart: async () => {
      child = launch(port)
      await ready(port)
    },
    pause: () => void child.kill("SIGSTOP"),
    resume: () => void child.kill("SIGCONT"),
    ask: (...words) => askOnce(port, words)
  }
}
