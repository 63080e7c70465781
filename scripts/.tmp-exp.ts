import { Effect, Redacted } from "effect"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as C from "../src/programs/config.ts"
console.log(JSON.stringify(C.defaultConfig, null, 1).slice(0, 3000))
const r = await Effect.runPromiseExit(C.fromUnknown({ server: { prot: 1, port: 99999 , host: "" }, auth: {mode: "keys", keys: [{key: "sk-1", tenant: ""}, "sk-22", {key: {env: "A B"}}]}, providers: { a: { kind: "opnai", apiKey: "sk-xx", baseUrl: "http://u:p@h/x" , headers: {x: 1}}, "b/c": {kind: "sim"} , x: {kind: "openai", apiKey: {env: "NOPE"}}}, models: [{ alias: "x", candidates: ["a"], price: 1}, {candidates: []}, 3], policies: { timeouts: { hardMs: "8s" }, rateLimits: { user: { requestsPerMinute: 0 } } }, telemetry: {promptLogging: true} }))
console.log(r._tag === "Failure" ? (r.cause.reasons[0] as any).error.message : r)
const r2 = await Effect.runPromiseExit(C.fromUnknown({ providers: { openai: { kind: "openai", headers: {authorization: "x"} }, l: {kind: "openai-compatible", auth: "bearer", sim: {a: 1}}}, models: [{ alias: "x", candidates: ["opnai/y"], price: {inputPerMillion: 1}}, {alias: "x", candidates: [{provider: "openai", model: "u"}], price: {inputPerMillion: 1}, contextTokens: 10, maxOutputTokens: 20}], policies: { timeouts: { hardMs: 8000, nonCriticalMs: 9000 } } , killSwitches: [{kind: "model", target: "y"}]}, "f", {overrides: [{path: ["server", "host"], value: "0.0.0.0", from: "BALLAST_HOST"}]}))
console.log(r2._tag === "Failure" ? (r2.cause.reasons[0] as any).error.message : r2)
