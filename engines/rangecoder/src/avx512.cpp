// The vectors of x86 with AVX-512 VBMI2 (Ice Lake, Zen 4 and later): 32 lanes of 16 bits.
#include <immintrin.h>

#include "vector_loops.h"

namespace sw {
namespace {

struct Avx512 {
  using V = __m512i;
  using M = __mmask32;
  static constexpr int kWidth = 32, kVectors = 1;
  static constexpr bool kAhead = true;  // see VectorLoops::encode

  static V fill(uint16_t value) { return _mm512_set1_epi16(short(value)); }
  static V subtract(V a, V b) { return _mm512_sub_epi16(a, b); }
  static M either(M a, M b) { return a | b; }
  static M equal(V a, V b) { return _mm512_cmpeq_epi16_mask(a, b); }
  static M at_least(V a, V b) { return _mm512_cmpge_epu16_mask(a, b); }
  static V top_bytes(V a) { return _mm512_srli_epi16(a, 8); }
  static V low_bytes(V a) { return _mm512_and_si512(a, fill(255)); }
  static V larger(V a, V b) { return _mm512_max_epu16(a, b); }
  static V smaller(V a, V b) { return _mm512_min_epu16(a, b); }
  static bool any(M lanes) { return lanes != 0; }

  using Entries = V;

  template <int Depth>
  static V index(V entries) {
    return entries;
  }
  // 2^Depth numbers of 16 bits, from their low bytes and their high bytes.
  template <int Depth>
  class Lookup {
   public:
    explicit Lookup(const uint8_t* bytes) {
      for (int i = 0; i < kParts; ++i) {
        const V low = wide_bytes(bytes + 32 * i), high = wide_bytes(bytes + kSize + 32 * i);
        part_[i] = _mm512_or_si512(low, _mm512_slli_epi16(high, 8));
      }
    }

    explicit Lookup(const uint16_t* numbers) {
      for (int i = 0; i < kParts; ++i) part_[i] = _mm512_loadu_si512(numbers + 32 * i);
    }

    V operator[](V entry) const {
      if (kParts == 1) return _mm512_permutexvar_epi16(entry, part_[0]);
      const V low = _mm512_permutex2var_epi16(part_[0], entry, part_[kParts > 1]);
      if (kParts == 2) return low;
      const int third = kParts > 2 ? 2 : 0, fourth = kParts > 2 ? 3 : 0;
      const V high = _mm512_permutex2var_epi16(part_[third], entry, part_[fourth]);
      return _mm512_mask_mov_epi16(low, _mm512_test_epi16_mask(entry, fill(64)), high);
    }

    // Two lookups by the same entries.
    static void read(const Lookup& a, const Lookup& b, V entry, V* out_a, V* out_b) {
      *out_a = a[entry];
      *out_b = b[entry];
    }

   private:
    static constexpr int kSize = 1 << Depth, kParts = kSize < 64 ? 1 : kSize / 32;
    V part_[kParts];
  };

  // The intervals of slots: a slot's top 8 bits nearly always tell a pair of neighbours.
  template <int Depth>
  class Bounds {
   public:
    explicit Bounds(const Vectors& v)
        : starts_(v.split_start), freqs_(v.split_freq), bounds_(v.bound) {
      for (int i = 0; i < 4; ++i) guesses_[i] = _mm512_loadu_si512(v.guess + 64 * i);
    }

    void find(const V* slots, V* entry, V* freq, V* within) const {
      const V one = fill(1), slot = *slots;
      *entry = guess(slot);
      const V first_freq = freqs_[*entry];
      *within = subtract(slot, starts_[*entry]);
      const M second = at_least(*within, first_freq);
      *within = _mm512_mask_sub_epi16(*within, second, *within, first_freq);
      *entry = _mm512_mask_add_epi16(*entry, second, *entry, one);
      *freq = freqs_[*entry];
      if (__builtin_expect(at_least(*within, *freq), 0)) {
        *entry = fill(0);
        for (int step = 1 << (Depth - 1); step; step /= 2) {
          const V next = _mm512_add_epi16(*entry, fill(uint16_t(step)));
          const M above = _mm512_cmpgt_epu16_mask(slot, bounds_[next]);
          *entry = _mm512_mask_mov_epi16(*entry, above, next);
        }
        *freq = freqs_[*entry];
        *within = subtract(slot, starts_[*entry]);
      }
    }

