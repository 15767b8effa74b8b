"""The table of docs/photographs.md and examples/held-out: `python -m tools.photographs_page build/trained`.

The folder is the one in which `make trained` keeps its packages and held-out crops. Author and licence
are those that the package's copyright file (Debian's machine-readable format) states for the file. One
crop of each held-out photograph that may be passed on with its author's name goes to examples/held-out.
"""

import re
import struct
import sys
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from PIL import Image

from splitwatt.export.training import photographs
from splitwatt.export.training.photographs import Photograph

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "photographs.md"
HELD_OUT = ROOT / "examples" / "held-out"
_MARKS = re.compile(r"(?s)(<!-- rows -->\n).*?(<!-- end of rows -->)")
_FIELD = r"^{}:((?:.*\n)(?:[ \t]+.*\n)*)"
# Licences under which a crop may be in this repository, with its author's name.
_PASSED_ON = re.compile(r"public-domain|CC0|CC-BY-[\d.]+$|CC-BY-SA|Apache-2.0")
_LONGEST = 60


@dataclass(frozen=True)
class Origin:
    """Where a photograph comes from: package, path in its sources; author, licence, web page."""

    package: str
    path: str
    author: str
    licence: str
    source: str


def paths(resources: bytes) -> dict[int, str]:
    """Offset of each file's data in a Qt resource file -> its path.

    Source: Qt's rcc.cpp: a header of four big-endian words, a tree of nodes, names in UTF-16.
    """
    version, tree, data, names = struct.unpack_from(">4I", resources, 4)
    size = 22 if version >= 2 else 14
    by_offset: dict[int, str] = {}

    def walk(index: int, above: str) -> None:
        node = tree + index * size
        name, flags = struct.unpack_from(">IH", resources, node)
        (length,) = struct.unpack_from(">H", resources, names + name)
        text = resources[names + name + 6 : names + name + 6 + 2 * length].decode("utf-16-be")
        path = f"{above}/{text}" if index else ""
        if flags & 2:
            count, first = struct.unpack_from(">II", resources, node + 6)
            for child in range(first, first + count):
                walk(child, path)
        else:
            (offset,) = struct.unpack_from(">I", resources, node + 10)
            by_offset[data + offset + 4] = path

    walk(0, "")
    return by_offset


def origins(pictures: list[Photograph], folder: Path) -> list[Origin]:
    """The origin of each photograph of the fetched packages in `folder`."""
    rows = []
    packages = {picture.name.partition("/")[0] for picture in pictures}
    stanzas = {package: _stanzas(folder, package) for package in packages}
    inside: dict[str, list[str]] = {}
    for picture in pictures:
        package, _, path = picture.name.partition("/")
        stem, number = path.partition("#")[::2]
        if number:
            if stem not in inside:
                data = (folder / package / f"usr/share/gcompris-qt/rcc/{stem}.rcc").read_bytes()
                at = paths(data)
                matches = photographs.WEBP.finditer(data)
                inside[stem] = [at[match.start()].removeprefix("/gcompris/") for match in matches]
            path = inside[stem][int(number)]
        rows.append(Origin(package, path, *_stated(path, stanzas[package])))
    return rows


def _stanzas(folder: Path, package: str) -> list[tuple[list[str], str, str, str]]:
    """Patterns, author, licence and comment of each `Files` paragraph."""
    text = (folder / package / f"usr/share/doc/{package}/copyright").read_text(encoding="utf-8")
    stanzas = []
    for paragraph in re.split(r"\n\s*\n", text):
        names = ("Files", "Copyright", "License", "Comment")
        files, author, licence, comment = (_field(name, paragraph) for name in names)
        if files:
            stanzas.append((files.split(), author, licence, comment))
    return stanzas


def _field(name: str, paragraph: str) -> str:
    """Its text on one line; empty if the paragraph has no such field."""
    match = re.search(_FIELD.format(name), paragraph + "\n", re.MULTILINE)
    return " ".join(match.group(1).split()) if match else ""


