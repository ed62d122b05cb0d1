/**
 * Reads the gateway's JSON without changing a number. Times and epochs are ns since the epoch: above 2^53, so that `JSON.parse` alone would
 * round them. They become BigInt: by the reviver's `context.source` where the browser has it, else from text, which `ints=string` asks for.
 */

const hasSource = (() => {
  let source;
  JSON.parse("1", (_, value, context) => {
    source = context?.source;
    return value;
  });
  return source === "1";
})();

/** Parameters that every request to the gateway carries. */
export const PARAMETERS = hasSource ? {} : { ints: "string" };

const isTime = (key) => key === "ts" || key === "epoch" || key.endsWith("_ts");

function revive(key, value, context) {
  if (value === null || !isTime(key)) return value;
  return BigInt(typeof value === "number" ? (context?.source ?? value) : value);
}

/** Returns the value of a JSON text. Throws `SyntaxError` for what is none. */
export function parse(text) {
  return JSON.parse(text, revive);
}
