"""Links as people write them: a row of a config, or `--link KIND:RATE`."""

import re
from typing import Any, Dict, NamedTuple, Sequence, Tuple

from splitwatt.device_configs.errors import ConfigError, UsageError
from splitwatt.device_configs.input.small_files import real_number, whole_number
from splitwatt.device_configs.names import suggestion
from splitwatt.profiler.links.link import (
    AUTO,
    KERNEL,
    KEYS_OF,
    KINDS,
    NONE,
    PAYLOAD,
    SHAPED,
    SIMULATED,
    USER,
    WIRE,
    Link,
)

# Units of a rate, in kilobits a second. As everywhere here, k is 1000.
_UNITS = {"bit": 0.001, "kbit": 1.0, "mbit": 1e3, "gbit": 1e6}
_RATE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(bit|kbit|mbit|gbit)(?:/s|ps)?$")
_BOTH_WAYS = re.compile(r"/(?!s\b)")  # not the slash of Mbit/s
_TIME = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(ms|s)$")
_EXAMPLE = "write as in --link shaped:100kbit, --link simulated:lora,loss=1% or --link none"
_CHOICES = {"bytes": (PAYLOAD, WIRE), "via": (AUTO, KERNEL, USER)}
_LEAST_KBIT_S, _MOST_KBIT_S = 0.001, 1e9
_LADON = "Ladon, section 5.1"
_FRANKENSPLIT = "FrankenSplit, table 7"


class Preset(NamedTuple):
    """A rate with a name, in 1000 bits a second of the uplink, and where it is stated."""

    name: str
    rate_kbit_s: float
    source: str


PRESETS: Dict[str, Preset] = {
    "lora": Preset("LoRa 37.5 kbit/s", 37.5, "Ladon, section 5.1 and supplement B"),
    "100kbit": Preset("100 kbit/s", 100.0, _LADON),
    "ble": Preset("BLE 0.27 Mbit/s", 270.0, _FRANKENSPLIT),
    "4g": Preset("4G 12 Mbit/s", 12000.0, _FRANKENSPLIT),
    "wifi": Preset("Wi-Fi 54 Mbit/s", 54000.0, _FRANKENSPLIT),
    "5g": Preset("5G 66.9 Mbit/s", 66900.0, _FRANKENSPLIT),
}


def link_from_row(row: Dict[str, Any], file: str, key: str = "") -> Link:
    """A link of a config, its preset filled in.

    Args:
        row: as the schema allows it.
        file, key: where it is, for errors; the key with its dot.

    Raises:
        ConfigError: a rate is missing, or a key does not concern its kind.
    """
    row = dict(row)
    kind = row["kind"]
    preset = row.pop("preset", None)
    if preset is not None:
        name, rate, source = PRESETS[preset]
        row = dict({"name": name, "rate_kbit_s": rate, "source": source}, **row)
    for other, keys in KEYS_OF.items():
        wrong = [key for key in keys if key in row and other != kind]
        if wrong:
            raise ConfigError(
                "%s: '%s%s' is a key of %s links, and this one is %s"
                % (file, key, wrong[0], other, kind)
            )
    if kind == NONE:
        if "rate_kbit_s" in row or "downlink_kbit_s" in row:
            raise ConfigError(
                "%s: '%srate_kbit_s' is not a key of links of the kind none" % (file, key),
                "leave it out",
            )
        row = dict({"name": "network as it is"}, rate_kbit_s=0.0, **row)
    if "rate_kbit_s" not in row:
        raise ConfigError("%s: '%srate_kbit_s' is missing" % (file, key), "or name a preset")
    row["rate_kbit_s"] = float(row["rate_kbit_s"])
    row.setdefault("name", _name(row["rate_kbit_s"]))
    row.setdefault("bytes", PAYLOAD)
    row.setdefault("source", "")
    if row.get("jitter_ms", 0.0) > row.get("latency_ms", 0.0):
        raise ConfigError("%s: '%sjitter_ms' is larger than the latency" % (file, key))
    return Link(**row)


