/** Wires the dashboard: the stream feeds the tape, the tape tells which views to draw, the user's choice decides what is followed. */

import { ApiError, enter, get, leave, rowsOf } from "./wire/api.js";
import { POLL_MS, Stream } from "./wire/stream.js";
import { ALIVE_MS } from "./state/life.js";
import { Tape } from "./state/tape.js";
import { Choice } from "./choice.js";
import { Away } from "./view/away.js";
import { Book } from "./view/book.js";
import { Chart, topicOfChart } from "./view/chart.js";
import { Frame, setText } from "./view/dom.js";
import { Edges } from "./view/edges.js";
import { Link } from "./view/link.js";
import { Notices } from "./view/notices.js";
import { Quotes } from "./view/quotes.js";
import { Theme } from "./view/theme.js";
import { Venues } from "./view/venues.js";
import { timeOfDay } from "./view/words.js";

const TICK_MS = 1000;
const LOOK_MS = 15_000; // how often new instruments are looked for
const FIRST_LOOK_MS = 2000; // while none is known, or no bars of it
const DOUBT_MS = 250; // a clock that is not known better is asked for soon
const DOUBTS = 5; // so many times
const STEP_MS = 1000; // a wall clock that jumps by more was set, or the machine slept

const at = (id) => document.getElementById(id);
const frame = new Frame();
const tape = new Tape();
const dirty = new Set(); // instruments whose quote changed

const link = new Link({ node: at("link"), state: at("link-state"), detail: at("link-detail"), announce: at("announce") });
const quotes = new Quotes(tape, { table: at("quotes"), meta: at("quotes-meta"), find: at("find"), choose: (instrument) => choice.set({ instrument }) });
const book = new Book(tape, { table: at("book"), scroll: at("book-scroll"), title: at("book-title"), meta: at("book-meta"), shares: at("book-shares"), note: at("book-note") });
const edges = new Edges(tape, { table: at("edges"), meta: at("edges-meta"), note: at("edges-note") });
const venues = new Venues(tape, { table: at("venues"), meta: at("venues-meta") });
const notices = new Notices(tape, { list: at("notices"), meta: at("notices-meta"), note: at("notices-note") });
const chart = new Chart(tape, { box: at("chart"), legend: at("chart-legend"), note: at("chart-note"), ask: () => frame.want("chart", () => chart.draw()), exists: (of) => choice.has(of) });
const away = new Away(tape, at("main"), (panel) => tape.isEmpty || (panel.matches(".chart, .book") && !choice.instrument));
new Theme(at("theme"), () => chart.paint());
const choice = new Choice({ instrument: at("chart-instrument"), timeframe: at("chart-timeframe"), source: at("chart-source"), changed: follow });

let state = ["connecting", ""];
const stream = new Stream({
  onMessage: accept,
  onState(name, detail) {
    state = [name, detail];
    if (name === "reconnecting") tape.contact.lost();
    else if (name === "live" || name === "polling") tape.contact.found();
    tape.life.aliveMs = name === "polling" ? ALIVE_MS + POLL_MS : ALIVE_MS; // a poll sees each sign of life later
    at("access").hidden = name !== "token";
    at("main").hidden = name === "token";
    if (name === "token") {
      at("leave").hidden = true; // there is no session any more
      at("token").focus();
    }
    drawLink();
  },
  onPoll: () => Promise.all([loadEdges(), chart.load(20)]),
});

function accept(message) {
  const changed = tape.apply(message);
  if (message.type === "connected") {
    loadEdges();
    chart.load();
  }
  switch (changed) {
    case "quote":
      dirty.add(message.instrument);
      frame.want("quotes", drawQuotes);
      break;
    case "depth":
      frame.want("book", () => book.draw(choice.instrument));
      break;
    case "edges":
      frame.want("edges", () => edges.draw());
      break;
    case "venues":
      frame.want("venues", () => venues.draw());
      break;
    case "notices":
      frame.want("notices", () => notices.draw());
      break;
    case "bar":
      chart.accept(message);
      break;
    case "bus":
      frame.want("notices", () => notices.draw());
      frame.want("tick", tick);
      drawLink();
      break;
    default:
  }
}

