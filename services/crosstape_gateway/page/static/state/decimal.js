/**
 * Exact decimals as the tape writes them: plain notation, as text. Nothing here passes through a float, except `ratio`, which is for drawing.
 */

/** Returns {units, scale}: the number is units / 10^scale. */
function parse(text) {
  const point = text.indexOf(".");
  if (point < 0) return { units: BigInt(text), scale: 0 };
  return { units: BigInt(text.slice(0, point) + text.slice(point + 1)), scale: text.length - point - 1 };
}

function aligned(a, b) {
  const left = parse(a);
  const right = parse(b);
  const scale = Math.max(left.scale, right.scale);
  return [left.units * 10n ** BigInt(scale - left.scale), right.units * 10n ** BigInt(scale - right.scale), scale];
}

/** Returns the text of units / 10^scale. */
function format(units, scale) {
  const digits = String(units < 0n ? -units : units).padStart(scale + 1, "0");
  const text = scale ? `${digits.slice(0, -scale)}.${digits.slice(-scale)}` : digits;
  return units < 0n ? `-${text}` : text;
}

/** Returns -1, 0 or 1. */
export function compare(a, b) {
  if (a === b) return 0;
  const [left, right] = aligned(a, b);
  return left < right ? -1 : left > right ? 1 : 0;
}

/** Returns a + b, with the digits of the longer one. */
export function add(a, b) {
  const [left, right, scale] = aligned(a, b);
  return format(left + right, scale);
}

/** Returns a - b. */
export function subtract(a, b) {
  const [left, right, scale] = aligned(a, b);
  return format(left - right, scale);
}

/** Returns how many digits stand after the point. */
export function digits(text) {
  const point = text.indexOf(".");
  return point < 0 ? 0 : text.length - point - 1;
}

/** Returns how many digits stand after the point, without zeros at the end. */
export function places(text) {
  return text.includes(".") ? digits(text.replace(/\.?0+$/, "")) : 0;
}

/** Returns the decimal rounded to `count` digits after the point, half to even. A shorter one keeps its digits. */
export function round(text, count) {
  const { units, scale } = parse(text);
  if (scale <= count) return text;
  const step = 10n ** BigInt(scale - count);
  const size = units < 0n ? -units : units;
  let kept = size / step;
  const twice = (size % step) * 2n;
  if (twice > step || (twice === step && kept % 2n === 1n)) kept += 1n;
  return format(units < 0n ? -kept : kept, count);
}

/** Returns how many digits after the point are left of a number with `significant` digits: 3 of 64207.766 with eight. */
export function placesOf(text, significant) {
  const whole = text.replace("-", "").split(".")[0].replace(/^0+/, "");
  if (whole) return Math.max(0, significant - whole.length);
  const zeros = /\.(0*)[1-9]/.exec(text)?.[1].length ?? 0;
  return significant + zeros;
}

/** Returns a / b as a percentage with one digit after the point, as text; null if b is not above 0. */
export function percent(a, b) {
  const [part, all] = aligned(a, b);
  return all > 0n ? format((part * 2000n + all) / (all * 2n), 1) : null;
}

/** Returns a / b as a float between 0 and 1: for the width of a bar. */
export function ratio(a, b) {
  const [part, all] = aligned(a, b);
  return all > 0n ? Math.min(1, Math.max(0, Number((part * 10000n) / all) / 10000)) : 0;
}
