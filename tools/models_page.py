"""The tables of docs/models.md: `python -m tools.models_page` updates them in the page."""

import re
from pathlib import Path

from splitwatt.export import zoo
from splitwatt.export.spec import System

PAGE = Path(__file__).resolve().parent.parent / "docs" / "models.md"
_TITLES = {
    "channel_reduction": "Channel reduction and an 8-bit bottleneck (CR + BQ)",
    "end_to_end": "End-to-end compressive features",
    "entropic_student": "Entropic Student",
    "frankensplit": "FrankenSplit",
    "local": "Local models",
    "placement": "Bottleneck placement",
    "trained": "Trained here",
    "whole": "Whole models, for full offloading",
    "input_compression": "Input codecs, each before ResNet-50",
}


def page(text: str) -> str:
    """The page with the tables of this zoo between its two marks."""
    return re.sub(
        r"(?s)(<!-- rows -->\n).*?(<!-- end of rows -->)",
        lambda marks: marks.group(1) + tables() + marks.group(2),
        text,
    )


def tables() -> str:
    """A table for each family, in the zoo's order."""
    families: dict[str, list[System]] = {}
    for system in zoo.systems().values():
        families.setdefault(system.family, []).append(system)
    text = ""
    for family, systems in families.items():
        title = _TITLES.get(family, family.replace("_", " ").capitalize())
        text += f"\n### {title}\n| name | tasks | rate points | what it is |\n|---|---|---|---|\n"
        text += "".join(_row(system) for system in systems)
    return text + "\n"


def _row(system: System) -> str:
    rates = " ".join(f"`{rate}`" for rate in system.rates) or "-"
    said = [system.citation, *system.notes]
    if system.unavailable:
        said.append(f"**not to be exported**: {system.unavailable}")
    cells = (f"`{system.name}`", ", ".join(system.tasks), rates, "; ".join(said))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
