// The vectors of 64-bit ARM: 8 lanes of 16 bits.
#include <arm_neon.h>

#include "vector_loops.h"

namespace sw {
namespace {

constexpr Shuffles kShuffles;

struct Neon {
  using V = uint16x8_t;
  static constexpr int kWidth = 8, kVectors = kLanes / kWidth;

  static V fill(uint16_t value) { return vdupq_n_u16(value); }
  static V add(V a, V b) { return vaddq_u16(a, b); }
  static V subtract(V a, V b) { return vsubq_u16(a, b); }
  static V either(V a, V b) { return vorrq_u16(a, b); }
  static V equal(V a, V b) { return vceqq_u16(a, b); }
  static V greater(V a, V b) {  // signed
    return vcgtq_s16(vreinterpretq_s16_u16(a), vreinterpretq_s16_u16(b));
  }
  static V at_least(V a, V b) { return vcgeq_u16(a, b); }  // unsigned
  static V top_bytes(V a) { return vshrq_n_u16(a, 8); }
  static V low_bytes(V a) { return vandq_u16(a, fill(255)); }
  static bool any(V lanes) { return vmaxvq_u32(vreinterpretq_u32_u16(lanes)) != 0; }

  // (e, e + High / 256) in the bytes of each lane.
  template <int High>
  static V index(V entry) {
    return vmlaq_u16(fill(uint16_t(High)), entry, fill(0x0101));
  }
  // Both bytes doubled, and one more in the lanes of `taken`.
  static V descend(V index, V taken) {
    const uint8x16_t twice = vshlq_n_u8(vreinterpretq_u8_u16(index), 1);
    return vreinterpretq_u16_u8(vsubq_u8(twice, vreinterpretq_u8_u16(taken)));
  }

  // 2^Size numbers of 16 bits: their low bytes, then their high bytes. A lookup reads up to 64
  // bytes, and leaves lanes with other indexes as they are.
  template <int Size>
  class Lookup {
   public:
    explicit Lookup(const uint8_t* bytes) {
      for (int i = 0; i < kBlocks; ++i) blocks_[i] = vld1q_u8(bytes + 16 * i);
    }

    V operator[](V index) const {
      uint8x16_t at = vreinterpretq_u8_u16(index);
      if (kBlocks == 1) return vreinterpretq_u16_u8(vqtbl1q_u8(blocks_[0], at));
      if (kBlocks == 2) {
        const uint8x16x2_t two = {{blocks_[0], blocks_[kBlocks > 1]}};
        return vreinterpretq_u16_u8(vqtbl2q_u8(two, at));
      }
      uint8x16_t result = vqtbl4q_u8(four(0), at);
      for (int i = 4; i < kBlocks; i += 4) {
        at = vsubq_u8(at, vdupq_n_u8(64));
        result = vqtbx4q_u8(result, four(i), at);
      }
      return vreinterpretq_u16_u8(result);
    }

   private:
    static constexpr int kBlocks = Size < 4 ? 1 : (2 << Size) / 16;

    uint8x16x4_t four(int i) const {
      const int last = kBlocks - 1;
      return uint8x16x4_t{{blocks_[i], blocks_[i + 1 > last ? last : i + 1],
                           blocks_[i + 2 > last ? last : i + 2],
                           blocks_[i + 3 > last ? last : i + 3]}};
    }

    uint8x16_t blocks_[kBlocks];
  };

  static void load_states(const uint32_t* x, V* high, V* low) {
    const uint16x8x2_t halves = vld2q_u16(reinterpret_cast<const uint16_t*>(x));
    *low = halves.val[0];
    *high = halves.val[1];
  }
  static void store_states(uint32_t* x, V high, V low) {
    vst2q_u16(reinterpret_cast<uint16_t*>(x), uint16x8x2_t{{low, high}});
  }

  static V narrow(const int32_t* entries) {
    const int16x4_t low = vqmovn_s32(vld1q_s32(entries));
    return vreinterpretq_u16_s16(vqmovn_high_s32(low, vld1q_s32(entries + 4)));
  }
  static void widen(V entry, int32_t* entries) {
    store_states(reinterpret_cast<uint32_t*>(entries), fill(0), entry);
  }

  // The low bytes of the lanes chosen, before `at`; where they begin.
  static uint8_t* put_bytes(uint8_t* at, const V* lanes, const V* low) {
    for (int v = kVectors - 1; v >= 0; --v) {
      const unsigned mask = mask_of(lanes[v]);
      vst1_u8(at - 8, vqtbl1_u8(vreinterpretq_u8_u16(low[v]), vld1_u8(kShuffles.pack[mask])));
      at -= kShuffles.count[mask];
    }
    return at;
  }

  // The next byte for each of the lanes chosen, 0 for others; where the bytes end.
  static const uint8_t* take_bytes(const uint8_t* at, const V* lanes, V* bytes) {
    for (int v = 0; v < kVectors; ++v) {
      const unsigned mask = mask_of(lanes[v]);
      const uint8x16_t next = vcombine_u8(vld1_u8(at), vdup_n_u8(0));
      bytes[v] = vreinterpretq_u16_u8(vqtbl1q_u8(next, vld1q_u8(kShuffles.spread[mask])));
      at += kShuffles.count[mask];
    }
    return at;
  }

