/* The live page: items that the server sends, as HTML that it has escaped, are put before those that are there. */
'use strict';

const MOST = 300;
const list = document.getElementById('live');
const state = document.getElementById('live-state');
const pause = document.getElementById('live-pause');
const held = new Map();
let source = null;
let paused = false;
let last = '';

function made(html) {
  const holder = document.createElement('template');
  holder.innerHTML = html;
  return holder.content.querySelector('li');
}

function show(item) {
  const old = item.id && document.getElementById(item.id);
  if (old) old.remove();
  list.prepend(item);
  htmx.process(item);
  while (list.children.length > MOST) list.lastElementChild.remove();
  document.getElementById('live-empty').hidden = true;
}

/* A request that is there already stays where it is, and as it is while somebody reads it. */
function take(item) {
  const old = item.id && document.getElementById(item.id);
  if (old && item.id.startsWith('r-')) {
    if (old.querySelector('details[open]')) return;
    old.replaceWith(item);
    htmx.process(item);
  } else if (!paused) {
    show(item);
  } else {
    hold(item);
  }
}

/* What comes again while it is held, as a request does whose outcome is known by then, is held once. */
function hold(item) {
  const id = item.id || Symbol('nobody can tell it from others');
  held.delete(id);
  held.set(id, item);
  if (held.size > MOST) held.delete(held.keys().next().value);
}

function tell() {
  if (paused) {
    state.textContent = `Paused. ${held.size} came meanwhile.`;
  } else if (!source || source.readyState === EventSource.CLOSED) {
    state.textContent = 'Not live: the server refused the connection. Too many live pages may be open; load this one again.';
  } else {
    state.textContent = source.readyState === EventSource.OPEN ? 'Live: what comes shows within a second.' : 'Connecting…';
  }
}

function open() {
  if (source && source.readyState !== EventSource.CLOSED) return;
  source = new EventSource(`${location.pathname.replace(/\/live$/, '')}/${list.dataset.stream}`);
  source.onopen = tell;
  source.onerror = tell;
  source.onmessage = (event) => {
    last = event.lastEventId;
    take(made(JSON.parse(event.data).html));
    tell();
  };
}

/* A page that nobody sees needs no connection: browsers allow few of them. What came meanwhile is asked for then. */
document.addEventListener('visibilitychange', () => {
  if (document.hidden) {
    source.close();
  } else {
    if (last) list.dataset.stream = list.dataset.stream.replace(/since=\d+/, `since=${last}`);
    open();
  }
});

pause.addEventListener('click', () => {
  paused = !paused;
  pause.setAttribute('aria-pressed', String(paused));
  pause.textContent = paused ? 'Go on' : 'Pause';
  if (!paused) {
    held.forEach(show);
    held.clear();
  }
  tell();
});

pause.hidden = false;
open();
tell();
