// window.churnkey.event(): the vendor's function, in front of Tenure. Its types: tenure.d.ts.

function startChurnkey() {
  const script = /** @type {HTMLScriptElement | null} */ (document.currentScript);
  if (!script) return console.error('Tenure: churnkey.js works from a script tag of its own');
  const url = new URL('v1/api/events/browser', script.src).href;

  const queue = makeQueue(
    'tenure.churnkey.',
    1,
    ([[app, event]]) => ({ url, headers: { 'x-ck-app': app }, body: event }),
    // A wrong signature or an unknown app stays wrong however often it is sent.
    (status) => status === 401,
    lose
  );

  /** @type {Lose} */
  function lose(count, why, detail) {
    console.error('Tenure: churnkey.event: ' + count + ' dropped: ' + why, detail || '');
  }

  /** @param {ChurnkeyEvent} given */
  function event(given) {
    if (optedOut()) return;
    const { appId, event, customerId, customerEmail, subscriptionId, uid, authHash, eventData } = given;
    if (!appId || !event || !(customerId || customerEmail || subscriptionId || uid)) {
      return lose(1, 'it needs appId, event, and customerId, customerEmail, subscriptionId or uid');
    }
    const made = { messageId: uuid(), eventDate: new Date().toISOString() };
    const said = { event, customerId, customerEmail, subscriptionId, uid, authHash, eventData };
    queue.add([String(appId), Object.assign(said, made)]);
  }

  /** @type {any} the vendor's own embed may be on the page too: its members stay */
  const churnkey = window.churnkey || {};
  const earlier = churnkey.event && churnkey.event.q;
  churnkey.event = guarded(event, lose);
  window.churnkey = churnkey;
  queue.resume();
  if (Array.isArray(earlier)) earlier.forEach((given) => churnkey.event(given));
}

startChurnkey();
