import assert from "node:assert/strict";
import { test } from "node:test";
import { Topic, type Kind } from "../src/topics.js";

test("a topic is written as the gateway reads it", () => {
  assert.equal(String(new Topic("cbbo", "BTC-USDT")), "cbbo:BTC-USDT");
  assert.equal(String(new Topic("bar:1m", "*", "consolidated")), "bar:1m:*@consolidated");
  assert.equal(String(new Topic("venue", "kraken")), "venue:kraken");
  assert.equal(String(new Topic("cbbo", "BTC/USDT:USDT")), "cbbo:BTC/USDT:USDT");
  assert.equal(String(new Topic("bar:1m", "BTC/USDT:USDT-261225", "okx")), "bar:1m:BTC/USDT:USDT-261225@okx");
  for (const text of ["cbbo:BTC-USDT", "bar:1m:*@consolidated", "venue:kraken"]) assert.equal(String(Topic.of(text)), text);
});

test("what is no topic is refused where it is written, and the message says why", () => {
  const refused = (kind: string, instrument: string, venue?: string): string => {
    try {
      new Topic(kind as Kind, instrument, venue);
    } catch (error) {
      assert.ok(error instanceof TypeError);
      return error.message;
    }
    return "";
  };

  assert.match(refused("cbo", "BTC-USDT"), /no kind "cbo"/);
  assert.match(refused("bar", "BTC-USDT"), /bar:1m/);
  assert.match(refused("toString", "BTC-USDT"), /no kind/);
  assert.match(refused("cbbo", ""), /no topic/);
  assert.match(refused("cbbo", "BTC-USDT,ETH-USDT"), /no topic/);
  assert.match(refused("cbbo", "1m:BTC-USDT"), /no topic/);
  assert.match(refused("cbbo", "X".repeat(200)), /no topic/);
  assert.match(refused("venue", "kraken", "kraken"), /second part/);
});

test("a report concerns the topics that include what is missing", () => {
  const topic = new Topic("trade", "BTC-USDT", "kraken");

  assert.ok(topic.concerns("trade:BTC-USDT", "kraken"));
  assert.ok(topic.concerns("trade:BTC-USDT", ""));
  assert.ok(topic.concerns("trade:*", "kraken"));
  assert.ok(!topic.concerns("trade:BTC-USDT", "binance"));
  assert.ok(!topic.concerns("trade:BTC-USDT@binance", ""));
  assert.ok(!topic.concerns("trade:ETH-USDT", "kraken"));
  assert.ok(new Topic("bar:1m", "*").concerns("bar:1m:BTC-USDT", "consolidated"));
});