   private:
    V guess(V slot) const {
      const __mmask64 even = 0x5555555555555555;
      const V at = top_bytes(slot);
      const V low = _mm512_maskz_permutex2var_epi8(even, guesses_[0], at, guesses_[1]);
      const V high = _mm512_maskz_permutex2var_epi8(even, guesses_[2], at, guesses_[3]);
      return _mm512_mask_mov_epi16(low, _mm512_movepi16_mask(slot), high);
    }

    V guesses_[4];
    Lookup<Depth> starts_, freqs_, bounds_;
  };

  static void load_states(const uint32_t* x, V* high, V* low) {
    const V a = _mm512_loadu_si512(x), b = _mm512_loadu_si512(x + 16);
    *low = joined(_mm512_cvtepi32_epi16(a), _mm512_cvtepi32_epi16(b));
    *high = joined(_mm512_cvtepi32_epi16(_mm512_srli_epi32(a, 16)),
                   _mm512_cvtepi32_epi16(_mm512_srli_epi32(b, 16)));
  }
  static void store_states(uint32_t* x, V high, V low) {
    for (int half = 0; half < 2; ++half) {
      const V tops = _mm512_slli_epi32(wide(high, half), 16);
      _mm512_storeu_si512(x + 16 * half, _mm512_or_si512(tops, wide(low, half)));
    }
  }

  static V narrow(const int32_t* entries) {
    return joined(_mm512_cvtepi32_epi16(_mm512_loadu_si512(entries)),
                  _mm512_cvtepi32_epi16(_mm512_loadu_si512(entries + 16)));
  }
  static void widen(V entry, int32_t* entries) {
    store_states(reinterpret_cast<uint32_t*>(entries), fill(0), entry);
  }

  // Moves the low byte of each of the lanes chosen before `at`; where these bytes begin.
  static uint8_t* put_bytes(uint8_t* at, const M* lanes, V* high, V* low) {
    const int count = _mm_popcnt_u32(*lanes);
    const __m256i packed = _mm256_maskz_compress_epi8(*lanes, _mm512_cvtepi16_epi8(*low));
    const M last = M(0xffffffff00000000u >> count);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(at - 32),
                        _mm256_maskz_expand_epi8(last, packed));
    const V moved = _mm512_or_si512(top_bytes(*low), _mm512_slli_epi16(*high, 8));
    *low = _mm512_mask_mov_epi16(*low, *lanes, moved);
    *high = _mm512_mask_srli_epi16(*high, *lanes, *high, 8);
    return at - count;
  }

  static V as_slots(V low) { return low; }

  // The lanes whose states are below 2^24.
  static M below(V high) { return _mm512_cmplt_epu16_mask(high, fill(256)); }

  // Appends the next byte to each of the lanes chosen; where these bytes end.
  static const uint8_t* take_bytes(const uint8_t* at, const M* lanes, V* high, V* low) {
    const V bytes = wide_bytes(at);
    const V moved = _mm512_or_si512(_mm512_slli_epi16(*high, 8), top_bytes(*low));
    const V taken = _mm512_maskz_expand_epi16(*lanes, bytes);
    *high = _mm512_mask_mov_epi16(*high, *lanes, moved);
    *low = _mm512_mask_mov_epi16(*low, *lanes,
                                 _mm512_or_si512(_mm512_slli_epi16(*low, 8), taken));
    return at + _mm_popcnt_u32(*lanes);
  }

  // The state freq * high + within; the lanes where it is below 2^24.
  static M multiply(V freq, V within, V* high, V* low) {
    *low = _mm512_add_epi16(_mm512_mullo_epi16(freq, *high), within);
    const V top = _mm512_mulhi_epu16(freq, *high);
    *high = _mm512_mask_add_epi16(top, _mm512_cmplt_epu16_mask(*low, within), top, fill(1));
    return below(*high);
  }

