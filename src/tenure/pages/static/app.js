/* What every page needs of a script: the viewer's time zone and colours, dialogs, copying, and errors of htmx. */
'use strict';

const root = document.documentElement;
const YEAR = 31536000;

function keep(name, value) {
  document.cookie = `${name}=${encodeURIComponent(value)}; path=/; max-age=${YEAR}; samesite=lax`;
}

/* Times are written by the server, in the zone that this cookie names: the first page is loaded once more. */
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone && root.dataset.zone !== zone) {
  document.cookie = `tenure_zone=${zone}; path=/; max-age=${YEAR}; samesite=lax`;
  if (document.cookie.includes('tenure_zone=') && !sessionStorage.getItem('zone-tried')) {
    sessionStorage.setItem('zone-tried', zone);
    if (!document.querySelector('form[method="post"] input[type="password"]')) location.reload();
  }
}

function notify(text) {
  const notice = document.getElementById('notice');
  notice.textContent = text;
  clearTimeout(notify.timer);
  notify.timer = setTimeout(() => { notice.textContent = ''; }, 4000);
}

document.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  const menu = document.querySelector('details.menu[open]');
  if (menu && !menu.contains(event.target)) menu.open = false;
  if (!button) return;
  if ('opens' in button.dataset) document.getElementById(button.dataset.opens).showModal();
  if ('closes' in button.dataset) button.closest('dialog').close();
  if ('copies' in button.dataset) {
    navigator.clipboard.writeText(button.dataset.copies).then(
      () => notify('Copied'), () => notify('Copying was refused: select the text instead'));
  }
  if ('themeChoice' in button.dataset) {
    const choice = button.dataset.themeChoice;
    keep('tenure_theme', choice);
    if (choice) root.dataset.theme = choice; else delete root.dataset.theme;
    for (const other of document.querySelectorAll('[data-theme-choice]')) {
      other.setAttribute('aria-pressed', String(other === button));
    }
    document.dispatchEvent(new Event('tenure:theme'));
  }
});

document.addEventListener('keydown', (event) => {
  const menu = document.querySelector('details.menu[open]');
  if (event.key === 'Escape' && menu) { menu.open = false; menu.querySelector('summary').focus(); }
  const typing = event.target.closest('input, select, textarea, [contenteditable]');
  if (event.key === '/' && !typing && !event.ctrlKey && !event.metaKey) {
    const search = document.querySelector('input[type="search"]');
    if (search) { event.preventDefault(); search.focus(); search.select(); }
  }
});

/* An answer that is an error is shown where its part would be, rather than nowhere. */
document.addEventListener('htmx:beforeSwap', (event) => {
  const { xhr } = event.detail;
  if (xhr.status >= 400 && (xhr.getResponseHeader('Content-Type') || '').startsWith('text/html')) {
    event.detail.shouldSwap = true;
    event.detail.isError = false;
  }
});
document.addEventListener('htmx:sendError', () => notify('The server did not answer. Try again in a moment.'));
document.addEventListener('htmx:timeout', () => notify('The server took too long. Try again in a moment.'));
