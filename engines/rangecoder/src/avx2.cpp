// The vectors of x86 with AVX2: 16 lanes of 16 bits.
#include <immintrin.h>

#include "vector_loops.h"

namespace sw {
namespace {

constexpr Shuffles kShuffles;

inline __m256i load(const void* at) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(at));
}
inline __m128i load16(const void* at) {
  return _mm_loadu_si128(static_cast<const __m128i*>(at));
}
inline __m128i load8(const void* at) { return _mm_loadl_epi64(static_cast<const __m128i*>(at)); }
inline __m256i both(__m128i low, __m128i high) {
  return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}

struct Avx2 {
  using V = __m256i;
  static constexpr int kWidth = 16, kVectors = kLanes / kWidth;

  static V fill(uint16_t value) { return _mm256_set1_epi16(short(value)); }
  static V add(V a, V b) { return _mm256_add_epi16(a, b); }
  static V add_bytes(V a, V b) { return _mm256_add_epi8(a, b); }
  static V subtract(V a, V b) { return _mm256_sub_epi16(a, b); }
  static V either(V a, V b) { return _mm256_or_si256(a, b); }
  static V equal(V a, V b) { return _mm256_cmpeq_epi16(a, b); }
  static V greater(V a, V b) { return _mm256_cmpgt_epi16(a, b); }  // signed
  static V at_least(V a, V b) { return equal(larger(a, b), a); }  // unsigned
  static V top_bytes(V a) { return _mm256_srli_epi16(a, 8); }
  static V low_bytes(V a) { return _mm256_and_si256(a, fill(255)); }
  static V larger(V a, V b) { return _mm256_max_epu16(a, b); }
  static V smaller(V a, V b) { return _mm256_min_epu16(a, b); }
  static bool any(V lanes) { return !_mm256_testz_si256(lanes, lanes); }

  // (e, e + High / 256) in the bytes of each lane.
  template <int High>
  static V index(V entry) {
    return add(_mm256_mullo_epi16(entry, fill(0x0101)), fill(uint16_t(High)));
  }
  // 2^Size numbers of 16 bits: their low bytes, then their high bytes. Shuffles read 16 bytes, so
  // each block holds its difference from the one before: a lane's blocks up to its own add up to
  // its number, and those beyond it, whose indexes are negative, to nothing.
  template <int Size>
  class Lookup {
   public:
    static constexpr int kBlocks = Size < 4 ? 1 : (2 << Size) / 16;

    explicit Lookup(const uint8_t* bytes) {
      V before = _mm256_setzero_si256();
      for (int i = 0; i < kBlocks; ++i) {
        const V block = _mm256_broadcastsi128_si256(load16(bytes + 16 * i));
        blocks_[i] = _mm256_xor_si256(block, before);
        before = block;
      }
    }

    V operator[](V index) const {
      V result = _mm256_shuffle_epi8(blocks_[0], index);
      for (int i = 1; i < kBlocks; ++i) {
        index = _mm256_sub_epi8(index, _mm256_set1_epi8(16));
        result = _mm256_xor_si256(result, _mm256_shuffle_epi8(blocks_[i], index));
      }
      return result;
    }

    // Two lookups by the same indexes.
    static void read(const Lookup& a, const Lookup& b, const V* index, V* out_a, V* out_b) {
      for (int v = 0; v < kVectors; ++v) {
        out_a[v] = a[index[v]];
        out_b[v] = b[index[v]];
      }
    }

   private:
    V blocks_[kBlocks];
  };

  // The extremes of some vectors, by a tree of comparisons.
  template <int Count, int Half = Count / 2>
  struct Tree {
    static V smallest(const V* v) {
      return smaller(Tree<Half>::smallest(v), Tree<Half>::smallest(v + Half));
    }
    static V largest(const V* v) {
      return larger(Tree<Half>::largest(v), Tree<Half>::largest(v + Half));
    }
  };
  template <int Count>
  struct Tree<Count, 0> {
    static V smallest(const V* v) { return *v; }
    static V largest(const V* v) { return *v; }
  };

  // The intervals of slots: seven bounds say which eighth of the table is meant, and lookups by
  // that give the starts of its parts. A wide search, for its short chain.
  template <int Depth>
  class Bounds {
   public:
    static constexpr int kParts = 1 << (Depth - 3);

