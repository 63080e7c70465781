/** The scenario benchmarks by name, each loaded only when it is asked for. */
import type { Bench, Case } from "./case.ts"

const loaders: Readonly<Record<string, () => Promise<{ readonly bench: Bench }>>> = {
  S1: () => import("../s1/main.ts"),
  S2: () => import("../s2/main.ts"),
  S3: () => import("../s3/main.ts"),
  S4: () => import("../s4/main.ts"),
  S5: () => import("../s5/main.ts"),
  S10: () => import("../s10/main.ts")
}

/** A benchmark. */
export const load = async (name: string): Promise<Bench> => {
  const loader = loaders[name]
  if (loader === undefined) throw new Error(`no benchmark ${name}`)
  return (await loader()).bench
}

/** A variant of a benchmark. */
export const caseOf = (bench: Bench, variant: string): Case => {
  const found = bench.cases.find((one) => one.variant === variant)
  if (found === undefined) throw new Error(`${bench.name} has no variant ${variant}`)
  return found
}
