"""Names from files and peers, as a terminal may show them."""

import unicodedata

# Controls (ESC among them), invisible and bidirectional marks, surrogates, separators of lines.
_ACTING = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def printable(text: str) -> str:
    r"""The text with every character that acts instead of showing as its escape: `\x1b`, `\u202e`.

    Line feeds and tabs stay.
    """
    if text.isprintable():
        return text
    return "".join(
        ascii(c)[1:-1] if unicodedata.category(c) in _ACTING and c not in "\n\t" else c
        for c in text
    )
