/** What all scenarios have in common. */
import type { ScenarioInput } from "../../../src/programs/simulate/scenario.ts"

/** Ballast's policies as a scenario writes them. */
export type PoliciesInput = ScenarioInput["policies"][string]

/** The provider behind all scenarios that have one. */
export const provider = "provider"

/**
 * The limits for each user, address and deployment play no part: the fleet's
 * callers name neither, and the global one would turn a flood away before the
 * guards that are looked at here see it.
 */
const unlimited = { rateLimits: { global: { requestsPerMinute: null } } } as const

/** The shipped policies with what an operator sets for this deployment. */
export const shipped = (set: PoliciesInput = {}): PoliciesInput => ({ ...unlimited, ...set })

/** Whole answers come in one piece: the simulator need not keep the times of all their tokens. */
export const inOnePiece = { tokensPerChunk: 100_000 } as const
