"""`splitwatt targets`: the machines that splitwatt knows, and what it knows of one."""

from typing import Any, Dict, List

from splitwatt.device_configs.cli import parser, print_json, say
from splitwatt.device_configs.printable import one_line, table
from splitwatt.device_configs.targets import Target, known_targets, load_target


def targets(argv: List[str]) -> int:
    """List the targets, or show one with the source of every fact."""
    arguments = parser(
        "targets", "The machines that splitwatt knows.", "splitwatt targets nano --json"
    )
    arguments.add_argument("name", nargs="?", metavar="NAME|FILE", help="show this target")
    options = arguments.parse_args(argv)
    if options.name is None:
        every = [load_target(name) for name in known_targets()]
        if options.json:
            print_json({"targets": [as_json(target) for target in every]})
        else:
            _print_list(every)
        return 0
    target = load_target(options.name)
    if options.json:
        print_json(as_json(target))
    else:
        _print_one(target)
    return 0


def as_json(target: Target) -> Dict[str, Any]:
    """A target as JSON: the keys of its YAML, with each source replaced by its URL."""
    document: Dict[str, Any] = _plain(target)
    # The rails stand at the top level; the sources are in the facts.
    for key in ("rails", "without"):
        del document["power"][key]
    del document["sources"]
    return document


def _plain(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        value = dict(value._asdict())
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _print_list(every: List[Target]) -> None:
    keys = ("python", "jetpack", "tensorrt", "sm")
    rows = [["target", "machine"] + list(keys)]
    for target in every:
        rows.append([target.name, target.title] + [str(_value(target, key)) for key in keys])
    say(table(rows, ["sm", "python", "tensorrt"]))


def _value(target: Target, key: str) -> Any:
    value = target.facts[key].value if key in target.facts else None
    return "-" if value is None else value


def _print_one(target: Target) -> None:
    say("%s: %s" % (one_line(target.name), one_line(target.title)))
    say(
        "exports: opset %d, IR %d; backends %s; precisions %s"
        % (
            target.opset,
            target.ir_version,
            ", ".join(target.default_backends),
            ", ".join(target.precisions),
        )
    )
    say("\nfacts (? = not confirmed)")
    for key, fact in target.facts.items():
        mark = " " if fact.confirmed else "?"
        note = " (%s)" % fact.note if fact.note else ""
        say(" %s %-16s %-12s %s%s" % (mark, key, _text(fact.value), fact.source, note))
    if target.power_modes:
        say("\npower modes")
    for mode in target.power_modes:
        mark = " " if mode.confirmed else "?"
        watts = "-" if mode.watts is None else "%g W" % mode.watts
        say(" %s %-3d %-18s %s" % (mark, mode.id, mode.name, watts))
    say("\nrails, read by %s" % "; ".join(" or ".join(group) for group in target.power.drivers))
    for rail in target.rails:
        mark = " " if rail.confirmed else "?"
        above = "part of %s" % rail.part_of if rail.part_of else ""
        say(" %s %-18s %-7s %-20s %s" % (mark, rail.label, rail.chip or "", above, rail.measures))
    lines = [" + ".join(line) for line in target.power.total]
    say("\ntotal: %s" % (", else ".join(lines) if lines else "no rail measures it"))
    for note in target.notes:
        say("note: %s" % note)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(str(v) for v in value) if isinstance(value, list) else str(value)