def _stated(path: str, stanzas: list[tuple[list[str], str, str, str]]) -> tuple[str, str, str]:
    """Author, licence and source of the last paragraph that names the file; formats may differ."""
    stated = ("", "", "")
    for patterns, author, licence, comment in stanzas:
        for pattern in patterns:
            # Some packages install a file elsewhere than the pattern has it.
            elsewhere = "*" not in pattern and _stem(path).endswith(f"/{_stem(pattern)}")
            if elsewhere or fnmatch(_stem(path), _stem(pattern)):
                author = author if pattern != "*" else "authors of the package"
                stated = (_short(author), licence, comment if comment.startswith("http") else "")
    return stated


def _stem(path: str) -> str:
    """The path without the ending, and without the folder of a package's edition (`16.04/`)."""
    return re.sub(r"^(?:\d\d\.\d\d|backgrounds)/", "", path.rsplit(".", 1)[0])


def _short(author: str) -> str:
    text = re.sub(r"\s*<[^>]*>|[\u00b4|]", "", author).strip()
    return text if len(text) <= _LONGEST else text[:_LONGEST].rsplit(" ", 1)[0] + " and others"


def table(pictures: list[Photograph], stamps: list[Photograph], folder: Path) -> str:
    """A row for each photograph and cut-out picture."""
    lines = ["| photograph | package | author | licence | used to |", "|---|---|---|---|---|"]
    for picture, origin in zip(
        [*pictures, *stamps], origins([*pictures, *stamps], folder), strict=True
    ):
        name = f"[{_name(origin)}]({origin.source})" if origin.source else _name(origin)
        use = "compare" if picture.held_out else "train"
        lines.append(f"| {name} | {origin.package} | {origin.author} | {origin.licence} | {use} |")
    return "\n".join(lines) + "\n"


def _name(origin: Origin) -> str:
    """The last parts of a path, which name the photograph: `tools/hammer7`, `Path`."""
    kept = [
        p for p in Path(_stem(origin.path)).parts if p not in ("contents", "images", "resource")
    ]
    return "/".join(kept[-2:]).removesuffix("/1920x1080")


def hold_out(pictures: list[Photograph], folder: Path) -> None:
    """Write one crop of each held-out photograph that may be passed on, and who made it."""
    for old in HELD_OUT.glob("*.jpg"):
        old.unlink()
    HELD_OUT.mkdir(exist_ok=True)
    held_out = [picture for picture in pictures if picture.held_out]
    lines = ["| file | author | licence | source |", "|---|---|---|---|"]
    for number, origin in enumerate(origins(held_out, folder / "packages")):
        crops = sorted((folder / "held-out").glob(f"{number:03d}-*.png"))
        if not crops or not _PASSED_ON.match(origin.licence):
            continue
        name = Path(_stem(origin.path)).name + ".jpg"
        # Without chroma subsampling, which libraries enlarge in different ways.
        Image.open(crops[0]).save(HELD_OUT / name, quality=95, subsampling=0)
        source = origin.source or f"Debian's {origin.package}"
        lines.append(f"| `{name}` | {origin.author} | {origin.licence} | {source} |")
    _fill(HELD_OUT / "README.md", "\n".join(lines) + "\n")


def _fill(page: Path, rows: str) -> None:
    text = page.read_text(encoding="utf-8")
    page.write_text(
        _MARKS.sub(lambda marks: f"{marks[1]}\n{rows}\n{marks[2]}", text), encoding="utf-8"
    )


def main() -> None:
    """Write the page, the crops and their list."""
    folder = Path(sys.argv[1])
    pictures, stamps = photographs.load(folder / "packages")
    _fill(PAGE, table(pictures, stamps, folder / "packages"))
    hold_out(pictures, folder)


if __name__ == "__main__":
    main()
