"""The format's numbers and statuses: C++ and Python declare the same ones."""

from pathlib import Path

import pytest

from splitwatt.device_configs.errors import EngineError
from splitwatt.engines.rangecoder import container, native, tables
from tests.board.engines.rangecoder import reference
from tests.engines.rangecoder.test_native_builds import needs, run

SOURCE = Path(native.__file__).parent / "src"
OF_PYTHON = {
    "kTotal": tables.TOTAL,
    "kLanes": reference.LANES,
    "kLow": reference.LOW,
    "kSingle": container.SINGLE,
    "kInterleaved": container.INTERLEAVED,
    "kSingleLaneMax": reference.SINGLE_LANE_MAX,
    "kTailBytes": reference.TAIL_BYTES,
    "kMaxVarint": container.MAX_VARINT_BYTES,
    "kMaxDigits": reference.MAX_DIGITS,
    "kMaxSymbols": reference.INT32_MAX,
    "SW_NO_MEMORY": native.NO_MEMORY,
    "SW_NOT_CODABLE": native.NOT_CODABLE,
    "SW_TRUNCATED": native.TRUNCATED,
}


@needs("g++")
def test_the_header_for_cpp_has_the_numbers_of_the_specification(tmp_path):
    prints = "".join(
        f'std::printf("%s %lld\\n", "{name}", (long long){name});' for name in OF_PYTHON
    )
    program = tmp_path / "numbers.cpp"
    program.write_text(
        f'#include <cstdio>\n#include "format.h"\nusing namespace sw;\nint main() {{ {prints} }}\n'
    )
    binary = tmp_path / "numbers"
    run("g++", "-std=c++14", f"-I{SOURCE}", program, "-o", binary)
    lines = run(binary).split()
    assert dict(zip(lines[::2], map(int, lines[1::2]), strict=True)) == OF_PYTHON


def test_an_unknown_status_is_an_error_in_one_sentence():
    native._check(0)
    with pytest.raises(EngineError, match="status -77"):
        native._check(-77)