  template <int Depth>
  class Divider {
   public:
    explicit Divider(const Vectors& v)
        : low_(v.split_inverse_low), high_(v.split_inverse_high), huge_(v.largest_freq > 60000) {}

    struct Inverses {
      __m512 low, high;  // of what unpacking gives
    };
    Inverses invert(V entry, const V*) const {
      const V low = low_[entry], high = high_[entry];
      return Inverses{_mm512_castsi512_ps(_mm512_unpacklo_epi16(low, high)),
                      _mm512_castsi512_ps(_mm512_unpackhi_epi16(low, high))};
    }

    // The state x / freq * 65536 + x % freq + start, where x < freq * 65536.
    //
    // The quotient by floats, aimed low, is right or one too small: roundings err by less than 2^-22
    // of it, and the inverse is made smaller by 2^-21 of it. Where it is too small, the rest is below
    // 1.06 * freq + 1: only huge frequencies need more than 16 bits of it.
    void advance(const V* freq, const V* start, const Inverses& inverses, V* high, V* low) const {
      const V quotient =
          _mm512_packus_epi32(product(_mm512_unpacklo_epi16(*low, *high), inverses.low),
                              product(_mm512_unpackhi_epi16(*low, *high), inverses.high));
      const V less = _mm512_mullo_epi16(quotient, *freq), rest = subtract(*low, less);
      M small = at_least(rest, *freq);
      if (__builtin_expect(huge_, 0)) {
        const V borrow = _mm512_maskz_set1_epi16(_mm512_cmplt_epu16_mask(*low, less), 1);
        const V top = subtract(*high, _mm512_mulhi_epu16(quotient, *freq));
        small |= _mm512_cmpneq_epi16_mask(top, borrow);
      }
      *high = _mm512_mask_add_epi16(quotient, small, quotient, fill(1));
      *low = _mm512_add_epi16(_mm512_mask_sub_epi16(rest, small, rest, *freq), *start);
    }

   private:
    static V product(V x, __m512 inverse) {
      return _mm512_cvttps_epi32(_mm512_mul_ps(_mm512_cvtepu32_ps(x), inverse));
    }

    Lookup<Depth> low_, high_;
    bool huge_;
  };

  // Values to entries and back, for one table.
  class Source {
   public:
    explicit Source(const Table& table)
        : median_(_mm512_set1_ps(table.median)), offset_(_mm512_set1_epi32(table.offset)),
          last_(fill(uint16_t(table.last))) {}

    // A value outside the table becomes a number that is no entry.
    V entries(const float* values) const { return joined(number(values), number(values + 16)); }
    bool outside(V entries) const { return any(at_least(entries, last_)); }

    void put(V entry, float* out) const {
      for (int half = 0; half < 2; ++half) {
        const V symbol = _mm512_add_epi32(wide(entry, half), offset_);
        _mm512_storeu_ps(out + 16 * half, _mm512_add_ps(_mm512_cvtepi32_ps(symbol), median_));
      }
    }

   private:
    __m256i number(const float* values) const {
      const __m512 exact = _mm512_sub_ps(_mm512_loadu_ps(values), median_);
      const V symbol =
          _mm512_cvt_roundps_epi32(exact, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
      return _mm512_cvtusepi32_epi16(_mm512_sub_epi32(symbol, offset_));
    }

    __m512 median_;
    V offset_, last_;
  };

 private:
  static V wide_bytes(const uint8_t* at) {
    return _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)));
  }
  static V joined(__m256i low, __m256i high) {
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
  }
  static V wide(V v, int half) {
    return _mm512_cvtepu16_epi32(half ? _mm512_extracti64x4_epi64(v, 1)
                                      : _mm512_castsi512_si256(v));
  }
};

const Loops kAvx512 = {encode_by<Avx512>, decode_by<Avx512>};

}  // namespace

const Loops* avx512_loops() { return &kAvx512; }

}  // namespace sw
