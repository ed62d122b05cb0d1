/** One leg of a consolidated quote: a venue's part, in the columns of the quote above it. */

import { element, setAttribute, setNumber, setText } from "./dom.js";
import { NOTHING, number, priceText, sourceOf, span, stateMark, whyExcluded, whySilent } from "./words.js";

export class LegRow {
  constructor(instrument, windows) {
    const cell = (type, role = "gridcell") => element("td", { role, class: type });
    this.cells = {
      name: cell("name", "rowheader"),
      bidAt: cell("at bid-at"),
      bidSize: cell("number size bid-size"),
      bid: cell("number price bid"),
      ask: cell("number price ask"),
      askSize: cell("number size ask-size"),
      askAt: cell("at ask-at"),
      bps: cell("number bps"),
      state: cell("state"),
    };
    this.age = cell("number age");
    const blanks = Array.from({ length: windows }, () => cell("number vwap"));
    this.node = element("tr", { role: "row", tabindex: "-1", "aria-level": "2", class: "leg" }, ...Object.values(this.cells), this.age, ...blanks);
    this.node.dataset.of = instrument;
    this.leg = null;
  }

  draw(leg, quote, places) {
    this.leg = leg;
    this.event = { type: leg.kind, venue: leg.venue, epoch: leg.epoch };
    const { cells } = this;
    setText(cells.name, sourceOf(leg));
    setNumber(cells.bidSize, number(leg.bid_size), places.size);
    setNumber(cells.bid, priceText(leg.bid_price, quote.instrument), places.price);
    setNumber(cells.ask, priceText(leg.ask_price, quote.instrument), places.price);
    setAttribute(cells.bid, "title", leg.bid_price);
    setAttribute(cells.ask, "title", leg.ask_price);
    setNumber(cells.askSize, number(leg.ask_size), places.size);
    const counts = leg.excluded === null;
    const best = (price, top) => counts && price !== null && price === top;
    const bestBid = best(leg.bid_price, quote.bid_price) || (counts && quote.bid_venues.includes(leg.venue) && !leg.instrument);
    const bestAsk = best(leg.ask_price, quote.ask_price) || (counts && quote.ask_venues.includes(leg.venue) && !leg.instrument);
    cells.bid.classList.toggle("best", bestBid);
    cells.ask.classList.toggle("best", bestAsk);
    this.best = [bestBid, bestAsk];
  }

  /** Draw the age, and whether the venue is alive. `current`: whether the quote is. */
  tick(tape, current) {
    const { leg, cells } = this;
    const alive = leg.epoch === 0n || tape.life.isCurrent(this.event, tape.clock.read());
    const why = alive ? (leg.excluded === null ? leg.state : whyExcluded(leg)) : whySilent(tape, leg.venue);
    const [mark, tone] = leg.excluded === null && alive ? stateMark(leg.state) : alive ? ["×", "warn"] : stateMark("silent");
    const counts = leg.excluded === null && alive && current;
    this.node.classList.toggle("out", !counts);
    setText(cells.bidAt, counts && this.best[0] ? "best bid" : "");
    setText(cells.askAt, counts && this.best[1] ? "best ask" : "");
    setText(cells.state, current ? `${mark} ${why}` : NOTHING);
    setAttribute(cells.state, "title", leg.excluded === null ? null : `Does not count: ${leg.excluded}; its feed is ${leg.state}`);
    cells.state.dataset.tone = current ? tone : "weak";
    setText(this.age, leg.quote_ts === null ? NOTHING : span(tape.clock.ageMs(leg.quote_ts)));
  }
}
