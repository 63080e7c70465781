/** The package's version, from its package.json: two folders above, in the sources as in `dist`. */
import { createRequire } from "node:module"

// `require` gives any; a package.json has a version.
const manifest = createRequire(import.meta.url)("../../../package.json") as { readonly version: string }

export const version: string = manifest.version
