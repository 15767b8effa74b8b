// The loops over a row, written once for processors whose vectors hold 16-bit lanes.
//
// A lane's 32-bit state lies in two vectors, as its high and its low 16 bits. A table is a string
// of bytes that shuffles read, and decoding compares a slot with bounds of intervals, without a
// branch. `Simd` names the vectors of a processor: avx2.cpp, avx512.cpp and neon.cpp have one.
#ifndef SPLITWATT_VECTOR_LOOPS_H
#define SPLITWATT_VECTOR_LOOPS_H

#include "streams.h"

namespace sw {

// Shuffles of 8 lanes by an 8-bit mask.
struct Shuffles {
  uint8_t pack[256][8];     // low bytes of the chosen 16-bit lanes, in order, at the end of 8 bytes
  uint8_t count[256];
  uint8_t spread[256][16];  // the first bytes, in order, to the low bytes of the chosen lanes

  constexpr Shuffles() : pack(), count(), spread() {
    for (int mask = 0; mask < 256; ++mask) {
      int chosen = 0;
      for (int i = 0; i < 8; ++i) chosen += mask >> i & 1;
      count[mask] = uint8_t(chosen);
      int next = 0;
      for (int i = 0; i < 8; ++i) {
        spread[mask][2 * i] = spread[mask][2 * i + 1] = 0x80;
        if (!(mask >> i & 1)) continue;
        spread[mask][2 * i] = uint8_t(next);
        pack[mask][8 - chosen + next] = uint8_t(2 * i);
        ++next;
      }
    }
  }
};

// The loops for tables of up to 2^Depth intervals.
template <class Simd, int Depth>
struct VectorLoops {
  using V = typename Simd::V;
  using M = typename Simd::M;  // chosen lanes
  template <int Size>
  using Lookup = typename Simd::template Lookup<Size>;

  static constexpr int kWidth = Simd::kWidth, kVectors = kLanes / kWidth;

  struct States {
    V high[kVectors], low[kVectors];

    explicit States(const uint32_t* x) {
      for (int v = 0; v < kVectors; ++v) Simd::load_states(x + kWidth * v, &high[v], &low[v]);
    }
    void store(uint32_t* x) const {
      for (int v = 0; v < kVectors; ++v) Simd::store_states(x + kWidth * v, high[v], low[v]);
    }
  };

  // `count` symbols, a multiple of 32.
  //
  // A step's operations wait for each other more than for the step before. With Simd::kAhead a
  // step's entries are made one step ahead, so that the processor has other work meanwhile.
  static bool encode(const Table& table, const float* values, size_t count, Encoder& encoder) {
    if (!count) return true;
    const typename Simd::template Divider<Depth> divider(*table.vectors);
    const Lookup<Depth> freqs(table.vectors->split_freq), starts(table.vectors->split_start);
    const typename Simd::Source source(table);
    typename Simd::Entries entries;
    const auto enter = [&](const float* step) {
      prefetch_step_before(step);
      entries = source.entries(step);
      if (__builtin_expect(source.outside(entries), 0)) {
        int32_t exact[kLanes];
        if (!entries_outside(table, step, kLanes, encoder, exact)) return false;
        entries = Simd::narrow(exact);
      }
      return true;
    };
    States x(encoder.x);
    uint8_t* at = encoder.at;
    size_t step = count - kLanes;
    if (Simd::kAhead && !enter(values + step)) return false;
    for (;; step -= kLanes) {
      if (!Simd::kAhead && !enter(values + step)) return false;
      const auto index = Simd::template index<Depth>(entries);
      V freq[kVectors], start[kVectors];
      M lanes[kVectors], two{};
      Lookup<Depth>::read(freqs, starts, index, freq, start);
      if (Simd::kAhead && step && !enter(values + step - kLanes)) return false;
      const auto inverses = divider.invert(index, freq);
      for (int v = 0; v < kVectors; ++v) {
        two = Simd::either(two, Simd::at_least(Simd::top_bytes(x.high[v]), freq[v]));
      }
      if (__builtin_expect(Simd::any(two), 0)) {
        for (int v = 0; v < kVectors; ++v) {
          lanes[v] = Simd::at_least(Simd::top_bytes(x.high[v]), freq[v]);
        }
        at = Simd::put_bytes(at, lanes, x.high, x.low);
      }
      for (int v = 0; v < kVectors; ++v) lanes[v] = Simd::at_least(x.high[v], freq[v]);
      at = Simd::put_bytes(at, lanes, x.high, x.low);
      divider.advance(freq, start, inverses, x.high, x.low);
      if (!step) break;
    }
    x.store(encoder.x);
    encoder.at = at;
    return true;
  }

