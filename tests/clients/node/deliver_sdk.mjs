// Drives sdk/js against a server: node deliver_sdk.mjs BASE_URL KEY COUNT QUEUE [FOR_EVER]
import { Client } from "../../../sdk/js/dist/esm/index.js";

const [baseUrl, key, count, queuePath, forEver] = process.argv.slice(2);
const reports = [];
const client = new Client({
  baseUrl,
  key,
  flushInterval: 0,
  batchSize: 7,
  ...(queuePath ? { queuePath } : {}),
  onError: (report) => reports.push(report),
});
for (let n = 0; n < Number(count); n++) {
  client.track("feature_used", { customerId: "cus_node", properties: { n } });
  console.log(n);
  // Lets the background send between the calls, as a server of requests does.
  await new Promise((resolve) => setImmediate(resolve));
}
if (forEver) await new Promise((resolve) => setTimeout(resolve, 600_000));
client.identify({ customerId: "cus_node", traits: { plan: "pro" } });
const remaining = await client.close();
if (remaining || reports.length) {
  console.error(JSON.stringify({ remaining, reports }));
  process.exit(1);
}
