/**
 * The candle chart: history by request, then the stream. The chart itself draws floats and takes times in seconds; the legend shows the tape's
 * strings. An older bar that a late trade revised is drawn in its place; where bars are missing, their places stay empty.
 */

import { ApiError, get, rowsOf } from "../wire/api.js";
import { Bars, MOST } from "../state/bars.js";
import { ms } from "../state/clock.js";
import { digits } from "../state/decimal.js";
import { element, setText } from "./dom.js";
import { colour } from "./theme.js";
import { NOTHING, counted, dayAndTime, number, whyOld } from "./words.js";

const HISTORY = 600;
const RIGHT_BARS = 4;
const MOST_EMPTY = 120; // places of missing bars that are drawn in a row
const BAR_PX = 8; // width of a bar at first

/** Returns the topic of a choice: `bar:1m:BTC-USDT@consolidated`. */
export function topicOfChart({ instrument, timeframe, source }) {
  const [type, venue] = source.split("@");
  return `${type}:${timeframe}:${instrument}@${venue}`;
}

export class Chart {
  #bars = new Bars();
  #choice = null;
  #round = 0;
  #precision = -1;
  #drawn = null; // open (ms) of the newest bar on the chart; null: draw all again
  #points = new Set(); // opens (ms) that the chart has a candle for; at other times it has an empty place, or none
  #hovered = null;
  #fitted = false;

  /** `ask()` asks for a call of `draw` in the next frame; `exists(choice)`: whether the tape has such bars at all. */
  constructor(tape, { box, legend, note, ask, exists }) {
    Object.assign(this, { tape, box, legend, note, ask, exists });
    this.older = new Set();
    const { createChart, CandlestickSeries, HistogramSeries, CrosshairMode } = globalThis.LightweightCharts;
    this.chart = createChart(box, {
      autoSize: true,
      crosshair: { mode: CrosshairMode.Normal },
      rightPriceScale: { scaleMargins: { top: 0.06, bottom: 0.22 } },
      timeScale: { timeVisible: true, rightOffset: RIGHT_BARS, minBarSpacing: 0.5 },
      handleScale: { axisPressedMouseMove: { time: true, price: false } },
    });
    this.candles = this.chart.addSeries(CandlestickSeries, { priceLineStyle: 3 });
    this.volumes = this.chart.addSeries(HistogramSeries, { priceScaleId: "", priceFormat: { type: "volume" }, lastValueVisible: false, priceLineVisible: false });
    this.volumes.priceScale().applyOptions({ scaleMargins: { top: 0.86, bottom: 0 } });
    this.chart.subscribeCrosshairMove(({ time }) => {
      this.#hovered = typeof time === "number" ? time * 1000 : null;
      this.ask();
    });
    this.paint();
  }

  /** Take over the colours of the theme. */
  paint() {
    const [panel, text, line, up, down] = ["panel", "muted", "line", "up", "down"].map(colour);
    this.chart.applyOptions({
      layout: { background: { type: "solid", color: panel }, textColor: text, fontSize: 11, fontFamily: getComputedStyle(this.box).fontFamily, attributionLogo: true },
      grid: { vertLines: { color: colour("grid") }, horzLines: { color: colour("grid") } },
      crosshair: { vertLine: { color: text, labelBackgroundColor: colour("raised") }, horzLine: { color: text, labelBackgroundColor: colour("raised") } },
      rightPriceScale: { borderColor: line },
      timeScale: { borderColor: line },
    });
    this.candles.applyOptions({ upColor: up, borderUpColor: up, wickUpColor: up, downColor: down, borderDownColor: down, wickDownColor: down });
    this.#drawn = null;
    this.ask();
  }

  /** Show another instrument, timeframe or source. `load` is to be called once their stream is followed: so nothing is missed between. */
  choose(choice) {
    this.#choice = choice;
    this.#bars = new Bars();
    this.#drawn = null;
    this.#precision = -1;
    this.#fitted = false;
    this.older.clear();
    this.chart.timeScale().applyOptions({ secondsVisible: choice.timeframe.endsWith("s") });
    this.loaded = false;
    setText(this.note, "Loading the history …");
    this.ask();
  }

