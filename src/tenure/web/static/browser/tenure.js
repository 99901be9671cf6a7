// window.tenure: events and attributes of the people who use a page. Its types: tenure.d.ts.

const USER = 'tenure.user';
const ANONYMOUS = 'tenure.anonymous';
const METHODS = ['init', 'track', 'identify', 'page', 'reset', 'flush', 'optIn', 'optOut'];

function startTenure() {
  const script = /** @type {HTMLScriptElement | null} */ (document.currentScript);
  /** @type {any} the stub of the page's own snippet, when it has one */
  const before = window.tenure;
  if (before && before.dropped >= 0) return; // the script is on the page twice
  /** @type {[string, ArrayLike<any>][]} */
  const calls = before && Array.isArray(before.q) ? before.q : [];

  let key = '';
  let base = script ? script.src : '';
  let url = '';
  let refused = false;

  const queue = makeQueue(
    'tenure.event.',
    100,
    (events) => ({ url, headers: { 'X-API-Key': key }, body: { events } }),
    (status, answer) => Boolean(answer && answer.error === 'wrong_auth_hash'),
    lose
  );

  /** @param {number} count @param {string} why @param {any} [detail] */
  function lose(count, why, detail) {
    api.dropped += count;
    console.warn('Tenure: ' + count + ' dropped: ' + why, detail || '');
  }

  /** Who the visitor is, as identify() said on this or an earlier page. */
  function user() {
    try {
      return JSON.parse(store.get(USER) || '{}');
    } catch (error) {
      return {};
    }
  }

  function anonymousId() {
    if (store.get(ANONYMOUS) === null) store.set(ANONYMOUS, uuid());
    return store.get(ANONYMOUS);
  }

  /** @param {object} fields */
  function add(fields) {
    const now = new Date().toISOString();
    queue.add(
      Object.assign({ message_id: uuid(), occurred_at: now, anonymous_id: anonymousId() }, user(), fields)
    );
  }

  const silent = () => refused || optedOut();

  /** @param {TenureOptions} options */
  function init(options) {
    refused = !options || typeof options.key !== 'string' || /^(sk|rk)_|^$/.test(options.key);
    if (options && options.baseUrl) base = options.baseUrl.replace(/\/*$/, '/');
    if (refused || !base) {
      queue.pause();
      console.error('Tenure: needs a publishable key and a base URL. A secret or read key must never be in a page.');
      return;
    }
    url = new URL('v1/ingest', base).href;
    key = options.key;
    queue.resume();
  }

  /** @param {string} event @param {object} [properties] */
  function track(event, properties) {
    if (silent()) return;
    if (!event || typeof event !== 'string') return lose(1, 'track() needs the name of an event');
    add({ event, properties: properties || {} });
  }

  /** @param {string | number} uid @param {object} [traits] @param {TenureIdentity} [identity] */
  function identify(uid, traits, identity) {
    if (silent()) return;
    if ((!uid || typeof uid !== 'string') && typeof uid !== 'number') return lose(1, 'identify() needs a user id');
    const { customerId, email, authHash } = identity || /** @type {TenureIdentity} */ ({});
    const known = user().uid;
    // An anonymous id of two people would make them one.
    if (known !== undefined && known !== uid) reset();
    store.set(USER, JSON.stringify({ uid, customer_id: customerId, email, auth_hash: authHash }));
    if (traits && Object.keys(traits).length) add({ traits });
    if (key) queue.resume();
  }

  /** @param {string} [name] @param {object} [properties] */
  function page(name, properties) {
    // Query and fragment are left out: they hold secrets.
    const seen = {
      name,
      host: location.host,
      path: location.pathname,
      title: document.title,
      referrer: document.referrer.split(/[?#]/)[0],
    };
    track('page_viewed', Object.assign(seen, properties));
  }

  function reset() {
    store.remove(USER);
    store.remove(ANONYMOUS);
  }

  function optOut() {
    store.names('tenure.').forEach(store.remove);
    store.set(OPTED_OUT, '1');
  }

  function optIn() {
    store.remove(OPTED_OUT);
  }

  /** @type {any} */
  const methods = { init, track, identify, page, reset, flush: queue.flush, optIn, optOut };
  /** @type {any} the same object as the stub, so that whoever holds that one holds this */
  const api = Object.assign(calls === (before && before.q) ? before : {}, { dropped: 0 });
  METHODS.forEach((name) => (api[name] = guarded(methods[name], lose)));
  /** @param {[string, ArrayLike<any>]} call */
  const replay = ([name, given]) => METHODS.includes(name) && api[name](...Array.from(given));
  api.q = { push: replay };
  window.tenure = api;

  const given = script && script.getAttribute('data-key');
  if (given) api.init({ key: given });
  calls.forEach(guarded(replay, lose));
}

startTenure();
