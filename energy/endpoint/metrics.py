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


def page(about: Dict[str, Any], latest: Optional[Latest], facts: SystemFacts) -> str:
    """The whole page.

    Args:
        about: what the sampler samples (`splitwatt.energy.sampler.sampler.Sampler.about`).
        latest: its newest reading; None before the first.
        facts: the machine's other figures.
    """
    lines: List[str] = []
    for name, text, value in _energon_power(about, latest) + facts.metrics():
        _metric(lines, "energon_" + name, "gauge", text, [("", value)])
    info = _labels(
        [
            ("detected_model", facts.model()),
            ("n_proc", str(os.cpu_count() or 0)),
            ("network_interfaces", ",".join(facts.interfaces())),
        ]
    )
    _metric(lines, "energon_device_info_info", "gauge", "the machine", [(info, 1.0)])
    _ours(lines, about, latest)
    return "\n".join(lines) + "\n"


def _energon_power(
    about: Dict[str, Any], latest: Optional[Latest]
) -> List[Tuple[str, str, Optional[float]]]:
    rails = about["rails"]
    watts = latest.of(about, "watts") if latest else {}
    volts = latest.of(about, "volts") if latest else {}
    total = latest.total(about) if latest else ()
    # Energon's gauges have no labels: where no sensor measures, the help text says so.
    said = "" if about["provenance"] == "measured" else " (%s)" % about["provenance"]
    rows: List[Tuple[str, str, Optional[float]]] = []
    for kind in _KINDS:
        labels = [r["label"] for r in rails if r["energon"] == kind]
        power = add_up(total if kind == "total" else labels, watts)
        # Several rails have no one voltage.
        voltage = volts.get(labels[0]) if len(labels) == 1 else None
        rows.append((kind + "_in_power_mW", "power" + said, None if power is None else power * 1e3))
        rows.append(
            (kind + "_in_voltage_mV", "voltage" + said, None if voltage is None else voltage * 1e3)
        )
    return rows


def _ours(lines: List[str], about: Dict[str, Any], latest: Optional[Latest]) -> None:
    if latest is None:
        return
    series = [
        ("power_watts", "gauge", "power of a rail", "watts"),
        ("voltage_volts", "gauge", "voltage of a rail", "volts"),
        ("energy_joules_total", "counter", "energy of a rail since the start", "joules"),
    ]
    for name, kind, text, what in series:
        values = latest.of(about, what)
        rows = [
            (_rail_labels(rail, about), values[rail["label"]])
            for rail in about["rails"]
            if values[rail["label"]] is not None
        ]
        if rows:
            _metric(lines, "splitwatt_rail_" + name, kind, text, rows)
    labels_of_total = latest.total(about)
    total = add_up(labels_of_total, latest.of(about, "watts"))
    if total is not None:
        labels = _labels(
            [("rails", "+".join(labels_of_total)), ("provenance", about["provenance"])]
        )
        _metric(
            lines, "splitwatt_board_power_watts", "gauge", "the board's total", [(labels, total)]
        )
    counters = [
        ("samples_total", "samples taken", float(latest.samples)),
        ("lost_samples_total", "samples that were due and not taken", float(latest.lost)),
        ("failed_reads_total", "readings of a rail that failed", float(latest.failed)),
        ("cpu_seconds_total", "processor time of the sampler", latest.cpu_s),
    ]
    for name, text, value in counters:
        _metric(lines, "splitwatt_sampler_" + name, "counter", text, [("", value)])
    _metric(
        lines,
        "splitwatt_sampler_last_sample_timestamp_seconds",
        "gauge",
        "when the newest sample was taken",
        [("", latest.t_s + latest.wall_minus_monotonic_s)],
    )


def _rail_labels(rail: Dict[str, Any], about: Dict[str, Any]) -> str:
    return _labels(
        [
            ("rail", rail["label"]),
            ("driver", rail["driver"]),
            ("target", about["target"] or "none"),
            ("provenance", about["provenance"]),
            ("part_of", rail["part_of"] or ""),
        ]
    )


def _labels(pairs: List[Tuple[str, str]]) -> str:
    return "{%s}" % ",".join('%s="%s"' % (key, _escaped(value)) for key, value in pairs)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _metric(
    lines: List[str], name: str, kind: str, text: str, rows: List[Tuple[str, Optional[float]]]
) -> None:
    lines.append("# HELP %s %s" % (name, text))
    lines.append("# TYPE %s %s" % (name, kind))
    for labels, value in rows:
        lines.append("%s%s %s" % (name, labels, "NaN" if value is None else repr(float(value))))
