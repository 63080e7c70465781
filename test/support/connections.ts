/**
 * Which hosts this process connects to while a scope is open. Client libraries
 * like to report home; a test that includes them shows that they do not.
 */
import { Socket } from "node:net"
import { Effect } from "effect"
import type { Scope } from "effect"

type Connect = (this: Socket, ...args: Array<unknown>) => Socket

/** Hosts other than this machine that a connection was begun to from now on. */
export const outside: Effect.Effect<ReadonlyArray<string>, never, Scope.Scope> = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => {
      const hosts: Array<string> = []
      // All overloads of `connect` are this one at run time.
      const original = Socket.prototype.connect as Connect
      const watching: Connect = function (...args) {
        const host = hostOf(args)
        if (!/^(localhost|127\..*|::1)$/.test(host)) hosts.push(host)
        return original.apply(this, args)
      }
      Socket.prototype.connect = watching as Socket["connect"]
      return { hosts, original }
    }),
    ({ original }) =>
      Effect.sync(() => {
        Socket.prototype.connect = original as Socket["connect"]
      })
  ),
  ({ hosts }) => hosts
)

/** `connect(options)`, `connect(port, host)`, or Node's own list of both. */
const hostOf = (args: ReadonlyArray<unknown>): string => {
  const [first, second] = args
  if (Array.isArray(first)) return hostOf(first)
  if (typeof first === "object" && first !== null) {
    return "path" in first && typeof first.path === "string"
      ? "localhost"
      : "host" in first && typeof first.host === "string"
        ? first.host
        : "localhost"
  }
  return typeof second === "string" ? second : "localhost"
}
