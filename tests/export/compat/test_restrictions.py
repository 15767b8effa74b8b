"""Restricted forms of operators: verdicts version by version, and every rule against deletion."""

import dataclasses

import pytest

from splitwatt.export.compat.check import check_model
from splitwatt.export.compat.tables import load_table
from tests.export.compat.cases import CASES

VERSIONS = ("8.2", "8.5", "8.6", "10.1")


def broken(model, table):
    return " ".join(sorted({finding.rule for finding in check_model(model, table)}))


@pytest.mark.parametrize("version", VERSIONS)
def test_verdicts(version):
    table = load_table("tensorrt", version)
    column = 1 + VERSIONS.index(version)
    assert len(CASES) >= 30
    wrong = {
        name: (broken(case[0], table), case[column])
        for name, case in CASES.items()
        if broken(case[0], table) != " ".join(sorted(case[column].split()))
    }
    assert wrong == {}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_deleted_rule_is_noticed(version):
    table = load_table("tensorrt", version)
    for op, row in table.operators.items():
        for rule in row.rules:
            less = dataclasses.replace(row, rules=tuple(r for r in row.rules if r is not rule))
            mutant = dataclasses.replace(table, operators={**table.operators, op: less})
            graphs = [case[0] for case in CASES.values() if case[0].graph.node[0].op_type == op]
            noticed = any(broken(g, mutant) != broken(g, table) for g in graphs)
            assert noticed, f"no case needs the rule {rule.name} {dict(rule.arguments)} of {op}"


def test_what_is_taken_and_computed_wrongly_is_told_apart():
    table = load_table("tensorrt", "8.2")
    kinds = {
        name: {finding.kind for finding in check_model(CASES[name][0], table)}
        for name in ("TopK, smallest", "NonMaxSuppression, constants", "TopK, K computed")
    }
    assert kinds == {
        "TopK, smallest": {"answer"},
        "NonMaxSuppression, constants": {"answer"},
        "TopK, K computed": {"refused"},
    }
