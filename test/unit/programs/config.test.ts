import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, FileSystem, Layer, Redacted } from "effect"
import * as PlatformError from "effect/PlatformError"
import type { BallastConfigInput } from "../../../src/domain/config-file.ts"
import type { ConfigError, ConfigProblem } from "../../../src/domain/config-error.ts"
import * as Policy from "../../../src/domain/policy.ts"
import * as Config from "../../../src/programs/config.ts"
import { variables } from "../../../src/programs/config/environment.ts"

const env = (values: Record<string, string>) => ConfigProvider.layer(ConfigProvider.fromEnvRecord(values))

const files = (contents: Record<string, string>) =>
  FileSystem.layerNoop({
    exists: (path) => Effect.succeed(path in contents),
    readFileString: (path) =>
      contents[path] === undefined
        ? Effect.fail(
            PlatformError.systemError({
              _tag: "NotFound",
              module: "FileSystem",
              method: "readFileString",
              pathOrDescriptor: path
            })
          )
        : Effect.succeed(contents[path])
  })

const model = { alias: "m", candidates: ["p/x"], price: { inputPerMillion: 1 } }
const p = { kind: "openai-compatible", baseUrl: "http://h/v1" }
/** A valid configuration with `changes` in it. */
const base = (changes: Record<string, unknown> = {}) => ({ providers: { p }, models: [model], ...changes })

const problems = (input: unknown, values: Record<string, string> = {}): Effect.Effect<ReadonlyArray<ConfigProblem>> =>
  Config.fromUnknown(input).pipe(
    Effect.flip,
    Effect.map((error) => error.problems),
    Effect.orDie,
    Effect.provide(env(values))
  )

const provider = (changes: Record<string, unknown>, name = "p") => base({ providers: { [name]: { ...p, ...changes } } })

