"""The tests' own workers: what a failing test says reaches the process that prints it."""

import execnet
import pytest


def test_a_report_with_a_lone_surrogate_can_be_sent(request):
    """Text from a damaged file is in the message of the test that fails on it."""
    report = pytest.TestReport(
        nodeid="tests/test_x.py::test_x",
        location=("tests/test_x.py", 1, "test_x"),
        keywords={"test_x": 1},
        outcome="failed",
        longrepr="assert 'caf\udce9' == 'caf\u00e9'",
        when="call",
        sections=[("Captured stdout call", "\ud800")],
    )
    hook = request.config.hook
    data = hook.pytest_report_to_serializable(config=request.config, report=report)
    sent = execnet.loads(execnet.dumps(data))
    read = hook.pytest_report_from_serializable(config=request.config, data=sent)
    assert read.longrepr == "assert 'caf\\udce9' == 'caf\u00e9'"
    assert read.sections == [("Captured stdout call", "\\ud800")]