def parse_link(text: str) -> Link:
    """A link as `--link` takes it: KIND:RATE[/DOWNLINK][,key=value...], or a preset's name.

    Raises:
        UsageError: it is not a rate.
    """
    head, _, more = text.strip().lower().partition(",")
    kind, _, rates = head.partition(":")
    if kind in PRESETS and not rates:
        kind, rates = SIMULATED, kind
    if kind not in KINDS:
        raise UsageError(
            "'%s' is not a kind of link; %s" % (kind, suggestion(kind, KINDS)), _EXAMPLE
        )
    row: Dict[str, Any] = {"kind": kind, "source": "--link " + text.strip()}
    if rates:
        up, down = (_BOTH_WAYS.split(rates, 1) + [""])[:2]
        if up in PRESETS:
            row.update(preset=up, source=PRESETS[up].source)
        else:
            row["rate_kbit_s"] = parse_rate(up)
        if down:
            row["downlink_kbit_s"] = parse_rate(down)
    options: Dict[str, Any] = {}
    for word in more.split(",") if more else []:
        key, _, value = word.partition("=")
        option = _option(key.strip(), value.strip())
        if set(option) & set(options):
            raise UsageError("--link: '%s' is given twice" % key.strip(), _EXAMPLE)
        options.update(option)
    row.update(options)
    try:
        return link_from_row(row, "--link " + text)
    except ConfigError as error:
        raise UsageError(error.message, error.remedy or _EXAMPLE)


def parse_links(texts: Sequence[str]) -> Tuple[Link, ...]:
    """The links of a command line.

    Raises:
        UsageError: one of them is wrong, or they do not go together.
    """
    links = [parse_link(text) for text in texts]
    check_together(links, "--link", UsageError)
    return tuple(links)


def check_together(links: Sequence[Link], where: str, kind: Any = ConfigError) -> None:
    """Raise unless one run can be taken over these links.

    A sample is taken over one network. Where that is shaped, nothing can be simulated on top of it.
    """
    shaped = [link for link in links if link.kind == SHAPED]
    if shaped and len(links) > 1:
        raise kind(
            "%s: samples are taken over the link %s, so it must be the run's only link"
            % (where, shaped[0].name),
            "run 'profile' once per shaped link: 'splitwatt report' takes several runs",
        )
    names = [link.name for link in links]
    if len(set(names)) != len(names):
        raise kind("%s: two links have the same name" % where, "name them apart")


def _option(key: str, value: str) -> Dict[str, Any]:
    if value in _CHOICES.get(key, ()):
        return {key: value}
    match = _TIME.match(value) if key in ("latency", "jitter") else None
    if match:
        return {key + "_ms": float(match.group(1)) * (1.0 if match.group(2) == "ms" else 1000.0)}
    if key == "loss":
        return {"loss": _part(value)}
    seed = whole_number(value) if key == "seed" and len(value) <= 9 else None
    if seed is not None and seed >= 0:
        return {"seed": seed}
    known = ["bytes", "via", "latency", "jitter", "loss", "seed"]
    if key in known:
        raise UsageError("--link: '%s' is not a value of %s" % (value, key), _EXAMPLE)
    raise UsageError("--link: unknown key '%s'; %s" % (key, suggestion(key, known)), _EXAMPLE)


def _part(text: str) -> float:
    percent = text.endswith("%")
    value = real_number(text[:-1] if percent else text)
    part = -1.0 if value is None else value / (100.0 if percent else 1.0)
    if not 0 <= part <= 0.5:
        raise UsageError("--link: 'loss' must be from 0 to 50%%, not '%s'" % text, _EXAMPLE)
    return part


def parse_rate(text: str) -> float:
    """Kilobits per second of a rate as people write it (`37.5kbit`, `12mbit`) or of a preset's name.

    Raises:
        UsageError: it is not a rate.
    """
    text = text.strip().lower()
    if text in PRESETS:
        return PRESETS[text].rate_kbit_s
    match = _RATE.match(text)
    if not match:
        known = suggestion(text, PRESETS)
        raise UsageError("'%s' is neither a rate nor a preset; %s" % (text, known), _EXAMPLE)
    rate = float(match.group(1)) * _UNITS[match.group(2)]
    if not _LEAST_KBIT_S <= rate <= _MOST_KBIT_S:
        raise UsageError("the rate '%s' is not between 1 bit and 1 Tbit a second" % text)
    return rate


def _name(rate_kbit_s: float) -> str:
    for limit, unit in ((1e6, "Gbit/s"), (1e3, "Mbit/s")):
        if rate_kbit_s >= limit:
            return "%g %s" % (rate_kbit_s / limit, unit)
    return "%g kbit/s" % rate_kbit_s