function drawQuotes() {
  quotes.draw(dirty);
  dirty.clear();
}

function drawLink() {
  link.draw(...state, tape.contact.busAwaySince !== null);
}

/** Follow what is chosen: one stream with all topics. */
function follow() {
  const { instrument } = choice;
  tape.keepDepth(instrument);
  quotes.select(instrument);
  frame.want("book", () => book.draw(choice.instrument));
  const topics = ["cbbo:*", "venue:*", "status:*", "gap:*", "edge:*"];
  if (instrument) {
    topics.push(`depth:${instrument}`, topicOfChart(choice));
    setText(at("chart-title"), `Candles ${instrument}, ${choice.sourceInWords}`);
    chart.choose({ instrument, timeframe: choice.timeframe, source: choice.source });
  }
  stream.follow(topics);
}

/** Returns the answer of a request, and learns from it what the gateway's clock says. */
async function ask(path) {
  const askedMs = tape.clock.read();
  const answer = await get(path);
  if (answer.ts !== undefined) tape.clock.learn(answer.ts, askedMs);
  return answer;
}

async function loadEdges() {
  const known = [...tape.edges.keys()];
  try {
    const answer = await ask("api/edges");
    tape.setEdges(rowsOf(answer), answer.more ? [] : known);
    frame.want("edges", () => edges.draw());
  } catch (error) {
    if (!(error instanceof ApiError)) throw error; // the stream shows the same trouble
  }
}

/** Look which instruments there are. Returns whether a token is missing. */
async function look() {
  try {
    choice.learn(rowsOf(await ask("api/instruments")));
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return error.status === 401;
  }
  return false;
}

/** Draw what time alone changes. */
function tick() {
  if (tape.tidy()) frame.want("edges", () => edges.draw());
  for (const view of [quotes, book, edges, venues, notices, chart, away]) view.tick();
  setText(at("clock"), tape.clock.known ? timeOfDay(tape.clock.now()) : "--:--:--");
  setText(at("version"), tape.version ? `crosstape ${tape.version}` : "");
}

let [wallMs, steadyMs] = [Date.now(), performance.now()];
setInterval(() => {
  const [wall, steady] = [Date.now(), performance.now()];
  if (Math.abs(wall - wallMs - (steady - steadyMs)) > STEP_MS) loadEdges(); // its answer has the gateway's time
  [wallMs, steadyMs] = [wall, steady];
  frame.want("tick", tick);
  lookNow();
}, TICK_MS);

let lookedMs = -Infinity;
let doubts = DOUBTS;
async function lookNow() {
  const none = !choice.instrument;
  const doubtful = tape.clock.doubtMs > DOUBT_MS && doubts > 0; // the page was busy when the answers came: ask once more
  const soon = none || chart.missing || doubtful;
  if (state[0] !== "live" || document.hidden || performance.now() - lookedMs < (soon ? FIRST_LOOK_MS : LOOK_MS)) return;
  lookedMs = performance.now();
  if (doubtful) doubts -= 1;
  await look();
  if (none && choice.instrument) follow();
  else if (chart.missing) chart.load();
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  stream.hurry();
  frame.want("tick", tick);
});
window.addEventListener("online", () => stream.hurry());
window.addEventListener("pagehide", () => stream.close());
window.addEventListener("pageshow", ({ persisted }) => persisted && follow());
window.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.closest("input, select, textarea")) return;
  event.preventDefault();
  at("find").focus();
});

at("access").addEventListener("submit", async (event) => {
  event.preventDefault();
  const field = at("token");
  setText(at("access-error"), "");
  try {
    await enter(field.value);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    setText(at("access-error"), error.status === 401 ? "This token is not valid." : `The gateway did not accept it: ${error.message}.`);
    field.select();
    return;
  }
  field.value = "";
  start();
});
at("leave").addEventListener("click", async () => {
  await leave().catch(() => {});
  location.reload();
});

async function start() {
  if (await look()) {
    stream.close();
    stream.onState("token", "");
    return;
  }
  follow();
  const session = await get("api/session").catch(() => ({}));
  at("leave").hidden = !session.name;
}

globalThis.crosstape = { tape, chart, stream }; // for tests and the curious
start();
