/** The consolidated book of the selected instrument: asks above, bids below, the spread between, and each venue's share of every level. */

import { add, compare, percent, places, ratio, round, subtract } from "../state/decimal.js";
import { element, setAttribute, setNumber, setText } from "./dom.js";
import { computed, counted, number, rounded, sourceOf, span, whyExcluded, whyOld } from "./words.js";

const LEVELS = 12;
const COLOURS = 8;

export class Book {
  #rows = { asks: [], bids: [] };
  #colours = new Map(); // venue → number of its colour
  #centred = "";

  constructor(tape, { table, scroll, title, meta, shares, note }) {
    Object.assign(this, { tape, scroll, title, meta, shares, note, event: null });
    const head = ["Price", "Size", "Venues", "Share"].map((text, at) =>
      element("th", { scope: "col", class: ["number price", "number size", "at", "split"][at], text }),
    );
    this.asks = element("tbody");
    this.middle = element("td", { colspan: "4" });
    this.bids = element("tbody");
    table.append(
      element("thead", {}, element("tr", {}, ...head)),
      this.asks,
      element("tbody", {}, element("tr", { class: "middle" }, this.middle)),
      this.bids,
    );
    this.table = table;
  }

  /** Draw the book of an instrument; none is known yet: say so. */
  draw(instrument) {
    const event = this.tape.depths.get(instrument) ?? null;
    this.event = event;
    setText(this.title, instrument ? `Book ${instrument}` : "Consolidated book");
    this.table.hidden = !event;
    if (!event) {
      setText(this.meta, "");
      setText(this.note, instrument ? `No consolidated book of ${instrument} yet. Aggregators publish one from venues' books.` : "");
      this.shares.replaceChildren();
      return;
    }
    for (const leg of event.legs) this.#colour(leg.venue); // in the order of the legs, whoever has a level first
    const asks = event.asks.slice(0, LEVELS);
    const bids = event.bids.slice(0, LEVELS);
    const largest = [...asks, ...bids].reduce((most, [, size]) => (compare(size, most) > 0 ? size : most), "0");
    const most = (at) => Math.max(0, ...[...asks, ...bids].map((level) => places(level[at])));
    const count = { price: most(0), size: most(1) };
    this.#side(this.asks, "asks", [...asks].reverse(), largest, count);
    this.#side(this.bids, "bids", bids, largest, count);
    setText(this.middle, spreadOf(bids, asks, this.tape.quotes.get(instrument), event));
    this.#drawShares(bids, asks);
    const out = event.legs.filter((leg) => leg.excluded !== null).map((leg) => `${sourceOf(leg)} (${whyExcluded(leg)})`);
    const sweeps = event.sweeps.map(averages);
    setText(this.note, [out.length ? `Not in it: ${out.join(", ")}.` : "", sweeps.length ? `Average price of a size at once: ${sweeps.join("; ")}.` : ""].join(" ").trim());
    this.tick();
    if (this.#centred !== instrument) {
      this.#centred = instrument;
      this.scroll.scrollTop = this.middle.offsetTop - this.scroll.clientHeight / 2;
    }
  }

  /** Draw the age, and whether the aggregator is alive. */
  tick() {
    if (!this.event) return;
    const current = this.tape.isCurrent(this.event);
    const counting = this.event.legs.filter((leg) => leg.excluded === null).length;
    this.table.classList.toggle("old", !current);
    this.shares.classList.toggle("old", !current);
    const { away } = this.tape.contact; // its line says all
    this.meta.dataset.tone = current || away ? "plain" : "bad";
    const age = span(this.tape.clock.ageMs(this.event.ts));
    setText(this.meta, current ? `${counting} of ${counted(this.event.legs.length, "leg")}, ${age} old` : away ? "" : `not current: ${whyOld(this.tape, this.event)}`);
  }

