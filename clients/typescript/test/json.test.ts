import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import fc from "fast-check";
import { isBig, parse } from "../src/json.js";
import { encode } from "./fake-gateway.js";

const SCHEMA = new URL("../../../../docs/reference/events.schema.json", import.meta.url);

/** Integer fields that a number holds: they count things, or are numbers of a run. */
const SMALL = ["trades", "revision", "seq", "depth", "venues", "levels", "interval_s", "missed", "nonexistent"];

test("integers of times, epochs and sequences become bigint, others stay numbers", () => {
  const text = '{"received_ts":1790000000123456789,"epoch": 9007199254740993 ,"sequence":-5,"venue_ts":null,"seq":7,"price":"1.10"}';

  assert.deepEqual(parse(text), {
    received_ts: 1790000000123456789n,
    epoch: 9007199254740993n,
    sequence: -5n,
    venue_ts: null,
    seq: 7,
    price: "1.10",
  });
});

test("integers that the gateway has quoted already become bigint, too", () => {
  assert.deepEqual(parse('{"ts":"1790000000123456789","epoch":"","size":"12"}'), { ts: 1790000000123456789n, epoch: "", size: "12" });
});

test("text within strings is not touched, whatever it looks like", () => {
  const texts = ['"ts":1790000000123456789', '\\"ts\\":12', '{"epoch":1}', "\\", '"', '\\"epoch"', 'x\n"open_ts":1'];
  for (const text of texts) {
    const value = { reason: text, [text]: text, list: [text, { a: text }] };
    assert.deepEqual(parse(JSON.stringify(value)), value);
  }
});

const names = fc.oneof(
  fc.constantFrom("ts", "epoch", "sequence", "received_ts", "clock_offset_ns", "_ts", "seq", "tss", "epochs", "xts"),
  fc.string(),
  fc.constantFrom('"ts', '\\"ts', 'a"epoch', "\\", '":1,"ts'),
);
const json = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.string(),
    fc.constantFrom('"ts":1', '\\"epoch":12345678901234567890', '","ts":7,"'),
    fc.constant(null),
    fc.boolean(),
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((one) => one + 0),
    fc.array(tie("value"), { maxLength: 4 }),
    tie("object"),
  ),
  object: fc.dictionary(names, fc.oneof(tie("value"), fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n })), {
    maxKeys: 5,
    noNullPrototype: true,
  }),
}));

/** What `parse` should make of a value that is written as JSON, found without looking at the text. */
function expected(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(expected);
  if (typeof value === "bigint") return Number(value);
  if (value === null || typeof value !== "object") return Object.is(value, -0) ? 0 : value;
  const fields = Object.entries(value).map(([name, field]) => {
    const integer = typeof field === "bigint" || (typeof field === "number" && Number.isInteger(field) && Math.abs(field) < 1e21);
    const text = typeof field === "string" && /^-?\d+$/.test(field);
    return [name, isBig(name) && (integer || text) ? BigInt(String(field)) : expected(field)];
  });
  return Object.fromEntries(fields);
}

test("any JSON is parsed as JSON.parse does it, but for the big integers, which are exact", () => {
  fc.assert(
    fc.property(json.object, fc.boolean(), (value, pretty) => {
      const text = pretty ? encode(value).replace(/^\{/, "{ ") : encode(value);
      assert.deepEqual(parse(text), expected(value));
    }),
    { numRuns: 2000 },
  );
});

test("each integer field of the schema is known to be big or small", async () => {
  const unknown: string[] = [];
  const look = (node: unknown, field: string): void => {
    if (Array.isArray(node)) return node.forEach((item) => look(item, field));
    if (node === null || typeof node !== "object") return;
    const { type } = node as { type?: unknown };
    assert.notEqual(type, "number", `${field}: a float on the tape`);
    if (type === "integer" && !isBig(field) && !SMALL.includes(field)) unknown.push(field);
    for (const [key, value] of Object.entries(node)) {
      if (key === "properties" || key === "$defs") for (const [name, inner] of Object.entries(value as object)) look(inner, name);
      else look(value, field);
    }
  };
  look(JSON.parse(await readFile(SCHEMA, "utf8")), "");

  assert.deepEqual(unknown, []);
});
