/**
 * The application's code on the two sides, as one finds it: the `openai`
 * package, and on the naive side `p-retry` around it, both with their own
 * defaults. This module is the border to those libraries, hence its promises.
 *
 * Neither side tells anybody when its user has left: that is code nobody wrote
 * either. Both packages are optional, so they are looked for only here.
 */
import { Effect, Option, Schema } from "effect"
import type OpenAI from "openai"
import type PRetry from "p-retry"
import type { Visit } from "./traffic.ts"

/** A package that only the demo needs is not installed. */
export class MissingPackage extends Schema.TaggedError<MissingPackage>()("MissingPackage", {
  packages: Schema.Array(Schema.String)
}) {
  override get message(): string {
    const names = this.packages.join(" ")
    return `The demo plays the naive side with the real ${this.packages.join(" and ")}. Install with: npm install ${names}`
  }
}

/** The application's question failed in the end; `code` is the API's error code or the error's name. */
export class AskFailed extends Schema.TaggedError<AskFailed>()("AskFailed", { code: Schema.String }) {}

/** Ask for one visit, and read the whole answer. Interruption is the end of the demo, not the user's leaving. */
export type Ask = (visit: Visit, onFirstToken: () => void) => Effect.Effect<void, AskFailed>

/** The libraries. */
export interface Packages {
  readonly OpenAI: typeof OpenAI
  readonly pRetry: typeof PRetry
}

const load = <A>(from: () => Promise<A>) => Effect.option(Effect.tryPromise(from))

/** Find the packages. */
export const packages: Effect.Effect<Packages, MissingPackage> = Effect.gen(function* () {
  const openai = yield* load(() => import("openai"))
  const pRetry = yield* load(() => import("p-retry"))
  if (Option.isSome(openai) && Option.isSome(pRetry)) {
    return { OpenAI: openai.value.default, pRetry: pRetry.value.default }
  }
  return yield* new MissingPackage({
    packages: [...(Option.isNone(openai) ? ["openai"] : []), ...(Option.isNone(pRetry) ? ["p-retry"] : [])]
  })
})

/** Where to ask, for which model. */
export interface Target {
  readonly baseUrl: string
  readonly model: string
  /** The key of a tenant. */
  readonly keyOf: (tenant: string) => string
}

/** One question through the SDK, read to its end. */
const stream = async (
  client: OpenAI,
  { keyOf, model }: Target,
  visit: Visit,
  onFirstToken: () => void,
  signal: AbortSignal
): Promise<void> => {
  const answer = await client.chat.completions.create(
    // `sim` is a vendor field of the simulated provider: an answer of this length.
    {
      model,
      messages: [{ role: "user", content: visit.prompt }],
      stream: true,
      user: visit.user,
      sim: { outputTokens: visit.outputTokens }
    } as OpenAI.ChatCompletionCreateParamsStreaming,
    {
      signal,
      headers: { authorization: `Bearer ${keyOf(visit.tenant)}`, "x-forwarded-for": addressOf(visit) }
    }
  )
  let first = true
  for await (const chunk of answer) {
    const text = chunk.choices[0]?.delta.content
    if (!first || text === undefined || text === null || text === "") continue
    first = false
    onFirstToken()
  }
}

/** Every user has an address: the balancer before the application says so. */
const addressOf = ({ id }: Visit): string => `10.${(id >> 16) & 255}.${(id >> 8) & 255}.${id & 255}`

const asked = (work: (signal: AbortSignal) => Promise<void>): Effect.Effect<void, AskFailed> =>
  Effect.tryPromise({ try: work, catch: (error) => new AskFailed({ code: codeOf(error) }) })

const codeOf = (error: unknown): string => {
  if (!(error instanceof Error)) return "unknown"
  return "code" in error && typeof error.code === "string" ? error.code : error.name
}

/** The glue of a thousand repositories: the SDK with its retries, p-retry around it, no bound on what is in flight, no timeouts. */
export const naive = ({ OpenAI, pRetry }: Packages, target: Target): Ask => {
  const client = new OpenAI({ baseURL: target.baseUrl, apiKey: "unused" })
  return (visit, onFirstToken) =>
    asked((signal) => pRetry(() => stream(client, target, visit, onFirstToken, signal), { signal }))
}

/** The same code with another base URL and no retries of its own: retrying is Ballast's part now. */
export const guarded = ({ OpenAI }: Packages, target: Target): Ask => {
  const client = new OpenAI({ baseURL: target.baseUrl, apiKey: "unused", maxRetries: 0 })
  return (visit, onFirstToken) => asked((signal) => stream(client, target, visit, onFirstToken, signal))
}
