/**
 * Everything the simulated provider can be told: how fast it is, how much it
 * writes, which limits it has and which faults it plays, on a timetable, on
 * command, or for one request alone.
 *
 * All durations are milliseconds.
 */
import { Effect, Schema } from "effect"

const Millis = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))
const Factor = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))
const Share = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0), Schema.isLessThanOrEqualTo(1))
const Status = Schema.Int.check(Schema.isGreaterThanOrEqualTo(400), Schema.isLessThanOrEqualTo(599))
const atLeast = (min: number) => Schema.Int.check(Schema.isGreaterThanOrEqualTo(min))
const field = <S extends Schema.Top>(schema: S, otherwise: S["Encoded"], description: string) =>
  schema.pipe(Schema.withDecodingDefaultKey(Effect.succeed(otherwise))).annotate({ description })
const maybe = <S extends Schema.Top>(schema: S, description: string) =>
  Schema.optionalKey(schema.annotate({ description }))

const when = {
  fromMs: field(Millis, 0, "when it begins: after the start of the provider, or after the command that set it"),
  toMs: maybe(Millis, "when it ends, on the same scale; missing: never"),
  probability: field(Share, 1, "share of the calls that it strikes")
}
const refusal = {
  retryAfterMs: maybe(Millis, "sent as Retry-After"),
  code: maybe(Schema.String, "OpenAI's error code, where it is not the usual one of the status"),
  message: maybe(Schema.String, "OpenAI's error message")
}
const afterChunks = field(
  atLeast(0),
  3,
  "chunks sent before it strikes; the chunk with the role is the first. A shorter answer is struck before its last chunk"
)

/**
 * One fault.
 *
 * - `outage`: each new call is answered with `status`; calls that run go on
 * - `flapping`: down for the first half of each period, up for the second
 * - `reject`: like an outage, for a share of the calls
 * - `refuse`: no connection
 * - `hang`: no answer, ever; over HTTP either before or after the response's headers
 * - `brownout`: the first token takes `factor` times as long
 * - `slow-drip`: each further token takes `factor` times as long
 * - `capacity`: `concurrency` is `factor` times what it was, for calls that already run too
 * - `cut`: the connection ends in the middle
 * - `stall`: no further byte, and the connection stays open
 * - `broken-frame`: a frame that is not JSON, and then the end
 * - `stream-error`: a frame with an error object, and then the end
 */
export const Fault = Schema.Union([
  Schema.Struct({ kind: Schema.Literal("outage"), ...when, status: field(Status, 503, "answered"), ...refusal }),
  Schema.Struct({
    kind: Schema.Literal("flapping"),
    ...when,
    periodMs: field(Millis, 10_000, "one time down and one time up together"),
    status: field(Status, 503, "answered while down"),
    ...refusal
  }),
  Schema.Struct({ kind: Schema.Literal("reject"), ...when, status: field(Status, 500, "answered"), ...refusal }),
  Schema.Struct({ kind: Schema.Literal("refuse"), ...when }),
  Schema.Struct({
    kind: Schema.Literal("hang"),
    ...when,
    phase: field(Schema.Literals(["headers", "body"]), "headers", "what never comes")
  }),
  Schema.Struct({ kind: Schema.Literal("brownout"), ...when, factor: field(Factor, 10, "times the first-token time") }),
  Schema.Struct({ kind: Schema.Literal("slow-drip"), ...when, factor: field(Factor, 20, "times the token time") }),
  Schema.Struct({ kind: Schema.Literal("capacity"), ...when, factor: field(Factor, 0.2, "times the concurrency") }),
  Schema.Struct({ kind: Schema.Literal("cut"), ...when, afterChunks }),
  Schema.Struct({ kind: Schema.Literal("stall"), ...when, afterChunks }),
  Schema.Struct({ kind: Schema.Literal("broken-frame"), ...when, afterChunks }),
  Schema.Struct({
    kind: Schema.Literal("stream-error"),
    ...when,
    afterChunks,
    status: field(Status, 500, "what the status would have been before the first byte"),
    ...refusal
  })
])
export type Fault = typeof Fault.Type

