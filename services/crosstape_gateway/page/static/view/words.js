/** Texts for the eye. Prices and sizes stay the strings of the tape; only what is computed (averages, basis points) is rounded, exactly. */

import { compare, placesOf, round } from "../state/decimal.js";
import { ms } from "../state/clock.js";
import { CONSOLIDATED } from "../state/life.js";

export const NOTHING = "–";
const DIGITS = 8; // of what is computed

/** Returns a price or size as the tape has it. */
export const number = (text) => text ?? NOTHING;

/** Returns a computed number to so many digits after the point. */
export const rounded = (text, places) => (text === null || text === undefined ? NOTHING : round(text, places));

/** Returns a computed price, such as an average, to eight digits. */
export const computed = (text) => (text === null ? NOTHING : round(text, placesOf(text, DIGITS)));

/** Returns a price in full; of a composite, which is computed, to eight digits: `64320.554…` where the tape has more. */
export function priceText(price, instrument) {
  if (price === null || !instrument.endsWith("*")) return number(price);
  const short = computed(price);
  return compare(short, price) === 0 ? short : `${short}…`;
}

/** Returns a length of time: `<1 s`, `45 s`, `3 min`, `5 h`, `2 d`. Negative where a clock is ahead: it is not hidden. */
export function span(milliseconds) {
  const seconds = milliseconds / 1000;
  if (seconds < 0) return seconds <= -1 ? `−${span(-milliseconds)}` : "<1 s";
  if (seconds < 1) return "<1 s";
  if (seconds < 120) return `${Math.floor(seconds)} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

const two = (value) => String(value).padStart(2, "0");

/** Returns the time of day, UTC: `12:03:59`. */
export function timeOfDay(milliseconds) {
  const date = new Date(milliseconds);
  return `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())}`;
}

/** Returns day and time of day, UTC: `2026-11-30 12:03`. */
export function dayAndTime(ts) {
  return new Date(ms(ts)).toISOString().slice(0, 19).replace("T", " ");
}

/** Returns `1 venue`, `3 venues`. */
export const counted = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

const STATES = {
  live: ["●", "good"],
  connecting: ["○", "weak"],
  recovering: ["◐", "warn"],
  stale: ["▲", "warn"],
  down: ["■", "bad"],
  silent: ["■", "bad"],
};

/** Returns [mark, tone] of a feed's state: a shape beside the text, so that colour alone says nothing. */
export const stateMark = (state) => STATES[state] ?? ["○", "weak"];

const REASONS = {
  state: "feed not live",
  stale: "too old",
  empty: "no bid or ask",
  crossed: "own quote crossed",
  outlier: "outlier",
  settling: "settling",
  suspect: "suspect",
  depeg: "off its peg",
  rate: "no current rate",
};

/** Returns why a leg does not count. */
export const whyExcluded = (leg) => (leg.excluded === "state" ? leg.state : (REASONS[leg.excluded] ?? leg.excluded));

/** Returns the shape of a market, and its tone. */
export function marketMark(market) {
  if (market === "normal") return ["normal", "plain"];
  return [market.replace("_", "-"), market === "crossed" ? "crossed" : "warn"];
}

/** Returns the source of a leg: the venue; in a composite also the part. */
export const sourceOf = (leg) => (leg.instrument ? `${leg.venue} ${leg.instrument}` : leg.venue);

/** Returns why a venue counts as not alive, while the connection is there. */
export function whySilent(tape, venue) {
  if (tape.life.isDown(venue)) return "down";
  const given = tape.life.givenMs(venue);
  if (!tape.contact.knowsSilent(given)) return "awaited";
  return given === null ? "no sign of life" : `silent for ${span(tape.clock.read() - given)}`;
}

/** Returns why what an aggregator published is not current. */
export function whyOld(tape, event) {
  const { away } = tape.contact;
  if (away) return away.why;
  if (tape.life.isDown(CONSOLIDATED, event.epoch)) return "no aggregator";
  const given = tape.life.givenBy(event);
  if (!tape.contact.knowsSilent(given)) return "aggregator awaited";
  return given === null ? "no aggregator" : `no aggregator ${span(tape.clock.read() - given)}`;
}
