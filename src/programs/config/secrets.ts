/**
 * The secrets a file refers to, read from the environment. They are sought in
 * the raw file, so that a missing variable is reported even where other parts
 * of the file are wrong.
 */
import { Effect, Redacted } from "effect"
import type { ConfigProblem } from "../../domain/config-error.ts"
import { pathText } from "../../domain/config-error.ts"
import * as Environment from "./environment.ts"
import type { Reveal } from "./resolve.ts"

interface Reference {
  readonly path: ReadonlyArray<string | number>
  readonly env: string
}

const entries = (value: unknown): ReadonlyArray<readonly [string | number, unknown]> =>
  Array.isArray(value) ? [...value.entries()] : typeof value === "object" && value !== null ? Object.entries(value) : []

const at = (value: unknown, key: string): unknown => entries(value).find(([name]) => name === key)?.[1]

/** Every secret that `root`, a raw file, refers to by a possible name, with its path. */
const references = (root: unknown): ReadonlyArray<Reference> => {
  const places: Array<readonly [Reference["path"], unknown]> = []
  for (const [index, each] of entries(at(at(root, "auth"), "keys"))) {
    places.push([["auth", "keys", index, "key"], at(each, "key")])
  }
  for (const store of ["redis", "postgres"]) {
    places.push([["stores", store, "url"], at(at(at(root, "stores"), store), "url")])
  }
  places.push([["admin", "token"], at(at(root, "admin"), "token")])
  for (const [name, each] of entries(at(root, "providers"))) {
    places.push([["providers", name, "apiKey"], at(each, "apiKey")])
    for (const [header, value] of entries(at(each, "headers"))) {
      places.push([["providers", name, "headers", header], value])
    }
  }
  return places.flatMap(([path, value]) => {
    const env = at(value, "env")
    return typeof env === "string" && /^[A-Za-z_][A-Za-z0-9_]*$/.test(env) ? [{ path, env }] : []
  })
}

/** The secrets by variable, and a problem for each reference that cannot be used. */
export interface Secrets {
  readonly reveal: Reveal
  readonly problems: ReadonlyArray<ConfigProblem>
}

const unread: Reveal = ({ env }) => Redacted.make("", { label: env })

/** Secrets that were not asked for (`--no-secrets`): empty, none missing. */
export const skipped: Secrets = { reveal: unread, problems: [] }

/** Read all secrets of a raw file. Two keys of `auth` with one value are a problem, as they could stand for two tenants. */
export const read = Effect.fnUntraced(function* (root: unknown) {
  const values = new Map<string, Redacted.Redacted<string>>()
  const keys = new Map<string, string>()
  const problems: Array<ConfigProblem> = []
  for (const { env, path } of references(root)) {
    const value = yield* Environment.secret(env)
    const where = pathText(path)
    // White space around a secret is a file's last newline, never a part of it.
    const plain = value === undefined ? "" : Redacted.value(value).trim()
    if (plain === "") {
      problems.push({
        path: where,
        found: `{ "env": "${env}" }, and ${env} is not set in the environment`,
        allowed: "the name of a variable that is set and not empty",
        hint: `export ${env}=…`
      })
      continue
    }
    if (!/^[\x21-\x7e]+( [\x21-\x7e]+)*$/.test(plain)) {
      problems.push({
        path: where,
        found: `{ "env": "${env}" }, and the value of ${env} has characters that no header carries`,
        allowed: "a value of visible ASCII characters"
      })
      continue
    }
    if (path[0] === "auth") {
      const earlier = keys.get(plain)
      if (earlier !== undefined) {
        problems.push({
          path: where,
          found: `the same value as ${earlier}`,
          allowed: "a key of its own for each entry"
        })
      }
      keys.set(plain, where)
    }
    values.set(env, Redacted.make(plain, { label: env }))
  }
  const reveal: Reveal = (ref) => values.get(ref.env) ?? unread(ref)
  return { reveal, problems } satisfies Secrets
})
