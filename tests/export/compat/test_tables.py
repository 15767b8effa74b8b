"""Tables as files: which there are, and what is wrong with a broken one."""

import pytest

from splitwatt.device_configs.errors import ConfigError, UsageError
from splitwatt.device_configs.targets import known_targets, load_target
from splitwatt.export.compat.fit import tables_of
from splitwatt.export.compat.rules import RULES
from splitwatt.export.compat.tables import known_tables, load_table


def test_a_table_that_is_not_there_is_one_sentence():
    with pytest.raises(UsageError, match="unknown table of tensorrt '8.3'"):
        load_table("tensorrt", "8.3")
    with pytest.raises(UsageError, match="did you mean tensorrt"):
        known_tables("tensor_rt")


def test_every_target_s_tables_exist_and_allow_what_export_writes_for_it():
    for name in known_targets():
        target = load_target(name)
        for table in filter(None, tables_of(target)):
            assert table.opset[0] <= target.opset <= table.opset[1], (name, table.title)
            assert table.ir is None or target.ir_version <= table.ir, (name, table.title)


def test_every_table_says_where_it_is_from():
    for runtime in ("tensorrt", "tensorrt_rtx", "onnxruntime"):
        for version in known_tables(runtime):
            table = load_table(runtime, version)
            assert version in table.source and len(table.source) > 80
            assert (table.runtime, table.version) == (runtime, version)


def test_every_rule_of_a_table_is_a_known_one():
    for runtime in ("tensorrt", "tensorrt_rtx", "onnxruntime"):
        for version in known_tables(runtime):
            rows = load_table(runtime, version).operators.values()
            assert {rule.name for row in rows for rule in row.rules} <= set(RULES)


def test_the_table_of_tensorrt_for_rtx_takes_nothing_that_tensorrt_refuses():
    """A target's parts have to run on both, so one narrows the other."""
    narrow, base = load_table("tensorrt_rtx", "1.7"), load_table("tensorrt", "10.1")
    assert narrow.base == base.title and narrow.opset == base.opset
    assert set(narrow.operators) == set(base.operators) - narrow.unsupported
    assert base.unsupported < narrow.unsupported
    for op, row in narrow.operators.items():
        whole = base.operators[op]
        assert row.since == whole.since and all(rule in row.rules for rule in whole.rules), op
        assert row.types <= whole.types, op


def test_a_target_of_another_tensorrt_than_the_narrowed_one_is_refused():
    target = load_target("laptop")
    other = target._replace(operators={**target.operators, "tensorrt": "8.6"})
    with pytest.raises(ConfigError, match=r"laptop: parts for .* only for TensorRT 10.1"):
        tables_of(other)
