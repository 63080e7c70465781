import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { Picture } from "../../../../src/programs/simulate/picture.ts"
import * as Svg from "../../../../src/programs/simulate/svg.ts"

const attribute = /([A-Za-z_:][\w:.-]*)="([^"<]*)"/g
const entity = /&(?!(?:amp|lt|gt|quot|apos|#\d+|#x[0-9a-f]+);)/iu

/** Whether a document is well-formed XML, as far as a picture without comments, CDATA and declarations can be wrong (XML 1.0, section 2.1). */
const assertWellFormed = (document: string): void => {
  const open: Array<string> = []
  let roots = 0
  let at = 0
  for (const tag of document.matchAll(/<(\/?)([A-Za-z][\w:.-]*)([^<>]*?)(\/?)>/g)) {
    const [whole, closing, name = "", attributes = "", empty] = tag
    const text = document.slice(at, tag.index)
    assert.notMatch(text, /[<>]/, "markup that is no tag")
    assert.notMatch(text + attributes, entity, "an ampersand that is no entity")
    if (open.length === 0) assert.strictEqual(text.trim(), "", "text outside of the root")
    at = tag.index + whole.length
    if (closing === "/") {
      assert.strictEqual(open.pop(), name)
      continue
    }
    const names = [...attributes.matchAll(attribute)].map(([, key]) => key)
    assert.strictEqual(new Set(names).size, names.length, "an attribute twice")
    assert.strictEqual(attributes.replace(attribute, "").trim(), "", "an attribute that cannot be read")
    if (open.length === 0) roots++
    if (empty !== "/") open.push(name)
  }
  assert.strictEqual(document.slice(at).trim(), "")
  assert.deepStrictEqual(open, [])
  assert.strictEqual(roots, 1)
  // oxlint-disable-next-line no-control-regex -- characters that XML forbids
  assert.notMatch(document, /[\u0000-\u0008\u000b\u000c\u000e-\u001f]/)
}

const picture = (more: Partial<Picture> = {}): Picture => ({
  title: "storm",
  subtitle: "20 processes",
  durationS: 30,
  stepS: 10,
  marks: [{ name: "capacity -80 %", fromS: 10, toS: 20 }],
  panels: [
    {
      title: "All visits",
      offered: [80, 81, 79],
      lines: [
        { name: "ballast", values: [80, 20, 79] },
        { name: "naive", values: [80, 10, 0] }
      ]
    }
  ],
  ...more
})

describe("scale", () => {
  it("ends at a round number not far above", () => {
    assert.deepStrictEqual(Svg.scale(81), { top: 100, step: 50 })
    assert.deepStrictEqual(Svg.scale(0), { top: 1, step: 0.5 })
    fc.assert(
      fc.property(fc.double({ min: 1e-3, max: 1e6, noNaN: true }), (value) => {
        const { step, top } = Svg.scale(value)
        assert.isAtLeast(top, value * (1 - 1e-6))
        assert.isAtMost(top, value * 2 + 1e-9)
        assert.isAtMost(top / step, 6)
        assert.closeTo(top / step, Math.round(top / step), 1e-6)
      })
    )
  })
})

describe("svg", () => {
  it("is a picture of its own: title, description, axes, legend, marks; no scripts, no links", () => {
    const drawn = Svg.draw(picture())
    assertWellFormed(drawn)
    for (const text of [
      "<title",
      "<desc",
      "seconds",
      "visits per second",
      "ballast",
      "naive",
      "offered",
      "capacity -80 %"
    ]) {
      assert.include(drawn, text)
    }
    assert.include(drawn, "ballast 75 %, naive 38 %")
    assert.notMatch(drawn, /<script|href=|url\(|@import|https?:(?!\/\/www\.w3\.org\/2000\/svg)/)
  })

  it("draws each policy in a colour and a dash of its own", () => {
    const lines = Array.from({ length: 6 }, (_, index) => ({ name: `policy-${index}`, values: [1, 2, 3] }))
    const drawn = Svg.draw(picture({ panels: [{ title: "All", offered: [3, 3, 3], lines }] }))
    const styles = new Set(
      [
        ...drawn.matchAll(
          /stroke-linejoin="round" stroke="([^"]+)" stroke-width="2.5"(?: stroke-dasharray="([^"]+)")?/g
        )
      ].map(([, colour, dash]) => `${colour} ${dash}`)
    )
    assert.strictEqual(styles.size, 6)
  })

  it("keeps every point inside the picture, however odd the numbers are", () => {
    const values = fc.array(fc.double({ min: 0, max: 1e5, noNaN: true }), { minLength: 3, maxLength: 3 })
    fc.assert(
      fc.property(values, values, fc.string(), fc.string(), (offered, good, name, title) => {
        const drawn = Svg.draw(
          picture({
            title,
            panels: [{ title: name, offered, lines: [{ name, values: good }] }],
            marks: [{ name, fromS: 0, toS: 99 }]
          })
        )
        assertWellFormed(drawn)
        const [, width = "0", height = "0"] = /viewBox="0 0 (\d+) (\d+)"/.exec(drawn) ?? []
        // Paths alone: a name may look like a point.
        const paths = [...drawn.matchAll(/ d="([^"]*)"/g)].map(([, path]) => path).join(" ")
        assert.notStrictEqual(paths, "")
        for (const [, x, y] of paths.matchAll(/[ML](-?[\d.]+) (-?[\d.]+)/g)) {
          assert.isTrue(Number(x) >= 0 && Number(x) <= Number(width), `x ${x}`)
          assert.isTrue(Number(y) >= 0 && Number(y) <= Number(height), `y ${y}`)
        }
        assert.notMatch(drawn, /NaN|Infinity|undefined/)
      })
    )
  })

  it("is the same for the same picture, and has no place for an empty one to fail", () => {
    assert.strictEqual(Svg.draw(picture()), Svg.draw(picture()))
    assertWellFormed(Svg.draw(picture({ panels: [], marks: [] })))
    assertWellFormed(Svg.draw(picture({ panels: [{ title: "none", offered: [], lines: [] }] })))
  })

  it("grows with its panels, and wraps a long legend", () => {
    const height = (drawn: string) => Number(/viewBox="0 0 900 (\d+)"/.exec(drawn)?.[1])
    const one = picture()
    const two = picture({ panels: [...one.panels, ...one.panels] })
    assert.isAbove(height(Svg.draw(two)), height(Svg.draw(one)) + 200)
    const many = Array.from({ length: 12 }, (_, index) => ({ name: `a-policy-with-a-name-${index}`, values: [1] }))
    const wide = Svg.draw(picture({ panels: [{ title: "All", offered: [1], lines: many }] }))
    assert.isAbove(height(wide), height(Svg.draw(one)))
    for (const [, x] of wide.matchAll(/<text x="([\d.]+)"/g)) assert.isBelow(Number(x), 900)
  })
})
