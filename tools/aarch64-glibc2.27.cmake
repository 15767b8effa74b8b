# CMake toolchain: zig's clang as a cross compiler for every aarch64 Linux from glibc 2.27 (JetPack
# 4.6's) on. SPLITWATT_CXX is a script that runs `zig c++ -target aarch64-linux-gnu.2.27`, written
# by board_wheel.py.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER $ENV{SPLITWATT_CXX})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
