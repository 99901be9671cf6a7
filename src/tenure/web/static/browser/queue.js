// What tenure.js and churnkey.js share: events that wait in localStorage and go out over fetch.
//
// Each event is an entry of its own, so that tabs need no agreement: adding and removing are atomic, a tab that dies
// leaves its events to whichever page comes next, and one that two tabs send at once is one event to the server, which
// knows it by its message id. tenure.web.scripts joins this file and each script into one function.

const MAX_ENTRIES = 1000;
const MAX_CHARACTERS = 1000000;
// Browsers let 64 KiB be under way with keepalive; the rest is left to what goes around the entries.
const MAX_BODY_BYTES = 60000;
const BATCH_DELAY_MS = 1000;
const TIMEOUT_MS = 30000;
const MAX_BACKOFF_S = 300;
const MAX_RETRY_AFTER_S = 3600;
const OPTED_OUT = 'tenure.off';

/**
 * What localStorage does not take (blocked, full, none) is kept for as long as the page lives.
 * @type {Map<string, string>}
 */
const memory = new Map();

/** Text by name, of this origin. Never throws. */
const store = {
  /** @param {string} name @returns {string | null} */
  get(name) {
    if (memory.has(name)) return /** @type {string} */ (memory.get(name));
    try {
      return localStorage.getItem(name);
    } catch (error) {
      return null;
    }
  },

  /** @param {string} name @param {string} text */
  set(name, text) {
    // First, so that a value which does not fit never leaves the old one to other tabs.
    store.remove(name);
    try {
      localStorage.setItem(name, text);
    } catch (error) {
      memory.set(name, text);
    }
  },

  /** @param {string} name */
  remove(name) {
    memory.delete(name);
    try {
      localStorage.removeItem(name);
    } catch (error) {
      // Then it was never there.
    }
  },

  /** @param {string} prefix @returns {string[]} in order */
  names(prefix) {
    let names = Array.from(memory.keys());
    try {
      names = names.concat(Object.keys(localStorage));
    } catch (error) {
      // Then there is the memory alone.
    }
    return names.filter((name) => name.startsWith(prefix)).sort();
  },
};

const optedOut = () => store.get(OPTED_OUT) !== null;

