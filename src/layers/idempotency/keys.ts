/** The name under which a tenant's key is kept. */
import { createHash } from "node:crypto"
import type { TenantId } from "../../domain/caller.ts"

/** A digest: of one length whatever the client sends, the same for no two pairs, and no key can be read from it. */
export const idOf = (tenant: TenantId, key: string): string =>
  createHash("sha256")
    .update(`${Buffer.byteLength(tenant)}:${tenant}${key}`)
    .digest("base64url")