  static bool decode(const Table& table, float* out, size_t count, Decoder& decoder) {
    const typename Simd::template Bounds<Depth> bounds(*table.vectors);
    const typename Simd::Source source(table);
    const V last = Simd::fill(uint16_t(table.last)), none = Simd::fill(0);
    States x(decoder.x);
    const uint8_t* at = decoder.at;
    for (V& low : x.low) low = Simd::as_slots(low);
    for (size_t first = 0; first < count; first += kLanes) {
      if (__builtin_expect(at > decoder.guard, 0)) {
        decoder.at = at;
        if (!decoder.refill()) return false;
        at = decoder.at;
      }
      V index[kVectors], freq[kVectors], within[kVectors];
      M below[kVectors];
      V smallest = Simd::fill(0xffff), largest = none;
      bounds.find(x.low, index, freq, within);
      for (int v = 0; v < kVectors; ++v) {
        below[v] = Simd::multiply(freq[v], within[v], &x.high[v], &x.low[v]);
        smallest = Simd::smaller(smallest, x.high[v]);
        index[v] = Simd::low_bytes(index[v]);
        largest = Simd::larger(largest, index[v]);
      }
      at = Simd::take_bytes(at, below, x.high, x.low);
      const M twice = Simd::equal(smallest, none), escaped = Simd::equal(largest, last);
      if (__builtin_expect(Simd::any(Simd::either(twice, escaped)), 0)) {
        if (Simd::any(twice)) {
          for (int v = 0; v < kVectors; ++v) {
            x.low[v] = Simd::as_slots(x.low[v]);
            below[v] = Simd::below(x.high[v]);
          }
          at = Simd::take_bytes(at, below, x.high, x.low);
        }
        if (Simd::any(escaped)) {
          int32_t entries[kLanes];
          for (int v = 0; v < kVectors; ++v) Simd::widen(index[v], entries + kWidth * v);
          if (!put_escaped(table, entries, kLanes, decoder, out + first)) return false;
          continue;
        }
      }
      for (int v = 0; v < kVectors; ++v) source.put(index[v], out + first + kWidth * v);
    }
    decoder.at = at;
    for (V& low : x.low) low = Simd::as_slots(low);
    x.store(decoder.x);
    return decoder.valid();
  }
};

// A row by the loops of its table's size; the short step at its end is the scalar loop's.
template <class Simd>
bool encode_by(const Table& table, const float* row, size_t count, Encoder& encoder) {
  const size_t whole = count / kLanes * kLanes;
  if (whole < count && !encode_scalar(table, row + whole, count - whole, encoder)) return false;
  if (table.last < 8) return VectorLoops<Simd, 3>::encode(table, row, whole, encoder);
  if (table.last < 16) return VectorLoops<Simd, 4>::encode(table, row, whole, encoder);
  if (table.last < 32) return VectorLoops<Simd, 5>::encode(table, row, whole, encoder);
  if (table.last < 64) return VectorLoops<Simd, 6>::encode(table, row, whole, encoder);
  return VectorLoops<Simd, 7>::encode(table, row, whole, encoder);
}

template <class Simd>
bool decode_by(const Table& table, float* row, size_t count, Decoder& decoder) {
  const size_t whole = count / kLanes * kLanes;
  const auto decode = table.last < 8    ? VectorLoops<Simd, 3>::decode
                      : table.last < 16 ? VectorLoops<Simd, 4>::decode
                      : table.last < 32 ? VectorLoops<Simd, 5>::decode
                      : table.last < 64 ? VectorLoops<Simd, 6>::decode
                                        : VectorLoops<Simd, 7>::decode;
  if (!decode(table, row, whole, decoder)) return false;
  return whole == count || decode_scalar(table, row + whole, count - whole, decoder);
}

}  // namespace sw

#endif
