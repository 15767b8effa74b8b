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
inline __m256i both(__m128i low, __m128i high) {
  return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}

struct Avx2 {
  using V = __m256i;
  using M = V;  // -1 in chosen lanes
  static constexpr int kWidth = 16, kVectors = kLanes / kWidth;
  static constexpr bool kAhead = true;  // see VectorLoops::encode

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
  // `yes` where a lane is -1. GCC compares with zero before its own such intrinsic.
  static V choose(V lanes, V yes, V no) {
    V chosen;
    asm("vpblendvb %3, %2, %1, %0" : "=x"(chosen) : "x"(no), "x"(yes), "x"(lanes));
    return chosen;
  }
  static bool any(V lanes) { return !_mm256_testz_si256(lanes, lanes); }

  // 32 entries in bytes: lanes 0-7, 16-23, 8-15, 24-31, as unpacking to 16 bits needs them.
  using Entries = V;

  template <int Depth>
  static Entries index(Entries entries) {
    return entries;
  }

  // 2^Depth numbers of 16 bits, as their low bytes and their high bytes. Shuffles read 16 bytes, so
  // each block holds its difference from the one before: an entry's blocks up to its own add up to
  // its number, and those beyond it, whose indexes are negative, to nothing.
  template <int Depth>
  class Lookup {
   public:
    explicit Lookup(const uint8_t* bytes) : low_(bytes), high_(bytes + (1 << Depth)) {}

    // Two lookups by the same entries.
    static void read(const Lookup& a, const Lookup& b, Entries entries, V* out_a, V* out_b) {
      V at[kBlocks];
      at[0] = entries;
      for (int i = 1; i < kBlocks; ++i) at[i] = _mm256_sub_epi8(at[i - 1], _mm256_set1_epi8(16));
      a.read(at, out_a);
      b.read(at, out_b);
    }

   private:
    static constexpr int kBlocks = Depth < 4 ? 1 : 1 << (Depth - 4);

    struct Bytes {
      V blocks[kBlocks];

      explicit Bytes(const uint8_t* bytes) {
        V before = _mm256_setzero_si256();
        for (int i = 0; i < kBlocks; ++i) {
          const V block = _mm256_broadcastsi128_si256(load16(bytes + 16 * i));
          blocks[i] = _mm256_xor_si256(block, before);
          before = block;
        }
      }
      V operator[](const V* at) const {
        V result = _mm256_shuffle_epi8(blocks[0], at[0]);
        for (int i = 1; i < kBlocks; ++i) {
          result = _mm256_xor_si256(result, _mm256_shuffle_epi8(blocks[i], at[i]));
        }
        return result;
      }
    };

    void read(const V* at, V* out) const {
      const V low = low_[at], high = high_[at];
      out[0] = _mm256_unpacklo_epi8(low, high);
      out[1] = _mm256_unpackhi_epi8(low, high);
    }

    Bytes low_, high_;
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
        const V value = slots[v];
        V above[7];  // -1 where a slot lies above a bound
        for (int i = 0; i < 7; ++i) above[i] = greater(value, eighths_[i]);
        const V eighth = _mm256_sub_epi8(
            _mm256_sub_epi8(_mm256_sub_epi8(fill(0x0800), above[0]), add_bytes(above[1], above[2])),
            add_bytes(add_bytes(above[3], above[4]), add_bytes(above[5], above[6])));
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

  static Entries narrow(const int32_t* entries) {
    return narrow(load(entries), load(entries + 8), load(entries + 16), load(entries + 24));
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
      low[v] = choose(lanes[v], moved, low[v]);
      high[v] = choose(lanes[v], top_bytes(high[v]), high[v]);
    }
    return begin;
  }

  // A state's low half, or what find() and take_bytes() make of it: 2^15 more, so that slots are
  // compared as signed numbers.
  static V as_slots(V low) { return _mm256_xor_si256(low, fill(0x8000)); }

  // Negative where a state is below 2^24.
  static V below(V high) { return subtract(smaller(high, fill(0x7fff)), fill(256)); }