    explicit Bounds(const Vectors& v) {
      alignas(16) uint8_t split[16];
      for (int i = 1; i < 8; ++i) eighths_[i - 1] = fill(uint16_t(v.bound[i * kParts] ^ 0x8000));
      for (int part = 0; part <= kParts; ++part) {
        for (int i = 0; i < 8; ++i) {
          const int at = i * kParts + part;  // the start of interval 0 is 0, as that of what follows
          const unsigned bound = (at % int(kVectorMax) ? v.bound[at] : 0xffff) ^ 0x8000u;
          split[i] = uint8_t(bound);
          split[i + 8] = uint8_t(bound >> 8);
        }
        parts_[part] = _mm256_broadcastsi128_si256(load16(split));
      }
    }

    void find(const V* slots, V* index, V* freq, V* within) const {
      for (int v = 0; v < kVectors; ++v) {
        const V value = add(slots[v], fill(0x8000));  // compared as signed numbers
        V above[8];                                   // -1 where a slot lies above a bound
        for (int i = 0; i < 7; ++i) above[i] = greater(value, eighths_[i]);
        above[7] = fill(0x0800);
        const V eighth = _mm256_sub_epi8(
            _mm256_sub_epi8(above[7], add_bytes(above[4], add_bytes(above[5], above[6]))),
            add_bytes(add_bytes(above[0], above[1]), add_bytes(above[2], above[3])));
        // Distances from the starts of parts, modulo 65536: the smallest is from the slot's own
        // interval, the largest from the one after it.
        const V before = subtract(value, fill(1));
        V entry = _mm256_slli_epi16(eighth, Depth - 3), distances[kParts + 1];
        for (int i = 0; i <= kParts; ++i) {
          const V bound = _mm256_shuffle_epi8(parts_[i], eighth);
          distances[i] = subtract(before, bound);
          if (i % kParts) entry = _mm256_sub_epi8(entry, greater(value, bound));
        }
        const V nearest = Tree<kParts>::smallest(distances);
        const V next = Tree<kParts>::largest(distances + 1);
        index[v] = entry;
        freq[v] = subtract(nearest, next);
        within[v] = nearest;
      }
    }

   private:
    V eighths_[7], parts_[kParts + 1];
  };

  static void load_states(const uint32_t* x, V* high, V* low) {
    const V a = load(x), b = load(x + 8), low16 = _mm256_set1_epi32(0xffff);
    *low = in_order(_mm256_packus_epi32(_mm256_and_si256(a, low16), _mm256_and_si256(b, low16)));
    *high = in_order(_mm256_packus_epi32(_mm256_srli_epi32(a, 16), _mm256_srli_epi32(b, 16)));
  }
  static void store_states(uint32_t* x, V high, V low) {
    const V h = in_order(high), l = in_order(low);
    _mm256_storeu_si256(reinterpret_cast<V*>(x), _mm256_unpacklo_epi16(l, h));
    _mm256_storeu_si256(reinterpret_cast<V*>(x + 8), _mm256_unpackhi_epi16(l, h));
  }

  static V narrow(const int32_t* entries) {
    return in_order(_mm256_packs_epi32(load(entries), load(entries + 8)));
  }
  static void widen(V entry, int32_t* entries) {
    store_states(reinterpret_cast<uint32_t*>(entries), _mm256_setzero_si256(), entry);
  }

  // Moves the low byte of each of the lanes chosen before `at`; where these bytes begin.
  static uint8_t* put_bytes(uint8_t* at, const V* lanes, V* high, V* low) {
    const Groups chosen(_mm256_packs_epi16(lanes[0], lanes[1]));
    const V a = _mm256_shuffle_epi8(low[0], both(load16(kShuffles.pack[chosen.mask(0)]),
                                                 load16(kShuffles.pack[chosen.mask(1)])));
    const V b = _mm256_shuffle_epi8(low[1], both(load16(kShuffles.pack[chosen.mask(2)]),
                                                 load16(kShuffles.pack[chosen.mask(3)])));
    uint8_t* const begin = at - chosen.before(4);
    store8(at - 8, _mm256_extracti128_si256(b, 1));
    store8(begin + chosen.before(3) - 8, _mm256_castsi256_si128(b));
    store8(begin + chosen.before(2) - 8, _mm256_extracti128_si256(a, 1));
    store8(begin + chosen.before(1) - 8, _mm256_castsi256_si128(a));
    for (int v = 0; v < kVectors; ++v) {
      const V moved = either(top_bytes(low[v]), _mm256_slli_epi16(high[v], 8));
      low[v] = _mm256_blendv_epi8(low[v], moved, lanes[v]);
      high[v] = _mm256_blendv_epi8(high[v], top_bytes(high[v]), lanes[v]);
    }
    return begin;
  }