/** A bad configuration, the path of its only problem, and fragments of what is said about it. */
const table: ReadonlyArray<readonly [name: string, input: unknown, path: string, ...fragments: Array<string>]> = [
  ["no object", [1], "", "a list", "an object"],
  ["misspelt section", base({ sever: {} }), "sever", "an unknown key", 'did you mean "server"?'],
  ["misspelt key", base({ server: { prot: 1 } }), "server.prot", "host, port", 'did you mean "port"?'],
  ["prompt logging", base({ telemetry: { promptLogging: true } }), "telemetry.promptLogging", "unknown key"],
  ["port too large", base({ server: { port: 65536 } }), "server.port", "65536", "between 0 and 65535"],
  ["port as text", base({ server: { port: "80" } }), "server.port", '"80"', "between 0 and 65535"],
  ["fraction of a port", base({ server: { port: 80.5 } }), "server.port", "80.5", "integer"],
  ["empty host", base({ server: { host: "" } }), "server.host", "an empty string", "a non-empty string"],
  ["one port twice", base({ server: { port: 5, adminPort: 5 } }), "server.adminPort", "another port"],
  [
    "open to the world",
    base({ server: { host: "0.0.0.0" } }),
    "server.host",
    '"0.0.0.0"',
    "loopback",
    'auth.mode to "keys"'
  ],
  ["open on a name", base({ server: { host: "127.0.0.1.evil.test" } }), "server.host", "loopback"],
  ["keys without any", base({ auth: { mode: "keys" } }), "auth.keys", "an empty list", "at least one"],
  ["open with keys", base({ auth: { keys: [{ key: { env: "K" }, tenant: "t" }] } }), "auth.mode", '"open"', '"keys"'],
  [
    "tenant missing",
    base({ auth: { mode: "keys", keys: [{ key: { env: "K" } }] } }),
    "auth.keys[0].tenant",
    "nothing",
    "non-empty"
  ],
  [
    "unknown plan",
    base({ auth: { mode: "keys", keys: [{ key: { env: "K" }, tenant: "t", plan: "premum" }] } }),
    "auth.keys[0].plan",
    '"premum"',
    '"standard" or "premium"',
    'did you mean "premium"?'
  ],
  [
    "literal tenant key",
    base({ auth: { mode: "keys", keys: [{ key: "sk-live", tenant: "t" }] } }),
    "auth.keys[0].key",
    "not shown",
    '{ "env": "NAME" }'
  ],
  ["literal api key", provider({ apiKey: "sk-live" }), "providers.p.apiKey", "not shown", '{ "env": "NAME" }'],
  [
    "key in the env name",
    provider({ apiKey: { env: "sk-live" } }),
    "providers.p.apiKey.env",
    "not shown",
    "environment variable"
  ],
  ["unset variable", provider({ apiKey: { env: "UNSET" } }), "providers.p.apiKey", "UNSET is not set"],
  [
    "literal secret header",
    provider({ headers: { "X-Api-Key": "sk-live" } }),
    "providers.p.headers.X-Api-Key",
    "not shown",
    '{ "env": "NAME" }'
  ],
  ["header with a line break", provider({ headers: { "x-a": "1\r\nx-b: 2" } }), "providers.p.headers.x-a", "printable"],
  ["illegal header name", provider({ headers: { "x a": "1" } }), 'providers.p.headers["x a"]', "header name"],
  ["unknown kind", provider({ kind: "opnai" }), "providers.p.kind", '"opnai"', '"openai"', 'did you mean "openai"?'],
  ["kind missing", base({ providers: { p: {} } }), "providers.p.kind", "nothing", '"openai"', "protocol"],
  [
    "password in the url",
    provider({ baseUrl: "http://u:sk-live@h/v1" }),
    "providers.p.baseUrl",
    "not shown",
    "http://"
  ],
  ["no url", provider({ baseUrl: "localhost:8000" }), "providers.p.baseUrl", "http://"],
  ["impossible url", provider({ baseUrl: "http://[x" }), "providers.p.baseUrl", "URL"],
  [
    "address missing",
    base({ providers: { p: { kind: "openai-compatible" } } }),
    "providers.p.baseUrl",
    "nothing",
    "http://127.0.0.1:8000/v1"
  ],
  ["key missing", base({ providers: { p: { kind: "openai" } } }), "providers.p.apiKey", "nothing", "OPENAI_API_KEY"],
  ["bearer without key", provider({ auth: "bearer" }), "providers.p.apiKey", "nothing", '"bearer"'],
  ["key with auth none", provider({ auth: "none", apiKey: { env: "K" } }), "providers.p.apiKey", 'auth "none"'],
  [
    "azure without version",
    base({ providers: { p: { kind: "azure", baseUrl: "https://r.openai.azure.com", apiKey: { env: "K" } } } }),
    "providers.p.apiVersion",
    "nothing",
    "api-version"
  ],
  ["version elsewhere", provider({ apiVersion: "1" }), "providers.p.apiVersion", '"azure"'],
  ["sim options elsewhere", provider({ sim: { seed: 1 } }), "providers.p.sim", '"sim"'],
  [
    "bad sim option",
    base({ providers: { p: { kind: "sim", sim: { sed: 1 } } } }),
    "providers.p.sim.sed",
    'did you mean "seed"?'
  ],
  [
    "bad sim value",
    base({ providers: { p: { kind: "sim", sim: { ttft: { medianMs: -1 } } } } }),
    "providers.p.sim.ttft.medianMs",
    "-1",
    "greater than or equal to 0"
  ],
  ["provider name with a slash", base({ providers: { p, "a/b": p } }), 'providers["a/b"]', "letters, digits"],
  ["providers without models", { providers: { p } }, "models", "nothing", "at least one"],
  ["no models", base({ models: [] }), "models", "an empty list", "at least one"],
  ["alias twice", base({ models: [model, model] }), "models[1].alias", '"m"', "models[0]"],
  [
    "unknown provider",
    base({ models: [{ ...model, candidates: ["q/x"] }], providers: { qq: p } }),
    "models[0].candidates[0]",
    '"q"',
    '"qq"'
  ],
  [
    "unknown provider, long form",
    base({ models: [{ ...model, candidates: [{ provider: "pq", model: "x" }] }] }),
    "models[0].candidates[0].provider",
    '"pq"',
    'did you mean "p"?'
  ],
  [
    "provider of the prototype",
    base({ models: [{ ...model, candidates: ["constructor/x"] }] }),
    "models[0].candidates[0]",
    '"constructor"'
  ],
  [
    "candidate without a slash",
    base({ models: [{ ...model, candidates: ["x"] }] }),
    "models[0].candidates[0]",
    '"x"',
    "provider/model"
  ],
  [
    "no candidates",
    base({ models: [{ ...model, candidates: [] }] }),
    "models[0].candidates[0]",
    "nothing",
    "provider/model"
  ],
  ["no price", base({ models: [{ alias: "m", candidates: ["p/x"] }] }), "models[0].price", "nothing", "write 0"],
  [
    "negative price",
    base({ models: [{ ...model, price: { inputPerMillion: -1 } }] }),
    "models[0].price.inputPerMillion",
    "-1"
  ],
  [
    "answer longer than the context",
    base({ models: [{ ...model, contextTokens: 10, maxOutputTokens: 20 }] }),
    "models[0].maxOutputTokens",
    "20",
    "10"
  ],
  [
    "embedding at anthropic",
    base({ providers: { p: { kind: "anthropic", apiKey: { env: "K" } } }, models: [{ ...model, kind: "embedding" }] }),
    "models[0].candidates[0]",
    "embeds"
  ],
  [
    "zero limit",
    base({ policies: { rateLimits: { user: { requestsPerMinute: 0 } } } }),
    "policies.rateLimits.user.requestsPerMinute",
    "0",
    "greater than or equal to 1"
  ],
  [
    "duration as text",
    base({ policies: { timeouts: { hardMs: "8s" } } }),
    "policies.timeouts.hardMs",
    '"8s"',
    "greater than 0"
  ],
  [
    "inner longer than outer",
    base({ policies: { timeouts: { nonCriticalMs: 9000 } } }),
    "policies.timeouts.nonCriticalMs",
    "9000",
    "policies.timeouts.hardMs, which is 8000"
  ],
  [
    "a smaller model that is not there",
    base({ models: [{ ...model, smaller: "mini" }] }),
    "models[0].smaller",
    '"mini"',
    'the alias of a chat model: "m"'
  ],
  [
    "a cap of nothing",
    base({ policies: { brownout: { shorter: { maxTokens: 0 } } } }),
    "policies.brownout.shorter.maxTokens",
    "0",
    "greater than or equal to 1"
  ],
  [
    "pressure without a cap",
    base({ policies: { brownout: { shorter: { above: 1 } } } }),
    "policies.brownout.shorter.maxTokens",
    "nothing",
    "most output tokens"
  ],
  [
    "a link that is none",
    base({ policies: { brownout: { refusal: { link: "javascript:alert(1)" } } } }),
    "policies.brownout.refusal.link",
    "an http:// or https:// URL"
  ],
  [
    "misspelt rung",
    base({ policies: { brownout: { partail: true } } }),
    "policies.brownout.partail",
    'did you mean "partial"?'
  ],
  ["ratio above one", base({ telemetry: { sampleRatio: 2 } }), "telemetry.sampleRatio", "2", "between 0 and 1"],
  [
    "switch for no model",
    base({ killSwitches: [{ kind: "model", target: "mm" }] }),
    "killSwitches[0].target",
    '"mm"',
    '"m"'
  ],
  ["switch without target", base({ killSwitches: [{ kind: "tenant" }] }), "killSwitches[0].target", "nothing", "tenant"]
]

