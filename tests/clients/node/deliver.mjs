// Drives the published @whisperr/node against a server: node deliver.mjs BASE_URL KEY COUNT
import { createWhisperr } from "@whisperr/node";

const [baseUrl, apiKey, count] = process.argv.slice(2);
const errors = [];
const whisperr = createWhisperr({ apiKey, baseUrl, onError: (error) => errors.push(error) });
whisperr.identify("user_node", { email: "node@example.com", traits: { plan: "pro" } });
for (let n = 0; n < Number(count); n++) whisperr.track("user_node", "feature_used", { n });
await whisperr.shutdown();
if (errors.length) {
  console.error(JSON.stringify(errors));
  process.exit(1);
}
