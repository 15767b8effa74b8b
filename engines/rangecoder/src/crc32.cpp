// zlib's CRC-32: by carry-less multiplication where the machine has it, else by a table.
#include <string.h>

#include "streams.h"

#if defined(SW_HAVE_PCLMUL)
#include <immintrin.h>
#endif
#if defined(__aarch64__) && defined(__linux__) && defined(SW_HAVE_ARM_CRC)
#include <arm_acle.h>
#include <sys/auxv.h>
#endif

namespace sw {
namespace {

constexpr uint32_t kPolynomial = 0xEDB88320u;  // 0x04C11DB7, reflected

struct CrcTable {
  uint32_t at[256];
  CrcTable() {
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t crc = i;
      for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? kPolynomial : 0);
      at[i] = crc;
    }
  }
};

// `crc` here and below is the register itself, not inverted.
uint32_t by_table(uint32_t crc, const uint8_t* data, size_t size) {
  static const CrcTable table;
  for (; size; ++data, --size) crc = crc >> 8 ^ table.at[(crc ^ *data) & 255];
  return crc;
}

#if defined(SW_HAVE_PCLMUL)

// x^n mod the polynomial for the distances folded over, in reflected order (Gopal et al.,
// "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ", 2009).
__attribute__((target("pclmul,sse4.1"))) __m128i fold(__m128i value, __m128i keys, __m128i next) {
  const __m128i low = _mm_clmulepi64_si128(value, keys, 0x00);
  const __m128i high = _mm_clmulepi64_si128(value, keys, 0x11);
  return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

__attribute__((target("pclmul,sse4.1"))) __m128i load(const uint8_t* at) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
}

__attribute__((target("pclmul,sse4.1"))) uint32_t by_folding(uint32_t crc, const uint8_t* data,
                                                              size_t size) {
  const __m128i by_512 = _mm_set_epi64x(0x1c6e41596, 0x154442bd4);
  const __m128i by_128 = _mm_set_epi64x(0x0ccaa009e, 0x1751997d0);
  __m128i a = _mm_xor_si128(load(data), _mm_cvtsi32_si128(int(crc)));
  __m128i b = load(data + 16), c = load(data + 32), d = load(data + 48);
  for (data += 64, size -= 64; size >= 64; data += 64, size -= 64) {
    a = fold(a, by_512, load(data));
    b = fold(b, by_512, load(data + 16));
    c = fold(c, by_512, load(data + 32));
    d = fold(d, by_512, load(data + 48));
  }
  a = fold(fold(fold(a, by_128, b), by_128, c), by_128, d);
  for (; size >= 16; data += 16, size -= 16) a = fold(a, by_128, load(data));
  uint8_t rest[16];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(rest), a);
  return by_table(by_table(0, rest, 16), data, size);
}

#endif

#if defined(__aarch64__) && defined(__linux__) && defined(SW_HAVE_ARM_CRC)
__attribute__((target("+crc"))) uint32_t by_instruction(uint32_t crc, const uint8_t* data,
                                                         size_t size) {
  for (; size >= 8; data += 8, size -= 8) {
    uint64_t word;
    memcpy(&word, data, 8);
    crc = __crc32d(crc, word);
  }
  for (; size; ++data, --size) crc = __crc32b(crc, *data);
  return crc;
}
#endif

}  // namespace

uint32_t crc32(uint32_t crc, const uint8_t* data, size_t size) {
#if defined(SW_HAVE_PCLMUL)
  if (size >= 64 && __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1")) {
    return ~by_folding(~crc, data, size);
  }
#elif defined(__aarch64__) && defined(__linux__) && defined(SW_HAVE_ARM_CRC)
  static const bool has = (getauxval(AT_HWCAP) & (1 << 7)) != 0;  // HWCAP_CRC32
  if (has) return ~by_instruction(~crc, data, size);
#endif
  return ~by_table(~crc, data, size);
}

}  // namespace sw
