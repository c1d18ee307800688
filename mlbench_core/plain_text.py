"""Names in a results file are anybody's text: here they become plain text for a terminal, a Markdown table or a spreadsheet.

HTML is escaped by its templates; there, too, a name goes through `clean` first.
"""

from __future__ import annotations

import re

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes a text that begins with one of these for a formula (OWASP, CSV injection)."""
MARKUP = re.compile(r"([\\`*_\[\]|~$])")
AT_START = re.compile(r"^(#|[+-](?=\s)|\d+(?=[.)]\s))")
"""What begins a heading or a list."""


def clean(text: str) -> str:
    """The text in one line, with every character that a terminal or a browser may act on instead of showing it (escape
    sequences, right-to-left overrides, line breaks, surrogates) written out as an escape such as u+001b's."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _shown(character) for character in text)


def _shown(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def markdown(text: str) -> str:
    """The text as Markdown that shows it as it is, in a paragraph or a table's cell."""
    escaped = clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return AT_START.sub(r"\\\1", MARKUP.sub(r"\\\1", escaped))


def spreadsheet(text: str) -> str:
    """The text as a CSV field that no spreadsheet takes for a formula: a quote stands before one that would be."""
    return f"'{text}" if text.startswith(FORMULA) else text
