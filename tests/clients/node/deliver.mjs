// The published @whisperr/node with its own defaults: node deliver.mjs BASE_URL KEY COUNT
// Identifies, tracks COUNT events and shuts down; prints the errors that it reported.
import { createWhisperr } from "@whisperr/node";

const [baseUrl, apiKey, count] = process.argv.slice(2);
const errors = [];
const whisperr = createWhisperr({ apiKey, baseUrl, onError: (error) => errors.push(error) });
whisperr.identify("user_node", { email: "node@example.com", traits: { plan: "pro" }, preferredChannel: "email" });
for (let n = 0; n < Number(count); n++) whisperr.track("user_node", "feature_used", { n }, { locale: "da" });
await whisperr.shutdown();
console.log(JSON.stringify(errors));