  /** Ask for the history and merge it into what is known. Raises nothing: the note says what went wrong. */
  async load(most = HISTORY) {
    const choice = this.#choice;
    if (!choice) return;
    const limit = this.loaded && !this.missing ? most : HISTORY;
    const round = ++this.#round;
    this.missing = !this.exists(choice);
    if (this.missing) {
      setText(this.note, "");
      this.loaded = true;
      this.ask();
      return;
    }
    const [type, venue] = choice.source.split("@");
    try {
      const answer =
        type === "bar"
          ? await get("api/bars", { instrument: choice.instrument, timeframe: choice.timeframe, venue, limit })
          : await get("api/candles", { symbol: choice.instrument, timeframe: choice.timeframe, venue, limit });
      if (choice !== this.#choice) return;
      for (const bar of rowsOf(answer)) this.#apply(bar);
      setText(this.note, "");
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (choice !== this.#choice || round !== this.#round) return;
      setText(this.note, `The history could not be had: ${error.message}`);
    }
    this.loaded = true;
    this.ask();
  }

  /** Apply a bar or candle of the stream, if it is of what is shown. */
  accept(bar) {
    const choice = this.#choice;
    if (!choice || bar.instrument !== choice.instrument || bar.timeframe !== choice.timeframe || choice.source !== `${bar.type}@${bar.venue}`) return;
    this.#apply(bar);
    this.ask();
  }

  /** Returns what is shown, for tests: [[open_ts, open, high, low, close, revision, closed], …]. */
  shown() {
    return this.#bars.all().map((bar) => [String(bar.open_ts), bar.open, bar.high, bar.low, bar.close, bar.revision, bar.closed]);
  }

  /** Returns the times, closes and places on the axis of what the chart draws, for tests. */
  plotted() {
    return this.candles.data().map(({ time, close }) => [time, close, this.chart.timeScale().timeToIndex(time)]);
  }

  #apply(bar) {
    if (this.missing) setText(this.note, "");
    const before = this.#bars.at();
    const place = this.#bars.apply(bar);
    if (place === "older") this.older.add(ms(bar.open_ts));
    else if (place === "newest" && before && bar.open_ts > before.close_ts) this.#drawn = null; // some are missing between
    const precision = Math.max(...[bar.open, bar.high, bar.low, bar.close].map((price) => digits(price ?? "0")));
    if (precision > this.#precision) {
      this.#precision = precision;
      this.candles.applyOptions({ priceFormat: { type: "price", precision, minMove: 10 ** -precision } });
    }
  }

  draw() {
    // Lightweight Charts 5.2.1 draws a late bar for an empty place over the candle behind it: then all are drawn again.
    const filled = [...this.older, this.#drawn].some((open) => !this.#points.has(open));
    const many = this.older.size > 50 || this.#points.size > 2 * MOST; // the chart itself forgets nothing
    const forgotten = this.#drawn !== null && !this.#bars.at(this.#drawn); // a hidden tab draws nothing for a long time
    if (this.#drawn === null || filled || many || forgotten) this.#drawAll();
    else this.#drawChanges();
    this.older.clear();
    this.tick();
  }

  #drawAll() {
    const bars = this.#bars.all();
    const [prices, volumes] = [[], []];
    for (const [at, bar] of bars.entries()) {
      if (at) this.#drawMissing(bars[at - 1], bar, prices);
      prices.push(candleOf(bar));
      volumes.push(volumeOf(bar));
    }
    const range = this.#fitted ? this.chart.timeScale().getVisibleLogicalRange() : null;
    this.candles.setData(prices);
    this.volumes.setData(volumes);
    this.#points = new Set(bars.filter((bar) => bar.open !== null).map((bar) => ms(bar.open_ts)));
    this.#drawn = bars.length ? ms(bars.at(-1).open_ts) : null;
    if (range) this.chart.timeScale().setVisibleLogicalRange(range);
    else if (bars.length && this.loaded) {
      this.chart.timeScale().setVisibleLogicalRange({ from: prices.length - this.box.clientWidth / BAR_PX, to: prices.length + RIGHT_BARS });
      this.#fitted = true;
    }
  }

  #drawMissing(before, bar, prices) {
    const step = ms(before.close_ts) - ms(before.open_ts);
    let left = MOST_EMPTY;
    for (let open = ms(before.close_ts); step > 0 && open < ms(bar.open_ts) && left; open += step, left -= 1) prices.push({ time: open / 1000 });
  }

  #drawChanges() {
    for (const open of this.older) {
      const bar = this.#bars.at(open); // null: so old that it was forgotten
      if (bar && open < this.#drawn) this.#update(bar, true);
    }
    for (let bar = this.#bars.at(this.#drawn); bar; bar = this.#bars.at(ms(bar.close_ts))) {
      this.#update(bar, false); // the newest one that was drawn, as it is now, and those after it
      this.#drawn = ms(bar.open_ts);
    }
  }

  #update(bar, isOlder) {
    this.candles.update(candleOf(bar), isOlder);
    this.volumes.update(volumeOf(bar), isOlder);
    if (bar.open !== null) this.#points.add(ms(bar.open_ts));
  }

