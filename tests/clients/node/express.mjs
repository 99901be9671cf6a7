// An Express site with the published helper of @whisperr/node: node express.mjs BASE_URL KEY
// Prints its address; at the end of standard input it stops and shuts the client down.
import express from "express";
import { createWhisperr } from "@whisperr/node";
import { whisperrExpress } from "@whisperr/node/express";

const [baseUrl, apiKey] = process.argv.slice(2);
const whisperr = createWhisperr({ apiKey, baseUrl });

// Where the common authentication middlewares leave the user.
const AUTHENTICATED = {
  passport: (request, id) => (request.user = { id }),
  jwt: (request, id) => (request.user = { sub: id }),
  clerk: (request, id) => (request.auth = { userId: id }),
  own: (request, id) => (request.userId = id),
};

const upgrade = (request, response) => {
  request.whisperr.identify({ traits: { plan: "pro" } });
  request.whisperr.track("plan_upgraded", { plan: "pro" }, { locale: "da" });
  response.json({ user: request.whisperr.userId ?? null });
};

const site = express();
site.use((request, _, next) => {
  AUTHENTICATED[request.get("X-Auth")]?.(request, request.get("X-User"));
  next();
});
site.post("/upgrade", whisperrExpress(whisperr), upgrade);
site.post("/accounts/upgrade", whisperrExpress(whisperr, { resolveUser: (request) => request.get("X-Account") }), upgrade);
site.post("/webhook", (_, response) => {
  whisperr.track("customer_of_webhook", "payment_failed", { amount_cents: 4900 });
  response.sendStatus(200);
});

const listening = site.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${listening.address().port}`));
process.stdin.resume().on("end", () => {
  listening.close(() => whisperr.shutdown());
  listening.closeAllConnections();
});
