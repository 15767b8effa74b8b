// The loops for x86 with AVX-512 VBMI2 (Ice Lake, Zen 4 and later): all lanes at once.
//
// A table sits in registers and is read by permutes, so the loops are made for tables of up to
// 16, 32, 64 and 128 intervals. Encoding keeps the 32 states in two vectors of 32 bits; decoding
// in two vectors of their 16-bit halves.
#include <immintrin.h>

#include "streams.h"

namespace sw {
namespace {

// 0..31 twice: loading at n makes the shuffle that moves n bytes from the front to the back.
alignas(64) const uint8_t kRotations[64] = {
    0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
    22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11,
    12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};

inline __m512i load(const void* at) { return _mm512_loadu_si512(at); }

// A table of Size 32-bit numbers in registers.
template <int Size>
struct Wide {
  static constexpr int kRegisters = Size <= 16 ? 1 : Size / 16;
  __m512i part[kRegisters];

  explicit Wide(const void* numbers) {
    const uint32_t* from = static_cast<const uint32_t*>(numbers);
    for (int i = 0; i < kRegisters; ++i) part[i] = load(from + 16 * i);
  }

  __m512i operator[](__m512i at) const {
    if (Size <= 16) return _mm512_permutexvar_epi32(at, part[0]);
    const __m512i low = pair(at, 0);
    if (Size <= 32) return low;
    const __mmask16 bit5 = _mm512_test_epi32_mask(at, _mm512_set1_epi32(32));
    const __m512i half = _mm512_mask_mov_epi32(low, bit5, pair(at, 2));
    if (Size <= 64) return half;
    const __mmask16 bit6 = _mm512_test_epi32_mask(at, _mm512_set1_epi32(64));
    const __m512i top = _mm512_mask_mov_epi32(pair(at, 4), bit5, pair(at, 6));
    return _mm512_mask_mov_epi32(half, bit6, top);
  }

 private:
  __m512i pair(__m512i at, int i) const {
    const int first = i < kRegisters ? i : 0, second = i + 1 < kRegisters ? i + 1 : 0;
    return _mm512_permutex2var_epi32(part[first], at, part[second]);
  }
};

// A table of Size 16-bit numbers in registers.
template <int Size>
struct Narrow {
  static constexpr int kRegisters = Size <= 32 ? 1 : Size / 32;
  __m512i part[kRegisters];

  explicit Narrow(const uint16_t* numbers) {
    for (int i = 0; i < kRegisters; ++i) part[i] = load(numbers + 32 * i);
  }

  __m512i operator[](__m512i at) const {
    if (Size <= 32) return _mm512_permutexvar_epi16(at, part[0]);
    const __m512i low = _mm512_permutex2var_epi16(part[0], at, part[kRegisters > 1]);
    if (Size <= 64) return low;
    const int third = kRegisters > 2 ? 2 : 0, fourth = kRegisters > 3 ? 3 : 0;
    const __m512i high = _mm512_permutex2var_epi16(part[third], at, part[fourth]);
    return _mm512_mask_mov_epi16(low, _mm512_test_epi16_mask(at, _mm512_set1_epi16(64)), high);
  }
};

inline __m512i symbols(const float* values, __mmask16 active, __m512 median) {
  const __m512 value = _mm512_sub_ps(_mm512_maskz_loadu_ps(active, values), median);
  return _mm512_cvt_roundps_epi32(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

inline __m512i low_bytes(__m512i a, __m512i b) {
  return _mm512_inserti64x2(_mm512_castsi128_si512(_mm512_cvtepi32_epi8(a)),
                            _mm512_cvtepi32_epi8(b), 1);
}

// The bytes chosen by `mask`, before `at`; where they begin.
inline uint8_t* put_bytes(uint8_t* at, __m512i bytes, uint32_t mask) {
  const unsigned count = unsigned(_mm_popcnt_u32(mask));
  const __m256i packed = _mm256_maskz_compress_epi8(mask, _mm512_castsi512_si256(bytes));
  const __m256i turn =
      _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kRotations + count));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(at - 32),
                      _mm256_permutexvar_epi8(turn, packed));
  return at - count;
}

inline __mmask16 reaches(__mmask16 active, __m512i x, __m512i freq) {
  return _mm512_mask_cmpge_epu32_mask(active, x, freq);
}

// x / freq: see reciprocal() in tables.cpp.
inline __m512i divided(__m512i x, __m512i reciprocal, __mmask16 more, __m512i shift) {
  const __m512i from = _mm512_mask_add_epi32(x, more, x, _mm512_set1_epi32(1));
  const __m512i even = _mm512_mul_epu32(from, reciprocal);
  const __m512i odd =
      _mm512_mul_epu32(_mm512_srli_epi64(from, 32), _mm512_srli_epi64(reciprocal, 32));
  const __m512i high = _mm512_mask_mov_epi32(_mm512_srli_epi64(even, 32), 0xAAAA, odd);
  return _mm512_srlv_epi32(high, shift);
}

// What a step needs of 16 lanes beside their states.
struct Lookups {
  __m512i freq, start, reciprocal, rest, shift;
  __mmask16 more;

