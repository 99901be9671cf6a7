/* Moves the code from the link into the form, and out of the address, where it could be copied or kept. */
'use strict';

const code = document.getElementById('f-code');
if (location.hash.length > 1) {
  code.value = decodeURIComponent(location.hash.slice(1));
  history.replaceState(null, '', location.pathname);
}
if (code.value) {
  code.closest('.field').hidden = true;
  document.getElementById('f-email').focus();
}