describe("a bad configuration", () => {
  it.effect.each(table)("%s", ([, input, path, ...fragments]) =>
    Effect.gen(function* () {
      const all = yield* problems(input, { K: "k" })
      assert.deepStrictEqual(
        all.map((problem) => problem.path),
        [path]
      )
      const text = JSON.stringify(all)
      for (const fragment of fragments) assert.include(text, JSON.stringify(fragment).slice(1, -1))
      assert.notInclude(text, "sk-live")
    })
  )

  it.effect("is reported as a whole, unset variables included", () =>
    Effect.gen(function* () {
      const all = yield* problems({
        server: { port: -1 },
        providers: { p: { kind: "openai", apiKey: { env: "UNSET" } } },
        models: [{ ...model, kind: "chta" }]
      })
      assert.deepStrictEqual(
        all.map((problem) => problem.path),
        ["server.port", "models[0].kind", "providers.p.apiKey"]
      )
    })
  )

  it.effect("may not give one key to two tenants, and does not show it", () =>
    Effect.gen(function* () {
      const keys = [
        { key: { env: "A" }, tenant: "a" },
        { key: { env: "B" }, tenant: "b" }
      ]
      const all = yield* problems(base({ auth: { mode: "keys", keys } }), { A: "same-secret", B: "same-secret" })
      assert.strictEqual(all[0]?.path, "auth.keys[1].key")
      assert.include(all[0]?.found, "auth.keys[0].key")
      assert.notInclude(JSON.stringify(all), "same-secret")
    })
  )
})

