// @ts-check
// Loaded into the server that is attacked, by NODE_OPTIONS: measures its event loop and its memory from the inside, and appends a line of
// JSON to PROBE_FILE every 50 ms. The server's own code has no hook for it.

const { appendFileSync } = require('node:fs');
const { isMainThread } = require('node:worker_threads');

const TICK_MS = 5;
const WRITE_EVERY_MS = 50;

const file = process.env.PROBE_FILE;
if (file !== undefined && isMainThread) {
  let dueAt = performance.now() + TICK_MS;
  let stallMs = 0;
  let writtenAt = 0;
  setInterval(() => {
    const now = performance.now();
    stallMs = Math.max(stallMs, now - dueAt);
    dueAt = now + TICK_MS;
    if (now - writtenAt < WRITE_EVERY_MS) return;
    const { maxRSS } = process.resourceUsage();
    appendFileSync(
      file,
      `${JSON.stringify({ at: Date.now(), stallMs, rssBytes: process.memoryUsage.rss(), peakRssBytes: maxRSS * 1024 })}\n`,
    );
    stallMs = 0;
    writtenAt = now;
  }, TICK_MS).unref();
}
