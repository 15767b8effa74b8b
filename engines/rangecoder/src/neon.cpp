// The vectors of 64-bit ARM: 8 lanes of 16 bits.
#include <arm_neon.h>

#include "vector_loops.h"

namespace sw {
namespace {

constexpr Shuffles kShuffles;

struct Neon {
  using V = uint16x8_t;
  using M = V;  // 65535 in chosen lanes
  static constexpr int kWidth = 8, kVectors = kLanes / kWidth;
  static constexpr bool kAhead = false;  // see VectorLoops::encode

  static V fill(uint16_t value) { return vdupq_n_u16(value); }
  static V add(V a, V b) { return vaddq_u16(a, b); }
  static V subtract(V a, V b) { return vsubq_u16(a, b); }
  static V either(V a, V b) { return vorrq_u16(a, b); }
  static V equal(V a, V b) { return vceqq_u16(a, b); }
  static V at_least(V a, V b) { return vcgeq_u16(a, b); }  // unsigned
  static V top_bytes(V a) { return vshrq_n_u16(a, 8); }
  static V low_bytes(V a) { return vandq_u16(a, fill(255)); }
  static V larger(V a, V b) { return vmaxq_u16(a, b); }
  static V smaller(V a, V b) { return vminq_u16(a, b); }
  static bool any(V lanes) { return vmaxvq_u32(vreinterpretq_u32_u16(lanes)) != 0; }

  struct Entries {
    V of[kVectors];
  };

  // For lookups among 2^Depth: (e, e + 2^Depth) in the bytes of each lane.
  template <int Depth>
  static Entries index(Entries entries) {
    for (V& entry : entries.of) entry = vmlaq_u16(fill(256 << Depth), entry, fill(0x0101));
    return entries;
  }
  // 2^Size numbers of 16 bits: their low bytes, then their high bytes.
  template <int Size>
  class Lookup {
   public:
    explicit Lookup(const uint8_t* bytes) : bytes_(bytes) {}

    void read(const V* index, V* out) const {
      for (int v = 0; v < kVectors; ++v) {
        const uint8x16_t at = vreinterpretq_u8_u16(index[v]);
        out[v] = vreinterpretq_u16_u8(kSize < 64    ? look_up_few(at)
                                      : kSize == 64 ? vqtbl4q_u8(four(0), at)
                                                    : look_up_many(at));
      }
    }

    // Two lookups by the same indexes.
    static void read(const Lookup& a, const Lookup& b, const Entries& index, V* out_a, V* out_b) {
      a.read(index.of, out_a);
      b.read(index.of, out_b);
    }

   private:
    static constexpr int kSize = 2 << Size;

    uint8x16_t look_up_few(uint8x16_t at) const {
      if (kSize <= 16) return vqtbl1q_u8(vld1q_u8(bytes_), at);
      const uint8x16x2_t two = {{vld1q_u8(bytes_), vld1q_u8(bytes_ + 16)}};
      return vqtbl2q_u8(two, at);
    }
    // Lanes with other indexes than those of 64 bytes stay as they are.
    uint8x16_t look_up_many(uint8x16_t at) const {
      uint8x16_t result = vqtbl4q_u8(four(0), at);
      for (int i = 64; i < kSize; i += 64) {
        result = vqtbx4q_u8(result, four(i), vsubq_u8(at, vdupq_n_u8(uint8_t(i))));
      }
      return result;
    }
    uint8x16x4_t four(int first) const {
#if defined(__clang__) || __GNUC__ >= 10
      return vld1q_u8_x4(bytes_ + first);
#else
      const uint8_t* at = bytes_ + first;
      return uint8x16x4_t{{vld1q_u8(at), vld1q_u8(at + 16), vld1q_u8(at + 32), vld1q_u8(at + 48)}};
#endif
    }

    const uint8_t* bytes_;
  };

  // The intervals of slots, as indexes: down a binary tree, where each bound says which half of the
  // table is meant. Level i, of 2^i bounds, begins at 2^(i + 1), for lookups by (node, node + 2^i).
  template <int Depth>
  class Bounds {
   public:
    explicit Bounds(const Vectors& v) : freqs_(v.split_freq), starts_(v.split_start) {
      for (int level = 0; level < Depth; ++level) {
        uint8_t* split = tree_ + (2 << level);
        for (int node = 0; node < 1 << level; ++node) {
          const uint16_t bound = v.bound[(2 * node + 1) << (Depth - 1 - level)];
          split[node] = uint8_t(bound);
          split[node + (1 << level)] = uint8_t(bound >> 8);
        }
      }
    }

