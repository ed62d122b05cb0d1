/** Venues by state, with their sign of life; below each, its feeds that are not live. */

import { CONSOLIDATED } from "../state/life.js";
import { element, setAttribute, setText } from "./dom.js";
import { NOTHING, counted, span, stateMark } from "./words.js";

const FEEDS_SHOWN = 12;
const HEAD = [
  ["name", "Venue"],
  ["state", "State"],
  ["number", "Sign of life"],
  ["feeds", "Feeds"],
  ["number offset", "Clock"],
];

export class Venues {
  #rows = new Map();

  constructor(tape, { table, meta }) {
    Object.assign(this, { tape, table, meta });
    const head = HEAD.map(([type, text]) => element("th", { scope: "col", class: type, text }));
    head[4].title = "Our clock minus the venue's, with the shortest way of a message";
    this.body = element("tbody");
    table.append(element("thead", {}, element("tr", {}, ...head)), this.body);
  }

  draw() {
    const feeds = Map.groupBy ? Map.groupBy(this.tape.feeds.values(), (status) => status.venue) : grouped(this.tape.feeds.values());
    const names = [...new Set([...this.tape.venues.keys(), ...feeds.keys()])].sort((a, b) => (a === CONSOLIDATED) - (b === CONSOLIDATED) || (a < b ? -1 : 1));
    for (const [at, name] of names.entries()) {
      if (!this.#rows.has(name)) this.#rows.set(name, new VenueRow(name));
      const row = this.#rows.get(name);
      row.draw(this.tape, feeds.get(name) ?? []);
      const before = at ? this.#rows.get(names[at - 1]).last() : null;
      if (!row.node.isConnected || row.node.previousElementSibling !== before) (before ? before.after(row.node) : this.body.prepend(row.node));
      row.placeFeeds();
    }
    this.tick();
  }

  tick() {
    let alive = 0;
    let [all, awaited] = [0, 0];
    for (const row of this.#rows.values()) {
      const state = row.tick(this.tape);
      if (row.name === CONSOLIDATED) continue;
      all += 1;
      alive += state === "alive";
      awaited += state === "awaited";
    }
    setText(this.meta, this.#summary(alive, awaited, all));
  }

  #summary(alive, awaited, all) {
    if (this.tape.contact.away) return all ? counted(all, "venue") : "";
    if (!all) return "No venue has said anything yet";
    if (awaited === all) return `${counted(all, "venue")}, signs of life awaited`;
    return `${alive} of ${counted(all, "venue")} alive${awaited ? `, ${awaited} awaited` : ""}`;
  }
}

class VenueRow {
  constructor(name) {
    this.name = name;
    this.cells = HEAD.map(([type], at) => element(at ? "td" : "th", at ? { class: type } : { class: type, scope: "row" }));
    this.node = element("tr", { class: "venue" }, ...this.cells);
    this.feedRows = [];
    setText(this.cells[0], name === CONSOLIDATED ? "aggregator" : name);
  }

  last() {
    return this.feedRows.at(-1) ?? this.node;
  }

  draw(tape, feeds) {
    this.status = tape.venues.get(this.name) ?? null;
    const live = feeds.filter((status) => status.state === "live").length;
    const others = feeds.filter((status) => status.state !== "live").reverse();
    setText(this.cells[3], feeds.length ? (others.length ? `${live} of ${feeds.length} live` : `${feeds.length} live`) : NOTHING);
    const offset = this.status?.clock_offset_ns;
    setText(this.cells[4], offset === null || offset === undefined ? NOTHING : milliseconds(offset));
    const texts = others.slice(0, FEEDS_SHOWN).map((status) => [status.state, `${status.instrument} ${status.kind}`, status.reason]);
    if (others.length > FEEDS_SHOWN) texts.push(["", `${others.length - FEEDS_SHOWN} more feeds are not live`, ""]);
    while (this.feedRows.length < texts.length) {
      const cells = [element("td", { class: "name" }), element("td", { class: "state" }), element("td", { class: "reason", colspan: "3" })];
      this.feedRows.push(element("tr", { class: "feed" }, ...cells));
    }
    for (const row of this.feedRows.splice(texts.length)) row.remove();
    for (const [at, [state, feed, reason]] of texts.entries()) {
      const [name, own, why] = this.feedRows[at].children;
      const [mark, tone] = stateMark(state);
      setText(name, feed);
      setText(own, state ? `${mark} ${state}` : "");
      own.dataset.tone = tone;
      setText(why, reason);
    }
  }

  placeFeeds() {
    let before = this.node;
    for (const row of this.feedRows) {
      if (row.previousElementSibling !== before) before.after(row);
      before = row;
    }
  }

  /** Draw whether the venue is alive. Returns "alive", "silent", "awaited" (it had no time to say so yet), or "away": nobody can know. */
  tick(tape) {
    const now = tape.clock.read();
    const given = tape.life.givenMs(this.name);
    const said = this.status?.state ?? "connecting";
    const found = tape.contact.away
      ? "away"
      : tape.life.isAlive(this.name, now)
        ? "alive"
        : said === "down" || tape.contact.knowsSilent(given)
          ? "silent"
          : "awaited";
    const state = found === "silent" && said !== "down" ? "silent" : found === "awaited" ? "awaited" : said;
    const [mark, tone] = stateMark(state);
    const reason = this.status?.reason && state !== "live" ? `: ${this.status.reason}` : "";
    const words = { silent: "no sign of life", awaited: "sign of life awaited" };
    setText(this.cells[1], `${mark} ${words[state] ?? `${state}${reason}`}`);
    setAttribute(this.cells[1], "title", this.status?.reason || null);
    this.cells[1].dataset.tone = found === "away" ? "weak" : tone;
    setText(this.cells[2], given === null || found === "away" ? NOTHING : span(now - given));
    this.node.classList.toggle("old", found !== "alive");
    return found;
  }
}

function milliseconds(ns) {
  const text = (ns / 1e6).toFixed(1);
  return `${text === "-0.0" ? "0.0" : text.replace("-", "−")} ms`;
}

function grouped(statuses) {
  const groups = new Map();
  for (const status of statuses) groups.set(status.venue, [...(groups.get(status.venue) ?? []), status]);
  return groups;
}
