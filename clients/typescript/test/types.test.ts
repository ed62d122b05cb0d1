import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { isBig } from "../src/json.js";

const FOLDER = new URL("../../", import.meta.url);

interface Types {
  generate(): Promise<string>;
  isBig(name: string): boolean;
}

test("src/events.ts is what `npm run types` makes of the schema", async () => {
  const types = (await import(new URL("scripts/types.mjs", FOLDER).href)) as Types;

  assert.equal(await readFile(new URL("src/events.ts", FOLDER), "utf8"), await types.generate(), "run npm run types");
});

test("types and parser agree on which integers are big", async () => {
  const types = (await import(new URL("scripts/types.mjs", FOLDER).href)) as Types;
  for (const name of ["ts", "open_ts", "clock_offset_ns", "epoch", "sequence", "seq", "interval_s", "epochs", "trades", "tsx"]) {
    assert.equal(types.isBig(name), isBig(name), name);
  }
});
