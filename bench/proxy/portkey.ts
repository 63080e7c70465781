/**
 * Portkey's gateway, installed on demand into `peers/` from the lock file there. `@hono/node-server` is held at 1.13.8:
 * with the release the gateway's own range takes today, every streamed answer is a 500.
 */
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"

const FOLDER = path.join(import.meta.dirname, "peers")
const ENTRY = path.join(FOLDER, "node_modules", "@portkey-ai", "gateway", "build", "start-server.js")
const INSTALL_TIMEOUT_MS = 180_000

/** The server's entry file. Throws with the reason when it cannot be installed. */
export const installPortkey = (say: (line: string) => void): string => {
  if (fs.existsSync(ENTRY)) return ENTRY
  say("installing @portkey-ai/gateway into bench/proxy/peers")
  const npm = spawnSync("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--omit=dev"], {
    cwd: FOLDER,
    encoding: "utf8",
    timeout: INSTALL_TIMEOUT_MS,
    shell: process.platform === "win32"
  })
  if (npm.error !== undefined) throw new Error(`npm ci failed: ${npm.error.message}`)
  if (npm.status !== 0 || !fs.existsSync(ENTRY)) {
    const reason = npm.stderr.split("\n").find((line) => line.startsWith("npm error")) ?? "no reason given"
    throw new Error(`npm ci failed: ${reason}`)
  }
  return ENTRY
}
