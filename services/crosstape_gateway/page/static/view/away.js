/** While no news come, every panel says of what time the things are that it shows, and all of it is dimmed. */

import { element, setText } from "./dom.js";
import { timeOfDay } from "./words.js";

export class Away {
  #lines;

  /** `isEmpty(panel)`: whether nothing is known yet of what a panel is to show. */
  constructor(tape, main, isEmpty) {
    Object.assign(this, { tape, main, isEmpty });
    this.#lines = [...main.querySelectorAll(".panel")].map((panel) => {
      const line = element("p", { class: "as-of", hidden: "" });
      panel.querySelector("h2").after(line);
      return [panel, line];
    });
  }

  tick() {
    const { away } = this.tape.contact;
    this.main.toggleAttribute("data-away", away !== null);
    for (const [panel, line] of this.#lines) {
      line.hidden = away === null;
      if (away) setText(line, words(away, this.isEmpty(panel)));
    }
  }
}

function words({ why, asOfMs }, isEmpty) {
  if (isEmpty || asOfMs === null) return `not known yet: ${why}`;
  return `as it was at ${timeOfDay(asOfMs)}: ${why}`;
}
