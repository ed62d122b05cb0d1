/** What the user looks at: instrument, timeframe, source of the candles. It stands in the address, so that it can be kept and shared. */

import { get, rowsOf } from "./wire/api.js";
import { setOptions } from "./view/dom.js";

const TIMEFRAMES = ["1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "1w", "1M"];
const CONSOLIDATED = "bar@consolidated";
const COMPOSITE = "*";

export class Choice {
  #known = new Map(); // instrument → {kinds, venues}
  #sources = [[CONSOLIDATED, "consolidated"]];
  #wanted; // the source that the user chose; another one stands in for it where it has no such candles
  #isGiven; // whether the user named the source: then it stays, also without candles

  /** `changed()` is called when the user chose something else, or there is something to choose for the first time. */
  constructor({ instrument, timeframe, source, changed }) {
    const said = new URLSearchParams(location.hash.slice(1));
    this.instrument = said.get("instrument") ?? "";
    this.timeframe = TIMEFRAMES.includes(said.get("timeframe")) ? said.get("timeframe") : "1m";
    this.source = /^(bar|candle)@[\w.]+$/.test(said.get("source") ?? "") ? said.get("source") : CONSOLIDATED;
    this.#wanted = this.source;
    this.#isGiven = said.has("source");
    this.nodes = { instrument, timeframe, source };
    this.changed = changed;
    for (const [name, node] of Object.entries(this.nodes)) node.addEventListener("change", () => this.set({ [name]: node.value }));
  }

  /** Choose something else. */
  set(part) {
    const other = part.instrument !== undefined && part.instrument !== this.instrument;
    Object.assign(this, part);
    if (part.source !== undefined) this.#wanted = part.source;
    this.#isGiven = part.source !== undefined;
    if (other) this.#suit();
    this.#keep();
    this.#draw();
    this.#learnSources();
    this.changed();
  }

  /** Returns the source as a reader knows it: `consolidated`, `kraken candles`. */
  get sourceInWords() {
    return wordsOf(this.source);
  }

  #keep() {
    history.replaceState(null, "", `#${new URLSearchParams({ instrument: this.instrument, timeframe: this.timeframe, source: this.source })}`);
  }

  /** Learn which instruments there are, as `/api/instruments` says it. */
  learn(rows) {
    this.#known = new Map(rows.map((row) => [row.instrument, row]));
    const names = [...this.#known.keys()];
    if (!this.#known.has(this.instrument) && names.length) {
      const rank = (name) => this.#known.get(name).venues.length + (name.startsWith("BTC-") ? 0.5 : 0) - (name.endsWith(COMPOSITE) ? 100 : 0);
      const quoted = names.filter((name) => this.#known.get(name).kinds.includes("cbbo"));
      this.instrument = (quoted.length ? quoted : names).sort((a, b) => rank(b) - rank(a) || (a < b ? -1 : 1))[0];
      this.#suit();
    }
    this.#draw();
    this.#learnSources();
  }

  /** Whether the tape has bars, or candles, of this kind. */
  has({ instrument, timeframe, source }) {
    return this.#known.get(instrument)?.kinds.includes(`${source.split("@")[0]}:${timeframe}`) ?? false;
  }

  /** Choose a timeframe that the instrument has. */
  #suit() {
    const frames = this.#frames();
    if (frames.length && !frames.includes(this.timeframe)) this.timeframe = frames.includes("1m") ? "1m" : frames[0];
    const venue = this.source.split("@")[1];
    const venues = this.#known.get(this.instrument)?.venues ?? [];
    if (venue !== "consolidated" && !venues.includes(venue)) this.source = CONSOLIDATED;
  }

  #frames() {
    const kinds = this.#known.get(this.instrument)?.kinds ?? [];
    return TIMEFRAMES.filter((frame) => kinds.includes(`bar:${frame}`) || kinds.includes(`candle:${frame}`));
  }

  #draw() {
    const names = [...new Set([...this.#known.keys(), this.instrument].filter(Boolean))].sort();
    setOptions(this.nodes.instrument, names.map((name) => [name, name]), this.instrument);
    const frames = this.#frames();
    setOptions(this.nodes.timeframe, (frames.includes(this.timeframe) ? frames : [...frames, this.timeframe]).map((frame) => [frame, frame]), this.timeframe);
    const sources = this.#sources.some(([name]) => name === this.source) ? this.#sources : [...this.#sources, [this.source, wordsOf(this.source)]];
    setOptions(this.nodes.source, sources, this.source);
  }

  /** Ask which venues have bars, or candles of their own, of what is chosen; if the source has none, another one takes its place. */
  async #learnSources() {
    const { instrument, timeframe } = this;
    if (!instrument) return;
    const answer = await get("api/last", { topics: `bar:${timeframe}:${instrument},candle:${timeframe}:${instrument}` }).catch(() => null);
    if (!answer || instrument !== this.instrument || timeframe !== this.timeframe) return;
    const found = new Set(rowsOf(answer).map((row) => `${row.type}@${row.venue}`));
    if (!found.size) found.add(CONSOLIDATED);
    const groups = { bar: "bars from trades", candle: "candles as published" };
    const names = [...found].sort((a, b) => (b === CONSOLIDATED) - (a === CONSOLIDATED) || (a < b ? -1 : 1));
    this.#sources = names.map((name) => [name, wordsOf(name), groups[name.split("@")[0]]]);
    const better = found.has(this.#wanted) ? this.#wanted : found.has(this.source) ? this.source : names[0];
    if (this.#isGiven || better === this.source) {
      this.#draw();
      return;
    }
    this.source = better;
    this.#keep();
    this.#draw();
    this.changed();
  }
}

function wordsOf(source) {
  const [type, venue] = source.split("@");
  return source === CONSOLIDATED ? "consolidated" : `${venue} ${type}s`;
}
