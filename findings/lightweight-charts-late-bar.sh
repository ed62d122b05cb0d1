#!/bin/sh
# lightweight-charts 5.2.1: a late bar written into its gap replaces the next candle.
#
# One would guess: `update(bar, true)`, documented as "allows updating an existing data point that is not the latest bar", puts a bar at the time where
#   `setData` was given whitespace (`{ time }`, the documented form of "no trade in this minute"), and touches no other time. For a time that the chart
#   does not know it throws ("Cannot update non-existing data point"), so where it does not throw, the bar has found its place.
# What is true: whitespace has no row in the series. The bar goes over the first row at or after its time: the candle after the gap is gone, from
#   `data()` and from the chart. There is no error, in the development build neither. Sending the lost candle once more overwrites the one after it.
#   Whitespace written to the gap a second time deletes the next candle. A bar for a time that only another series of the chart has does the same.
# Why market-data people care: a late bar is an everyday thing: a minute comes from the backfill after a reconnect, or a bar builder fills an empty
#   one. The chart then shows the bar that was missing and lacks one that was right. Right: keep the bars in an array of one's own and call `setData`
#   when an older time gets its first bar; `update(bar, true)` only for a time that has a bar.
# Seen 2026-11-30, Node.js 20, playwright-core 1.65.1, Chromium 156: bars 0, 2, 3 become 0, 1, 3. The exit code is 0 while that is so.
# Needs npm and a Chromium: the command `chromium`, or the one that the variable CHROMIUM names. Without it nothing is checked, and the exit code is 0.
set -eu
browser=$(command -v "${CHROMIUM:-chromium}" || command -v chromium-browser || command -v google-chrome || true)
if [ -z "$browser" ]; then
    echo "skipped: no Chromium found (set CHROMIUM to its path); nothing was checked"
    exit 0
fi
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
npm install --prefix "$place" --silent --no-audit --no-fund lightweight-charts@5.2.1 playwright-core@1.65.1
cat > "$place/probe.cjs" <<'JS'
const assert = require("node:assert/strict");
const path = require("node:path");
const { chromium } = require("playwright-core");

function inPage() {
  const { createChart, CandlestickSeries, LineSeries } = LightweightCharts;
  const START = 1764460800;
  const time = (minute) => START + 60 * minute;
  const gap = (minute) => ({ time: time(minute) });
  const bar = (minute) => ({ time: time(minute), open: 100, high: 101 + minute, low: 99, close: 100 + minute });
  const minutes = (series) => series.data().map((item) => (item.time - START) / 60).join(" ");
  const errors = [];
  const candles = (data, others = []) => {
    const chart = createChart(document.body.appendChild(document.createElement("div")), { width: 300, height: 200 });
    if (others.length) chart.addSeries(LineSeries).setData(others);
    const series = chart.addSeries(CandlestickSeries);
    series.setData(data);
    return series;
  };
  const late = (series, item) => {
    try {
      series.update(item, true);
    } catch (error) {
      errors.push(error.message);
    }
    return minutes(series);
  };

  const seen = {};
  const gapped = [bar(0), gap(1), bar(2), bar(3)];
  const series = candles(gapped);
  seen.before = minutes(series);
  seen.late = late(series, bar(1));
  seen.resent = late(series, bar(2));
  seen.corrected = late(candles([bar(0), bar(1), bar(2), bar(3)]), bar(1));
  seen.whitespace = late(candles(gapped), gap(1));
  seen.other = late(candles([bar(0), bar(2), bar(3)], [0, 1, 2, 3].map(gap)), bar(1));
  seen.whole = minutes(candles([bar(0), bar(1), bar(2), bar(3)]));
  seen.errors = [...errors];
  seen.unknown = late(candles([bar(0), bar(2), bar(3)]), bar(1));
  seen.refused = errors.at(-1);
  return seen;
}

async function main() {
  const browser = await chromium.launch({ executablePath: process.argv[2], args: ["--no-sandbox"] });
  try {
    for (const build of ["production", "development"]) {
      const page = await browser.newPage();
      await page.addScriptTag({ path: path.join(__dirname, `node_modules/lightweight-charts/dist/lightweight-charts.standalone.${build}.js`) });
      const seen = await page.evaluate(inPage);
      console.log(`${build} build, minutes that have a candle:`);
      console.log(`  0 2 3, whitespace at 1: ${seen.before} | bar 1 comes late: ${seen.late} | bar 2 again: ${seen.resent}`);
      console.log(`  whitespace written again: ${seen.whitespace} | time 1 known from another series only: ${seen.other}`);
      console.log(`  a bar corrected: ${seen.corrected} | setData of all: ${seen.whole} | a time unknown to the chart: ${seen.refused}`);
      assert.deepEqual(seen, {
        before: "0 2 3",
        late: "0 1 3",
        resent: "0 1 2",
        corrected: "0 1 2 3",
        whitespace: "0 3",
        other: "0 1 3",
        whole: "0 1 2 3",
        errors: [],
        unknown: "0 2 3",
        refused: "Cannot update non-existing data point when historicalUpdate is true",
      });
    }
  } finally {
    await browser.close();
  }
}

main();
JS
node "$place/probe.cjs" "$browser"
