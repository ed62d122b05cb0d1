/**
 * The table of consolidated quotes: a row for each instrument and, below one that is open, a row for each venue's leg in the same columns.
 * Keyboard: arrows move between rows, right and left open and close one, Enter selects it. Only rows that changed are drawn.
 */

import { compare, places } from "../state/decimal.js";
import { element, flash, setAttribute, setNumber, setText } from "./dom.js";
import { LegRow } from "./legs.js";
import { NOTHING, computed, counted, marketMark, number, priceText, rounded, span, whyOld } from "./words.js";

const HEAD = [
  ["name", "Instrument", ""],
  ["at bid-at", "Best bid at", ""],
  ["number size bid-size", "Bid size", ""],
  ["number price bid", "Bid", ""],
  ["number price ask", "Ask", ""],
  ["number size ask-size", "Ask size", ""],
  ["at ask-at", "Best ask at", ""],
  ["number bps", "Bps", "Spread in basis points of the mid"],
  ["state", "Market", "Normal, locked, crossed, one-sided or empty; and how many legs count"],
];
const AGE = ["number age", "Age", "Since the moment for which the quote is true"];

export class Quotes {
  #rows = new Map();
  #windows = [];
  #filter = "";

  /** `choose(instrument)`: the user selected one. */
  constructor(tape, { table, meta, find, choose }) {
    Object.assign(this, { tape, table, meta, choose });
    this.head = element("thead", { role: "rowgroup" });
    this.body = element("tbody", { role: "rowgroup" });
    this.table.append(this.head, this.body);
    this.selected = "";
    this.table.addEventListener("keydown", (event) => this.#key(event));
    this.table.addEventListener("click", (event) => this.#click(event));
    find.addEventListener("input", () => {
      this.#filter = find.value.trim().toUpperCase();
      for (const row of this.#rows.values()) this.#show(row);
      this.#count();
    });
    this.#drawHead();
  }

  /** Draw the quotes of these instruments; all of them without a list. */
  draw(instruments = this.tape.quotes.keys()) {
    let added = false;
    for (const name of instruments) {
      const quote = this.tape.quotes.get(name);
      if (!quote) continue;
      this.#learnWindows(quote);
      if (!this.#rows.has(name)) {
        this.#add(name);
        added = true;
      }
      this.#rows.get(name).draw(quote);
    }
    if (added) this.#count();
  }

  /** Draw what time alone changes: ages, and whether the producers are alive. */
  tick() {
    for (const row of this.#rows.values()) row.tick();
  }

  /** Mark an instrument as selected, and open it. */
  select(name, open = true) {
    const before = this.#rows.get(this.selected);
    this.selected = name;
    if (before && before.name !== name) {
      before.setSelected(false);
      before.setOpen(false);
    }
    const row = this.#rows.get(name);
    row?.setSelected(true);
    if (open) row?.setOpen(true);
    this.#reach(row);
  }

  #add(name) {
    const row = new QuoteRow(name, this.tape, () => this.#windows);
    const after = [...this.#rows.values()].filter((one) => one.name < name).reduce((a, b) => (a && a.name > b.name ? a : b), null);
    if (after) after.last().after(row.node);
    else this.body.prepend(row.node);
    this.#rows.set(name, row);
    this.#show(row);
    if (name === this.selected) this.select(name);
    if (!this.body.querySelector('tr[tabindex="0"]')) this.#reach(row);
  }

  #show(row) {
    row.setHidden(!row.name.toUpperCase().replace(/[^A-Z0-9]/g, "").includes(this.#filter.replace(/[^A-Z0-9]/g, "")));
  }

  #count() {
    const shown = [...this.#rows.values()].filter((row) => !row.node.hidden).length;
    setText(this.meta, shown === this.#rows.size ? counted(shown, "instrument") : `${shown} of ${counted(this.#rows.size, "instrument")}`);
  }

  #learnWindows(quote) {
    const windows = Object.keys(quote.vwap);
    if (windows.every((name) => this.#windows.includes(name))) return;
    this.#windows = [...new Set([...this.#windows, ...windows])];
    this.#drawHead();
    for (const row of this.#rows.values()) row.remake();
  }

  #drawHead() {
    const vwaps = this.#windows.map((name) => ["number vwap", `VWAP ${name}`, `Volume-weighted average price, ${name}. ● complete, ○ not known to be complete`]);
    const cells = [...HEAD, AGE, ...vwaps].map(([type, text, title]) =>
      element("th", { role: "columnheader", scope: "col", class: type, text, title: title || null }),
    );
    this.head.replaceChildren(element("tr", { role: "row" }, ...cells));
  }

  #reach(row) {
    if (!row) return;
    for (const one of this.body.querySelectorAll('tr[tabindex="0"]')) one.tabIndex = -1;
    row.node.tabIndex = 0;
  }

  #key(event) {
    const node = event.target.closest("tr[tabindex]");
    if (!node || event.altKey || event.ctrlKey || event.metaKey) return;
    const rows = [...this.body.querySelectorAll("tr[tabindex]:not([hidden])")];
    const at = rows.indexOf(node);
    const own = node.dataset.instrument ? this.#rows.get(node.dataset.instrument) : null;
    const parent = this.#rows.get(node.dataset.of);
    const moves = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1, PageDown: at + 10, PageUp: at - 10 };
    if (event.key in moves) this.#focus(rows[Math.max(0, Math.min(rows.length - 1, moves[event.key]))]);
    else if (event.key === "ArrowRight" && own) own.setOpen(true);
    else if (event.key === "ArrowLeft" && own) own.setOpen(false);
    else if (event.key === "ArrowLeft" && parent) this.#focus(parent.node);
    else if ((event.key === "Enter" || event.key === " ") && (own ?? parent)) this.choose((own ?? parent).name);
    else return;
    event.preventDefault();
  }

  #focus(node) {
    for (const one of this.body.querySelectorAll('tr[tabindex="0"]')) one.tabIndex = -1;
    node.tabIndex = 0;
    node.focus();
    node.scrollIntoView({ block: "nearest" });
  }

  #click(event) {
    const node = event.target.closest("tr[tabindex]");
    if (!node) return;
    const own = this.#rows.get(node.dataset.instrument);
    if (own && (own.name === this.selected || event.target.closest(".twist"))) own.setOpen(!own.open);
    const name = node.dataset.instrument ?? node.dataset.of;
    this.#focus(node);
    if (!event.target.closest(".twist") && name !== this.selected) this.choose(name);
  }
}

class QuoteRow {
  constructor(name, tape, windows) {
    Object.assign(this, { name, tape, windows, open: false, hidden: false, quote: null, legs: [], before: {} });
    this.node = element("tr", { role: "row", tabindex: "-1", "aria-level": "1", "aria-expanded": "false", "aria-selected": "false", class: "quote" });
    this.node.dataset.instrument = name;
    this.remake();
  }

  /** Make the cells again, because there is another column. */
  remake() {
    this.cells = {};
    this.node.replaceChildren();
    const add = (key, type, role = "gridcell") => {
      this.cells[key] = element("td", { role, class: type });
      this.node.append(this.cells[key]);
    };
    add("name", "name", "rowheader");
    this.cells.name.append(element("span", { class: "twist", "aria-hidden": "true" }), element("b", { text: this.name }));
    for (const [type] of HEAD.slice(1)) add(type.split(" ").at(-1), type);
    add("age", "number age");
    for (const window of this.windows()) {
      add(`vwap ${window}`, "number vwap");
      this.cells[`vwap ${window}`].dataset.window = window;
    }
    if (this.quote) this.draw(this.quote);
    for (const leg of this.legs) leg.node.remove();
    this.legs = [];
    if (this.open) this.#drawLegs();
  }

  last() {
    return this.open && this.legs.length ? this.legs.at(-1).node : this.node;
  }

  draw(quote) {
    const before = this.quote;
    this.quote = quote;
    const { cells } = this;
    this.places = placesIn(quote, this.open);
    for (const side of ["bid", "ask"]) {
      const price = quote[`${side}_price`];
      setNumber(cells[side], priceText(price, quote.instrument), this.places.price);
      setAttribute(cells[side], "title", price);
      setNumber(cells[`${side}-size`], number(quote[`${side}_size`]), this.places.size);
      const [first = NOTHING, ...others] = quote[`${side}_venues`];
      setText(cells[`${side}-at`], others.length ? `${first} +${others.length}` : first);
      setAttribute(cells[`${side}-at`], "title", quote[`${side}_venues`].join(", "));
      const old = before?.[`${side}_price`];
      if (old && price) flash(cells[side], compare(price, old));
    }
    setText(cells.bps, rounded(quote.spread_bps, 2));
    setAttribute(cells.bps, "title", quote.spread === null ? null : `Spread ${quote.spread}; ${quote.spread_bps} bps`);
    for (const window of this.windows()) this.#drawVwap(cells[`vwap ${window}`], quote.vwap[window], window);
    if (this.open) this.#drawLegs();
    this.tick();
  }

  /** Draw the age, and whether the aggregator is alive. */
  tick() {
    const { quote, cells } = this;
    if (!quote) return;
    const current = this.tape.isCurrent(quote);
    const counting = `${quote.venues}/${quote.legs.length}`;
    this.node.classList.toggle("old", !current);
    const [text, tone] = current ? marketMark(quote.market) : [whyOld(this.tape, quote), this.tape.contact.away ? "weak" : "bad"];
    if (setText(cells.state, current ? `${text} ${counting}` : text)) {
      setAttribute(cells.state, "title", current ? `${quote.market}; ${quote.venues} of ${counted(quote.legs.length, "leg")} count` : "Not current");
    }
    cells.state.dataset.tone = tone;
    setText(cells.age, span(this.tape.clock.ageMs(quote.ts)));
    if (this.open) for (const leg of this.legs) leg.tick(this.tape, current);
  }

  setOpen(open) {
    this.open = open;
    setAttribute(this.node, "aria-expanded", String(open));
    if (!open) this.#dropLegs(0);
    if (this.quote) this.draw(this.quote);
  }

  setSelected(selected) {
    setAttribute(this.node, "aria-selected", String(selected));
  }

  setHidden(hidden) {
    this.hidden = hidden;
    this.node.hidden = hidden;
    for (const leg of this.legs) leg.node.hidden = hidden;
  }

  #drawVwap(cell, vwap, window) {
    if (!vwap || vwap.price === null) {
      setText(cell, NOTHING);
      setAttribute(cell, "title", `VWAP ${window}: nothing traded`);
      return;
    }
    const [mark, known] = vwap.complete ? ["●", "complete"] : ["○", "not known to be complete"];
    const price = computed(vwap.price);
    if (!setText(cell, `${price} ${mark}`)) return;
    setAttribute(cell, "title", `VWAP ${window} ${vwap.price}, ${known}; volume ${vwap.volume}, ${counted(vwap.trades, "trade")}`);
    setAttribute(cell, "aria-label", `${price}, ${known}`);
  }

  #drawLegs() {
    if (!this.quote) return;
    const { legs } = this.quote;
    const columns = this.windows().length;
    for (const [at, leg] of legs.entries()) {
      if (!this.legs[at]) {
        const made = new LegRow(this.name, columns);
        made.node.hidden = this.hidden;
        (this.legs.at(-1)?.node ?? this.node).after(made.node);
        this.legs.push(made);
      }
      this.legs[at].draw(leg, this.quote, this.places);
    }
    this.#dropLegs(legs.length);
  }

  #dropLegs(from) {
    for (const leg of this.legs.splice(from)) {
      if (leg.node.contains(document.activeElement)) this.node.focus();
      leg.node.remove();
    }
  }
}

/** Returns the digits after the point that are drawn of prices and sizes of a quote, and of its legs if they are shown. */
function placesIn(quote, withLegs) {
  const rows = withLegs ? [quote, ...quote.legs] : [quote];
  const most = (of) => Math.max(0, ...rows.flatMap(of).map((text) => places(text ?? "0")));
  return {
    price: most((row) => [row.bid_price, row.ask_price].map((price) => priceText(price, quote.instrument))),
    size: most((row) => [row.bid_size, row.ask_size]),
  };
}
