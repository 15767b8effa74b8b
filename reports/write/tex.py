"""Text for LaTeX: escaped, and names of macros, which have letters only."""

import re

_ESCAPES = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_\allowbreak{}",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", "†": r"\textdagger{}", "×": r"$\times$",
    "→": r"$\rightarrow$", "≤": r"$\leq$", "≥": r"$\geq$", "β": r"$\beta$", "µ": r"\textmu{}",
    '"': "''", "+": r"+\allowbreak{}",
}  # fmt: skip
_QUOTED = re.compile(r'"([^"]*)"')
# The characters that a plain LaTeX with T1 and textcomp has glyphs for; others are errors there.
_GLYPH = re.compile(r"[ -~¡-¬®-ĥĨ-ķĹ-ľŁ-ňŊ-ťŨ-žǍ-ǔǦ-ǫȘ-ț]")
_DIGITS = ["Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine"]


def escape(text: str) -> str:
    """A text as LaTeX prints it; a character that it has no glyph for becomes a question mark.

    A bracket or star at the beginning is grouped: after a line break TeX would take it for an argument.
    """
    text = _QUOTED.sub(r"``\1''", " ".join(text.split()))
    made = "".join(_ESCAPES.get(c, c) for c in with_glyphs(text))
    return f"{{{made[0]}}}{made[1:]}" if made[:1] in ("[", "*") else made


def with_glyphs(text: str) -> str:
    """The text with a question mark for each character that LaTeX has no glyph for."""
    return "".join(c if c in _ESCAPES or _GLYPH.match(c) else "?" for c in text)


def cell(text: str) -> str:
    """A table's cell: what was not measured is a dash."""
    return "--" if text == "-" else escape(text)


def macro(*words: str) -> str:
    """A macro's name of words: `LadonLatencySaving`, `OursOneZero`, `ThreeSevenPointFive`."""
    name = []
    for word in words:
        for piece in re.findall(r"[A-Za-z]+|\d|(?<=\d)\.(?=\d)", word):
            if piece == ".":
                name.append("Point")
            else:
                name.append(
                    _DIGITS[int(piece)] if piece.isdigit() else piece[0].upper() + piece[1:]
                )
    return "".join(name)