  // Appends the next byte to each lane below 2^24; where these bytes end.
  static const uint8_t* take_bytes(const uint8_t* at, V* high, V* low) {
    // The top bits of others, whose high halves are 256 or more.
    const V others[2] = {_mm256_adds_epu16(high[0], fill(0x7f00)),
                         _mm256_adds_epu16(high[1], fill(0x7f00))};
    const Groups chosen(_mm256_packs_epi16(others[0], others[1]), ~0u);
    for (int v = 0; v < kVectors; ++v) {
      const int a = 2 * v, b = a + 1;
      const V bytes = _mm256_shuffle_epi8(
          both(load8(at + chosen.before(a)), load8(at + chosen.before(b))),
          both(load16(kShuffles.spread[chosen.mask(a)]), load16(kShuffles.spread[chosen.mask(b)])));
      const V lanes = at_least(fill(255), high[v]);
      const V moved = either(_mm256_slli_epi16(high[v], 8), top_bytes(low[v]));
      high[v] = _mm256_blendv_epi8(high[v], moved, lanes);
      low[v] = either(_mm256_blendv_epi8(low[v], _mm256_slli_epi16(low[v], 8), lanes), bytes);
    }
    return at + chosen.before(4);
  }

  // The state freq * high + within.
  static void multiply(V freq, V within, V* high, V* low) {
    const V product = _mm256_mulhi_epu16(freq, *high);
    *low = add(_mm256_mullo_epi16(freq, *high), within);
    const V carry = _mm256_min_epu16(_mm256_subs_epu16(within, *low), fill(1));
    *high = add(product, carry);
  }

  template <int Depth>
  class Divider {
   public:
    explicit Divider(const Vectors& v) : huge_(v.largest_freq > 60000) {}

    void advance(const V*, const V* freq, const V* start, V* high, V* low) const {
      for (int v = 0; v < kVectors; ++v) advance(freq[v], start[v], &high[v], &low[v]);
    }

   private:
    // The state x / freq * 65536 + x % freq + start, where x < freq * 65536.
    //
    // The quotient by floats, aimed low, is right or one too small: half of x loses its last bit,
    // at most 1 / freq of the quotient; four roundings err by 2^-24 of it each; the inverse is made
    // smaller by at least 2^-21 of it, but for a frequency of 1, where all is exact. Where it is too
    // small, the rest is below 1.08 * freq + 1: only huge frequencies need more than 16 bits of it.
    void advance(V freq, V start, V* high, V* low) const {
      const V zero = _mm256_setzero_si256();
      const __m256 inverse0 = inverse_of_half(_mm256_unpacklo_epi16(freq, zero));
      const __m256 inverse1 = inverse_of_half(_mm256_unpackhi_epi16(freq, zero));
      const V x0 = _mm256_unpacklo_epi16(*low, *high), x1 = _mm256_unpackhi_epi16(*low, *high);
      const V quotient = _mm256_packus_epi32(times_half(x0, inverse0), times_half(x1, inverse1));
      const V product = _mm256_mullo_epi16(quotient, freq);
      const V rest = subtract(*low, product), moved = add(rest, start);
      V small = at_least(rest, freq);
      if (__builtin_expect(huge_, 0)) {
        const V top = _mm256_mulhi_epu16(quotient, freq);
        const V whole = _mm256_packus_epi32(  // 65535 for anything beyond
            _mm256_sub_epi32(x0, _mm256_unpacklo_epi16(product, top)),
            _mm256_sub_epi32(x1, _mm256_unpackhi_epi16(product, top)));
        small = at_least(whole, freq);
      }
      *high = subtract(quotient, small);
      *low = _mm256_blendv_epi8(moved, subtract(moved, freq), small);
    }