  #side(body, name, levels, largest, count) {
    const rows = this.#rows[name];
    while (rows.length < levels.length) {
      const row = new Level(name);
      rows.push(row);
      body.append(row.node);
    }
    for (const row of rows.splice(levels.length)) row.node.remove();
    for (const [at, level] of levels.entries()) rows[at].draw(level, largest, count, (venue) => this.#colour(venue));
  }

  #colour(venue) {
    if (!this.#colours.has(venue)) this.#colours.set(venue, this.#colours.size % COLOURS);
    return this.#colours.get(venue);
  }

  /** Draw each venue's share of the size that is shown. It is also the legend of the colours. */
  #drawShares(bids, asks) {
    const totals = new Map();
    const sums = { bids: "0", asks: "0" };
    for (const [side, levels] of Object.entries({ bids, asks })) {
      for (const [, size, venues] of levels) {
        sums[side] = add(sums[side], size);
        for (const [venue, part] of venues) {
          const own = totals.get(venue) ?? { bids: "0", asks: "0" };
          totals.set(venue, { ...own, [side]: add(own[side], part) });
        }
      }
    }
    const names = [...totals.keys()].sort();
    if (this.shares.dataset.names !== names.join()) {
      this.shares.dataset.names = names.join();
      this.shares.replaceChildren(
        ...names.map((name) => {
          const swatch = element("i", { class: "swatch", "aria-hidden": "true" });
          swatch.dataset.colour = this.#colour(name);
          return element("span", { class: "share" }, swatch, element("b", { text: name }), element("span", { class: "parts" }));
        }),
      );
    }
    for (const [at, name] of names.entries()) {
      const own = totals.get(name);
      const parts = `bid ${percent(own.bids, sums.bids) ?? "0"} %, ask ${percent(own.asks, sums.asks) ?? "0"} %`;
      setText(this.shares.children[at].lastChild, parts);
    }
  }
}

class Level {
  constructor(side) {
    this.price = element("td", { class: `number price ${side === "bids" ? "bid" : "ask"}` });
    this.size = element("td", { class: "number size" });
    this.at = element("td", { class: "at" });
    this.bar = element("div", { class: "bar", "aria-hidden": "true" });
    this.node = element("tr", {}, this.price, this.size, this.at, element("td", { class: "split" }, this.bar));
  }

  draw([price, size, venues], largest, count, colour) {
    setNumber(this.price, price, count.price);
    setNumber(this.size, size, count.size);
    const text = venues.map(([venue, part]) => `${venue} ${part}`).join(", ");
    setText(this.at, venues.map(([venue]) => venue).join(", "));
    if (this.text === text && this.largest === largest) return;
    this.text = text;
    this.largest = largest;
    setAttribute(this.node, "title", text);
    while (this.bar.children.length > venues.length) this.bar.lastChild.remove();
    for (const [at, [venue, part]] of venues.entries()) {
      const piece = this.bar.children[at] ?? this.bar.appendChild(element("i"));
      piece.dataset.colour = colour(venue);
      piece.style.inlineSize = `${(ratio(part, largest) * 100).toFixed(2)}%`;
    }
  }
}

function averages({ size, buy_average: buy, sell_average: sell }) {
  if (buy === null && sell === null) return `${size}: the book does not hold this size`;
  const side = (name, price) => (price === null ? `${name} –, the book does not hold this size` : `${name} ${computed(price)}`);
  return `${size}: ${side("buy", buy)}, ${side("sell", sell)}`;
}

function spreadOf(bids, asks, quote, event) {
  if (!bids.length || !asks.length) return bids.length ? "no asks" : asks.length ? "no bids" : "empty";
  const exact = subtract(asks[0][0], bids[0][0]);
  const spread = round(exact, places(exact));
  const shape = compare(spread, "0") < 0 ? ", crossed" : compare(spread, "0") === 0 ? ", locked" : "";
  const bps = quote?.spread && compare(quote.spread, exact) === 0 ? ` · ${number(rounded(quote.spread_bps, 2))} bps` : "";
  return `spread ${spread}${bps}${shape} · ${event.levels} levels a side at most`;
}