/** A random UUID; crypto.randomUUID is not there on plain http. */
function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 15) | 64;
  bytes[8] = (bytes[8] & 63) | 128;
  const hex = Array.from(bytes, (byte) => (byte + 256).toString(16).slice(1)).join('');
  return hex.replace(/(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

/** @param {number} ms @returns {AbortSignal} */
function timeout(ms) {
  const controller = new AbortController();
  setTimeout(() => controller.abort(), ms);
  return controller.signal;
}

/** @param {string} text */
const byteLength = (text) => new TextEncoder().encode(text).length;

/**
 * A function that never throws into the page.
 * @template {(...given: any[]) => any} F
 * @param {F} work
 * @param {Lose} lose
 * @returns {F}
 */
function guarded(work, lose) {
  /** @param {any[]} given */
  const safe = (...given) => {
    try {
      return work(...given);
    } catch (error) {
      lose(1, 'it cannot be sent', error);
    }
  };
  return /** @type {F} */ (safe);
}

/**
 * @typedef {{ name: string, bytes: number, value: any }} Entry
 * @typedef {{ error?: string, message?: string, results?: any[] } | null} Answer
 * @typedef {(count: number, why: string, detail?: any) => void} Lose told of events that are given up
 *
 * @param {string} prefix of the names of its entries
 * @param {number} most entries in one request
 * @param {(values: any[]) => { url: string, headers: Object<string, string>, body: any }} request
 * @param {(status: number, answer: Answer) => boolean} hopeless whether a 401 is about these events and no others
 * @param {Lose} lose
 */
function makeQueue(prefix, most, request, hopeless, lose) {
  /** @type {Map<string, number>} names and bytes of what is under way from this page */
  const flying = new Map();
  let paused = true;
  let failures = 0;
  let retryAt = 0;
  let timer = 0;
  let added = 0;
  /** @type {Promise<any>} */
  let last = Promise.resolve();

  function names() {
    const found = store.names(prefix);
    if (!optedOut()) return found;
    found.forEach(store.remove);
    return [];
  }

  /** @param {any} value */
  function add(value) {
    const text = JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? String(part) : part));
    const bytes = byteLength(text);
    if (bytes > MAX_BODY_BYTES) return lose(1, 'it is over ' + MAX_BODY_BYTES + ' bytes');
    // Time, then the order within the page: both of fixed width, so that names sort as events came.
    store.set(prefix + Date.now().toString(36) + (1e9 + added++).toString(36) + uuid(), text);
    trim();
    schedule(BATCH_DELAY_MS);
  }

  function trim() {
    const found = names();
    let characters = 0;
    let kept = 0;
    while (kept < found.length && kept < MAX_ENTRIES) {
      characters += (store.get(found[found.length - 1 - kept]) || '').length;
      if (characters > MAX_CHARACTERS) break;
      kept++;
    }
    const dropped = found.slice(0, found.length - kept);
    dropped.forEach(store.remove);
    if (dropped.length) lose(dropped.length, 'too many wait to be sent; the oldest went');
  }

  /** The oldest entries that are not under way and fit into one request. @returns {Entry[]} */
  function take() {
    const entries = [];
    let room = MAX_BODY_BYTES;
    flying.forEach((bytes) => (room -= bytes));
    for (const name of names()) {
      const text = store.get(name);
      if (flying.has(name) || text === null) continue;
      const bytes = byteLength(text);
      room -= bytes;
      if (room < 0 || entries.length === most) break;
      try {
        entries.push({ name, bytes, value: JSON.parse(text) });
      } catch (error) {
        store.remove(name);
      }
    }
    return entries;
  }

  const ready = () => !paused && performance.now() >= retryAt;

  /** @param {Entry[]} entries @returns {Promise<boolean>} whether the next may be sent */
  async function post(entries) {
    entries.forEach((entry) => flying.set(entry.name, entry.bytes));
    const { url, headers, body } = request(entries.map((entry) => entry.value));
    let response = null;
    /** @type {Answer} */
    let answer = null;
    try {
      response = await fetch(url, {
        method: 'POST',
        headers: Object.assign({ 'Content-Type': 'application/json' }, headers),
        body: JSON.stringify(body),
        keepalive: true,
        credentials: 'omit',
        redirect: 'error',
        signal: timeout(TIMEOUT_MS),
      });
      answer = await response.json();
    } catch (error) {
      // No answer, or not one of Tenure's.
    }
    entries.forEach((entry) => flying.delete(entry.name));
    return judge(entries, response, answer);
  }

  /** @param {Entry[]} entries @param {Response | null} response @param {Answer} answer */
  function judge(entries, response, answer) {
    const status = response ? response.status : 0;
    const why = status + ' ' + ((answer && answer.message) || '');
    const unsuitable = [401, 403, 404, 405].includes(status);
    if (status < 400 || status > 499 || [408, 425, 429].includes(status)) {
      if (!(response && response.ok && answer)) return retryLater(response);
    } else if (unsuitable && !hopeless(status, answer)) {
      paused = true;
      console.error('Tenure: not accepted, events wait for the next page: ' + why);
      return false;
    } else {
      lose(entries.length, why);
    }
    failures = 0;
    entries.forEach((entry) => store.remove(entry.name));
    /** @type {any[]} */
    const results = [].concat(/** @type {any} */ (answer && answer.results) || []);
    for (const result of results) {
      if (result.status === 'invalid') lose(1, result.code + ' ' + (result.field || ''), entries[result.index]);
    }
    return true;
  }

  /** @param {Response | null} response */
  function retryLater(response) {
    const header = (response && response.headers.get('Retry-After')) || '0';
    const seconds = isNaN(+header) ? (Date.parse(header) - Date.now()) / 1000 : +header;
    const wait = 1000 * Math.min(Math.max(seconds, 0) || 0, MAX_RETRY_AFTER_S);
    const backoff = 1000 * Math.min(2 ** failures++, MAX_BACKOFF_S) * (0.5 + Math.random() / 2);
    retryAt = performance.now() + wait;
    clearTimeout(timer);
    timer = 0;
    schedule(wait + backoff);
    return false;
  }

  /** @param {number} ms */
  function schedule(ms) {
    if (timer) return;
    timer = setTimeout(() => {
      timer = 0;
      flush();
    }, ms);
  }

  async function drain() {
    while (ready()) {
      const entries = take();
      if (!entries.length || !(await post(entries))) return;
    }
  }

  // One tab sends at a time, where the browser can say so; doubles would only be work for nothing.
  const drainAlone = () =>
    navigator.locks
      ? navigator.locks.request(prefix, { signal: timeout(TIMEOUT_MS) }, drain).catch(drain)
      : drain();

  /** Send what waits, after what is being sent. @returns {Promise<number>} how many events wait still */
  function flush() {
    last = last.then(drainAlone);
    return last.then(() => names().length);
  }

  /** Send what fits while the page goes; no lock is given to one that has gone. */
  function hurry() {
    while (ready()) {
      const entries = take();
      if (!entries.length) return;
      post(entries);
    }
  }

  /** @returns {Promise<number>} */
  function resume() {
    paused = false;
    return flush();
  }

  addEventListener('pagehide', hurry);
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'hidden') hurry();
  });
  addEventListener('pageshow', flush);
  addEventListener('online', () => {
    failures = 0;
    flush();
  });

  return { add, flush, resume, pause: () => (paused = true) };
}
