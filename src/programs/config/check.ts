/**
 * What a schema cannot see: whether the parts of a configuration fit together.
 * Every finding is a problem with a path; nothing stops at the first.
 */
import { Result, Schema } from "effect"
import type { BallastConfig } from "../../domain/config-file.ts"
import { pathText } from "../../domain/config-error.ts"
import type { ConfigProblem } from "../../domain/config-error.ts"
import { SimOptions } from "../../layers/provider/sim/options.ts"
import { nearest } from "./nearest.ts"
import * as Policies from "./policies.ts"
import * as Problems from "./problems.ts"

type Provider = NonNullable<BallastConfig["providers"]>[string]
type Add = (path: ReadonlyArray<PropertyKey>, found: string, allowed: string, hint?: string) => void

const quote = (text: string) => JSON.stringify(text)
const list = (names: Iterable<string>) => [...new Set(names)].map(quote).join(", ") || "none is defined"
const didYouMean = (name: string, known: Iterable<string>) => {
  const near = nearest(name, [...known])
  return near === undefined ? undefined : `did you mean ${quote(near)}?`
}

/** Whether `host` can only be reached from this machine (RFC 1122 section 3.2.1.3, RFC 4291 section 2.5.3). */
export const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "::1" || host === "[::1]" || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host)

const server = ({ auth, server: { adminHost, adminPort, host, port }, stores }: BallastConfig, add: Add) => {
  if (auth.mode === "open" && auth.keys.length > 0) {
    add(["auth", "mode"], '"open", with keys', '"keys" where auth.keys is given')
  } else if (auth.mode === "open" && !isLoopback(host)) {
    add(
      ["server", "host"],
      `${quote(host)}, and auth.mode "open"`,
      'a loopback address (127.0.0.1, ::1, localhost) while auth.mode is "open"',
      'to be reached from outside, set auth.mode to "keys" and list auth.keys'
    )
  }
  if (auth.mode === "keys" && auth.keys.length === 0) {
    add(["auth", "keys"], "an empty list", 'at least one { "key": { "env": "NAME" }, "tenant": … } in mode "keys"')
  }
  if (auth.mode === "store" && stores.postgres === undefined) {
    add(
      ["auth", "mode"],
      '"store", without stores.postgres',
      'stores.postgres, where the keys of mode "store" are kept'
    )
  }
  if (auth.mode === "store" && auth.keys.length > 0) {
    add(["auth", "keys"], 'keys, and auth.mode "store"', 'no keys here: those of mode "store" are in stores.postgres')
  }
  if (port === adminPort && port !== 0 && host === adminHost) {
    add(["server", "adminPort"], String(adminPort), "another port than server.port")
  }
}

const secretHeader = /^(authorization|proxy-authorization|cookie|.*(api-?key|token|secret|password))$/i
const keyNames = { openai: "OPENAI_API_KEY", azure: "AZURE_OPENAI_API_KEY", anthropic: "ANTHROPIC_API_KEY" } as const

const provider = (name: string, each: Provider, add: Add) => {
  const at = (...rest: ReadonlyArray<string>) => ["providers", name, ...rest]
  const only = (key: "apiVersion" | "sim", kind: Provider["kind"], given: boolean) => {
    if (given && each.kind !== kind)
      add(at(key), "a value", `nothing for kind ${quote(each.kind)}; only ${quote(kind)}`)
  }
  only("apiVersion", "azure", each.apiVersion !== undefined)
  only("sim", "sim", Object.keys(each.sim).length > 0)
  if (each.kind === "sim") {
    if (each.apiKey !== undefined) add(at("apiKey"), "a key", 'nothing for kind "sim"')
    if (each.baseUrl !== undefined) {
      add(at("baseUrl"), "an address", 'nothing for kind "sim"', 'a running sim server has kind "openai-compatible"')
    }
    return
  }
  if (each.baseUrl === undefined && (each.kind === "azure" || each.kind === "openai-compatible")) {
    const example = each.kind === "azure" ? "https://RESOURCE.openai.azure.com" : "http://127.0.0.1:8000/v1"
    add(at("baseUrl"), "nothing", `the address of the API, e.g. ${example}`)
  }
  if (each.baseUrl !== undefined && !URL.canParse(each.baseUrl)) {
    add(at("baseUrl"), "an address that is no URL", "an http:// or https:// URL")
  }
  if (each.kind === "azure" && each.apiVersion === undefined) {
    add(at("apiVersion"), "nothing", 'Azure\'s api-version, e.g. "2025-04-01-preview"')
  }
  if (each.apiKey === undefined) {
    if (each.kind !== "openai-compatible" && each.auth !== "none") {
      add(at("apiKey"), "nothing", `a key, e.g. { "env": "${keyNames[each.kind]}" }, or auth "none"`)
    } else if (each.kind === "openai-compatible" && each.auth !== undefined && each.auth !== "none") {
      add(at("apiKey"), "nothing", `a key for auth ${quote(each.auth)}, e.g. { "env": "NAME" }`)
    }
  } else if (each.auth === "none") {
    add(at("apiKey"), "a key", 'nothing with auth "none"')
  }
  for (const [header, value] of Object.entries(each.headers)) {
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(header)) {
      add(at("headers", header), "an illegal header name", "letters, digits and -")
    }
    if (typeof value !== "string") continue
    if (secretHeader.test(header)) {
      add(
        at("headers", header),
        "a literal string (not shown: it may be a secret)",
        '{ "env": "NAME" } for this header'
      )
    } else if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(value)) {
      add(at("headers", header), "control characters or such", "a header value of printable characters")
    }
  }
}

