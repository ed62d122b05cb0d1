// A tape of a scripted gateway, for one test.

import { after, before, beforeEach } from "node:test";
import { Tape, type ConnectionState, type TapeOptions } from "../src/index.js";
import { FakeGateway } from "./fake-gateway.js";

export const TIMEOUT = { timeout: 60_000 };

/** One for the tests of a file; it begins each of them afresh. */
export const gateway = new FakeGateway();
before(() => gateway.start());
after(() => gateway.stop());
beforeEach(() => {
  gateway.streams.length = 0;
  gateway.answer = () => undefined;
  gateway.heartbeatS = undefined;
  gateway.spellings = {};
});

/** Closes the tape at the end. `body` gets the states that its connection went through, too. */
export async function withTape(
  options: Partial<TapeOptions>,
  body: (tape: Tape, states: ConnectionState[]) => Promise<void>,
): Promise<void> {
  const states: ConnectionState[] = [];
  const tape = new Tape({ url: gateway.url, mostDelayS: 0.02, onState: (state) => states.push(state), ...options });
  try {
    await body(tape, states);
  } finally {
    tape.close();
  }
}
