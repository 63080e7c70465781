/**
 * `npm run bench -- NAME [flags]`: runs one benchmark by its name.
 */
interface Bench {
  readonly summary: string
  readonly load: () => Promise<{ readonly main: (argv: ReadonlyArray<string>) => Promise<void> }>
}

const scenario = (name: string, summary: string): Bench => ({
  summary,
  load: async () => ({ main: (await import("./scenarios/main.ts")).of(name) })
})

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
  },
  limits: {
    summary: "ways to learn a bulkhead's limit, beside each other",
    load: () => import("./limits/main.ts")
  },
  redis: {
    summary: "what the guards over Redis cost at 2,300 requests/s: CPU, commands, bytes, round trips",
    load: () => import("./redis/main.ts")
  },
  S1: scenario("S1", "metastable storm: goodput after a capacity dip, beside p-retry"),
  S2: scenario("S2", "429 lock-out, and a recorded trace against a provider's rate limit, beside p-retry and an SDK"),
  S3: scenario("S3", "sustained overload, 2 and 10 times, beside p-limit and no limit"),
  S4: scenario("S4", "a whale among small tenants, beside p-limit"),
  S5: scenario("S5", "outage, brownout and flapping of a provider, beside cockatiel and opossum"),
  S6: {
    summary: "a budget that many processes race for, beside check-then-add; real Redis and Postgres",
    load: () => import("./scenarios/s6/main.ts")
  },
  S7: {
    summary: "leases while holders, clocks and Redis fail, beside a counter and a client-clock set; real Redis",
    load: () => import("./scenarios/s7/main.ts")
  },
  S9: {
    summary: "streams over real sockets: disconnects, slow readers, a rolling restart",
    load: () => import("./scenarios/s9/main.ts")
  },
  S10: scenario("S10", "hedging of late first tokens, beside Promise.any")
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
