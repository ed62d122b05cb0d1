/**
 * The connection indicator: what state the page's connection is in, in words. A change is read out once it has lasted for a moment, so that a
 * short break does not interrupt the reader.
 */

import { setText } from "./dom.js";

const SETTLED_MS = 1500;

const WORDS = {
  connecting: ["connecting", ""],
  live: ["live", ""],
  reconnecting: ["reconnecting", ""],
  polling: ["polling", ""],
  token: ["no token", "this gateway asks for one"],
  away: ["bus away", "the gateway has lost the bus; nothing is current"],
};

export class Link {
  constructor({ node, state, detail, announce }) {
    Object.assign(this, { node, state, detail, announce, shown: "", said: "live" });
  }

  /** Show a state of the stream, and whether the bus is away. */
  draw(name, detail, busAway) {
    const shown = busAway && (name === "live" || name === "polling") ? "away" : name;
    const [words, usual] = WORDS[shown];
    this.node.dataset.state = shown;
    setText(this.state, words);
    setText(this.detail, shown === "away" ? usual : detail || usual);
    if (shown === this.shown) return;
    this.shown = shown;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      if (this.said === this.shown) return;
      this.said = this.shown;
      setText(this.announce, `Connection: ${words}`);
    }, SETTLED_MS);
  }
}
