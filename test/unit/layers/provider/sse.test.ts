// Server-sent events, whatever the bytes are cut into.
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Sse from "../../../../src/layers/provider/sse.ts"

const encoder = new TextEncoder()

const decodeAll = (chunks: ReadonlyArray<Uint8Array>, limit = 10_000) => {
  const decoder = Sse.make(limit)
  const out: Array<Sse.SseEvent> = []
  let fault: string | undefined
  for (const chunk of chunks) fault ??= decoder.feed(chunk, out)
  return { events: out.map((event) => ({ event: event.event, data: event.data })), fault, decoder, out }
}
const dataOf = (text: string) => decodeAll([encoder.encode(text)]).events.map((event) => event.data)

/** The bytes cut at the given places. */
const cutAt = (bytes: Uint8Array, places: ReadonlyArray<number>): Array<Uint8Array> => {
  const sorted = [...new Set(places.map((place) => place % (bytes.length + 1)))].toSorted((a, b) => a - b)
  return [...sorted, bytes.length].map((end, i) => bytes.slice(i === 0 ? 0 : sorted[i - 1], end))
}

const line = fc.string({ unit: fc.constantFrom("a", " ", ":", "ü", "€", "😀", "{", '"', "\u00ff"), maxLength: 12 })
const eol = fc.constantFrom("\n", "\r\n", "\r")
const frame = fc.tuple(
  fc.array(fc.constantFrom(": ping", "event: x", "id: 7", "retry: 10", "retry: soon", "other: y"), { maxLength: 2 }),
  fc.array(line, { minLength: 1, maxLength: 3 })
)

describe("sse", () => {
  it("gives the same events for every way to cut the bytes", () => {
    fc.assert(
      fc.property(
        fc.array(frame, { maxLength: 5 }),
        eol,
        fc.boolean(),
        fc.array(fc.nat(500), { maxLength: 12 }),
        (frames, end, bom, places) => {
          const text = frames
            .map(([fields, data]) => [...fields, ...data.map((d) => `data: ${d}`), "", ""].join(end))
            .join("")
          const bytes = encoder.encode((bom ? "\ufeff" : "") + text)
          const whole = decodeAll([bytes])
          assert.deepStrictEqual(
            whole.events.map((event) => event.data),
            frames.map(([, data]) => data.join("\n"))
          )
          assert.deepStrictEqual(decodeAll(cutAt(bytes, places)).events, whole.events)
          assert.deepStrictEqual(decodeAll(Array.from(bytes, (byte) => Uint8Array.of(byte))).events, whole.events)
        }
      ),
      { numRuns: 200 }
    )
  })

  it("ignores comments, keeps names, joins lines", () => {
    assert.deepStrictEqual(decodeAll([encoder.encode(": hi\n\nevent: error\ndata: a\ndata: b\n\n")]).events, [
      { event: "error", data: "a\nb" }
    ])
  })

  it("drops one BOM, and only at the start", () => {
    assert.deepStrictEqual(dataOf("\ufeffdata: a\n\ndata: \ufeffb\n\n"), ["a", "\ufeffb"])
  })

  it("refuses bytes that are not UTF-8, in one chunk or across two, or cut at the end", () => {
    const bad = Uint8Array.of(0x64, 0x61, 0x74, 0x61, 0x3a, 0xff, 0x0a, 0x0a)
    assert.match(decodeAll([bad]).fault ?? "", /UTF-8/)
    assert.match(
      decodeAll([encoder.encode("data: "), Uint8Array.of(0xe2), encoder.encode("a\n\n")]).fault ?? "",
      /UTF-8/
    )
    const { decoder, out } = decodeAll([encoder.encode("data: "), Uint8Array.of(0xe2, 0x82)])
    assert.match(decoder.end(out) ?? "", /UTF-8/)
  })

  it("refuses an event that is too long, whether its line ends or not", () => {
    assert.match(decodeAll([encoder.encode(`data: ${"x".repeat(200)}`)], 100).fault ?? "", /longer than 100/)
    assert.match(
      decodeAll([encoder.encode(`data: ${"x".repeat(60)}\ndata: ${"x".repeat(60)}\n`)], 100).fault ?? "",
      /100/
    )
  })

  it("gives the event without its blank line only when the stream is over", () => {
    const { decoder, events, out } = decodeAll([encoder.encode("data: a\n\ndata: [DONE]")])
    assert.strictEqual(events.length, 1)
    assert.isUndefined(decoder.end(out))
    assert.strictEqual(out[1]?.data, "[DONE]")
  })
})
