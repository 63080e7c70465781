/**
 * Writes `schema/ballast.config.schema.json`, the JSON Schema (draft 2020-12)
 * of the configuration file, from the schema that the program itself decodes
 * with. A test checks that the committed file is up to date.
 */
import { writeFileSync } from "node:fs"
import { Schema } from "effect"
import { Config } from "../src/domain/config-file.ts"

type Json = { readonly [key: string]: unknown }
const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value)

/** Policies carry their defaults as a group; editors show those of a single property. */
const spreadDefaults = (schema: unknown): unknown => {
  if (!isObject(schema)) return schema
  const { default: value, properties } = schema
  if (!isObject(properties)) return schema
  return {
    ...schema,
    properties: Object.fromEntries(
      Object.entries(properties).map(([key, property]) => {
        const inner = isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined
        const described =
          isObject(property) && inner !== undefined && property["default"] === undefined
            ? { ...property, default: inner }
            : property
        return [key, spreadDefaults(described)]
      })
    )
  }
}

/** The JSON Schema's text, as it stands in the file. */
export const render = (): string => {
  const { definitions, schema } = Schema.toJsonSchemaDocument(Config, { onExcessProperty: "error" })
  // A schema with an identifier stands among the definitions, and the root only refers to it.
  const root = isObject(schema) && typeof schema["$ref"] === "string" ? schema["$ref"].split("/").at(-1) : undefined
  const { [root ?? ""]: named, ...rest } = definitions
  const body = spreadDefaults(named ?? schema)
  return `${JSON.stringify(
    {
      $schema: "https://json-schema.org/draft/2020-12/schema",
      $id: "https://unpkg.com/ballast/schema/ballast.config.schema.json",
      ...(isObject(body) ? body : {}),
      $defs: rest
    },
    undefined,
    2
  )}\n`
}

if (import.meta.main) {
  writeFileSync(new URL("../schema/ballast.config.schema.json", import.meta.url), render())
}
