/** While no news come, every panel says of what time the things are that it shows, and all of it is dimmed. */

import { element, setText } from "./dom.js";
import { timeOfDay } from "./words.js";

export class Away {
  #lines;

  constructor(tape, main) {
    Object.assign(this, { tape, main });
    this.#lines = [...main.querySelectorAll(".panel > header")].map((header) => {
      const line = element("p", { class: "as-of", hidden: "" });
      header.querySelector("h2").after(line);
      return line;
    });
  }

  tick() {
    const { away } = this.tape.contact;
    this.main.toggleAttribute("data-away", away !== null);
    for (const line of this.#lines) {
      line.hidden = away === null;
      if (away) setText(line, this.#words(away));
    }
  }

  #words({ why, asOfMs }) {
    if (asOfMs === null) return `${why}, nothing is known yet`;
    const time = timeOfDay(asOfMs);
    return this.tape.isEmpty ? `${why} since ${time}, nothing is known yet` : `as it was at ${time}: ${why}`;
  }
}
