// The loops for 64-bit ARM: four groups of 8 lanes, each two vectors of 4. NEON has no gathers, so
// tables are read lane by lane; everything else is vectors. The short step at a row's end is the
// scalar loop's.
#include <arm_neon.h>

#include "bytes8.h"
#include "symbols.h"

namespace sw {
namespace {

constexpr int kGroup = 8, kGroups = kLanes / kGroup;
constexpr Shuffles8 kShuffles;

struct Pair {
  uint32x4_t a, b;  // lanes 0-3 and 4-7 of a group
};

inline Pair load(const uint32_t* at) { return Pair{vld1q_u32(at), vld1q_u32(at + 4)}; }
inline void store(uint32_t* at, const Pair& x) {
  vst1q_u32(at, x.a);
  vst1q_u32(at + 4, x.b);
}

// Lanes as a mask of 8 bits.
inline uint32_t mask_of(const Pair& lanes) {
  static const uint8_t kBits[8] = {1, 2, 4, 8, 16, 32, 64, 128};
  const uint8x8_t bytes = vmovn_u16(vcombine_u16(vmovn_u32(lanes.a), vmovn_u32(lanes.b)));
  return vaddv_u8(vand_u8(bytes, vld1_u8(kBits)));
}

inline bool any(uint32x4_t lanes) { return vmaxvq_u32(lanes) != 0; }

// Symbols, and in *outside the lanes that have none.
inline uint32x4_t symbols(const float* values, float32x4_t median, uint32x4_t* outside) {
  const float32x4_t value = vsubq_f32(vld1q_f32(values), median);
  *outside = vornq_u32(*outside, vceqq_f32(value, value));  // NaN would become 0
  return vreinterpretq_u32_s32(vcvtnq_s32_f32(value));
}

inline uint32x4_t symbols(const int32_t* values, float32x4_t, uint32x4_t*) {
  return vreinterpretq_u32_s32(vld1q_s32(values));
}

// Two 8-byte elements by index, `Stride` bytes apart.
template <int Stride>
inline uint32x4_t two_elements(const void* base, uint64_t indexes) {
  const uint8_t* bytes = static_cast<const uint8_t*>(base);
  const uint8x8_t low = vld1_u8(bytes + (indexes & 0xffffffff) * Stride);
  const uint8x8_t high = vld1_u8(bytes + (indexes >> 32) * Stride);
  return vreinterpretq_u32_u8(vcombine_u8(low, high));
}

// The first and second 32-bit halves of the elements at four indexes.
template <int Stride>
inline void look_up(const void* base, uint32x4_t at, uint32x4_t* first, uint32x4_t* second) {
  const uint64x2_t indexes = vreinterpretq_u64_u32(at);
  const uint32x4_t low = two_elements<Stride>(base, vgetq_lane_u64(indexes, 0));
  const uint32x4_t high = two_elements<Stride>(base, vgetq_lane_u64(indexes, 1));
  *first = vuzp1q_u32(low, high);
  *second = vuzp2q_u32(low, high);
}

// The low bytes of the lanes chosen by `mask`, before `at`; where they begin.
inline uint8_t* put_bytes(uint8_t* at, const Pair& x, uint32_t mask) {
  const uint8x8_t bytes = vmovn_u16(vcombine_u16(vmovn_u32(x.a), vmovn_u32(x.b)));
  vst1_u8(at - 8, vtbl1_u8(bytes, vld1_u8(kShuffles.pack[mask])));
  return at - kShuffles.count[mask];
}

inline uint32x4_t shifted(uint32x4_t x, uint32x4_t lanes) {
  return vbslq_u32(lanes, vshrq_n_u32(x, 8), x);
}

// x / freq * 65536 + x % freq + start; `inverse` is a little below 1 / freq.
inline uint32x4_t advanced(uint32x4_t x, uint32x4_t freq, uint32x4_t start, uint32x4_t inverse) {
  const float32x4_t estimate = vmulq_f32(vcvtq_f32_u32(x), vreinterpretq_f32_u32(inverse));
  const uint32x4_t quotient = vcvtq_u32_f32(estimate);
  const uint32x4_t rest = vmlsq_u32(x, quotient, freq);
  const uint32x4_t next =
      vaddq_u32(vaddq_u32(vshlq_n_u32(quotient, kPrecision), rest), start);
  const uint32x4_t more = vsubq_u32(vdupq_n_u32(kTotal), freq);  // the quotient may be one small
  return vaddq_u32(next, vandq_u32(more, vcgeq_u32(rest, freq)));
}

template <class T>
bool encode(const Table& table, const T* values, size_t begin, size_t finish, Encoder& encoder) {
  const size_t whole = finish / kLanes * kLanes;
  if (whole < finish &&
      !encode_row(*scalar_loops(), table, values, whole, finish, encoder)) {
    return false;
  }
  const float32x4_t median = vdupq_n_f32(table.median);
  const uint32x4_t offset = vdupq_n_u32(uint32_t(table.offset));
  const uint32x4_t last = vdupq_n_u32(uint32_t(table.last));
  const uint32x4_t low16 = vdupq_n_u32(0xffff);
  Pair x[kGroups];
  for (int g = 0; g < kGroups; ++g) x[g] = load(encoder.x + kGroup * g);
  uint8_t* at = encoder.at;
  for (size_t stop = whole; stop > begin; stop -= kLanes) {
    const T* step = values + stop - kLanes;
    prefetch_step_before(step);
    Pair freq[kGroups], start[kGroups], inverse[kGroups], entry[kGroups];
    uint32x4_t outside = vdupq_n_u32(0), two = outside;
    for (int g = 0; g < kGroups; ++g) {
      entry[g].a = vsubq_u32(symbols(step + kGroup * g, median, &outside), offset);
      entry[g].b = vsubq_u32(symbols(step + kGroup * g + 4, median, &outside), offset);
      outside = vorrq_u32(outside, vcgeq_u32(vmaxq_u32(entry[g].a, entry[g].b), last));
    }
    if (__builtin_expect(any(outside), 0)) {
      int32_t entries[kLanes];
      if (!entries_outside(RowTable{table}, step, kLanes, encoder, entries)) return false;
      for (int g = 0; g < kGroups; ++g) {
        entry[g] = load(reinterpret_cast<const uint32_t*>(entries) + kGroup * g);
      }
    }
    for (int g = 0; g < kGroups; ++g) {
      Pair packed;
      look_up<sizeof(Interval)>(table.intervals, entry[g].a, &packed.a, &inverse[g].a);
      look_up<sizeof(Interval)>(table.intervals, entry[g].b, &packed.b, &inverse[g].b);
      freq[g] = Pair{vandq_u32(packed.a, low16), vandq_u32(packed.b, low16)};
      start[g] = Pair{vshrq_n_u32(packed.a, 16), vshrq_n_u32(packed.b, 16)};
      two = vorrq_u32(two, vcgeq_u32(vshrq_n_u32(x[g].a, 24), freq[g].a));
      two = vorrq_u32(two, vcgeq_u32(vshrq_n_u32(x[g].b, 24), freq[g].b));
    }
    if (__builtin_expect(any(two), 0)) {
      for (int g = kGroups - 1; g >= 0; --g) {
        const Pair over = {vcgeq_u32(vshrq_n_u32(x[g].a, 24), freq[g].a),
                           vcgeq_u32(vshrq_n_u32(x[g].b, 24), freq[g].b)};
        at = put_bytes(at, x[g], mask_of(over));
        x[g] = Pair{shifted(x[g].a, over.a), shifted(x[g].b, over.b)};
      }
    }
    for (int g = kGroups - 1; g >= 0; --g) {
      const Pair over = {vcgeq_u32(vshrq_n_u32(x[g].a, 16), freq[g].a),
                         vcgeq_u32(vshrq_n_u32(x[g].b, 16), freq[g].b)};
      at = put_bytes(at, x[g], mask_of(over));
      x[g].a = advanced(shifted(x[g].a, over.a), freq[g].a, start[g].a, inverse[g].a);
      x[g].b = advanced(shifted(x[g].b, over.b), freq[g].b, start[g].b, inverse[g].b);
    }
  }
  for (int g = 0; g < kGroups; ++g) store(encoder.x + kGroup * g, x[g]);
  encoder.at = at;
  return true;
}

inline void put(float* out, uint32x4_t symbol, float32x4_t median) {
  vst1q_f32(out, vaddq_f32(vcvtq_f32_s32(vreinterpretq_s32_u32(symbol)), median));
}
inline void put(int32_t* out, uint32x4_t symbol, float32x4_t) {
  vst1q_s32(out, vreinterpretq_s32_u32(symbol));
}

inline Pair below_low(const Pair& x) {
  const uint32x4_t low = vdupq_n_u32(kLow);
  return Pair{vcltq_u32(x.a, low), vcltq_u32(x.b, low)};
}

// x with a byte appended in `lanes`.
inline Pair take_bytes(const uint8_t** at, const Pair& x, const Pair& lanes) {
  const uint32_t mask = mask_of(lanes);
  const uint8x8_t bytes = vtbl1_u8(vld1_u8(*at), vld1_u8(kShuffles.spread[mask]));
  *at += kShuffles.count[mask];
  const uint16x8_t wide = vmovl_u8(bytes);
  const uint32x4_t a = vorrq_u32(vshlq_n_u32(x.a, 8), vmovl_u16(vget_low_u16(wide)));
  const uint32x4_t b = vorrq_u32(vshlq_n_u32(x.b, 8), vmovl_u16(vget_high_u16(wide)));
  return Pair{vbslq_u32(lanes.a, a, x.a), vbslq_u32(lanes.b, b, x.b)};
}

// The intervals of the slots of a group where a guess is wrong.
inline void find_exactly(const Table& table, const Pair& slot, Pair* packed, Pair* entry) {
  uint32_t slots[kGroup], found[kGroup], entries[kGroup];
  store(slots, slot);
  for (int j = 0; j < kGroup; ++j) {
    entries[j] = uint32_t(find_entry(table, slots[j], found + j));
  }
  *packed = load(found);
  *entry = load(entries);
}

template <class T>
bool decode(const Table& table, T* out, size_t begin, size_t finish, Decoder& decoder) {
  const size_t whole = finish / kLanes * kLanes;
  const float32x4_t median = vdupq_n_f32(table.median);
  const uint32x4_t offset = vdupq_n_u32(uint32_t(table.offset));
  const uint32x4_t last = vdupq_n_u32(uint32_t(table.last));
  const uint32x4_t low16 = vdupq_n_u32(0xffff);
  Pair x[kGroups];
  for (int g = 0; g < kGroups; ++g) x[g] = load(decoder.x + kGroup * g);
  for (size_t first = begin; first < whole; first += kLanes) {
    if (__builtin_expect(decoder.at > decoder.guard, 0) && !decoder.refill()) return false;
    const uint8_t* at = decoder.at;
    Pair entry[kGroups];
    uint32x4_t twice = vdupq_n_u32(0), escaped = twice;
    for (int g = 0; g < kGroups; ++g) {
      const Pair slot = {vandq_u32(x[g].a, low16), vandq_u32(x[g].b, low16)};
      Pair packed;
      look_up<sizeof(Guess)>(table.guesses, vshrq_n_u32(slot.a, kPrecision - kLutBits), &packed.a,
                             &entry[g].a);
      look_up<sizeof(Guess)>(table.guesses, vshrq_n_u32(slot.b, kPrecision - kLutBits), &packed.b,
                             &entry[g].b);
      Pair within = {vsubq_u32(slot.a, vshrq_n_u32(packed.a, 16)),
                     vsubq_u32(slot.b, vshrq_n_u32(packed.b, 16))};
      const uint32x4_t wrong = vorrq_u32(vcgeq_u32(within.a, vandq_u32(packed.a, low16)),
                                         vcgeq_u32(within.b, vandq_u32(packed.b, low16)));
      if (__builtin_expect(any(wrong), 0)) {
        find_exactly(table, slot, &packed, &entry[g]);
        within = Pair{vsubq_u32(slot.a, vshrq_n_u32(packed.a, 16)),
                      vsubq_u32(slot.b, vshrq_n_u32(packed.b, 16))};
      }
      x[g].a = vmlaq_u32(within.a, vandq_u32(packed.a, low16), vshrq_n_u32(x[g].a, 16));
      x[g].b = vmlaq_u32(within.b, vandq_u32(packed.b, low16), vshrq_n_u32(x[g].b, 16));
      x[g] = take_bytes(&at, x[g], below_low(x[g]));
      const Pair still = below_low(x[g]);
      twice = vorrq_u32(twice, vorrq_u32(still.a, still.b));
      escaped = vorrq_u32(escaped,
                          vorrq_u32(vceqq_u32(entry[g].a, last), vceqq_u32(entry[g].b, last)));
    }
    if (__builtin_expect(any(twice), 0)) {
      for (int g = 0; g < kGroups; ++g) x[g] = take_bytes(&at, x[g], below_low(x[g]));
    }
    decoder.at = at;
    if (__builtin_expect(any(escaped), 0)) {
      uint32_t entries[kLanes];
      for (int g = 0; g < kGroups; ++g) store(entries + kGroup * g, entry[g]);
      const int32_t* signed_entries = reinterpret_cast<const int32_t*>(entries);
      if (!put_entries(RowTable{table}, signed_entries, kLanes, decoder, out + first)) return false;
      continue;
    }
    for (int g = 0; g < kGroups; ++g) {
      put(out + first + kGroup * g, vaddq_u32(entry[g].a, offset), median);
      put(out + first + kGroup * g + 4, vaddq_u32(entry[g].b, offset), median);
    }
  }
  for (int g = 0; g < kGroups; ++g) store(decoder.x + kGroup * g, x[g]);
  if (whole < finish &&
      !decode_row(*scalar_loops(), table, out, whole, finish, decoder)) {
    return false;
  }
  return decoder.sound();
}

const Loops kNeon = {encode<float>, encode<int32_t>, decode<float>, decode<int32_t>};

}  // namespace

const Loops* neon_loops() { return &kNeon; }

}  // namespace sw
