/**
 * The servers under test. Each is one process started with the memory probe preloaded, and counts as up when it has
 * answered a chat completion through the mock. A server that does not come up is left out, with the reason.
 */
import * as fs from "node:fs"
import * as net from "node:net"
import * as path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { pathToFileURL } from "node:url"
import { ballastConfig } from "./ballast-config.ts"
import { temporary } from "../child/lifetime.ts"
import { start } from "./children.ts"
import type { Child, Spawn } from "./children.ts"
import type { Target } from "./http-client.ts"
import type { Placement } from "./placement.ts"
import { installPortkey } from "./portkey.ts"
import { REPLY_MARK, UNARY_MODEL, requestBody } from "./workload.ts"

export const PEERS = ["bare", "bare-dispatch", "ballast", "portkey"] as const
export type PeerName = (typeof PEERS)[number]

/** What load is sent to. `child` is undefined for "direct": the mock itself, which is no server under test. */
export interface Peer {
  readonly name: PeerName | "direct"
  readonly target: Target
  readonly child: Child | undefined
}

export interface Surroundings {
  readonly placement: Placement
  readonly mockPort: number
  readonly ballastCommand: string
  readonly models: ReadonlyArray<string>
  readonly say: (line: string) => void
}

type Recipe = Omit<Spawn, "name" | "role"> & { readonly headers: Readonly<Record<string, string>> }

const START_TIMEOUT_MS = 20_000
const PATH = "/v1/chat/completions"
const AUTHORIZATION = { authorization: "Bearer sk-bench" }
const ROOT = path.join(import.meta.dirname, "..", "..")
const PROBE = pathToFileURL(path.join(import.meta.dirname, "memory-probe.ts")).href

const here = (file: string): string => path.join(import.meta.dirname, file)

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = net.createServer().once("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as net.AddressInfo
      server.close(() => resolve(port))
    })
  })

const ballast = (port: number, { ballastCommand, mockPort, models }: Surroundings): Recipe => {
  const file = path.join(temporary(), "ballast.config.json")
  const { config, env, headers } = ballastConfig(`http://127.0.0.1:${mockPort}`, port, models)
  fs.writeFileSync(file, JSON.stringify(config, null, 2))
  const command = ballastCommand.split(" ").map((word) => word.replace("{config}", file).replace("{port}", `${port}`))
  return { command, cwd: ROOT, env, headers }
}

const recipe = async (name: PeerName, port: number, surroundings: Surroundings): Promise<Recipe> => {
  const upstream = `http://127.0.0.1:${surroundings.mockPort}`
  if (name === "ballast") return ballast(port, surroundings)
  if (name !== "portkey") {
    return { command: ["node", here(`${name}.ts`), String(port), upstream], headers: AUTHORIZATION }
  }
  return {
    command: ["node", installPortkey(surroundings.say), `--port=${port}`, "--headless"],
    headers: { ...AUTHORIZATION, "x-portkey-provider": "openai", "x-portkey-custom-host": `${upstream}/v1` }
  }
}

/** Undefined once the server answers a chat completion, else what it did instead. */
const trouble = async ({ headers, path: route, port }: Target): Promise<string | undefined> => {
  try {
    const reply = await fetch(`http://127.0.0.1:${port}${route}`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: requestBody(UNARY_MODEL, false),
      signal: AbortSignal.timeout(5000)
    })
    const body = await reply.text()
    if (reply.status === 200 && body.includes(REPLY_MARK)) return undefined
    return `answered ${reply.status}: ${body.slice(0, 300)}`
  } catch (error) {
    return error instanceof Error ? `${error.message} ${String(error.cause ?? "")}` : String(error)
  }
}

/** Starts one server; throws with the reason when it does not come up. */
export const startPeer = async (name: PeerName, surroundings: Surroundings): Promise<Peer> => {
  const port = await freePort()
  const { headers, ...spawn } = await recipe(name, port, surroundings)
  const options = [process.env["NODE_OPTIONS"], `--import=${PROBE}`].filter(Boolean).join(" ")
  const env = { ...spawn.env, NODE_OPTIONS: options }
  const child = start(surroundings.placement, { ...spawn, env, name, role: "server" })
  const target: Target = { port, path: PATH, headers }
  const deadline = performance.now() + START_TIMEOUT_MS
  let why: string | undefined = "no time"
  while (child.ended() === undefined && performance.now() < deadline) {
    // Each try waits for the one before.
    // oxlint-disable-next-line no-await-in-loop
    why = await trouble(target)
    if (why === undefined) return { name, target, child }
    // oxlint-disable-next-line no-await-in-loop
    await sleep(200)
  }
  child.kill()
  throw new Error(
    [child.ended() ?? `not ready after ${START_TIMEOUT_MS / 1000} s: ${why}`, child.log()].join("\n").trim()
  )
}

/** The mock itself, to know what the path costs without a proxy. */
export const direct = (mockPort: number): Peer => ({
  name: "direct",
  target: { port: mockPort, path: PATH, headers: AUTHORIZATION },
  child: undefined
})
