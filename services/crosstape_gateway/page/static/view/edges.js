/** The edges that are open: where one buys, where one sells, before and after fees, how much, and since when. The best first. */

import { compare } from "../state/decimal.js";
import { ms } from "../state/clock.js";
import { CONSOLIDATED } from "../state/life.js";
import { edgeKey } from "../state/tape.js";
import { element, setAttribute, setNumber, setText } from "./dom.js";
import { counted, number, rounded, span, timeOfDay, whyOld } from "./words.js";

const SHOWN = 50;
const HEAD = [
  ["name", "Instrument"],
  ["buy", "Buy at"],
  ["number price ask", "Ask"],
  ["sell", "Sell at"],
  ["number price bid", "Bid"],
  ["number size", "Size"],
  ["number gross", "Gross bps"],
  ["number net", "Net bps"],
  ["number since", "Open"],
];
const NUMBERS = new Set([2, 4, 5]); // columns that have the tape's own numbers

export class Edges {
  #rows = new Map();

  constructor(tape, { table, meta, note }) {
    Object.assign(this, { tape, table, meta, note });
    const head = HEAD.map(([type, text]) => element("th", { scope: "col", class: type, text }));
    this.body = element("tbody");
    table.append(element("thead", {}, element("tr", {}, ...head)), this.body);
    this.draw();
  }

  draw() {
    const edges = [...this.tape.edges.values()].sort((a, b) => compare(b.net_bps ?? "0", a.net_bps ?? "0")).slice(0, SHOWN);
    const keys = new Set(edges.map(edgeKey));
    for (const [key, row] of this.#rows) {
      if (keys.has(key)) continue;
      row.node.remove();
      this.#rows.delete(key);
    }
    for (const [at, edge] of edges.entries()) {
      const key = edgeKey(edge);
      if (!this.#rows.has(key)) this.#rows.set(key, new EdgeRow());
      const row = this.#rows.get(key);
      row.draw(edge);
      if (this.body.children[at] !== row.node) this.body.insertBefore(row.node, this.body.children[at] ?? null);
    }
    this.table.hidden = !edges.length;
    const all = this.tape.edges.size;
    setText(this.meta, edges.length ? `${counted(all, "edge")}${all > edges.length ? `, the best ${SHOWN} shown` : ""}` : "");
    this.tick();
  }

  tick() {
    for (const row of this.#rows.values()) row.tick(this.tape);
    setText(this.note, this.#rows.size ? "" : whyNone(this.tape));
  }
}

/** Returns what it means that no edge is listed. */
function whyNone(tape) {
  const { contact, life } = tape;
  if (contact.away) return tape.edgesKnown ? "None was open then." : "It is not known which are open.";
  if (!tape.edgesKnown) return "Not known yet.";
  if (!life.isAlive(CONSOLIDATED, tape.clock.read()) && contact.knowsSilent(life.givenMs(CONSOLIDATED))) return "No aggregator is alive, so that none is looked for.";
  return "None is open: no venue sells below what another one pays after both fees. Venues whose fees are not set are not compared.";
}

class EdgeRow {
  constructor() {
    this.cells = HEAD.map(([type], at) => element(at ? "td" : "th", at ? { class: type } : { class: type, scope: "row" }));
    this.node = element("tr", {}, ...this.cells);
  }

  draw(edge) {
    this.edge = edge;
    const texts = [
      edge.instrument,
      edge.buy_venue,
      number(edge.ask_price),
      edge.sell_venue,
      number(edge.bid_price),
      number(edge.size),
      rounded(edge.gross_bps, 2),
      rounded(edge.net_bps, 2),
    ];
    for (const [at, text] of texts.entries()) (NUMBERS.has(at) ? setNumber : setText)(this.cells[at], text);
    setAttribute(this.cells[6], "title", edge.gross_bps);
    setAttribute(this.cells[7], "title", `${edge.net_bps}; fees ${edge.buy_fee_bps} and ${edge.sell_fee_bps} bps`);
    setAttribute(this.cells[8], "title", `Since ${timeOfDay(ms(edge.opened_ts))} UTC`);
  }

  tick(tape) {
    const current = tape.isCurrent(this.edge);
    this.node.classList.toggle("old", !current);
    setText(this.cells[8], current ? span(tape.clock.ageMs(this.edge.opened_ts)) : whyOld(tape, this.edge));
  }
}
