// The published @whisperr/node while its server is of no help: node interrupted.mjs BASE_URL KEY COUNT
// Tracks COUNT events and flushes at once and at each line of standard input; after each flush it prints
// the types of the errors that it has reported so far. At the end of the input it shuts down.
import { createInterface } from "node:readline";
import { createWhisperr } from "@whisperr/node";

const [baseUrl, apiKey, count] = process.argv.slice(2);
const errors = [];
const whisperr = createWhisperr({
  apiKey,
  baseUrl,
  maxRetries: 0,
  flushAt: Infinity,
  flushIntervalMs: 0,
  onError: (error) => errors.push(error.type),
});
const flush = async () => {
  await whisperr.flush();
  console.log(JSON.stringify(errors));
};
for (let n = 0; n < Number(count); n++) whisperr.track("user_node", "feature_used", { n });
await flush();
for await (const _ of createInterface({ input: process.stdin })) await flush();
await whisperr.shutdown();
