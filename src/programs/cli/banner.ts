/**
 * What `ballast serve` says when it listens: where, for whom, which models,
 * and one line to try it with.
 */
import type { ResolvedConfig } from "../../domain/config.ts"

/** The ports that were really bound; they differ from the configured ones where those are 0. */
export interface Bound {
  readonly port: number
  readonly adminPort: number
}

/** `http://host:port`; a wildcard address is shown as the loopback one, an IPv6 address in brackets. */
export const url = (host: string, port: number): string => {
  const shown = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "[::1]" : host
  return `http://${shown.includes(":") && !shown.startsWith("[") ? `[${shown}]` : shown}:${port}`
}

/** The lines of the banner. Keys are named by their environment variable, never shown. */
export const banner = (config: ResolvedConfig, version: string, bound: Bound = config.server): string => {
  const { auth, models, server } = config
  const base = url(server.host, bound.port)
  const key = auth.keys[0]?.key.label
  const tenants = new Set(auth.keys.map((each) => each.tenant)).size
  const chat = models.find((model) => model.kind === "chat")
  const mode =
    auth.mode === "open"
      ? "open: no key is asked for, on this machine only"
      : auth.mode === "store"
        ? "store: keys in Postgres (ballast keys)"
        : `keys: ${tenants} tenant${tenants === 1 ? "" : "s"}`
  const header = auth.mode !== "open" ? ` -H "authorization: Bearer $${key ?? "KEY"}"` : ""
  const body = `{"model":"${chat?.alias ?? "MODEL"}","messages":[{"role":"user","content":"Hello"}]}`
  const simulated = Object.values(config.providers).every((provider) => provider.kind === "sim")
  return [
    `Ballast ${version} listens on ${base}`,
    "",
    `  mode    ${mode}`,
    `  models  ${models.map((model) => model.alias).join(", ")}${simulated ? " (simulated: no key, no cost)" : ""}`,
    `  admin   ${url(server.adminHost, bound.adminPort)}/metrics`,
    ...(chat === undefined
      ? []
      : [`  try     curl ${base}/v1/chat/completions -H 'content-type: application/json'${header} -d '${body}'`]),
    ""
  ].join("\n")
}
