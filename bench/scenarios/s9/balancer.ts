/**
 * A small load balancer on the clients' side: it knows the servers' addresses, asks each for its readiness ten times a
 * second, and gives requests to the ready ones in turn. What it may try again elsewhere is what every balancer may: a
 * request for which no connection could be made, and one that was refused with the word that it may be tried again.
 */
import * as http from "node:http"
import { setTimeout as sleep } from "node:timers/promises"
import * as Client from "./client.ts"
import type { Ask, Ending, Seen } from "./client.ts"
import { sharedMs } from "./clock.ts"
import type { Server } from "./lab.ts"

/** How one request went. */
export interface Sent {
  readonly id: string
  /** Of its last try; `unsent` too where no server was ready in time. */
  readonly ending: Ending
  readonly code: string | undefined
  /** From the last try to its first byte. */
  readonly firstMs: number | undefined
  /** Tries that met no listener. */
  readonly unsent: number
  /** Tries that were refused by a server on its way down. */
  readonly refused: number
}

export interface Balancer {
  readonly add: (server: Server) => void
  readonly remove: (server: Server) => void
  /** `keep`: over a kept connection. */
  readonly send: (
    ask: Omit<Ask, "url" | "agent" | "model"> & { readonly model: string },
    keep: boolean
  ) => Promise<Sent>
  readonly stop: () => void
}

interface Member {
  readonly server: Server
  readonly agent: http.Agent
  ready: boolean
}

const pollMs = 100
const tryForMs = 15_000
const pauseMs = 100

const isReady = (url: string): Promise<boolean> =>
  new Promise((resolve) => {
    const request = http.get(`${url}/readyz`, { agent: false, timeout: 1_000 }, (response) => {
      response.resume()
      resolve(response.statusCode === 200)
    })
    request.on("timeout", () => request.destroy())
    request.on("error", () => resolve(false))
  })

export const make = (): Balancer => {
  const members = new Map<Server, Member>()
  let turn = 0

  const poll = async (member: Member): Promise<void> => {
    while (members.has(member.server)) {
      member.ready = await isReady(member.server.url)
      await sleep(pollMs)
    }
  }

  const next = (except: Server | undefined): Member | undefined => {
    const ready = [...members.values()].filter((member) => member.ready)
    const others = ready.filter((member) => member.server !== except)
    const from = others.length > 0 ? others : ready
    return from[turn++ % Math.max(1, from.length)]
  }

  const send: Balancer["send"] = async (ask, keep) => {
    let unsent = 0
    let refused = 0
    let last: Seen | undefined
    let failed: Server | undefined
    const endsAt = sharedMs() + tryForMs
    while (sharedMs() < endsAt) {
      const member = next(failed)
      if (member === undefined) {
        await sleep(pauseMs)
        continue
      }
      last = await Client.call({ ...ask, url: member.server.url, ...(keep ? { agent: member.agent } : {}) }).over
      if (last.ending === "unsent") unsent++
      else if (last.ending === "told" && last.status === 503 && last.code === "shutting_down" && last.mayRetry)
        refused++
      else break
      // Asked again at the next look.
      member.ready = false
      // With nobody else to ask, not at once.
      if (failed !== undefined) await sleep(pauseMs)
      failed = member.server
    }
    return {
      id: ask.script.id,
      ending: last?.ending ?? "unsent",
      code: last?.code ?? "no server was ready",
      firstMs: last?.firstAt === undefined ? undefined : last.firstAt - last.sentAt,
      unsent,
      refused
    }
  }

  return {
    add: (server) => {
      const member = { server, agent: new http.Agent({ keepAlive: true }), ready: true }
      members.set(server, member)
      void poll(member)
    },
    remove: (server) => {
      members.get(server)?.agent.destroy()
      members.delete(server)
    },
    send,
    stop: () => {
      for (const { agent } of members.values()) agent.destroy()
      members.clear()
    }
  }
}