const models = (config: BallastConfig, add: Add) => {
  const providers = config.providers ?? {}
  const all = config.models ?? []
  const first = new Map<string, number>()
  if (all.length === 0) {
    add(["models"], config.models === undefined ? "nothing" : "an empty list", "at least one model")
  }
  for (const [index, model] of all.entries()) {
    const at = (...rest: ReadonlyArray<PropertyKey>) => ["models", index, ...rest]
    const earlier = first.get(model.alias)
    if (earlier !== undefined)
      add(at("alias"), quote(model.alias), `an alias of its own; models[${earlier}] has this one`)
    else first.set(model.alias, index)
    if (model.maxOutputTokens !== undefined && model.maxOutputTokens > model.contextTokens) {
      add(
        at("maxOutputTokens"),
        String(model.maxOutputTokens),
        `at most contextTokens, which is ${model.contextTokens}`
      )
    }
    for (const [place, candidate] of model.candidates.entries()) {
      const short = typeof candidate === "string"
      const name = short ? candidate.slice(0, candidate.indexOf("/")) : candidate.provider
      const path = short ? at("candidates", place) : at("candidates", place, "provider")
      const upstream = Object.hasOwn(providers, name) ? providers[name] : undefined
      if (upstream === undefined) {
        const names = Object.keys(providers)
        add(path, quote(name), `a defined provider: ${list(names)}`, didYouMean(name, names))
      } else if (model.kind === "embedding" && upstream.kind === "anthropic") {
        add(path, quote(name), 'a provider that embeds; kind "anthropic" does not')
      }
    }
  }
}

/** The chain of smaller models: each link exists, chats, and leads away from where it began. */
const smaller = (config: BallastConfig, add: Add) => {
  const all = config.models ?? []
  const chats = all.filter(({ kind }) => kind === "chat").map(({ alias }) => alias)
  const next = new Map(all.map(({ alias, smaller: to }) => [alias, to]))
  for (const [index, model] of all.entries()) {
    const to = model.smaller
    if (to === undefined) continue
    const path = ["models", index, "smaller"]
    if (model.kind !== "chat") add(path, quote(to), `nothing for kind ${quote(model.kind)}; only "chat"`)
    else if (!chats.includes(to))
      add(path, quote(to), `the alias of a chat model: ${list(chats)}`, didYouMean(to, chats))
    else {
      const chain = [model.alias]
      for (let at: string | undefined = to; at !== undefined && chain.length <= all.length; at = next.get(at)) {
        chain.push(at)
        if (at === model.alias) {
          add(path, quote(to), "a model that does not lead back here", `the circle is ${chain.map(quote).join(" -> ")}`)
          break
        }
      }
    }
  }
}

const killSwitches = (config: BallastConfig, add: Add) => {
  const known = {
    provider: Object.keys(config.providers ?? {}),
    model: (config.models ?? []).map((model) => model.alias)
  }
  for (const [index, { kind, target }] of config.killSwitches.entries()) {
    const path = ["killSwitches", index, "target"]
    if (kind === "all") continue
    if (target === "") add(path, "nothing", `the name of a ${kind}`)
    else if ((kind === "provider" || kind === "model") && !known[kind].includes(target)) {
      add(path, quote(target), `a defined ${kind}: ${list(known[kind])}`, didYouMean(target, known[kind]))
    }
  }
}

const decodeSim = Schema.decodeUnknownResult(SimOptions, { errors: "all", onExcessProperty: "error" })

/** The simulated provider's own options: they belong to its layer, so the file's schema leaves them open. */
const simOptions = (config: BallastConfig): ReadonlyArray<ConfigProblem> =>
  Object.entries(config.providers ?? {}).flatMap(([name, each]) => {
    if (each.kind !== "sim") return []
    const options = decodeSim(each.sim)
    return Result.isSuccess(options)
      ? []
      : Problems.fromIssue(config, options.failure.issue, undefined, ["providers", name, "sim"])
  })

/** All problems between the parts of `config`. */
export const check = (config: BallastConfig): ReadonlyArray<ConfigProblem> => {
  const problems: Array<ConfigProblem> = []
  const add: Add = (path, found, allowed, hint) => {
    problems.push({ path: pathText(path), found, allowed, ...(hint === undefined ? {} : { hint }) })
  }
  server(config, add)
  for (const [name, each] of Object.entries(config.providers ?? {})) provider(name, each, add)
  models(config, add)
  smaller(config, add)
  killSwitches(config, add)
  return [...problems, ...simOptions(config), ...Policies.check(Policies.merge(config.policies))]
}
