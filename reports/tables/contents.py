"""The tables of a report in their order. A new table is a function of the series, and a line here."""

from splitwatt.reports.load.accuracy import Accuracy
from splitwatt.reports.load.model import Series
from splitwatt.reports.tables import (
    breakeven,
    energy,
    frankensplit,
    paper,
    runtime,
    savings,
    tables,
    timeline,
)
from splitwatt.reports.tables.accuracy import accuracy_table
from splitwatt.reports.tables.table import Table


def all_tables(series: list[Series], accuracy: Accuracy) -> list[Table]:
    """Every table, also those without rows."""
    return [
        tables.summary(series),
        timeline.timeline_table(series),
        tables.latency_table(series),
        tables.costs_table(series),
        energy.energy_table(series),
        energy.server_energy_table(series),
        energy.stage_energy_table(series),
        tables.data_size_table(series),
        tables.memory_table(series),
        accuracy_table(accuracy),
        breakeven.turning_table(series),
        breakeven.breakeven_table(series),
        savings.savings_table(series),
        savings.savings_by_row(series),
        savings.paper_table(series),
        runtime.quantiles_table(series),
        runtime.throughput_table(series),
        runtime.boards_table(series),
        runtime.starts_table(series),
        runtime.links_table(series),
        frankensplit.backbones_table(series),
        frankensplit.components_table(series),
        frankensplit.wireless_table(series),
        paper.devices_table(series),
        paper.models_table(series, accuracy),
        paper.configurations_table(series),
        tables.samples_table(series),
    ]
