/**
 * The stream of entries that wait to be booked, as commands to Redis: what its
 * entries look like, and how they are read, taken over and taken out.
 */
import { Effect, Result, Schema } from "effect"
import { Redis } from "effect/persistence"
import type { StoreError } from "../../domain/errors.ts"
import { LedgerEntry } from "../../domain/ledger.ts"
import type { RedisClient } from "../redis/client.ts"
import { script } from "../redis/client.ts"

/** An entry of the stream as it came: names and values in turn. */
export interface Item {
  readonly streamId: string
  readonly fields: ReadonlyArray<string>
}

const group = "ledger"

/** Entries that are kept of those that could not be booked. */
const mostDead = 10_000

/** A consumer that has asked for nothing for so long (ms) and owes nothing is forgotten. */
const forgetMs = 3_600_000

/** Take entries out: KEYS stream; ARGV group, ids. */
const takeOut = script(`
redis.call('XACK', KEYS[1], ARGV[1], unpack(ARGV, 2))
return redis.call('XDEL', KEYS[1], unpack(ARGV, 2))`)

/** Put an entry aside: KEYS stream, dead stream; ARGV group, id, most, why, the entry as JSON. Once, if it is still there. */
const putAside = script(`
if redis.call('XDEL', KEYS[1], ARGV[2]) == 1 then
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', 'was', ARGV[2], 'why', ARGV[4], 'entry', ARGV[5])
end
return redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])`)

/** Forget consumers that owe nothing: KEYS stream; ARGV group, our own name, how long the others must have been silent. */
const forget = script(`
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
for _, found in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  if found[2] == ARGV[1] then
    for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
      local is = {}
      for i = 1, #consumer, 2 do is[consumer[i]] = consumer[i + 1] end
      if is.pending == 0 and (is.name == ARGV[2] or is.idle > tonumber(ARGV[3])) then
        redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], is.name)
      end
    end
  end
end
return 1`)

const Meta = Schema.Struct({
  tenant: LedgerEntry.fields.tenant,
  user: Schema.optional(LedgerEntry.fields.user),
  feature: LedgerEntry.fields.feature,
  model: LedgerEntry.fields.model,
  provider: Schema.optional(LedgerEntry.fields.provider),
  promptVersion: Schema.optional(LedgerEntry.fields.promptVersion),
  outcome: LedgerEntry.fields.outcome
})
const decodeMeta = Schema.decodeUnknownResult(Schema.fromJsonString(Meta))
const decodeEntry = Schema.decodeUnknownResult(LedgerEntry)

/** A number as a script writes it; `NaN` for what is none. */
const numberOf = (text: string | undefined): number =>
  text === undefined || text.trim() === "" ? Number.NaN : Number(text)

/** The entry of an item: `id`, `kind`, `at` (ms), `in`, `out` (tokens), `usd` (micro-dollars), `meta` (JSON). */
export const decode = ({ fields }: Item): LedgerEntry | undefined => {
  const is = new Map<string, string>()
  for (let i = 0; i + 1 < fields.length; i += 2) is.set(fields[i] ?? "", fields[i + 1] ?? "")
  const meta = decodeMeta(is.get("meta"))
  if (Result.isFailure(meta)) return undefined
  const { feature, model, outcome, promptVersion = null, provider = null, tenant, user = null } = meta.success
  const entry = decodeEntry({
    id: is.get("id"),
    kind: is.get("kind"),
    atMs: numberOf(is.get("at")),
    tenant,
    user,
    feature,
    model,
    provider,
    promptVersion,
    outcome,
    inputTokens: numberOf(is.get("in")),
    outputTokens: numberOf(is.get("out")),
    microUsd: numberOf(is.get("usd"))
  })
  return Result.isSuccess(entry) ? entry.success : undefined
}

const Fields = Schema.Array(Schema.String)
const Listed = Schema.Array(Schema.Tuple([Schema.String, Schema.NullOr(Fields)]))
const OfKey = Schema.Tuple([Schema.String, Listed])
/** A map of one key: as a list of pairs (RESP2), or flat (RESP3, as ioredis gives it). */
const decodeRead = Schema.decodeUnknownEffect(Schema.Union([Schema.Null, OfKey, Schema.Array(OfKey)]))
const decodeClaim = Schema.decodeUnknownEffect(
  Schema.TupleWithRest(Schema.Tuple([Schema.String, Listed]), [Schema.Unknown])
)

/** An entry that was taken out while it was being taken over has no fields. */
const itemsOf = (listed: typeof Listed.Type): ReadonlyArray<Item> =>
  listed.flatMap(([streamId, fields]) => (fields === null ? [] : [{ streamId, fields }]))

const isFlat = Schema.is(OfKey)

/** Commands as consumer `name`, with `count` entries at most. */
export const make = (client: RedisClient["Service"], name: string, count: number) => {
  const key = client.key("ledger")
  const dead = client.key("ledger-dead")

  /** Have the group made, from the stream's beginning, if it is not there. */
  const prepare = (connection: Redis.Connection) =>
    connection.send("XGROUP", "CREATE", key, group, "0", "MKSTREAM").pipe(
      Effect.catchIf(
        (error) => String(error.cause).includes("BUSYGROUP"),
        () => Effect.void
      ),
      Effect.andThen(Effect.ignore(client.run(forget, [key], [group, name, forgetMs])))
    )

  /** What nobody has read yet; waits for it for `blockMs` at most. */
  const read = Effect.fnUntraced(function* (connection: Redis.Connection, blockMs: number) {
    const limits = ["COUNT", String(count), "BLOCK", String(blockMs)]
    const reply = yield* connection.send("XREADGROUP", "GROUP", group, name, ...limits, "STREAMS", key, ">")
    const found = yield* decodeRead(reply)
    if (found === null) return []
    return isFlat(found) ? itemsOf(found[1]) : found.flatMap(([, listed]) => itemsOf(listed))
  })

  let cursor = "0-0"
  /** What somebody has read and not taken out for `claimMs`, and some more each time it is asked for. */
  const claim = Effect.fnUntraced(function* (connection: Redis.Connection, claimMs: number) {
    for (;;) {
      const [next, listed] = yield* decodeClaim(
        yield* connection.send("XAUTOCLAIM", key, group, name, String(claimMs), cursor, "COUNT", String(count))
      )
      cursor = next
      if (listed.length > 0 || next === "0-0") return itemsOf(listed)
    }
  })

  const done = (ids: ReadonlyArray<string>): Effect.Effect<void, StoreError> =>
    Effect.asVoid(client.run(takeOut, [key], [group, ...ids]))

  const bury = ({ fields, streamId }: Item, why: string): Effect.Effect<void, StoreError> =>
    Effect.asVoid(client.run(putAside, [key, dead], [group, streamId, mostDead, why, JSON.stringify(fields)]))

  return {
    prepare,
    read,
    claim,
    done,
    bury,
    /** Entries in the stream. */
    length: Effect.map(client.send("XLEN", key), Number),
    /** Be forgotten, unless there is something to be taken over. */
    leave: client.run(forget, [key], [group, name, forgetMs])
  }
}
