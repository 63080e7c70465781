/** The benches' TCP proxy, for tests of stores that are slow, mute or gone. */
export { start } from "../../bench/support/fault-proxy.ts"
export type { FaultProxy } from "../../bench/support/fault-proxy.ts"