    void find(const V* slots, V* index, V* freq, V* within) const {
      const V root = fill(uint16_t(tree_[2] | tree_[3] << 8));
      for (int v = 0; v < kVectors; ++v) index[v] = descend(fill(0x0100), slots[v], root);
      descend<1>(slots, index);
      descend<2>(slots, index);
      if (Depth > 3) descend<3>(slots, index);
      if (Depth > 4) descend<4>(slots, index);
      if (Depth > 5) descend<5>(slots, index);
      if (Depth > 6) descend<6>(slots, index);
      V start[kVectors];
      freqs_.read(index, freq);
      starts_.read(index, start);
      for (int v = 0; v < kVectors; ++v) within[v] = subtract(slots[v], start[v]);
    }

   private:
    template <int Level>
    void descend(const V* slots, V* index) const {
      V bounds[kVectors];
      Lookup<Level>(tree_ + (2 << Level)).read(index, bounds);
      for (int v = 0; v < kVectors; ++v) index[v] = descend(index[v], slots[v], bounds[v]);
    }
    // Both bytes doubled, and one more where the slot lies above the bound.
    static V descend(V index, V slot, V bound) {
      const uint8x16_t twice = vshlq_n_u8(vreinterpretq_u8_u16(index), 1);
      return vreinterpretq_u16_u8(vsubq_u8(twice, vreinterpretq_u8_u16(vcgtq_u16(slot, bound))));
    }

    Lookup<Depth> freqs_, starts_;
    alignas(16) uint8_t tree_[256];
  };

  static void load_states(const uint32_t* x, V* high, V* low) {
    const uint16x8x2_t halves = vld2q_u16(reinterpret_cast<const uint16_t*>(x));
    *low = halves.val[0];
    *high = halves.val[1];
  }
  static void store_states(uint32_t* x, V high, V low) {
    const uint16x8x2_t halves = {{low, high}};  // some compilers' vst2q_u16 is a macro
    vst2q_u16(reinterpret_cast<uint16_t*>(x), halves);
  }

  static Entries narrow(const int32_t* entries) {
    Entries all;
    for (int v = 0; v < kVectors; ++v, entries += kWidth) {
      all.of[v] = narrow(vld1q_s32(entries), vld1q_s32(entries + 4));
    }
    return all;
  }
  static void widen(V entry, int32_t* entries) {
    store_states(reinterpret_cast<uint32_t*>(entries), fill(0), entry);
  }

  // Moves the low byte of each of the lanes chosen before `at`; where these bytes begin.
  static uint8_t* put_bytes(uint8_t* at, const V* lanes, V* high, V* low) {
    for (int v = kVectors - 1; v >= 0; --v) {
      const unsigned mask = mask_of(lanes[v]);
      vst1_u8(at - 8, vqtbl1_u8(vreinterpretq_u8_u16(low[v]), vld1_u8(kShuffles.pack[mask])));
      at -= kShuffles.count[mask];
      low[v] = vbslq_u16(lanes[v], vsliq_n_u16(top_bytes(low[v]), high[v], 8), low[v]);
      high[v] = vbslq_u16(lanes[v], top_bytes(high[v]), high[v]);
    }
    return at;
  }

  static V as_slots(V low) { return low; }

  // Chooses the lanes whose states are below 2^24.
  static V below(V high) { return at_least(fill(255), high); }

  // Appends the next byte to each of the lanes chosen; where these bytes end.
  static const uint8_t* take_bytes(const uint8_t* at, const V* lanes, V* high, V* low) {
    V bytes[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      const unsigned mask = mask_of(lanes[v]);
      const uint8x16_t spread = vld1q_u8(kShuffles.spread[mask]);
      bytes[v] = vreinterpretq_u16_u8(vqtbl1q_u8(vld1q_u8(at), spread));
      at += kShuffles.count[mask];
    }
    for (int v = 0; v < kVectors; ++v) {
      high[v] = vbslq_u16(lanes[v], vsliq_n_u16(top_bytes(low[v]), high[v], 8), high[v]);
      low[v] = vbslq_u16(lanes[v], vsliq_n_u16(bytes[v], low[v], 8), low[v]);
    }
    return at;
  }

  // The state freq * high + within; chooses the lanes where it is below 2^24.
  static V multiply(V freq, V within, V* high, V* low) {
    const uint32x4_t a = vmull_u16(vget_low_u16(freq), vget_low_u16(*high));
    const uint32x4_t b = vmull_high_u16(freq, *high);
    const V product = vuzp2q_u16(vreinterpretq_u16_u32(a), vreinterpretq_u16_u32(b));
    *low = vmlaq_u16(within, freq, *high);
    *high = subtract(product, vcltq_u16(*low, within));  // the carry
    return below(*high);
  }

