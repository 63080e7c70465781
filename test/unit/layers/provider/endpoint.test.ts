// Where calls go.
import { assert, describe, it } from "@effect/vitest"
import * as Endpoint from "../../../../src/layers/provider/endpoint.ts"

const paths = { chat: "/chat/completions", embeddings: "/embeddings" }

describe("endpoint", () => {
  it("appends to the base URL, whatever its last slash, and keeps its query", () => {
    for (const base of ["https://h:8443/v1", "https://h:8443/v1/", new URL("https://h:8443/v1//")]) {
      const endpoint = Endpoint.fromBaseUrl(base, paths)
      assert.strictEqual(endpoint.origin, "https://h:8443")
      assert.strictEqual(endpoint.path("chat", "m"), "/v1/chat/completions")
      assert.strictEqual(endpoint.path("embeddings", "m"), "/v1/embeddings")
    }
    assert.strictEqual(Endpoint.fromBaseUrl("http://h", paths).path("chat", "m"), "/chat/completions")
    assert.strictEqual(
      Endpoint.fromBaseUrl("http://h/a?api-version=1", paths).path("chat", "m"),
      "/a/chat/completions?api-version=1"
    )
  })

  it("puts Azure's deployment into the path, escaped", () => {
    const endpoint = Endpoint.azureDeployment("https://n.openai.azure.com/", "2024-10-21")
    assert.strictEqual(
      endpoint.path("chat", "gpt/../x"),
      "/openai/deployments/gpt%2F..%2Fx/chat/completions?api-version=2024-10-21"
    )
    assert.strictEqual(endpoint.path("embeddings", "e"), "/openai/deployments/e/embeddings?api-version=2024-10-21")
  })

  it("refuses what is not http", () => {
    for (const base of ["ftp://h", "h/v1", "file:///etc"]) assert.throws(() => Endpoint.fromBaseUrl(base, paths))
  })
})
