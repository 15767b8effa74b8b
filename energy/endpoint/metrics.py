"""The text that a Prometheus server scrapes: Energon's names with right values, and our own series.

Energon's gauges have no labels and describe the whole machine; a figure that this machine has no
sensor for is NaN (Energon gives -1, which a sum over time would take for a power). Our own series
have a label for the rail, base units, and `_total` on counters, as Prometheus asks for. The text is
written here and not by prometheus_client, because boards with Python 3.6 do not have it.
"""

import os
from typing import Any, Dict, List, Optional, Tuple

from splitwatt.energy.endpoint.system_facts import SystemFacts
from splitwatt.energy.rails.total import add_up
from splitwatt.energy.sampler.sampler import Latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_KINDS = ("total", "cpu", "gpu", "cpu_gpu")
_SERIES = (
    ("power_watts", "gauge", "power of a rail", "watts"),
    ("voltage_volts", "gauge", "voltage of a rail", "volts"),
    ("energy_joules_total", "counter", "energy of a rail since the start", "joules"),
)

# Labels and a value; name, kind, help and rows.
_Row = Tuple[Dict[str, str], Optional[float]]
_Family = Tuple[str, str, str, List[_Row]]


def page(about: Dict[str, Any], latest: Optional[Latest], facts: SystemFacts) -> str:
    """The whole page.

    Args:
        about: what the sampler samples (`splitwatt.energy.sampler.sampler.Sampler.about`).
        latest: its newest reading; None before the first.
        facts: the machine's other figures.
    """
    families = _energon_power(about, latest)
    for name, text, value in facts.metrics():
        families.append(("energon_" + name, "gauge", text, [({}, value)]))
    info = {
        "detected_model": facts.model(),
        "n_proc": str(os.cpu_count() or 0),
        "network_interfaces": ",".join(facts.interfaces()),
    }
    families.append(("energon_device_info_info", "gauge", "the machine", [(info, 1.0)]))
    if latest is not None:
        families += _ours(about, latest)
    return "".join(_text(*family) for family in families)


def _energon_power(about: Dict[str, Any], latest: Optional[Latest]) -> List[_Family]:
    watts = latest.of(about, "watts") if latest else {}
    volts = latest.of(about, "volts") if latest else {}
    total = latest.total(about) if latest else ()
    # Energon's gauges have no labels: where no sensor measures, the help text says so.
    said = "" if about["provenance"] == "measured" else " (%s)" % about["provenance"]
    families: List[_Family] = []
    for kind in _KINDS:
        labels = [r["label"] for r in about["rails"] if r["energon"] == kind]
        power = add_up(total if kind == "total" else labels, watts)
        # Several rails have no one voltage.
        voltage = volts.get(labels[0]) if len(labels) == 1 else None
        for what, value in (("power_mW", power), ("voltage_mV", voltage)):
            value = None if value is None else value * 1e3
            name, text = "energon_%s_in_%s" % (kind, what), what.split("_")[0] + said
            families.append((name, "gauge", text, [({}, value)]))
    return families


def _ours(about: Dict[str, Any], latest: Latest) -> List[_Family]:
    families: List[_Family] = []
    for name, kind, text, what in _SERIES:
        values = latest.of(about, what)
        rows: List[_Row] = [
            (
                {
                    "rail": rail["label"],
                    "driver": rail["driver"],
                    "target": about["target"] or "none",
                    "provenance": about["provenance"],
                    "part_of": rail["part_of"] or "",
                },
                values[rail["label"]],
            )
            for rail in about["rails"]
            if values[rail["label"]] is not None
        ]
        if rows:
            families.append(("splitwatt_rail_" + name, kind, text, rows))
    labels = latest.total(about)
    total = add_up(labels, latest.of(about, "watts"))
    if total is not None:
        of = {"rails": "+".join(labels), "provenance": about["provenance"]}
        text = "the board's total"
        families.append(("splitwatt_board_power_watts", "gauge", text, [(of, total)]))
    taken_s = latest.t_s + latest.wall_minus_monotonic_s
    for name, kind, text, value in (
        ("samples_total", "counter", "samples taken", latest.samples),
        ("lost_samples_total", "counter", "samples that were due and not taken", latest.lost),
        ("failed_reads_total", "counter", "readings of a rail that failed", latest.failed),
        ("cpu_seconds_total", "counter", "processor time of the sampler", latest.cpu_s),
        ("last_sample_timestamp_seconds", "gauge", "when the newest sample was taken", taken_s),
    ):
        families.append(("splitwatt_sampler_" + name, kind, text, [({}, float(value))]))
    return families


def _text(name: str, kind: str, text: str, rows: List[_Row]) -> str:
    lines = ["# HELP %s %s" % (name, text), "# TYPE %s %s" % (name, kind)]
    for labels, value in rows:
        pairs = ",".join('%s="%s"' % (key, _escaped(of)) for key, of in labels.items())
        shown = "NaN" if value is None else repr(float(value))
        lines.append("%s%s %s" % (name, "{%s}" % pairs if pairs else "", shown))
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