  // Appends the next byte to each lane below 2^24; where these bytes end.
  static const uint8_t* take_bytes(const uint8_t* at, const V* below, V* high, V* low) {
    const Groups chosen(_mm256_packs_epi16(below[0], below[1]));
    for (int v = 0; v < kVectors; ++v) {
      const int a = 2 * v, b = a + 1;
      const V bytes = _mm256_shuffle_epi8(
          both(load16(at + chosen.before(a)), load16(at + chosen.before(b))),
          both(load16(chosen.row(kShuffles.spread, a)), load16(chosen.row(kShuffles.spread, b))));
      const V lanes = _mm256_srai_epi16(below[v], 15);
      const V moved = either(_mm256_slli_epi16(high[v], 8), top_bytes(low[v]));
      high[v] = choose(lanes, moved, high[v]);
      low[v] = add(as_slots(choose(lanes, _mm256_slli_epi16(low[v], 8), low[v])), bytes);
    }
    return at + chosen.before(4);
  }

  // The state freq * high + within; negative where it is below 2^24.
  static V multiply(V freq, V within, V* high, V* low) {
    const V top = _mm256_mulhi_epu16(freq, *high), product = _mm256_mullo_epi16(freq, *high);
    *low = add(product, within);
    const V whole = equal(*low, _mm256_adds_epu16(product, within));  // -1 without a carry
    *high = add(add(top, fill(1)), whole);
    return add(subtract(smaller(top, fill(0x7ffe)), fill(255)), whole);
  }

  template <int Depth>
  class Divider {
   public:
    explicit Divider(const Vectors& v) : huge_(v.largest_freq > 60000) {}

    struct Inverses {
      __m256 of[2 * kVectors];
    };
    Inverses invert(Entries, const V* freq) const {
      Inverses inverses;
      for (int v = 0; v < kVectors; ++v) {
        inverses.of[2 * v] = inverse(_mm256_unpacklo_epi16(freq[v], fill(k2To23)));
        inverses.of[2 * v + 1] = inverse(_mm256_unpackhi_epi16(freq[v], fill(k2To23)));
      }
      return inverses;
    }

    void advance(const V* freq, const V* start, const Inverses& inverses, V* high, V* low) const {
      for (int v = 0; v < kVectors; ++v) {
        advance(freq[v], start[v], inverses.of + 2 * v, &high[v], &low[v]);
      }
    }

   private:
    // The state x / freq * 65536 + x % freq + start, where x < freq * 65536.
    //
    // The quotient by floats, aimed low, is right or one too small: four roundings err by 2^-24 of
    // it each, the inverse is made smaller by 2^-21 of it, and the square of the guess's error,
    // at most 1.5 * 2^-12, makes it smaller, too. Where it is too small, the rest is below
    // 1.06 * freq + 1: only huge frequencies need more than 16 bits of it.
    void advance(V freq, V start, const __m256* inverses, V* high, V* low) const {
      const V near = fill(k2To23), far = fill(k2To39);
      const __m256 x0 =
          number(_mm256_unpacklo_epi16(*low, near), _mm256_unpacklo_epi16(*high, far));
      const __m256 x1 =
          number(_mm256_unpackhi_epi16(*low, near), _mm256_unpackhi_epi16(*high, far));
      const V quotient = _mm256_packus_epi32(_mm256_cvttps_epi32(_mm256_mul_ps(x0, inverses[0])),
                                             _mm256_cvttps_epi32(_mm256_mul_ps(x1, inverses[1])));
      const V product = _mm256_mullo_epi16(quotient, freq);
      const V rest = subtract(*low, product), less = subtract(rest, freq);
      V right = smaller(rest, less);  // differences wrap around
      V small = equal(right, less);
      if (__builtin_expect(huge_, 0)) {
        const V top = subtract(*high, _mm256_mulhi_epu16(quotient, freq));
        const V borrow = subtract(at_least(*low, product), fill(0xffff));  // 1 where low < product
        small = either(at_least(rest, freq), subtract(fill(0), subtract(top, borrow)));
        right = _mm256_blendv_epi8(rest, less, small);
      }
      *high = subtract(quotient, small);
      *low = add(right, start);
    }

