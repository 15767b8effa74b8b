"""The tables of a report in their order, and the figures that are shown with each.

A new table is a function that makes one of the series, and a line here.
"""
# board: no

from collections.abc import Callable
from dataclasses import replace

from splitwatt.reports.load.accuracy import Accuracy
from splitwatt.reports.load.model import Series
from splitwatt.reports.tables.accuracy import accuracy_table
from splitwatt.reports.tables.breakeven import breakeven_table, turning_table
from splitwatt.reports.tables.energy import (
    energy_table,
    server_energy_table,
    stage_energy_table,
)
from splitwatt.reports.tables.frankensplit import backbones_table, components_table, wireless_table
from splitwatt.reports.tables.paper import configurations_table, devices_table, models_table
from splitwatt.reports.tables.runtime import (
    boards_table,
    links_table,
    quantiles_table,
    starts_table,
    throughput_table,
)
from splitwatt.reports.tables.savings import paper_table, savings_by_row, savings_table
from splitwatt.reports.tables.table import Table
from splitwatt.reports.tables.tables import (
    costs_table,
    data_size_table,
    latency_table,
    memory_table,
    samples_table,
    summary,
)
from splitwatt.reports.tables.timeline import timeline_table

_Make = Callable[[list[Series], Accuracy], Table]


def tables(series: list[Series], accuracy: Accuracy) -> list[Table]:
    """Every table, also those without rows."""
    return [replace(make(series, accuracy), figures=figures) for make, figures in _CONTENTS]


def _of(make: Callable[[list[Series]], Table]) -> _Make:
    return lambda series, accuracy: make(series)


# The function that makes a table, and its figures: their names, or the first words of the names.
_CONTENTS: tuple[tuple[_Make, tuple[str, ...]], ...] = (
    (_of(summary), ("agreement",)),
    (_of(timeline_table), ("timeline",)),
    (_of(latency_table), ("latency",)),
    (_of(costs_table), ("gmac",)),
    (_of(energy_table), ("energy",)),
    (_of(server_energy_table), ()),
    (_of(stage_energy_table), ()),
    (_of(data_size_table), ("data_size",)),
    (_of(memory_table), ("memory",)),
    (lambda series, accuracy: accuracy_table(accuracy), ("rate", "three")),
    (_of(turning_table), ("turning",)),
    (_of(breakeven_table), ()),
    (_of(savings_table), ()),
    (_of(savings_by_row), ()),
    (_of(paper_table), ()),
    (_of(quantiles_table), ()),
    (_of(throughput_table), ()),
    (_of(boards_table), ()),
    (_of(starts_table), ()),
    (_of(links_table), ()),
    (_of(backbones_table), ()),
    (_of(components_table), ()),
    (_of(wireless_table), ("wireless",)),
    (_of(devices_table), ()),
    (models_table, ()),
    (_of(configurations_table), ()),
    (_of(samples_table), ()),
)
