"""The format's numbers and statuses: C++ and Python declare the same ones."""

from pathlib import Path

import pytest

from splitwatt.engines.rangecoder import container, native, reference, tables
from tests.engines.rangecoder.test_native_builds import needs, run

SOURCE = Path(native.__file__).parent / "src"
OF_PYTHON = {
    "kTotal": tables.TOTAL,
    "kLanes": container.LANES,
    "kLow": reference.LOW,
    "kSingle": container.SINGLE,
    "kInterleaved": container.INTERLEAVED,
    "kSingleLaneMax": reference.SINGLE_LANE_MAX,
    "kTailBytes": reference.TAIL_BYTES,
    "kMaxVarint": container.MAX_VARINT_BYTES,
    "kMaxDigits": reference.MAX_DIGITS,
    "kMaxSymbols": reference.INT32_MAX,
}


@needs("g++")
def test_the_header_for_cpp_has_the_numbers_of_the_specification(tmp_path):
    prints = "".join(
        f'std::printf("%s %lld\\n", "{name}", (long long)sw::{name});' for name in OF_PYTHON
    )
    program = tmp_path / "numbers.cpp"
    program.write_text(f'#include <cstdio>\n#include "format.h"\nint main() {{ {prints} }}\n')
    binary = tmp_path / "numbers"
    run("g++", "-std=c++14", f"-I{SOURCE}", program, "-o", binary)
    lines = run(binary).split()
    assert dict(zip(lines[::2], map(int, lines[1::2]), strict=True)) == OF_PYTHON


def test_every_status_of_the_library_has_its_sentence():
    library = native.library()
    assert library is not None
    names = [library.functions.sw_status_name(-number) for number in range(1, 100)]
    known = {name.decode() for name in names if name}
    # The GPU's status never leaves the plugin; what is not codable is said of the array at hand.
    assert known - {"SW_OVERFLOW", "SW_NOT_CODABLE"} == set(native._ERRORS)


def test_an_unknown_status_is_an_error_in_one_sentence():
    library = native.library()
    assert library is not None
    library.check(0)
    with pytest.raises(native.SplitwattError, match="status -77"):
        library.check(-77)