    static __m256 number(V low, V high) {  // 2^23 + low and 2^39 + 65536 * high
      const __m256 less = _mm256_set1_ps(549755813888.0f + 8388608.0f);
      return _mm256_add_ps(_mm256_sub_ps(_mm256_castsi256_ps(high), less),
                           _mm256_castsi256_ps(low));
    }
    static __m256 inverse(V bits) {  // of 2^23 + freq
      const __m256 freq = _mm256_sub_ps(_mm256_castsi256_ps(bits), _mm256_set1_ps(8388608.0f));
      const __m256 guess = _mm256_rcp_ps(freq), two = _mm256_set1_ps(2 - 1.0f / (1 << 21));
      return _mm256_mul_ps(guess, _mm256_fnmadd_ps(freq, guess, two));
    }

    // The top halves of floats, whose other bits then add a number, or 65536 times a number.
    static constexpr uint16_t k2To23 = 0x4B00, k2To39 = 0x5300;

    bool huge_;
  };

  // Values to entries and back, for one table.
  class Source {
   public:
    explicit Source(const Table& table)
        : median_(_mm256_set1_ps(table.median)),
          zero_(_mm256_set1_epi32(kRounderBits + table.offset)),
          less_(_mm256_set1_ps(kRounder - float(table.offset))),
          last_(_mm256_set1_epi8(char(table.last))) {}

    // A value outside the table becomes a byte that is no entry.
    Entries entries(const float* values) const {
      return narrow(number(values), number(values + 8), number(values + 16), number(values + 24));
    }
    bool outside(Entries entries) const {
      return any(_mm256_cmpeq_epi8(_mm256_max_epu8(entries, last_), entries));
    }

    void put(V entry, float* out) const {
      const V e = in_order(entry), top = fill(kRounderBits >> 16);  // kRounder + entry
      _mm256_storeu_ps(out, value(_mm256_unpacklo_epi16(e, top)));
      _mm256_storeu_ps(out + 8, value(_mm256_unpackhi_epi16(e, top)));
    }

   private:
    V number(const float* values) const {
      const __m256 exact = _mm256_sub_ps(_mm256_loadu_ps(values), median_);
      const __m256 rounded = _mm256_add_ps(exact, _mm256_set1_ps(kRounder));
      return _mm256_sub_epi32(_mm256_castps_si256(rounded), zero_);
    }
    __m256 value(V bits) const {
      return _mm256_add_ps(_mm256_sub_ps(_mm256_castsi256_ps(bits), less_), median_);
    }

    __m256 median_;
    V zero_;
    __m256 less_;
    V last_;
  };

 private:
  static Entries narrow(V a, V b, V c, V d) {
    const V bytes = _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
    return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 2, 6, 1, 5, 3, 7));
  }
  // What packing two vectors leaves, in the lanes' order; and what unpacking needs.
  static V in_order(V packed) { return _mm256_permute4x64_epi64(packed, 0xD8); }
  static void store8(uint8_t* at, __m128i bytes) {
    _mm_storel_epi64(reinterpret_cast<__m128i*>(at), bytes);
  }

  // The chosen of 32 lanes as masks of 8, and how many of them come before each group of 8.
  struct Groups {
    uint32_t bits;  // groups 0, 2, 1, 3 from the low byte on

    explicit Groups(V packed) : bits(uint32_t(_mm256_movemask_epi8(packed))) {}
    uint32_t mask(int group) const {
      return bits >> (group == 1 ? 16 : group == 2 ? 8 : 8 * group) & 255;
    }
    // A group's row of a table, one shift away.
    const uint8_t* row(const uint8_t (&table)[256][16], int group) const {
      const int shift = group == 1 ? 12 : group == 2 ? 4 : 20;
      return reinterpret_cast<const uint8_t*>(table) +
             ((group == 0 ? bits << 4 : bits >> shift) & 0xff0);
    }
    ptrdiff_t before(int group) const {
      const uint32_t kBefore[5] = {0, 0xff, 0xff00ff, 0xffffff, 0xffffffff};
      return _mm_popcnt_u32(bits & kBefore[group]);
    }
  };
};

const Loops kAvx2 = {encode_by<Avx2>, decode_by<Avx2>};

}  // namespace

const Loops* avx2_loops() { return &kAvx2; }

}  // namespace sw
