import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { EventStream } from "../src/event-stream.js";

test("messages, ids and comments are told apart, however lines end", () => {
  for (const end of ["\n", "\r\n", "\r"]) {
    const lines = [
      ": comment",
      "data: one",
      "",
      "data:two",
      "data: three",
      "id: 7-0",
      "event: x",
      "",
      "id: 8",
      "",
      "data",
      "",
      "data: cut",
    ];
    const messages = new EventStream().push(lines.join(end) + end);

    assert.deepEqual(messages, [
      { data: "one", id: undefined },
      { data: "two\nthree", id: "7-0" },
      { data: "", id: undefined },
    ]);
  }
});

test("it does not matter where the text is cut into pieces", () => {
  const line = fc.oneof(
    fc.constantFrom("", "data: a", "data:b", "id: 1", ":c", "data"),
    fc.string().map((text) => text.replace(/[\r\n]/g, "")),
  );
  const text = fc
    .array(fc.tuple(line, fc.constantFrom("\n", "\r\n", "\r")), { maxLength: 20 })
    .map((lines) => lines.flat().join("") + "\n");
  fc.assert(
    fc.property(text, fc.array(fc.nat(200), { maxLength: 10 }), (all, cuts) => {
      const places = [0, ...cuts.map((cut) => Math.min(cut, all.length)).sort((a, b) => a - b), all.length];
      const stream = new EventStream();
      const pieces = places.slice(1).flatMap((end, index) => stream.push(all.slice(places[index], end)));

      assert.deepEqual(pieces, new EventStream().push(all));
    }),
  );
});
