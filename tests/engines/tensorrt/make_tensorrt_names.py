"""Where TensorRT's public binding sources define the names that our backend uses.

    python tests/engines/tensorrt/make_tensorrt_names.py PATH_TO_A_CLONE_OF_github.com/NVIDIA/TensorRT [--check]

Reads the keys of tensorrt_names.json, looks each up in the sources at every tag, and
writes the tags that have it (or, with --check, says what the file has wrong). Nothing else of the
sources is kept.
"""

import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

TAGS = ["8.2.1", "8.5.2", "v8.6.1", "v10.3.0", "v11.1"]
FILE = Path(__file__).resolve().parent / "tensorrt_names.json"

_TOKENS = re.compile(
    r'py::(?:class_|enum_)<(?:(?!;).)*?"(?P<cls>\w+)"'
    r'|\bm\.def\(\s*"(?P<function>\w+)"'
    r'|\.(?:def\w*|value)\(\s*"(?P<member>\w+)"'
    r'|\.def\(\s*(?P<init>py::init)'
    r'|OVERLOAD\w*\(\s*[\w:]+,\s*(?P<base>\w+),\s*"(?P<virtual>\w+)"'
    r'|getOverride\(\s*static_cast<(?P<owner>\w+)[^"]*"(?P<override>\w+)"',
    re.DOTALL,
)  # fmt: skip
_SOURCES = ["python/src", "python/packaging", "python/tensorrt"]


def sources(clone: str, tag: str) -> str:
    """The text of every binding source at a tag."""
    listed = _git(clone, "ls-tree", "-r", "--name-only", tag, *_SOURCES).split()
    files = [name for name in listed if name.endswith((".cpp", "__init__.py", "__init__.py.in"))]
    return "\n".join(_git(clone, "show", f"{tag}:{name}") for name in files)


def names_in(text: str) -> set[str]:
    """ "Class.member" and "module.function" for everything that the bindings define."""
    members: dict[str, set[str]] = defaultdict(set)
    current = "module"
    for match in _TOKENS.finditer(text):
        part = match.groupdict()
        if part["cls"]:
            current = part["cls"]
            members["module"].add(current)
        elif part["function"]:
            members["module"].add(part["function"])
        elif part["virtual"]:
            members[part["base"]].add(part["virtual"])
        elif part["override"]:
            members[part["owner"]].add(part["override"])
        elif part["member"]:
            members[current].add(part["member"])
    if re.search(r"^__version__", text, re.MULTILINE) or 'attr("__version__")' in text:
        members["module"].add("__version__")
    return {f"{owner}.{name}" for owner, names in members.items() for name in names}


def _git(clone: str, *arguments: str) -> str:
    command = ["git", "-C", clone, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main() -> int:
    """Refresh or check the file."""
    clone, check = sys.argv[1], "--check" in sys.argv
    document = json.loads(FILE.read_text())
    at = {tag: names_in(sources(clone, tag)) for tag in TAGS}
    names = {key: [tag for tag in TAGS if key in at[tag]] for key in sorted(document["names"])}
    wrong = sorted(key for key in names if names[key] != document["names"][key])
    if check:
        print("\n".join(wrong) or f"{len(names)} names are as the sources have them")
        return 1 if wrong else 0
    FILE.write_text(json.dumps({"tags": TAGS, "names": names}, indent=1) + "\n")
    print("\n".join(f"{key}: {' '.join(tags) or 'NOWHERE'}" for key, tags in names.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