const resolve = (input: BallastConfigInput, values: Record<string, string> = {}) =>
  Config.fromUnknown(input).pipe(Effect.provide(env(values)))

describe("fromUnknown", () => {
  it.effect("of nothing is the default: the simulated provider, open on loopback", () =>
    Effect.gen(function* () {
      const config = yield* resolve({})
      assert.deepStrictEqual(config, Config.defaultConfig)
      assert.strictEqual(config.auth.mode, "open")
      assert.deepStrictEqual(Object.keys(config.providers), ["sim"])
      assert.deepStrictEqual(
        config.models.map(({ alias }) => alias),
        ["sim-chat", "sim-small", "sim-embed", "gpt-4o-mini", "text-embedding-3-small"]
      )
      assert.deepStrictEqual(config.models[1]?.price, { input: 150_000, output: 600_000 })
      assert.deepStrictEqual(config.policies, Policy.defaults)
    })
  )

  it.effect("merges policies over the defaults, and null takes a limit away", () =>
    Effect.gen(function* () {
      const { policies } = yield* resolve({
        policies: {
          timeouts: { hardMs: 1_000 },
          rateLimits: { user: { tokensPerMinute: 5 }, ip: { requestsPerMinute: null } },
          retry: { maxRetries: 0 }
        }
      })
      assert.deepStrictEqual(policies.rateLimits.user, { requestsPerMinute: 100, tokensPerMinute: 5 })
      assert.deepStrictEqual(policies.rateLimits.ip, {})
      assert.deepStrictEqual(policies.rateLimits.global, Policy.defaults.rateLimits.global)
      assert.strictEqual(policies.timeouts.nonCriticalMs, 1_000, "shortened to fit into hardMs")
      assert.deepStrictEqual(policies.retry, { ...Policy.defaults.retry, maxRetries: 0 })
    })
  )

  it.effect("fills in what a kind of provider implies", () =>
    Effect.gen(function* () {
      const { models, providers } = yield* resolve(
        {
          providers: {
            openai: { kind: "openai", apiKey: { env: "K" }, bulkhead: { maxInFlight: 2 } },
            claude: {
              kind: "anthropic",
              apiKey: { env: "K" },
              region: "eu",
              headers: { "X-Team": "a", cookie: { env: "K" } }
            },
            local: { kind: "openai-compatible", baseUrl: "http://h:1/v1/" }
          },
          models: [
            { alias: "a", candidates: ["openai/org/model", "claude/c"], price: { inputPerMillion: 0.15 } },
            {
              alias: "e",
              kind: "embedding",
              candidates: [{ provider: "local", model: "e", region: "us" }],
              price: { inputPerMillion: 0 }
            }
          ]
        },
        { K: " secret\n" }
      )
      assert.strictEqual(providers["openai"]?.baseUrl, "https://api.openai.com/v1")
      assert.strictEqual(providers["openai"]?.auth, "bearer")
      assert.deepStrictEqual(providers["openai"]?.bulkhead, { ...Policy.defaults.bulkhead, maxInFlight: 2 })
      assert.strictEqual(providers["claude"]?.auth, "api-key")
      assert.strictEqual(providers["claude"]?.headers["x-team"], "a")
      const cookie = providers["claude"]?.headers["cookie"]
      assert.isTrue(Redacted.isRedacted(cookie) && Redacted.value(cookie) === "secret")
      assert.strictEqual(providers["local"]?.auth, "none")
      assert.strictEqual(providers["local"]?.baseUrl, "http://h:1/v1")
      assert.deepStrictEqual(models[0]?.candidates, [
        { provider: "openai", model: "org/model" },
        { provider: "claude", model: "c", region: "eu" }
      ])
      assert.deepStrictEqual(models[0]?.price, { input: 150_000, output: 0 })
      assert.strictEqual(models[1]?.maxOutputTokens, 0)
      assert.strictEqual(models[1]?.candidates[0].region, "us")
    })
  )
})