  // Divides by a multiplication with 2^32 / freq, rounded down.
  template <int Depth>
  class Divider {
   public:
    explicit Divider(const Vectors& v)
        : low_(v.split_reciprocal_low), high_(v.split_reciprocal_high) {}

    // Inverses are looked up where they are needed: registers are too few to hold them before.
    using Inverses = Entries;
    static Inverses invert(const Entries& index, const V*) { return index; }

    // The states x / freq * 65536 + x % freq + start, where x < freq * 65536: the quotient by the
    // multiplication is right or one too small.
    void advance(const V* freq, const V* start, const Inverses& index, V* high, V* low) const {
      V inverse_low[kVectors], inverse_high[kVectors];
      Lookup<Depth>::read(low_, high_, index, inverse_low, inverse_high);
      for (int v = 0; v < kVectors; ++v) {
        const uint32x4_t x0 = joined(vzip1q_u16(low[v], high[v]));
        const uint32x4_t x1 = joined(vzip2q_u16(low[v], high[v]));
        const V l = inverse_low[v], h = inverse_high[v];
        const uint32x4_t q0 = top_of_product(x0, joined(vzip1q_u16(l, h)));
        const uint32x4_t q1 = top_of_product(x1, joined(vzip2q_u16(l, h)));
        const V quotient = vuzp1q_u16(vreinterpretq_u16_u32(q0), vreinterpretq_u16_u32(q1));
        const uint32x4_t r0 = vmlsl_u16(x0, vget_low_u16(quotient), vget_low_u16(freq[v]));
        const uint32x4_t r1 = vmlsl_high_u16(x1, quotient, freq[v]);
        const V small = at_least(vqmovn_high_u32(vqmovn_u32(r0), r1), freq[v]);
        const V rest = vmlsq_u16(add(low[v], start[v]), quotient, freq[v]);
        high[v] = subtract(quotient, small);
        low[v] = subtract(rest, vandq_u16(small, freq[v]));
      }
    }

   private:
    static uint32x4_t joined(V pairs) { return vreinterpretq_u32_u16(pairs); }
    static uint32x4_t top_of_product(uint32x4_t a, uint32x4_t b) {
      const uint64x2_t low = vmull_u32(vget_low_u32(a), vget_low_u32(b));
      return vuzp2q_u32(vreinterpretq_u32_u64(low), vreinterpretq_u32_u64(vmull_high_u32(a, b)));
    }

    Lookup<Depth> low_, high_;
  };

  // Values to entries and back, for one table.
  class Source {
   public:
    explicit Source(const Table& table)
        : median_(vdupq_n_f32(table.median)), rounder_(vdupq_n_f32(kRounder)),
          less_(vdupq_n_f32(kRounder - float(table.offset))),
          zero_(vdupq_n_s32(kRounderBits + table.offset)), last_(fill(uint16_t(table.last))) {}

    // A value outside the table becomes a number that is no entry.
    Entries entries(const float* values) const {
      Entries all;
      for (int v = 0; v < kVectors; ++v, values += kWidth) {
        all.of[v] = narrow(number(values), number(values + 4));
      }
      return all;
    }
    bool outside(const Entries& all) const {
      const V* e = all.of;
      return any(at_least(larger(larger(e[0], e[1]), larger(e[2], e[3])), last_));
    }

    void put(V entry, float* out) const {
      const V top = fill(kRounderBits >> 16);  // kRounder + entry
      vst1q_f32(out, value(vzip1q_u16(entry, top)));
      vst1q_f32(out + 4, value(vzip2q_u16(entry, top)));
    }

   private:
    int32x4_t number(const float* values) const {
      const float32x4_t rounded = vaddq_f32(vsubq_f32(vld1q_f32(values), median_), rounder_);
      return vsubq_s32(vreinterpretq_s32_f32(rounded), zero_);
    }
    float32x4_t value(V bits) const {
      return vaddq_f32(vsubq_f32(vreinterpretq_f32_u16(bits), less_), median_);
    }

    float32x4_t median_, rounder_, less_;
    int32x4_t zero_;
    V last_;
  };

 private:
  static V narrow(int32x4_t a, int32x4_t b) {
    return vreinterpretq_u16_s16(vqmovn_high_s32(vqmovn_s32(a), b));
  }
  static unsigned mask_of(V lanes) {
    static const uint16_t kBits[8] = {1, 2, 4, 8, 16, 32, 64, 128};
    return vaddlvq_u16(vandq_u16(lanes, vld1q_u16(kBits)));
  }
};

const Loops kNeon = {encode_by<Neon>, decode_by<Neon>};

}  // namespace

const Loops* neon_loops() { return &kNeon; }

}  // namespace sw
