import { assert, describe, it } from "vitest"
import { table } from "../../../../src/programs/cli/table.ts"

describe("a table", () => {
  it("has columns as wide as their widest cell, and no blanks at the end of a line", () => {
    const lines = table(
      [{ title: "tenant" }, { title: "spent", right: true }, { title: "x" }],
      [
        ["a-long-tenant", "$1.00", ""],
        ["b", "$1000.00", "y"]
      ]
    )
    assert.strictEqual(
      lines,
      ["tenant            spent  x", "a-long-tenant     $1.00", "b              $1000.00  y"].join("\n")
    )
  })

  it("without rows is its heading; missing cells are empty", () => {
    assert.strictEqual(table([{ title: "a" }, { title: "b" }], []), "a  b")
    assert.strictEqual(table([{ title: "a" }, { title: "b" }], [["1"]]), "a  b\n1")
  })

  it("lets no control character of a name through to the terminal", () => {
    assert.strictEqual(table([{ title: "a" }], [["\u001b[31mred\n\u0007"]]), "a\n\ufffd[31mred\ufffd\ufffd")
  })
})