  template <int Size>
  Lookups(__m512i entry, const Wide<Size>& packed, const Wide<Size>& reciprocals,
          __m512i more_freq) {
    const __m512i one = _mm512_set1_epi32(1);
    const __m512i both = packed[entry];
    freq = _mm512_and_si512(both, _mm512_set1_epi32(0xffff));
    start = _mm512_srli_epi32(both, 16);
    reciprocal = reciprocals[entry];
    rest = _mm512_sub_epi32(_mm512_set1_epi32(int(kTotal)), freq);
    // log2(freq - 1), and 0 for 1: the leading zeros of freq - 1 | 1.
    const __m512i zeros = _mm512_lzcnt_epi32(_mm512_or_si512(_mm512_sub_epi32(freq, one), one));
    shift = _mm512_sub_epi32(_mm512_set1_epi32(31), zeros);
    more = _mm512_cmpeq_epi32_mask(freq, one) | _mm512_cmpeq_epi32_mask(freq, more_freq);
  }

  // x / freq * 65536 + x % freq + start, in the lanes of `active`.
  __m512i advanced(__m512i x, __mmask16 active) const {
    const __m512i quotient = divided(x, reciprocal, more, shift);
    return _mm512_mask_add_epi32(x, active, _mm512_add_epi32(x, start),
                                 _mm512_mullo_epi32(quotient, rest));
  }
};

template <int Size>
bool encode_row(const Table& table, const float* values, size_t stop, Encoder& encoder) {
  const Wide<Size> packed(table.vectors->packed), reciprocals(table.vectors->reciprocal);
  const __m512i more_freq = _mm512_set1_epi32(int(table.vectors->more_freq));
  const __m512 median = _mm512_set1_ps(table.median);
  const __m512i offset = _mm512_set1_epi32(table.offset);
  const __m512i last = _mm512_set1_epi32(table.last);
  __m512i x0 = load(encoder.x), x1 = load(encoder.x + 16);
  uint8_t* at = encoder.at;
  while (stop) {
    const size_t first = (stop - 1) / kLanes * kLanes;
    const uint32_t active = uint32_t((uint64_t(1) << (stop - first)) - 1);
    const __mmask16 active0 = __mmask16(active), active1 = __mmask16(active >> 16);
    __m512i e0 = _mm512_sub_epi32(symbols(values + first, active0, median), offset);
    __m512i e1 = _mm512_sub_epi32(symbols(values + first + 16, active1, median), offset);
    const __mmask16 outside0 = _mm512_mask_cmpge_epu32_mask(active0, e0, last);
    const __mmask16 outside1 = _mm512_mask_cmpge_epu32_mask(active1, e1, last);
    if (__builtin_expect(outside0 | outside1, 0)) {
      alignas(64) int32_t entries[kLanes] = {};
      if (!entries_outside(table, values + first, int(stop - first), encoder, entries)) {
        return false;
      }
      e0 = load(entries);
      e1 = load(entries + 16);
    }
    stop = first;
    prefetch_step_before(values + first);
    const Lookups l0(e0, packed, reciprocals, more_freq), l1(e1, packed, reciprocals, more_freq);
    const __mmask16 two0 = reaches(active0, _mm512_srli_epi32(x0, 24), l0.freq);
    const __mmask16 two1 = reaches(active1, _mm512_srli_epi32(x1, 24), l1.freq);
    if (__builtin_expect(two0 | two1, 0)) {
      at = put_bytes(at, low_bytes(x0, x1), two0 | uint32_t(two1) << 16);
      x0 = _mm512_mask_srli_epi32(x0, two0, x0, 8);
      x1 = _mm512_mask_srli_epi32(x1, two1, x1, 8);
    }
    const __mmask16 one0 = reaches(active0, _mm512_srli_epi32(x0, 16), l0.freq);
    const __mmask16 one1 = reaches(active1, _mm512_srli_epi32(x1, 16), l1.freq);
    at = put_bytes(at, low_bytes(x0, x1), one0 | uint32_t(one1) << 16);
    x0 = _mm512_mask_srli_epi32(x0, one0, x0, 8);
    x1 = _mm512_mask_srli_epi32(x1, one1, x1, 8);
    x0 = l0.advanced(x0, active0);
    x1 = l1.advanced(x1, active1);
  }
  _mm512_storeu_si512(encoder.x, x0);
  _mm512_storeu_si512(encoder.x + 16, x1);
  encoder.at = at;
  return true;
}

// 256 bytes in registers, read by the low bytes of 16-bit lanes; high bytes come out zero.
struct Guesses {
  __m512i part[4];

