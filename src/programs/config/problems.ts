/**
 * From a schema's issue to the problems a person repairs: the path, what was
 * found there (never a secret), what is allowed, and for a misspelt key the
 * nearest known one.
 */
import type { SchemaAST, SchemaIssue } from "effect"
import type { ConfigProblem } from "../../domain/config-error.ts"
import { pathText } from "../../domain/config-error.ts"
import { nearest } from "./nearest.ts"

type Path = ReadonlyArray<PropertyKey>

/** Annotations stand on the last check of a type, or on the type itself where it has none. */
const annotation = (ast: SchemaAST.AST, key: "message" | "description"): string | undefined => {
  const value = (ast.checks === undefined ? ast : ast.checks[ast.checks.length - 1])?.annotations?.[key]
  return typeof value === "string" ? value : undefined
}

const expectations = (check: SchemaAST.Check<never>): ReadonlyArray<string> => {
  const expected = check.annotations?.["expected"]
  if (typeof expected === "string") return [expected]
  return check._tag === "FilterGroup" ? check.checks.flatMap(expectations) : []
}

/** The library's words where plainer ones say the same. */
const plainer = (expected: string): string =>
  expected === "a value with a length of at least 1"
    ? "a non-empty string"
    : expected.replace(/^a value (?=greater|less|between)/, "a number ")

const joined = (expected: ReadonlyArray<string>): string => {
  const telling = expected.filter((each) => each !== "a finite number")
  return (telling.length === 0 ? expected : telling).map(plainer).join(", ")
}

const kindOf = (ast: SchemaAST.AST): string => {
  switch (ast._tag) {
    case "String":
      return "a string"
    case "Number":
      return "a number"
    case "Boolean":
      return "true or false"
    case "Objects":
      return "an object"
    case "Arrays":
      return "a list"
    case "Null":
      return "null"
    case "Literal":
      return JSON.stringify(ast.literal)
    case "Union": {
      const types = [...new Set(ast.types.map(describe))]
      return types.length > 2 ? `one of ${types.join(", ")}` : types.join(" or ")
    }
    default:
      return "a JSON value"
  }
}

/** What a type allows, in words. */
export const describe = (ast: SchemaAST.AST): string => {
  const message = annotation(ast, "message")
  if (message !== undefined) return message
  const expected = (ast.checks ?? []).flatMap(expectations)
  return expected.length === 0 ? kindOf(ast) : joined(expected)
}

/** Places where a string may be a secret that was written down by mistake. */
const mayBeSecret = (path: Path): boolean => {
  const [outer, last] = [path[path.length - 2], path[path.length - 1]]
  if (outer === "headers" || (outer === "keys" && typeof last === "number")) return true
  return typeof last === "string" && /^(baseUrl|url|env|keys|headers)$|(key|token|secret|password)$/i.test(last)
}

const valueAt = (root: unknown, path: Path): unknown => {
  let value: unknown = root
  for (const part of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return undefined
    // Own key, checked above.
    value = (value as Record<PropertyKey, unknown>)[part]
  }
  return value
}

/** For a misspelt one of several words: the nearest. */
const meant = (root: unknown, path: Path, union: SchemaAST.Union): string | undefined => {
  const value = valueAt(root, path)
  if (typeof value !== "string") return undefined
  const words = union.types.flatMap((type) =>
    type._tag === "Literal" && typeof type.literal === "string" ? [type.literal] : []
  )
  const near = nearest(value, words)
  return near === undefined ? undefined : `did you mean "${near}"?`
}

/** What stands at `path`, in words. Strings where a secret may stand are not shown. */
export const found = (root: unknown, path: Path): string => {
  const value = valueAt(root, path)
  if (value === undefined) return "nothing"
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list"
  if (typeof value === "object" && value !== null) return "an object"
  if (typeof value !== "string") return String(value)
  if (value === "") return "an empty string"
  if (mayBeSecret(path)) return "a string (not shown: it may be a secret)"
  return JSON.stringify(value.length > 60 ? `${value.slice(0, 59)}…` : value)
}

/**
 * All problems of a failed decoding of `root`. `origin` says where a value
 * came from that is not in the file, e.g. the environment variable of a path.
 * `base` is the path of the decoded part, where that is not the whole of `root`.
 */
export const fromIssue = (
  root: unknown,
  issue: SchemaIssue.Issue,
  origin: (path: string) => string | undefined = () => undefined,
  base: Path = []
): ReadonlyArray<ConfigProblem> => {
  const problems: Array<ConfigProblem> = []
  const add = (path: Path, allowed: string, hint?: string) => {
    const text = pathText(path)
    const from = origin(text)
    problems.push({
      path: text,
      found: found(root, path) + (from === undefined ? "" : ` (from ${from})`),
      allowed,
      ...(hint === undefined ? {} : { hint })
    })
  }
  const walk = (current: SchemaIssue.Issue, path: Path, parent: SchemaAST.AST | undefined): void => {
    switch (current._tag) {
      case "Pointer":
        return walk(current.issue, [...path, ...current.path], parent)
      case "Encoding":
        return walk(current.issue, path, parent)
      case "Filter":
        return add(path, joined(expectations(current.filter)) || "another value")
      case "Composite":
        return current.issues.forEach((each) => walk(each, path, current.ast))
      case "AnyOf":
        if (current.issues.length === 0) return add(path, describe(current.ast), meant(root, path, current.ast))
        return current.issues.forEach((each) => walk(each, path, current.ast))
      case "InvalidType":
        return add(path, describe(current.ast))
      case "MissingKey": {
        const name = path[path.length - 1]
        const type =
          parent?._tag === "Objects"
            ? parent.propertySignatures.find((each) => each.name === name)?.type
            : parent?._tag === "Arrays"
              ? (parent.elements[Number(name)] ?? parent.rest[0])
              : undefined
        return type === undefined ? add(path, "a value") : add(path, describe(type), annotation(type, "description"))
      }
      case "UnexpectedKey": {
        const name = String(path[path.length - 1])
        const known =
          current.ast._tag === "Objects" ? current.ast.propertySignatures.map((each) => String(each.name)) : []
        if (known.length === 0) {
          const pattern = current.ast._tag === "Objects" ? current.ast.indexSignatures[0]?.parameter : undefined
          problems.push({
            path: pathText(path),
            found: `the key ${JSON.stringify(name)}`,
            allowed: pattern === undefined ? "no key" : describe(pattern)
          })
          return
        }
        const near = nearest(name, known)
        problems.push({
          path: pathText(path),
          found: "an unknown key",
          allowed: known.join(", "),
          ...(near === undefined ? {} : { hint: `did you mean "${near}"?` })
        })
        return
      }
      default:
        return add(path, "another value")
    }
  }
  walk(issue, base, undefined)
  return problems
}
