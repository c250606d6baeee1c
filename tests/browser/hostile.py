"""What documents have tried on browsers. `ran` is what a script that runs would set."""

from __future__ import annotations

RUN = "window.ran=1"
TABLE = (
    f"<html><body><table onclick='{RUN}'><tr><td style='position:fixed;inset:0' id='app'>cell"
    f"<script>{RUN}</script><img src=x onerror='{RUN}'></td></tr></table></body></html>"
)
LINES = (
    f"<script>{RUN}</script>",
    f'"><img src=x onerror="{RUN}">',
    f"[link](javascript:{RUN})",
    "</text></svg></textarea></title><!--",
)
MARKDOWN = "\n\n".join(
    [
        "# Still readable",
        *LINES,
        TABLE,
        f"<img src=x onerror='{RUN}'>",
        f"<svg onload='{RUN}'><script>{RUN}</script><use href='data:image/svg+xml,x#a'/></svg>",
        f"<math><mtext><table><mglyph><style><!--</style>"
        f"<img title='--&gt;&lt;img src=1 onerror={RUN}&gt;'>",
        f"<iframe srcdoc='<script>parent.{RUN}</script>'></iframe>",
        f"<a href='javascript:{RUN}' id='app' name='app'>go</a> [go](javascript:{RUN})",
        f"![picture](https://tracker.example/x.png) ![picture](javascript:{RUN})",
        f"![picture](data:text/html,<script>{RUN}</script>) <img src='data:image/svg+xml,<svg/>'>",
        "<div style='position:fixed;inset:0;background:red;z-index:99' class='viewer'>over</div>",
        "<style>*{display:none!important}@import url(https://tracker.example/x.css);</style>",
        "<link rel=stylesheet href=https://tracker.example/x.css><base href=https://tracker.example/>",
        "<form action=https://tracker.example><input autofocus onfocus='window.ran=1'></form>",
        f"<object data='javascript:{RUN}'></object><embed src='javascript:{RUN}'>",
        f"<details open ontoggle='{RUN}'><summary>x</summary></details>",
        "<meta http-equiv=refresh content='0;url=https://tracker.example/'>",
        "> quoted <b onmouseover='window.ran=1'>bold</b>",
    ]
)