  static void drop_byte(V lanes, V* high, V* low) {
    *low = vbslq_u16(lanes, vsliq_n_u16(top_bytes(*low), *high, 8), *low);
    *high = vbslq_u16(lanes, top_bytes(*high), *high);
  }
  static void append_byte(V lanes, V byte, V* high, V* low) {
    *high = vbslq_u16(lanes, vsliq_n_u16(top_bytes(*low), *high, 8), *high);
    *low = vbslq_u16(lanes, vsliq_n_u16(byte, *low, 8), *low);
  }

  // The state freq * high + within.
  static void multiply(V freq, V within, V* high, V* low) {
    const uint32x4_t a = vmull_u16(vget_low_u16(freq), vget_low_u16(*high));
    const uint32x4_t b = vmull_high_u16(freq, *high);
    const V product = vuzp2q_u16(vreinterpretq_u16_u32(a), vreinterpretq_u16_u32(b));
    *low = vmlaq_u16(within, freq, *high);
    *high = subtract(product, vcltq_u16(*low, within));  // the carry
  }

  // Divides by a multiplication with 2^32 / freq, rounded down.
  template <int Depth>
  class Divider {
   public:
    explicit Divider(const Vectors& v)
        : low_(v.split_reciprocal_low), high_(v.split_reciprocal_high) {}

    // The state x / freq * 65536 + x % freq + start, where x < freq * 65536: the quotient by the
    // multiplication is right or one too small.
    void advance(V index, V freq, V start, V* high, V* low) const {
      const V l = low_[index], h = high_[index];
      const uint32x4_t x0 = joined(vzip1q_u16(*low, *high)), x1 = joined(vzip2q_u16(*low, *high));
      const uint32x4_t q0 = top_of_product(x0, joined(vzip1q_u16(l, h)));
      const uint32x4_t q1 = top_of_product(x1, joined(vzip2q_u16(l, h)));
      const V quotient = vuzp1q_u16(vreinterpretq_u16_u32(q0), vreinterpretq_u16_u32(q1));
      const uint32x4_t r0 = vmlsl_u16(x0, vget_low_u16(quotient), vget_low_u16(freq));
      const uint32x4_t r1 = vmlsl_high_u16(x1, quotient, freq);
      const V small = at_least(vqmovn_high_u32(vqmovn_u32(r0), r1), freq);
      *high = subtract(quotient, small);
      const V rest = vmlsq_u16(add(*low, start), quotient, freq);
      *low = subtract(rest, vandq_u16(small, freq));
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
          offset_(vdupq_n_s32(table.offset)),
          zero_(vdupq_n_s32(kRounderBits + table.offset)) {}

    // A value outside the table becomes a number that is no entry.
    V entries(const float* values) const {
      return narrowed(vsubq_s32(rounded(values), zero_), vsubq_s32(rounded(values + 4), zero_));
    }
    V entries(const int32_t* values) const {
      return narrowed(vsubq_s32(vld1q_s32(values), offset_),
                      vsubq_s32(vld1q_s32(values + 4), offset_));
    }

    void put(V entry, float* out) const {
      const V top = fill(kRounderBits >> 16);  // kRounder + entry
      vst1q_f32(out, value(vzip1q_u16(entry, top)));
      vst1q_f32(out + 4, value(vzip2q_u16(entry, top)));
    }
    void put(V entry, int32_t* out) const {
      vst1q_s32(out, number(vget_low_u16(entry)));
      vst1q_s32(out + 4, number(vget_high_u16(entry)));
    }

   private:
    int32x4_t rounded(const float* values) const {
      return vreinterpretq_s32_f32(vaddq_f32(vsubq_f32(vld1q_f32(values), median_), rounder_));
    }
    static V narrowed(int32x4_t a, int32x4_t b) {
      return vreinterpretq_u16_s16(vqmovn_high_s32(vqmovn_s32(a), b));
    }
    float32x4_t value(V bits) const {
      return vaddq_f32(vsubq_f32(vreinterpretq_f32_u16(bits), less_), median_);
    }
    int32x4_t number(uint16x4_t entry) const {
      return vaddq_s32(vreinterpretq_s32_u32(vmovl_u16(entry)), offset_);
    }

    float32x4_t median_, rounder_, less_;
    int32x4_t offset_, zero_;
  };

 private:
  static unsigned mask_of(V lanes) {
    static const uint16_t kBits[8] = {1, 2, 4, 8, 16, 32, 64, 128};
    return vaddvq_u16(vandq_u16(lanes, vld1q_u16(kBits)));
  }
};

const Loops kNeon = {encode_by<Neon, float>, encode_by<Neon, int32_t>, decode_by<Neon, float>,
                     decode_by<Neon, int32_t>};

}  // namespace

const Loops* neon_loops() { return &kNeon; }

}  // namespace sw
