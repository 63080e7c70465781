/**
 * `npm run bench -- NAME [flags]`: runs one benchmark by its name.
 */
interface Bench {
  readonly summary: string
  readonly load: () => Promise<{ readonly main: (argv: ReadonlyArray<string>) => Promise<void> }>
}

const benches: Readonly<Record<string, Bench>> = {
  overhead: {
    summary: "policy CPU of one call and of one stream delta, beside cockatiel",
    load: () => import("./overhead/main.ts")
  },
  proxy: {
    summary: "the whole server beside a bare proxy and another gateway",
    load: () => import("./proxy/main.ts")
  },
  replay: {
    summary: "a recorded trace against a running server, every request accounted for",
    load: () => import("./replay/main.ts")
  }
}

const [name = "", ...argv] = process.argv.slice(2)
const bench = benches[name]
if (bench === undefined) {
  const list = Object.entries(benches).map(([key, { summary }]) => `  ${key.padEnd(10)} ${summary}`)
  process.stderr.write(`usage: npm run bench -- NAME [flags]\n\n${list.join("\n")}\n`)
  process.exitCode = 2
} else {
  await (await bench.load()).main(argv)
}
