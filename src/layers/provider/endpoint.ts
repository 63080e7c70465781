/**
 * Where a call goes: one of the four parts of an upstream. URLs are taken
 * apart once, not for each call.
 */

/** What is asked for. */
export type Operation = "chat" | "embeddings"

/** The origin (scheme, host, port), and the path with its query for an operation on a model. */
export interface Endpoint {
  readonly origin: string
  readonly path: (operation: Operation, model: string) => string
}

/** A base URL such as `https://api.openai.com/v1` and the paths behind it. A query of the base URL is kept. */
export const fromBaseUrl = (baseUrl: string | URL, paths: { readonly [K in Operation]: string }): Endpoint => {
  const { base, origin, search } = takeApart(baseUrl)
  const full = { chat: `${base}${paths.chat}${search}`, embeddings: `${base}${paths.embeddings}${search}` }
  return { origin, path: (operation) => full[operation] }
}

/** Azure OpenAI: the model is a deployment in the path, the API version is in the query. */
export const azureDeployment = (baseUrl: string | URL, apiVersion: string): Endpoint => {
  const { base, origin } = takeApart(baseUrl)
  const query = `?api-version=${encodeURIComponent(apiVersion)}`
  const tail = { chat: "/chat/completions", embeddings: "/embeddings" }
  return {
    origin,
    path: (operation, model) => `${base}/openai/deployments/${encodeURIComponent(model)}${tail[operation]}${query}`
  }
}

/** Throws a `TypeError` for what is not an http(s) URL: a mistake in the program, the configuration was checked before. */
const takeApart = (baseUrl: string | URL): { base: string; origin: string; search: string } => {
  const url = new URL(baseUrl)
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new TypeError(`A provider's base URL must begin with http:// or https://, not '${url.protocol}'`)
  }
  return { base: url.pathname.replace(/\/+$/, ""), origin: url.origin, search: url.search }
}
