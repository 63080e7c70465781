/**
 * The stock OpenAI client before a running Ballast. In one terminal:
 *
 *     npm start
 *
 * and in another:
 *
 *     node examples/openai-client.ts
 *
 * The base URL is the only change to a program that calls OpenAI directly.
 */
import OpenAI, { APIError } from "openai"

const openai = new OpenAI({
  baseURL: process.env["BALLAST_URL"] ?? "http://127.0.0.1:8080/v1",
  // The open demo mode takes any key; with `auth.mode: "keys"` it is your tenant's key.
  apiKey: process.env["BALLAST_KEY"] ?? "any"
})

const stream = await openai.chat.completions.create({
  model: "gpt-4o-mini",
  messages: [{ role: "user", content: "Why do ships carry ballast?" }],
  max_tokens: 24,
  stream: true,
  stream_options: { include_usage: true }
})
let text = ""
for await (const chunk of stream) {
  text += chunk.choices[0]?.delta.content ?? ""
  if (chunk.usage) console.log(`tokens: ${chunk.usage.total_tokens}`)
}
console.log(`streamed: ${text}`)

const { data } = await openai.embeddings.create({
  model: "text-embedding-3-small",
  input: ["bow", "stern"]
})
console.log(`embedded: ${data.length} vectors of ${data[0]?.embedding.length}`)

// A refusal is an error of the client's own classes. It has the id that is in Ballast's logs and traces, and the client
// only tries again where that may help: Ballast tells it so, by `x-should-retry` and `retry-after-ms`.
try {
  await openai.chat.completions.create({ model: "no-such-model", messages: [{ role: "user", content: "Hello?" }] })
} catch (error) {
  if (!(error instanceof APIError)) throw error
  console.log(`refused: ${error.status} ${error.code}, request ${error.requestID}`)
}
