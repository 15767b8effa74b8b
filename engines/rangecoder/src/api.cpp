// Which loops this machine can run.
#include "rangecoder.h"
#include "streams.h"

#if defined(__aarch64__) || defined(__arm64__)
#define SW_ARM64 1
#endif

namespace sw {

#if !defined(SW_HAVE_AVX2)
const Loops* avx2_loops() { return nullptr; }
#endif
#if !defined(SW_HAVE_AVX512)
const Loops* avx512_loops() { return nullptr; }
#endif
#if !defined(SW_ARM64)
const Loops* neon_loops() { return nullptr; }
#endif

namespace {

bool cpu_has_avx2() {
#if defined(SW_HAVE_AVX2)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("popcnt");
#else
  return false;
#endif
}

bool cpu_has_avx512() {
#if defined(SW_HAVE_AVX512)
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512cd") &&
         __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2") &&
         __builtin_cpu_supports("bmi2");
#else
  return false;
#endif
}

}  // namespace
}  // namespace sw

int sw_abi_version(void) { return SW_ABI_VERSION; }

const char* sw_status_name(int status) {
  switch (status) {
#define SW_STATUS(name, number) \
  case number: return #name;
    SW_STATUSES(SW_STATUS)
#undef SW_STATUS
    default: return nullptr;
  }
}

int sw_has_path(int path) {
  switch (path) {
    case SW_AUTO:
    case SW_SCALAR: return 1;
    case SW_NEON: return sw::neon_loops() != nullptr;
    case SW_AVX2: return sw::avx2_loops() != nullptr && sw::cpu_has_avx2();
    case SW_AVX512: return sw::avx512_loops() != nullptr && sw::cpu_has_avx512();
    default: return 0;
  }
}

int sw_best_path(void) {
  for (int path : {SW_AVX512, SW_AVX2, SW_NEON}) {
    if (sw_has_path(path)) return path;
  }
  return SW_SCALAR;
}

uint32_t sw_crc32(uint32_t crc, const uint8_t* data, size_t size) {
  return data ? sw::crc32(crc, data, size) : crc;
}
