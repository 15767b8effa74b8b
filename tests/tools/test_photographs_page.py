"""Who made the training photographs: a Qt resource file's names, Debian's copyright files, the kept crops."""

import re
import struct

from PIL import Image

from splitwatt.export.training.photographs import Photograph
from tests.conftest import ROOT
from tools.photographs_page import HELD_OUT, PAGE, origins, paths

COPYRIGHT = """Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: 2010, Somebody <somebody@example.org>
License: GPL-3+

Files: src/activities/erase/resource/cat.jpg
       src/activities/erase/resource/dog*.jpg
Copyright: Ann Other <ann@example.org>
License: CC-BY-2.0
Comment: https://example.org/cat

Files: images/*.png
Copyright: Another
License: GPL-2
"""


def resources(*names, folder="erase"):
    """A resource file as Qt's rcc writes it (version 3): a folder with files of 12 bytes each."""
    texts = ["", folder, *names]
    table, at = b"", []
    for text in texts:
        at.append(len(table))
        table += struct.pack(">HI", len(text), 0) + text.encode("utf-16-be")
    data = b"".join(struct.pack(">I", 12) + b"RIFF\x04\0\0\0WEBP" for _ in names)
    nodes = [
        struct.pack(">IHIIQ", 0, 2, 1, 1, 0),
        struct.pack(">IHIIQ", at[1], 2, len(names), 2, 0),
    ]
    nodes += [struct.pack(">IHIIQ", at[2 + i], 0, 0, 16 * i, 0) for i in range(len(names))]
    tree = b"".join(nodes)
    start = 24
    where = struct.pack(">4I", 3, start, start + len(tree), start + len(tree) + len(data))
    return b"qres" + where + b"\0\0\0\0" + tree + data + table


def test_the_names_of_a_resource_files_data():
    file = resources("cat.webp", "Kätzchen.webp")
    starts = [match.start() for match in re.finditer(b"RIFF", file)]
    assert [paths(file)[start] for start in starts] == ["/erase/cat.webp", "/erase/Kätzchen.webp"]


def test_author_and_licence_are_those_of_the_last_paragraph_that_names_the_file(tmp_path):
    folder = tmp_path / "zoo" / "usr" / "share" / "doc" / "zoo"
    folder.mkdir(parents=True)
    (folder / "copyright").write_text(COPYRIGHT)
    names = ["cat.webp", "dog7.webp", "wolf.webp"]
    pictures = [Photograph(f"zoo/src/activities/erase/resource/{n}", None, True) for n in names]
    cat, dog, wolf = origins(pictures, tmp_path)
    assert (cat.author, cat.licence, cat.source) == (
        "Ann Other", "CC-BY-2.0", "https://example.org/cat"
    )  # fmt: skip
    assert dog.licence == "CC-BY-2.0"
    assert (wolf.author, wolf.licence, wolf.source) == ("authors of the package", "GPL-3+", "")


def test_each_crop_that_is_kept_has_its_author_and_was_held_out():
    rows = re.findall(
        r"^\| `(\S+)` \| (.+?) \| (.+?) \|", (HELD_OUT / "README.md").read_text(), re.M
    )
    assert sorted(name for name, _, _ in rows) == sorted(p.name for p in HELD_OUT.glob("*.jpg"))
    page = PAGE.read_text()
    for name, author, licence in rows:
        assert Image.open(HELD_OUT / name).size == (256, 256)
        stem = re.escape(name.removesuffix(".jpg"))
        lines = re.findall(rf"^\| \[?(?:\w+/)?{stem}[\]|\s].*$", page, re.M)
        due = f" | {author} | {licence} | compare |"
        assert any(line.endswith(due) for line in lines), (name, lines)
        assert "GPL" not in licence
    assert len(rows) >= 30 and (ROOT / "examples" / "held-out") == HELD_OUT
