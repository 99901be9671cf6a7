"""Texts that would run as code, break out of markup or mislead a reader if a page did not escape them."""

from __future__ import annotations

CODES = ("alert(1)", "import('/pwned')", "document.title='pwned'", "fetch('/pwned')")
"""What a payload tries to run: each leaves a trace that a test can see."""

VECTORS = (
    "<script>{}</script>",
    "</script><script>{}</script>",
    "<ScRiPt >{}</sCrIpT >",
    "<script src=/pwned></script>{}",
    "<script type=module>{}</script>",
    "<img src=x onerror=\"{}\">",
    "<img/src=x/onerror={}>",
    "<svg onload=\"{}\">",
    "<svg><script>{}</script></svg>",
    "<svg><animate onbegin=\"{}\" attributeName=x dur=1s>",
    "<math><mtext></p><img src=x onerror=\"{}\"></mtext></math>",
    "<body onload=\"{}\">",
    "<iframe srcdoc=\"<script>{}</script>\"></iframe>",
    "<iframe src=\"javascript:{}\"></iframe>",
    "<a href=\"javascript:{}\" autofocus onfocus=\"{}\">x</a>",
    "javascript:{}",
    "JaVaScRiPt:{}//",
    "data:text/html,<script>{}</script>",
    "<input autofocus onfocus=\"{}\">",
    "<details open ontoggle=\"{}\">",
    "<video><source onerror=\"{}\"></video>",
    "<object data=\"javascript:{}\"></object>",
    "<embed src=\"javascript:{}\">",
    "<form action=\"javascript:{}\"><button autofocus>x</button></form>",
    "<meta http-equiv=refresh content=\"0;url=javascript:{}\">",
    "<base href=\"https://evil.example/\"><script>{}</script>",
    "<link rel=stylesheet href=\"/pwned\">{}",
    "<style>@import '/pwned';</style>{}",
    "\" onmouseover=\"{}\" x=\"",
    "' onfocus='{}' autofocus x='",
    "\"><img src=x onerror=\"{}\">",
    "'><svg/onload={}>",
    "--><script>{}</script><!--",
    "]]><script>{}</script>",
    "</textarea><script>{}</script>",
    "</title><script>{}</script>",
    "</style><script>{}</script>",
    "<div hx-get=/pwned hx-trigger=load hx-on::load=\"{}\">x</div>",
    "<div hx-on:click=\"{}\" hx-vals='js:x:{}'>x</div>",
    "<b data-hx-get=/pwned data-hx-trigger=load>{}</b>",
    "{{{{ {} }}}}",
    "{{% include '/etc/passwd' %}}{}",
    "${{{}}}",
    "{{{{7*7}}}}{}",
    "{{{{ ''.__class__.__mro__[1].__subclasses__() }}}}{}",
    "%3Cscript%3E{}%3C/script%3E",
    "&lt;script&gt;{}&lt;/script&gt;",
    "\\u003cscript\\u003e{}\\u003c/script\\u003e",
    "<\u200bscript>{}</script>",
    "\u202e<script>{}</script>\u202c",
)  # fmt: skip
"""Fifty ways in. `{}` is the code."""

PAYLOADS = [vector.format(*[code] * vector.count("{}")) for vector in VECTORS for code in CODES]
assert len(set(PAYLOADS)) == 200