  explicit Guesses(const uint8_t* bytes) {
    for (int i = 0; i < 4; ++i) part[i] = load(bytes + 64 * i);
  }

  // By the top 8 bits of each slot.
  __m512i operator[](__m512i slot) const {
    const __mmask64 even = 0x5555555555555555;
    const __m512i at = _mm512_srli_epi16(slot, 8);
    const __m512i low = _mm512_maskz_permutex2var_epi8(even, part[0], at, part[1]);
    const __m512i high = _mm512_maskz_permutex2var_epi8(even, part[2], at, part[3]);
    return _mm512_mask_mov_epi16(low, _mm512_movepi16_mask(slot), high);
  }
};

inline void put(float* out, __mmask16 active, __m512i symbol, __m512 median) {
  _mm512_mask_storeu_ps(out, active, _mm512_add_ps(_mm512_cvtepi32_ps(symbol), median));
}

// The next bytes for the lanes in `mask`, as 16-bit numbers.
inline __m512i take_bytes(const uint8_t** at, __mmask32 mask) {
  const __m512i bytes =
      _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(*at)));
  *at += _mm_popcnt_u32(mask);
  return _mm512_maskz_expand_epi16(mask, bytes);
}

template <int Size>
bool decode_row(const Table& table, float* out, size_t finish, Decoder& decoder) {
  const Vectors& v = *table.vectors;
  const Narrow<Size> starts(v.start), freqs(v.freq), ends(v.end);
  const Guesses guesses(v.guess);
  const __m512 median = _mm512_set1_ps(table.median);
  const __m512i offset = _mm512_set1_epi32(table.offset);
  const __m512i last = _mm512_set1_epi16(short(table.last));
  const __m512i one = _mm512_set1_epi16(1);
  const __m512i x0 = load(decoder.x), x1 = load(decoder.x + 16);
  __m512i low = _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi32_epi16(x0)),
                                   _mm512_cvtepi32_epi16(x1), 1);
  __m512i high = _mm512_inserti64x4(
      _mm512_castsi256_si512(_mm512_cvtepi32_epi16(_mm512_srli_epi32(x0, 16))),
      _mm512_cvtepi32_epi16(_mm512_srli_epi32(x1, 16)), 1);
  const __m512i byte_max = _mm512_set1_epi16(256);
  bool valid = true;
  for (size_t first = 0; first < finish; first += kLanes) {
    if (__builtin_expect(decoder.at > decoder.guard, 0) && !decoder.refill()) {
      valid = false;
      break;
    }
    const size_t count = finish - first;
    const __mmask32 active = count >= kLanes ? ~__mmask32(0) : (__mmask32(1) << count) - 1;
    __m512i entry = guesses[low];
    entry = _mm512_mask_add_epi16(entry, _mm512_cmpgt_epu16_mask(low, ends[entry]), entry, one);
    __m512i freq = freqs[entry];
    __m512i within = _mm512_sub_epi16(low, starts[entry]);
    if (__builtin_expect(_mm512_mask_cmpge_epu16_mask(active, within, freq), 0)) {
      entry = _mm512_setzero_si512();
      for (int step = Size / 2; step; step /= 2) {
        const __m512i next = _mm512_add_epi16(entry, _mm512_set1_epi16(short(step)));
        const __m512i before = _mm512_sub_epi16(next, one);
        entry = _mm512_mask_mov_epi16(entry, _mm512_cmpgt_epu16_mask(low, ends[before]), next);
      }
      freq = freqs[entry];
      within = _mm512_sub_epi16(low, starts[entry]);
    }
    __m512i next_low = _mm512_add_epi16(_mm512_mullo_epi16(freq, high), within);
    __m512i next_high = _mm512_mulhi_epu16(freq, high);
    next_high = _mm512_mask_add_epi16(next_high, _mm512_cmplt_epu16_mask(next_low, within),
                                      next_high, one);
    const __mmask32 under = _mm512_mask_cmplt_epu16_mask(active, next_high, byte_max);
    const __m512i moved_high = _mm512_or_si512(_mm512_slli_epi16(next_high, 8),
                                               _mm512_srli_epi16(next_low, 8));
    const __m512i moved_low = _mm512_or_si512(_mm512_slli_epi16(next_low, 8),
                                              take_bytes(&decoder.at, under));
    next_high = _mm512_mask_mov_epi16(next_high, under, moved_high);
    next_low = _mm512_mask_mov_epi16(next_low, under, moved_low);
    const __mmask32 twice = _mm512_mask_cmplt_epu16_mask(under, next_high, byte_max);
    if (__builtin_expect(twice, 0)) {
      const __m512i bytes = take_bytes(&decoder.at, twice);
      const __m512i again = _mm512_or_si512(_mm512_slli_epi16(next_high, 8),
                                            _mm512_srli_epi16(next_low, 8));
      next_high = _mm512_mask_mov_epi16(next_high, twice, again);
      next_low = _mm512_mask_mov_epi16(
          next_low, twice, _mm512_or_si512(_mm512_slli_epi16(next_low, 8), bytes));
    }
    low = _mm512_mask_mov_epi16(low, active, next_low);
    high = _mm512_mask_mov_epi16(high, active, next_high);
    if (__builtin_expect(_mm512_mask_cmpeq_epi16_mask(active, entry, last), 0)) {
      alignas(64) int32_t entries[kLanes];
      _mm512_store_si512(entries, _mm512_cvtepu16_epi32(_mm512_castsi512_si256(entry)));
      _mm512_store_si512(entries + 16,
                         _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(entry, 1)));
      const int left = int(count < kLanes ? count : kLanes);
      if (!put_escaped(table, entries, left, decoder, out + first)) {
        valid = false;
        break;
      }
      continue;
    }
    const __m512i wide0 = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(entry));
    const __m512i wide1 = _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(entry, 1));
    put(out + first, __mmask16(active), _mm512_add_epi32(wide0, offset), median);
    put(out + first + 16, __mmask16(active >> 16), _mm512_add_epi32(wide1, offset), median);
  }
  for (int half = 0; half < 2; ++half) {
    const __m256i l = half ? _mm512_extracti64x4_epi64(low, 1) : _mm512_castsi512_si256(low);
    const __m256i h = half ? _mm512_extracti64x4_epi64(high, 1) : _mm512_castsi512_si256(high);
    _mm512_storeu_si512(decoder.x + 16 * half,
                        _mm512_or_si512(_mm512_cvtepu16_epi32(l),
                                        _mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16)));
  }
  return valid && decoder.valid();
}

bool encode(const Table& table, const float* row, size_t count, Encoder& encoder) {
  if (table.last < 16) return encode_row<16>(table, row, count, encoder);
  if (table.last < 32) return encode_row<32>(table, row, count, encoder);
  if (table.last < 64) return encode_row<64>(table, row, count, encoder);
  return encode_row<128>(table, row, count, encoder);
}

bool decode(const Table& table, float* row, size_t count, Decoder& decoder) {
  if (table.last < 32) return decode_row<32>(table, row, count, decoder);
  if (table.last < 64) return decode_row<64>(table, row, count, decoder);
  return decode_row<128>(table, row, count, decoder);
}

const Loops kAvx512 = {encode, decode};

}  // namespace

const Loops* avx512_loops() { return &kAvx512; }

}  // namespace sw