const run = (
  path: string | undefined,
  contents: Record<string, string>,
  values: Record<string, string> = {},
  options?: Config.LoadOptions
) => Config.load(path, options).pipe(Effect.provide(Layer.merge(files(contents), env(values))))
const port = (number: number) => JSON.stringify({ server: { port: number } })
const flipped = (effect: Effect.Effect<unknown, ConfigError>) =>
  Effect.map(Effect.flip(effect), (error) => error.message)
const portOf = (config: { readonly server: { readonly port: number } }) => config.server.port

describe("load", () => {
  it.effect("reads the file asked for, else BALLAST_CONFIG, else ./ballast.config.json, else the default", () =>
    Effect.gen(function* () {
      const contents = { "a.json": port(1), "b.json": port(2), "ballast.config.json": port(3) }
      assert.strictEqual(portOf(yield* run("a.json", contents, { BALLAST_CONFIG: "b.json" })), 1)
      assert.strictEqual(portOf(yield* run(undefined, contents, { BALLAST_CONFIG: "b.json" })), 2)
      assert.strictEqual(portOf(yield* run(undefined, contents)), 3)
      assert.strictEqual(portOf(yield* run(undefined, {})), 8080)
    })
  )

  it.effect("puts flags above the environment above the file", () =>
    Effect.gen(function* () {
      const values = { BALLAST_PORT: "2" }
      const flag = { overrides: [{ path: ["server", "port"] as const, value: 3, from: "--port" }] }
      assert.strictEqual((yield* run("a.json", { "a.json": port(1) }, values)).server.port, 2)
      assert.strictEqual((yield* run("a.json", { "a.json": port(1) }, values, flag)).server.port, 3)
      assert.strictEqual((yield* run(undefined, {}, { PORT: "5" })).server.port, 8080, "PORT is not honoured")
    })
  )

  it.effect("takes every variable of the table", () =>
    Effect.gen(function* () {
      for (const { kind, name, path } of variables) {
        const written =
          kind === "text" ? "127.0.0.9" : kind === "boolean" ? "true" : name.endsWith("RATIO") ? "0.5" : "1234"
        const config = yield* run(undefined, {}, { [name]: written })
        const value = path.reduce<unknown>((at, key) => Reflect.get(Object(at), key), config)
        assert.strictEqual(String(value), written, name)
      }
    })
  )

  it.effect("says which variable was wrong, by its path in the file", () =>
    Effect.gen(function* () {
      const text = yield* flipped(run(undefined, {}, { BALLAST_PORT: "http", BALLAST_TRUST_PROXY: "maybe" }))
      assert.include(text, 'server.port\n    found    "http" (from BALLAST_PORT)')
      assert.include(text, 'server.trustProxy\n    found    "maybe" (from BALLAST_TRUST_PROXY)')
      const open = yield* flipped(run(undefined, {}, { BALLAST_HOST: "0.0.0.0" }))
      assert.include(open, "(from BALLAST_HOST)")
    })
  )

  it.effect("names line and column of broken JSON, and a file that is not there", () =>
    Effect.gen(function* () {
      const broken = yield* flipped(run("a.json", { "a.json": '{\n  "server": {,\n}' }))
      assert.include(broken, "a.json cannot be used")
      assert.include(broken, "line 2, column 14")
      const missing = yield* flipped(run(undefined, {}, { BALLAST_CONFIG: "gone.json" }))
      assert.include(missing, "no such file")
      assert.include(missing, "BALLAST_CONFIG")
    })
  )

  it.effect("leaves secrets unread where asked to", () =>
    Effect.gen(function* () {
      const file = JSON.stringify(provider({ apiKey: { env: "UNSET" } }))
      const config = yield* run("a.json", { "a.json": file }, {}, { secrets: false })
      assert.include(JSON.stringify(config), "<redacted:UNSET>")
      assert.include(yield* flipped(run("a.json", { "a.json": file })), "UNSET is not set")
    })
  )
})
