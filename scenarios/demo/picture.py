"""How the picture of the demonstration is written: an SVG that fetches nothing, in the reader's own fixed font."""

from __future__ import annotations

import re
from typing import Final

from rich.console import Console

# What rich puts the drawn terminal into. Its own frame names fonts on a server; a picture in a README fetches nothing.
_FRAME: Final = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
    font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
    font-size: {char_height}px;
    line-height: {line_height}px;
}}
.{unique_id}-title {{ font: bold 18px sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix" xml:space="preserve">
{matrix}
</g>
</g>
</svg>
"""

# rich counts characters where it should count columns, and so squeezes Chinese text.
_LENGTHS: Final = re.compile(r' textLength="[^"]*"')


def picture(console: Console, title: str) -> str:
    """What has been printed on a recording console, as SVG."""
    return _LENGTHS.sub("", console.export_svg(title=title, code_format=_FRAME))
