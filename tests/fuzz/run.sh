#!/bin/sh
# Builds the fuzzer under ASan and UBSan, replays the corpus and fuzzes for some seconds.
#   tests/fuzz/run.sh [SECONDS] [BUILD_FOLDER]      0 seconds: replay only
set -eu
seconds=${1:-60}
build=${2:-build/fuzz}
here=$(cd "$(dirname "$0")" && pwd)
sources=$here/../../engines/rangecoder/src
compiler=${CXX:-clang++}
mkdir -p "$build"
flags="-std=c++14 -O1 -g -I$sources -ffp-contract=off -fsanitize=fuzzer,address,undefined,float-cast-overflow -fno-sanitize-recover=all"
files="api codec compressai crc32 scalar tables"
definitions=""
objects=""
case $("$compiler" -dumpmachine) in
  x86_64*)
    definitions="-DSW_HAVE_PCLMUL -DSW_HAVE_AVX2 -DSW_HAVE_AVX512"
    "$compiler" $flags $definitions -mavx2 -mbmi2 -mfma -mpopcnt -c "$sources/avx2.cpp" -o "$build/avx2.o"
    "$compiler" $flags $definitions -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512cd -mavx512vbmi \
      -mavx512vbmi2 -mbmi2 -mfma -mpopcnt -c "$sources/avx512.cpp" -o "$build/avx512.o"
    objects="$build/avx2.o $build/avx512.o" ;;
  aarch64*)
    definitions="-DSW_HAVE_ARM_CRC"
    files="$files neon" ;;
esac
for file in $files; do
  "$compiler" $flags $definitions -c "$sources/$file.cpp" -o "$build/$file.o"
  objects="$objects $build/$file.o"
done
"$compiler" $flags "$here/fuzz_rangecoder.cpp" $objects -o "$build/fuzz_rangecoder"
"$build/fuzz_rangecoder" -runs=0 "$here/corpus"
if [ "$seconds" -gt 0 ]; then
  mkdir -p "$build/corpus"
  "$build/fuzz_rangecoder" -max_total_time="$seconds" -max_len=16384 -rss_limit_mb=2048 \
    -print_final_stats=1 "$build/corpus" "$here/corpus"
fi
