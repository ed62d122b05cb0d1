// Parses JSON with every digit of its integers.
//
// JSON.parse makes numbers, and a number holds integers up to 2^53 only: a time in ns has 61 bits. Newer engines give the source text to
// the reviver; Node 20 does not. So such integers are quoted first, and made a bigint afterwards. The gateway can quote them itself
// (`ints=string`), but then it writes each event again for this client; and a venue's own sequence numbers, which it leaves alone, may be
// as long.

/** Whether an integer field of this name becomes a bigint: times and durations in ns, epochs, and a venue's own sequence numbers. */
export function isBig(name: string): boolean {
  return BIG.test(name);
}

const BIG = /^(?:(?:\w*_)?(?:ts|ns)|epoch|sequence)$/;

// A key and its integer. The quotation mark is that of a key: within a string a backslash precedes it, and behind one there is no letter.
const FIELD = /(?<!\\)"((?:\w*_)?(?:ts|ns)|epoch|sequence)"(\s*:\s*)(-?(?:0|[1-9]\d*))(?=\s*[,}])/g;
const INTEGER = /^-?\d+$/;

/** Parses a JSON text; integers in the fields of `isBig` become bigint, also where they are written as strings. Throws SyntaxError. */
export function parse(text: string): unknown {
  return restore(JSON.parse(text.replace(FIELD, '"$1"$2"$3"')));
}

function restore(value: unknown): unknown {
  if (Array.isArray(value)) {
    for (const item of value) if (typeof item === "object") restore(item);
  } else if (value !== null && typeof value === "object") {
    const fields = value as Record<string, unknown>;
    for (const name of Object.keys(fields)) {
      const field = fields[name];
      if (typeof field === "string") {
        if (isBig(name) && INTEGER.test(field)) fields[name] = BigInt(field);
      } else if (typeof field === "object") {
        restore(field);
      }
    }
  }
  return value;
}
