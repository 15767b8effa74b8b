// Which loops this machine can run.
#include "rangecoder.h"
#include "streams.h"

namespace sw {

const Loops* loops_of(int path) {
  static const Loops scalar = {encode_scalar<Table, float>, decode_scalar<Table, float>};
  switch (path) {
    case SW_AUTO: {
      static const Loops* const best = loops_of(sw_best_path());
      return best;
    }
    case SW_SCALAR: return &scalar;
#if defined(__aarch64__) || defined(__arm64__)
    case SW_NEON: return neon_loops();
#endif
#if defined(SW_HAVE_AVX2)
    case SW_AVX2: {
      const bool has = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                       __builtin_cpu_supports("popcnt");
      return has ? avx2_loops() : nullptr;
    }
#endif
#if defined(SW_HAVE_AVX512)
    case SW_AVX512: {
      const bool has = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                       __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                       __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512vbmi") &&
                       __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("bmi2");
      return has ? avx512_loops() : nullptr;
    }
#endif
    default: return nullptr;
  }
}

}  // namespace sw

int sw_abi_version(void) { return SW_ABI_VERSION; }

int sw_has_path(int path) { return sw::loops_of(path) != nullptr; }

int sw_best_path(void) {
  for (int path : {SW_AVX512, SW_AVX2, SW_NEON}) {
    if (sw_has_path(path)) return path;
  }
  return SW_SCALAR;
}

uint32_t sw_crc32(uint32_t crc, const uint8_t* data, size_t size) {
  return data ? sw::crc32(crc, data, size) : crc;
}
