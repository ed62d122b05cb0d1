/** What is missing: gaps of the tape, and what this page did not get. The newest first; the number of them is bounded. */

import { ms } from "../state/clock.js";
import { NOTICES } from "../state/tape.js";
import { element, setText } from "./dom.js";
import { counted, timeOfDay } from "./words.js";

const SHOWN = 60;

export class Notices {
  #items = new WeakMap(); // notice → its element

  constructor(tape, { list, meta, note }) {
    Object.assign(this, { tape, list, meta, note });
    this.draw();
  }

  draw() {
    const { notices } = this.tape;
    this.list.replaceChildren(
      ...notices.slice(0, SHOWN).map((notice) => {
        if (!this.#items.has(notice)) this.#items.set(notice, itemOf(notice));
        return this.#items.get(notice);
      }),
    );
    setText(this.meta, notices.length > SHOWN ? `the newest ${SHOWN} of ${notices.length}${this.tape.dropped ? ` kept (${NOTICES} at most)` : ""}` : "");
    this.tick();
  }

  tick() {
    const { notices, contact } = this.tape;
    setText(this.note, notices.length ? "" : contact.away ? "Nothing was known to be missing then." : "Nothing is known to be missing since this page was opened.");
  }
}

function itemOf(notice) {
  const [tone, title, text] = said(notice);
  const at = timeOfDay(ms(notice.received_ts));
  return element(
    "li",
    { "data-tone": tone },
    element("time", { text: at }),
    element("b", { text: title }),
    element("span", { text }),
  );
}

function said(notice) {
  switch (notice.type) {
    case "gap": {
      const what = notice.instrument === "*" ? `${notice.venue}, all feeds` : `${notice.venue} ${notice.instrument} ${notice.kind}`;
      const many = notice.missed === null ? "number not known" : `${counted(notice.missed, "event")}`;
      const range = `${timeOfDay(ms(notice.from_ts))} to ${timeOfDay(ms(notice.to_ts))}`;
      const none = notice.nonexistent ? `, ${notice.nonexistent} of them never existed` : "";
      return notice.repaired ? ["good", "repaired", `${what}: ${many}${none}, ${range}`] : ["warn", "gap", `${what}: ${many}, ${range}, ${notice.cause}`];
    }
    case "missed": {
      const why = { slow: "the page read too slowly", trimmed: "they are not on the tape any more", resume: "too much happened while it was away" };
      const many = notice.count === null ? "events" : counted(notice.count, "event");
      return ["warn", "missed", `${many} of ${notice.topic}${notice.venue ? ` of ${notice.venue}` : ""}: ${why[notice.reason] ?? notice.reason}`];
    }
    case "bus":
      return notice.state === "away" ? ["bad", "bus away", "the gateway lost the bus: nothing is current"] : ["good", "bus back", "what happened meanwhile follows"];
    default:
      return ["bad", "error", notice.message ?? notice.code];
  }
}
