// Writes src/events.ts from the JSON Schema of the events. `--print` writes it to standard output instead.
//
// Integers without a bound that a number holds (times, epochs, a venue's own sequence numbers) become bigint, as the parser makes them.

import { readFile, writeFile } from "node:fs/promises";
import { compile } from "json-schema-to-typescript";

const SCHEMA = new URL("../../../docs/reference/events.schema.json", import.meta.url);
const TARGET = new URL("../src/events.ts", import.meta.url);
const HEADER = `// The events of the tape, as they are parsed. Generated from docs/reference/events.schema.json by \`npm run types\`: do not edit.
`;

/** Whether an integer field of this name is a bigint. The same rule as in src/json.ts; a test compares the two. */
export const isBig = (name) => /(^|_)(ts|ns)$|^epoch$|^sequence$/.test(name);

function annotate(schema, field = "") {
  if (Array.isArray(schema)) {
    schema.forEach((item) => annotate(item, field));
  } else if (schema !== null && typeof schema === "object") {
    if (schema.type === "integer" && isBig(field)) schema.tsType = "bigint";
    for (const [key, value] of Object.entries(schema)) {
      if (key === "properties" || key === "$defs") {
        for (const [name, inner] of Object.entries(value)) annotate(inner, name);
      } else if (key !== "default" && key !== "enum") {
        annotate(value, field);
      }
    }
    if (schema.prefixItems) {
      // The compiler knows tuples as they were written before draft 2020-12.
      schema.items = schema.prefixItems;
      schema.additionalItems = false;
      delete schema.prefixItems;
    }
    if (schema.$ref && schema.description) {
      // A description beside a reference: without this the compiler takes the definition's own, and no name of a type.
      schema.allOf = [{ $ref: schema.$ref }];
      delete schema.$ref;
    }
    delete schema.default; // the tape always has the field: defaults are for writers
    if (schema.properties) schema.required = Object.keys(schema.properties);
  }
  return schema;
}

export async function generate() {
  const schema = annotate(JSON.parse(await readFile(SCHEMA, "utf8")));
  schema.title = "TapeEvent";
  schema.description = "An event of the tape; `type` says which.";
  return compile(schema, "TapeEvent", {
    additionalProperties: false,
    bannerComment: HEADER,
    style: { printWidth: 140 },
  });
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const text = await generate();
  if (process.argv.includes("--print")) process.stdout.write(text);
  else await writeFile(TARGET, text);
}