  /** Draw the legend: the bar under the pointer, else the newest. */
  tick() {
    const bar = (this.#hovered !== null && this.#bars.at(this.#hovered)) || this.#bars.at();
    if (!bar) {
      const { instrument, timeframe, source } = this.#choice ?? {};
      setText(this.legend, "");
      if (this.loaded && instrument && !this.note.shown) setText(this.note, `The tape has no ${source.startsWith("bar") ? "bars" : "candles"} of ${timeframe} of ${instrument} by ${source.split("@")[1]}.`);
      return;
    }
    if (this.note.shown?.startsWith("The tape has no")) setText(this.note, "");
    const isNewest = bar === this.#bars.at();
    const current = !isNewest || this.tape.isCurrent(bar) || bar.closed;
    this.box.classList.toggle("old", !current);
    const state = bar.closed ? "closed" : "open";
    const flags = [bar.revision ? `revision ${bar.revision}` : "", bar.closed && bar.complete === false ? "not known to be complete" : "", bar.trades === 0 ? "no trades" : ""];
    const rest = [state, ...flags, current ? "" : `not current: ${bar.type === "bar" ? whyOld(this.tape, bar) : (this.tape.contact.away?.why ?? "venue silent")}`].filter(Boolean).join(", ");
    const values = { O: bar.open, H: bar.high, L: bar.low, C: bar.close, Vol: bar.volume, Trades: bar.trades === null ? null : String(bar.trades) };
    const picture = JSON.stringify([values, rest, String(bar.open_ts)]);
    if (this.legend.picture === picture) return;
    this.legend.picture = picture;
    this.legend.shown = null;
    const direction = bar.open !== null && Number(bar.close) < Number(bar.open) ? "down" : "up";
    this.legend.replaceChildren(
      element("time", { text: `${dayAndTime(bar.open_ts)} UTC` }),
      ...Object.entries(values).map(([name, value]) => element("span", { class: name.length === 1 ? direction : "" }, element("i", { text: `${name} ` }), number(value ?? NOTHING))),
      element("span", { class: current ? "" : "bad", text: rest }),
    );
  }

  /** Returns what the bars are, in words; for the label of the chart. */
  get summary() {
    return counted(this.#bars.size, "bar");
  }
}

/** Returns a point for the chart: empty before the first trade; grey without trades; outlined where trades may be missing. */
function candleOf(bar) {
  const time = ms(bar.open_ts) / 1000;
  if (bar.open === null) return { time };
  const point = { time, open: Number(bar.open), high: Number(bar.high), low: Number(bar.low), close: Number(bar.close) };
  if (bar.trades === 0) return { ...point, color: colour("weak"), borderColor: colour("weak"), wickColor: colour("weak") };
  if (bar.closed && bar.complete === false) return { ...point, borderColor: colour("warn"), wickColor: colour("warn") };
  return point;
}

function volumeOf(bar) {
  const falls = bar.open !== null && Number(bar.close) < Number(bar.open);
  return { time: ms(bar.open_ts) / 1000, value: Number(bar.volume), color: colour(falls ? "flash-down" : "flash-up") };
}
