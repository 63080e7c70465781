/**
 * What the simulated provider says: pleasant prose that depends on the seed
 * and the prompt alone, and JSON that satisfies a simple JSON Schema.
 */
import type { ChatRequest } from "../../../domain/chat.ts"
import * as Random from "./random.ts"

const words =
  `harbour morning light quiet river amber window garden lantern gentle silver meadow slowly wind open letter north
sailor cedar bright water carries stone bridge evening patient keeps small boat steady under wide sky while careful
hands mend the net and the tide returns with salt on every rope a kind voice reads aloud by warm lamp over maps of
distant island where orchard leaves turn copper before first snow and bells ring softly across calm bay then someone
laughs pours tea folds clean linen counts stars names each cloud hums old song waits without hurry for friends who
arrive by ferry bring bread honey and news from far coast`.split(/\s+/)

// One token of prose is one word with its leading space, as most tokens of real models are.
const capitalised = words.map((word) => word.charAt(0).toUpperCase() + word.slice(1))

/** Draws the tokens of an endless text one by one. Joined, they read as sentences. */
export const prose = (random: Random.Random): (() => string) => {
  let left = 0
  let first = true
  return () => {
    const start = left === 0
    if (start) left = 6 + Math.floor(random() * 9)
    left--
    const index = Math.floor(random() * words.length)
    const word = (start ? capitalised[index] : words[index]) ?? "calm"
    const token = `${first ? "" : " "}${word}${left === 0 ? "." : ""}`
    first = false
    return token
  }
}

/** Pieces of about a token's length (4 characters) of a text that is already there. They never split a surrogate pair. */
export const pieces = (text: string): ReadonlyArray<string> => text.match(/[\s\S]{1,4}(?![\uDC00-\uDFFF])/g) ?? [""]

/** The prompt as the simulated model sees it. */
export interface Prompt {
  readonly hash: number
  /** Characters of all text content / 4, rounded up, at least 1: a rule of thumb that needs no tokenizer. */
  readonly tokens: number
}

/** Tokens of `chars` characters of input. */
export const tokensOf = (chars: number): number => Math.max(1, Math.ceil(chars / 4))

/** Hash and size of all text in the messages; images and other parts count nothing. */
export const promptOf = (chat: ChatRequest): Prompt => {
  let hash = Random.hash("")
  let chars = 0
  const add = (text: string) => {
    hash = Random.hash(text, hash)
    chars += text.length
  }
  for (const message of chat.messages) {
    add(message.role)
    chars -= message.role.length
    if (typeof message.content === "string") add(message.content)
    else for (const part of message.content ?? []) if (part.text !== undefined) add(part.text)
  }
  return { hash, tokens: tokensOf(chars) }
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const strings = (value: unknown): ReadonlyArray<string> =>
  Array.isArray(value) ? value.filter((item) => typeof item === "string") : []

// Deep enough for real schemas, and an end for those that refer to themselves.
const maxDepth = 12

/**
 * A value that satisfies a simple JSON Schema: types, `enum`, `const`,
 * `required` (all properties where none is required), `minItems`, `minimum`,
 * `anyOf`/`oneOf` (the first), and `$ref` inside the document. Patterns,
 * formats and conditions are not looked at.
 */
export const exampleOf = (schema: unknown, random: Random.Random): unknown => {
  const root = schema
  const resolve = (ref: string): unknown =>
    ref
      .replace(/^#\/?/, "")
      .split("/")
      .filter((part) => part !== "")
      .reduce<unknown>((at, part) => (isRecord(at) ? at[part] : undefined), root)
  const visit = (at: unknown, depth: number): unknown => {
    if (!isRecord(at) || depth > maxDepth) return null
    if ("const" in at) return at["const"]
    if (Array.isArray(at["enum"])) return at["enum"][0]
    if (typeof at["$ref"] === "string") return visit(resolve(at["$ref"]), depth + 1)
    const choices = at["anyOf"] ?? at["oneOf"]
    if (Array.isArray(choices)) return visit(choices[0], depth + 1)
    const type = Array.isArray(at["type"]) ? at["type"][0] : at["type"]
    switch (type) {
      case "string": {
        const next = prose(random)
        return `${next()}${next()}`.replace(/\.$/, "")
      }
      case "integer":
      case "number":
        return typeof at["minimum"] === "number" ? Math.ceil(at["minimum"]) : Math.floor(random() * 100)
      case "boolean":
        return random() < 0.5
      case "null":
        return null
      case "array": {
        const length = typeof at["minItems"] === "number" ? at["minItems"] : 1
        return Array.from({ length: Math.min(length, 100) }, () => visit(at["items"], depth + 1))
      }
      default: {
        const properties = isRecord(at["properties"]) ? at["properties"] : {}
        const required = strings(at["required"])
        const names = required.length > 0 ? required : Object.keys(properties)
        return Object.fromEntries(names.map((name) => [name, visit(properties[name] ?? { type: "string" }, depth + 1)]))
      }
    }
  }
  return visit(schema, 0)
}

/** What kind of answer a request wants. */
export type Wish =
  | { readonly _tag: "Prose" }
  | { readonly _tag: "Text"; readonly text: string }
  | { readonly _tag: "ToolCall"; readonly name: string; readonly arguments: string }

const functionOf = (tool: unknown) =>
  isRecord(tool) && isRecord(tool["function"]) && typeof tool["function"]["name"] === "string"
    ? { name: tool["function"]["name"], parameters: tool["function"]["parameters"] }
    : undefined

/**
 * A tool is called only where the request demands it (`tool_choice` `required`
 * or a named function); `response_format` `json_object` and `json_schema` get
 * JSON; everything else gets prose.
 */
export const wishOf = (chat: ChatRequest, random: () => Random.Random): Wish => {
  const choice = chat["tool_choice"]
  if (chat.tools !== undefined && chat.tools !== null && (choice === "required" || isRecord(choice))) {
    const named = functionOf(choice)?.name
    const tool = chat.tools.map(functionOf).find((one) => one !== undefined && (named ?? one.name) === one.name)
    if (tool !== undefined) {
      const args = tool.parameters === undefined ? {} : exampleOf(tool.parameters, random())
      return { _tag: "ToolCall", name: tool.name, arguments: JSON.stringify(args) }
    }
  }
  const format = chat["response_format"]
  if (isRecord(format)) {
    if (format["type"] === "json_object") {
      return {
        _tag: "Text",
        text: JSON.stringify(
          exampleOf({ type: "object", properties: { answer: { type: "string" } }, required: ["answer"] }, random())
        )
      }
    }
    if (format["type"] === "json_schema" && isRecord(format["json_schema"])) {
      return { _tag: "Text", text: JSON.stringify(exampleOf(format["json_schema"]["schema"], random())) }
    }
  }
  return { _tag: "Prose" }
}