/** A fault as written down, with defaults left out. */
export type FaultInput = typeof Fault.Encoded

/**
 * What one request may ask of the simulated provider, in its field `sim` (a
 * vendor field, which passes through a gateway untouched; the same in process
 * and over HTTP). It is the only per-request mechanism.
 */
export const Directive = Schema.Struct({
  fault: maybe(Fault, "strikes this call alone"),
  ttftMs: maybe(Millis, "exactly this first-token time"),
  perTokenMs: maybe(Millis, "exactly this time for each further token"),
  outputTokens: maybe(atLeast(1), "exactly this many, unless max_tokens is less"),
  text: maybe(Schema.String, "exactly this answer")
})
export interface Directive extends Schema.Schema.Type<typeof Directive> {}

const logNormal = (medianMs: number, sigma: number, description: string) =>
  field(
    Schema.Struct({
      medianMs: field(Millis, medianMs, "half of the draws are below"),
      sigma: field(Factor, sigma, "standard deviation of the logarithm; 0: always the median")
    }),
    {},
    description
  )

/** The options, each with a default: {@link decode} of `{}` is a fast, healthy, unlimited provider. */
export const SimOptions = Schema.Struct({
  seed: field(Schema.Int, 1, "same seed and same order of requests: same answers at the same times"),
  models: field(
    Schema.NonEmptyArray(Schema.NonEmptyString),
    ["sim-large", "sim-small", "sim-embed"],
    "listed by GET /v1/models"
  ),
  strictModels: field(Schema.Boolean, false, "answer 404 for a model that is not listed"),
  ttft: logNormal(300, 0.4, "time to the first token, log-normal"),
  perToken: logNormal(15, 0.3, "time of each further token, log-normal"),
  outputTokens: field(
    Schema.Struct({
      median: field(Factor, 60, "half of the answers are shorter"),
      sigma: field(Factor, 0.6, "standard deviation of the logarithm")
    }),
    {},
    "length of an answer that nothing cuts, log-normal"
  ),
  tokensPerChunk: field(atLeast(1), 1, "tokens of one streamed chunk"),
  rpm: maybe(atLeast(1), "requests a minute; missing: no limit"),
  tpm: maybe(atLeast(1), "tokens a minute, of prompts and answers; missing: no limit"),
  burstMs: field(Millis, 60_000, "how much of the limit can be saved up"),
  refusedCount: field(Schema.Boolean, false, "a call refused with 429 counts as a request too"),
  errorMs: field(Millis, 0, "how long a refusal takes"),
  concurrency: maybe(atLeast(1), "calls in flight beyond which all slow down; missing: no limit"),
  straggler: field(
    Schema.Struct({
      probability: field(Share, 0, "share of the calls that are slow"),
      factor: field(Factor, 10, "times the usual time, first token and all others")
    }),
    {},
    "the slow tail"
  ),
  abandoned: field(
    Schema.Literals(["stop", "continue"]),
    "stop",
    "what becomes of a call whose caller has gone: `continue` works on for nobody, which keeps an overload alive"
  ),
  embedding: field(
    Schema.Struct({
      dimension: field(atLeast(1), 256, "numbers in a vector where the request names no `dimensions`"),
      medianMs: field(Millis, 30, "time of an embedding request"),
      sigma: field(Factor, 0.3, "standard deviation of the logarithm")
    }),
    {},
    "embeddings"
  ),
  faults: field(Schema.Array(Fault), [], "the timetable")
})
export interface SimOptions extends Schema.Schema.Type<typeof SimOptions> {}

/** Options as written down, with defaults left out. */
export type SimOptionsInput = typeof SimOptions.Encoded

/** Read options from a file's JSON or from code, and fill in the defaults. */
export const decode = Schema.decodeUnknownEffect(SimOptions, { onExcessProperty: "error" })

/** Read one fault, or several, from a command. */
export const decodeFaults = Schema.decodeUnknownEffect(Schema.Union([Fault, Schema.Array(Fault)]))

/** Read the field `sim` of a request. */
export const decodeDirective = Schema.decodeUnknownEffect(Directive)
