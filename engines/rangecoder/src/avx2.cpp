// The loops for x86 with AVX2: four groups of 8 lanes. Tables are read by gathers; bytes are packed
// and spread by shuffles. The short step at a row's end is the scalar loop's.
#include <immintrin.h>

#include "bytes8.h"
#include "symbols.h"

namespace sw {
namespace {

constexpr int kGroup = 8, kGroups = kLanes / kGroup;
constexpr Shuffles8 kShuffles;

inline __m256i load(const void* at) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(at));
}
inline void store(void* at, __m256i value) {
  _mm256_storeu_si256(static_cast<__m256i*>(at), value);
}
inline __m128i load8(const void* at) { return _mm_loadl_epi64(static_cast<const __m128i*>(at)); }
inline __m256i gather(const void* base, __m256i at) {
  return _mm256_i32gather_epi32(static_cast<const int*>(base), at, 4);
}
inline uint32_t mask_of(__m256i lanes) {
  return uint32_t(_mm256_movemask_ps(_mm256_castsi256_ps(lanes)));
}
inline __m256i choose(__m256i no, __m256i yes, __m256i mask) {
  return _mm256_blendv_epi8(no, yes, mask);
}

inline __m256i symbols(const float* values, __m256 median) {
  const __m256 value = _mm256_sub_ps(_mm256_loadu_ps(values), median);
  return _mm256_cvttps_epi32(
      _mm256_round_ps(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
inline __m256i symbols(const int32_t* values, __m256) { return load(values); }

// The low bytes of the lanes chosen by `mask`, before `at`; where they begin.
inline uint8_t* put_bytes(uint8_t* at, __m256i x, uint32_t mask) {
  const __m256i low = _mm256_set1_epi32(0x0c080400);
  const __m256i quarters = _mm256_shuffle_epi8(x, low);
  const __m128i bytes = _mm_unpacklo_epi32(_mm256_castsi256_si128(quarters),
                                           _mm256_extracti128_si256(quarters, 1));
  const __m128i packed = _mm_shuffle_epi8(bytes, load8(kShuffles.pack[mask]));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(at - 8), packed);
  return at - kShuffles.count[mask];
}

// Unsigned 32-bit numbers as floats, each within a rounding of the exact one.
inline __m256 to_float(__m256i x) {
  const __m256 high = _mm256_cvtepi32_ps(_mm256_srli_epi32(x, 16));
  const __m256 low = _mm256_cvtepi32_ps(_mm256_and_si256(x, _mm256_set1_epi32(0xffff)));
  return _mm256_add_ps(_mm256_mul_ps(high, _mm256_set1_ps(65536.0f)), low);
}

// x / freq * 65536 + x % freq + start; `inverse` is a little below 1 / freq.
inline __m256i advanced(__m256i x, __m256i freq, __m256i start, __m256i inverse) {
  const __m256 estimate = _mm256_mul_ps(to_float(x), _mm256_castsi256_ps(inverse));
  const __m256i quotient = _mm256_cvttps_epi32(estimate);
  const __m256i rest = _mm256_sub_epi32(x, _mm256_mullo_epi32(quotient, freq));
  const __m256i next = _mm256_add_epi32(_mm256_slli_epi32(quotient, kPrecision),
                                        _mm256_add_epi32(rest, start));
  // The quotient may be one too small; rest is below 2^18, so signed comparisons do.
  const __m256i right = _mm256_cmpgt_epi32(freq, rest);
  const __m256i more = _mm256_sub_epi32(_mm256_set1_epi32(int(kTotal)), freq);
  return _mm256_add_epi32(next, _mm256_andnot_si256(right, more));
}

template <class T>
bool encode(const Table& table, const T* values, size_t begin, size_t finish, Encoder& encoder) {
  const size_t whole = finish / kLanes * kLanes;
  if (whole < finish &&
      !encode_row(*scalar_loops(), table, values, whole, finish, encoder)) {
    return false;
  }
  const Vectors& v = *table.vectors;
  const __m256 median = _mm256_set1_ps(table.median);
  const __m256i offset = _mm256_set1_epi32(table.offset);
  const __m256i last = _mm256_set1_epi32(table.last);
  const __m256i low16 = _mm256_set1_epi32(0xffff);
  __m256i x[kGroups];
  for (int g = 0; g < kGroups; ++g) x[g] = load(encoder.x + kGroup * g);
  uint8_t* at = encoder.at;
  for (size_t stop = whole; stop > begin; stop -= kLanes) {
    const T* step = values + stop - kLanes;
    prefetch_step_before(step);
    __m256i entry[kGroups], freq[kGroups], start[kGroups], inverse[kGroups];
    __m256i outside = _mm256_setzero_si256(), two = outside;
    for (int g = 0; g < kGroups; ++g) {
      entry[g] = _mm256_sub_epi32(symbols(step + kGroup * g, median), offset);
      const __m256i beyond = _mm256_cmpeq_epi32(_mm256_max_epu32(entry[g], last), entry[g]);
      outside = _mm256_or_si256(outside, beyond);
    }
    if (__builtin_expect(mask_of(outside), 0)) {
      alignas(32) int32_t entries[kLanes];
      if (!entries_outside(RowTable{table}, step, kLanes, encoder, entries)) return false;
      for (int g = 0; g < kGroups; ++g) entry[g] = load(entries + kGroup * g);
    }
    for (int g = 0; g < kGroups; ++g) {
      const __m256i packed = gather(v.packed, entry[g]);
      inverse[g] = gather(v.inverse, entry[g]);
      freq[g] = _mm256_and_si256(packed, low16);
      start[g] = _mm256_srli_epi32(packed, 16);
      const __m256i none = _mm256_cmpgt_epi32(freq[g], _mm256_srli_epi32(x[g], 24));
      two = _mm256_or_si256(two, _mm256_xor_si256(none, _mm256_set1_epi32(-1)));
    }
    if (__builtin_expect(mask_of(two), 0)) {
      for (int g = kGroups - 1; g >= 0; --g) {
        const __m256i none = _mm256_cmpgt_epi32(freq[g], _mm256_srli_epi32(x[g], 24));
        at = put_bytes(at, x[g], ~mask_of(none) & 255);
        x[g] = choose(_mm256_srli_epi32(x[g], 8), x[g], none);
      }
    }
    for (int g = kGroups - 1; g >= 0; --g) {
      const __m256i none = _mm256_cmpgt_epi32(freq[g], _mm256_srli_epi32(x[g], 16));
      at = put_bytes(at, x[g], ~mask_of(none) & 255);
      x[g] = choose(_mm256_srli_epi32(x[g], 8), x[g], none);
      x[g] = advanced(x[g], freq[g], start[g], inverse[g]);
    }
  }
  for (int g = 0; g < kGroups; ++g) store(encoder.x + kGroup * g, x[g]);
  encoder.at = at;
  return true;
}

inline void put(float* out, __m256i symbol, __m256 median) {
  _mm256_storeu_ps(out, _mm256_add_ps(_mm256_cvtepi32_ps(symbol), median));
}
inline void put(int32_t* out, __m256i symbol, __m256) { store(out, symbol); }

// x with a byte appended in the lanes of `mask`.
inline __m256i take_bytes(const uint8_t** at, __m256i x, __m256i lanes) {
  const uint32_t mask = mask_of(lanes);
  const __m128i bytes = _mm_shuffle_epi8(load8(*at), load8(kShuffles.spread[mask]));
  *at += kShuffles.count[mask];
  const __m256i moved = _mm256_or_si256(_mm256_slli_epi32(x, 8), _mm256_cvtepu8_epi32(bytes));
  return choose(x, moved, lanes);
}

inline __m256i below_low(__m256i x) {
  return _mm256_cmpeq_epi32(_mm256_srli_epi32(x, 24), _mm256_setzero_si256());
}

template <class T>
bool decode(const Table& table, T* out, size_t begin, size_t finish, Decoder& decoder) {
  const size_t whole = finish / kLanes * kLanes;
  const __m256 median = _mm256_set1_ps(table.median);
  const __m256i offset = _mm256_set1_epi32(table.offset);
  const __m256i last = _mm256_set1_epi32(table.last);
  const __m256i low16 = _mm256_set1_epi32(0xffff);
  const int* guesses = reinterpret_cast<const int*>(table.guesses);
  __m256i x[kGroups];
  for (int g = 0; g < kGroups; ++g) x[g] = load(decoder.x + kGroup * g);
  for (size_t first = begin; first < whole; first += kLanes) {
    if (__builtin_expect(decoder.at > decoder.guard, 0) && !decoder.refill()) return false;
    const uint8_t* at = decoder.at;
    __m256i entry[kGroups];
    __m256i twice = _mm256_setzero_si256(), escaped = twice;
    for (int g = 0; g < kGroups; ++g) {
      const __m256i slot = _mm256_and_si256(x[g], low16);
      const __m256i bucket = _mm256_srli_epi32(slot, kPrecision - kLutBits);
      __m256i packed = _mm256_i32gather_epi32(guesses, bucket, 8);
      entry[g] = _mm256_i32gather_epi32(guesses + 1, bucket, 8);
      __m256i within = _mm256_sub_epi32(slot, _mm256_srli_epi32(packed, 16));
      const __m256i right = _mm256_andnot_si256(
          within, _mm256_cmpgt_epi32(_mm256_and_si256(packed, low16), within));
      if (__builtin_expect(mask_of(right) != 255, 0)) {
        alignas(32) uint32_t slots[kGroup], found[kGroup];
        alignas(32) int32_t entries[kGroup];
        store(slots, slot);
        for (int j = 0; j < kGroup; ++j) entries[j] = find_entry(table, slots[j], found + j);
        entry[g] = load(entries);
        packed = load(found);
        within = _mm256_sub_epi32(slot, _mm256_srli_epi32(packed, 16));
      }
      const __m256i freq = _mm256_and_si256(packed, low16);
      x[g] = _mm256_add_epi32(_mm256_mullo_epi32(freq, _mm256_srli_epi32(x[g], 16)), within);
      x[g] = take_bytes(&at, x[g], below_low(x[g]));
      twice = _mm256_or_si256(twice, below_low(x[g]));
      escaped = _mm256_or_si256(escaped, _mm256_cmpeq_epi32(entry[g], last));
    }
    if (__builtin_expect(mask_of(twice), 0)) {
      for (int g = 0; g < kGroups; ++g) x[g] = take_bytes(&at, x[g], below_low(x[g]));
    }
    decoder.at = at;
    if (__builtin_expect(mask_of(escaped), 0)) {
      alignas(32) int32_t entries[kLanes];
      for (int g = 0; g < kGroups; ++g) store(entries + kGroup * g, entry[g]);
      if (!put_entries(RowTable{table}, entries, kLanes, decoder, out + first)) return false;
      continue;
    }
    for (int g = 0; g < kGroups; ++g) {
      put(out + first + kGroup * g, _mm256_add_epi32(entry[g], offset), median);
    }
  }
  for (int g = 0; g < kGroups; ++g) store(decoder.x + kGroup * g, x[g]);
  if (whole < finish &&
      !decode_row(*scalar_loops(), table, out, whole, finish, decoder)) {
    return false;
  }
  return decoder.sound();
}

const Loops kAvx2 = {encode<float>, encode<int32_t>, decode<float>, decode<int32_t>};

}  // namespace

const Loops* avx2_loops() { return &kAvx2; }

}  // namespace sw