    static __m256 inverse_of_half(V freq) {
      const float margin = 1.0f / (1 << 21);
      const __m256 half = _mm256_fmadd_ps(_mm256_cvtepi32_ps(freq), _mm256_set1_ps(0.5f + margin),
                                          _mm256_set1_ps(-margin));
      return _mm256_div_ps(_mm256_set1_ps(1.0f), half);
    }
    static V times_half(V x, __m256 inverse) {
      return _mm256_cvttps_epi32(
          _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_srli_epi32(x, 1)), inverse));
    }

    bool huge_;
  };

  // Values to entries and back, for one table.
  class Source {
   public:
    explicit Source(const Table& table)
        : median_(_mm256_set1_ps(table.median)), offset_(_mm256_set1_epi32(table.offset)),
          zero_(_mm256_set1_epi32(kRounderBits + table.offset)),
          less_(_mm256_set1_ps(kRounder - float(table.offset))) {}

    // A value outside the table becomes a number that is no entry.
    V entries(const float* values) const {
      return narrowed(rounded(values), rounded(values + 8), zero_);
    }
    V entries(const int32_t* values) const {
      return narrowed(load(values), load(values + 8), offset_);
    }

    void put(V entry, float* out) const {
      const V e = in_order(entry), top = fill(kRounderBits >> 16);  // kRounder + entry
      _mm256_storeu_ps(out, value(_mm256_unpacklo_epi16(e, top)));
      _mm256_storeu_ps(out + 8, value(_mm256_unpackhi_epi16(e, top)));
    }
    void put(V entry, int32_t* out) const {
      const V e = in_order(entry), zero = _mm256_setzero_si256();
      store(out, _mm256_add_epi32(_mm256_unpacklo_epi16(e, zero), offset_));
      store(out + 8, _mm256_add_epi32(_mm256_unpackhi_epi16(e, zero), offset_));
    }

   private:
    V rounded(const float* values) const {
      const __m256 exact = _mm256_sub_ps(_mm256_loadu_ps(values), median_);
      return _mm256_castps_si256(_mm256_add_ps(exact, _mm256_set1_ps(kRounder)));
    }
    static V narrowed(V a, V b, V zero) {
      return in_order(_mm256_packs_epi32(_mm256_sub_epi32(a, zero), _mm256_sub_epi32(b, zero)));
    }
    __m256 value(V bits) const {
      return _mm256_add_ps(_mm256_sub_ps(_mm256_castsi256_ps(bits), less_), median_);
    }
    static void store(int32_t* out, V numbers) {
      _mm256_storeu_si256(reinterpret_cast<V*>(out), numbers);
    }

    __m256 median_;
    V offset_, zero_;
    __m256 less_;
  };

 private:
  // What packing two vectors leaves, in the lanes' order; and what unpacking needs.
  static V in_order(V packed) { return _mm256_permute4x64_epi64(packed, 0xD8); }
  static void store8(uint8_t* at, __m128i bytes) {
    _mm_storel_epi64(reinterpret_cast<__m128i*>(at), bytes);
  }

  // The chosen of 32 lanes as masks of 8, and how many of them come before each group of 8.
  struct Groups {
    uint32_t bits;  // groups 0, 2, 1, 3 from the low byte on

    explicit Groups(V packed, uint32_t flip = 0)
        : bits(uint32_t(_mm256_movemask_epi8(packed)) ^ flip) {}
    uint32_t mask(int group) const {
      return bits >> (group == 1 ? 16 : group == 2 ? 8 : 8 * group) & 255;
    }
    ptrdiff_t before(int group) const {
      const uint32_t kBefore[5] = {0, 0xff, 0xff00ff, 0xffffff, 0xffffffff};
      return _mm_popcnt_u32(bits & kBefore[group]);
    }
  };
};

// A lookup of 128 numbers has indexes of 8 bits: low and high bytes by 7 bits each.
template <>
class Avx2::Lookup<7> {
 public:
  explicit Lookup(const uint8_t* bytes) : low_(bytes), high_(bytes + 128) {}

  static void read(const Lookup& a, const Lookup& b, const V* index, V* out_a, V* out_b) {
    for (int v = 0; v < kVectors; ++v) {
      const V entry = _mm256_and_si256(index[v], _mm256_set1_epi8(127)), top = fill(0xff00);
      out_a[v] = _mm256_blendv_epi8(a.low_[entry], a.high_[entry], top);
      out_b[v] = _mm256_blendv_epi8(b.low_[entry], b.high_[entry], top);
    }
  }

 private:
  Lookup<6> low_, high_;
};

const Loops kAvx2 = {encode_by<Avx2, float>, encode_by<Avx2, int32_t>, decode_by<Avx2, float>,
                     decode_by<Avx2, int32_t>};

}  // namespace

const Loops* avx2_loops() { return &kAvx2; }

}  // namespace sw
