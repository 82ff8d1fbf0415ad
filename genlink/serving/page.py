"""The page: one file with its style and its script inside, and pages of the same style that need no server."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from html import escape
from importlib import resources

__all__ = ["content_security_policy", "page", "standalone_page"]


@cache
def page() -> str:
    """The page that a server shows at `/`."""
    return resources.files("genlink.serving").joinpath("page.html").read_text(encoding="utf-8")


def content_security_policy() -> str:
    """What the page may do: run and look as is written in it, ask its own server, and nothing else."""
    script, style = _hash(_inside("script")), _hash(_inside("style"))
    return (
        f"default-src 'none'; script-src {script}; style-src {style}; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def standalone_page(title: str, content: str) -> str:
    """A whole HTML file in the style of the page, without a script, around a piece of HTML."""
    style = _inside("style")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src {_hash(style)}">
<title>{escape(title)}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>GenLink</h1>
<h2>{escape(title)}</h2>
{content}
</main>
</body>
</html>
"""


def _inside(tag: str) -> str:
    found = re.search(rf"<{tag}>(.*?)</{tag}>", page(), re.DOTALL)
    assert found, f"the page has no {tag}"
    return found[1]


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
