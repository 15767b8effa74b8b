// The loops over a row, written once for processors whose vectors hold 16-bit lanes.
//
// A lane's 32-bit state lies in two vectors, as its high and its low 16 bits. A table is a string
// of bytes that shuffles read: decoding goes down a binary tree of interval bounds, a level at a
// time, without a branch. `Simd` names the vectors of a processor: avx2.cpp and neon.cpp have one.
#ifndef SPLITWATT_VECTOR_LOOPS_H
#define SPLITWATT_VECTOR_LOOPS_H

#include "streams.h"

namespace sw {

// Shuffles of 8 lanes by an 8-bit mask.
struct Shuffles {
  uint8_t pack[256][16];    // low bytes of the chosen 16-bit lanes, in order, at the end of 8 bytes
  uint8_t spread[256][16];  // the first bytes, in order, to the low bytes of the chosen lanes
  uint8_t count[256];

  constexpr Shuffles() : pack(), spread(), count() {
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
  template <int Size>
  using Lookup = typename Simd::template Lookup<Size>;

  static constexpr int kWidth = Simd::kWidth, kVectors = kLanes / kWidth;
  static constexpr int kHigh = 256 << Depth;  // an entry's index into a lookup: (e, e + 2^Depth)

  struct States {
    V high[kVectors], low[kVectors];

    explicit States(const uint32_t* x) {
      for (int v = 0; v < kVectors; ++v) Simd::load_states(x + kWidth * v, &high[v], &low[v]);
    }
    void store(uint32_t* x) const {
      for (int v = 0; v < kVectors; ++v) Simd::store_states(x + kWidth * v, high[v], low[v]);
    }
  };

  // The interval of a slot, as an index: at each level a bound says which half comes next.
  class Tree {
   public:
    explicit Tree(const uint8_t* pivots)
        : root_(Simd::fill(uint16_t(pivots[2] | pivots[3] << 8))),
          level1_(pivots + 4), level2_(pivots + 8), level3_(pivots + 16), level4_(pivots + 32),
          level5_(pivots + 64), level6_(pivots + 128) {}

    V find(V slot) const {
      const V value = Simd::add(slot, Simd::fill(0x8000));  // pivots are signed numbers
      V index = Simd::descend(Simd::fill(0x0100), Simd::greater(value, root_));
      index = next(level1_, index, value);
      index = next(level2_, index, value);
      if (Depth > 3) index = next(level3_, index, value);
      if (Depth > 4) index = next(level4_, index, value);
      if (Depth > 5) index = next(level5_, index, value);
      if (Depth > 6) index = next(level6_, index, value);
      return index;
    }

   private:
    template <class Level>
    static V next(const Level& level, V index, V value) {
      return Simd::descend(index, Simd::greater(value, level[index]));
    }

    V root_;
    Lookup<1> level1_;
    Lookup<2> level2_;
    Lookup<(Depth > 3 ? 3 : 0)> level3_;
    Lookup<(Depth > 4 ? 4 : 0)> level4_;
    Lookup<(Depth > 5 ? 5 : 0)> level5_;
    Lookup<(Depth > 6 ? 6 : 0)> level6_;
  };

  // Symbols [begin, finish), both multiples of 32.
  template <class T>
  static bool encode(const Table& table, const T* values, size_t begin, size_t finish,
                     Encoder& encoder) {
    const typename Simd::template Divider<Depth> divider(*table.vectors);
    const Lookup<Depth> freqs(table.vectors->split_freq), starts(table.vectors->split_start);
    const typename Simd::Source source(table);
    const V last = Simd::fill(uint16_t(table.last)), none = Simd::fill(0);
    States x(encoder.x);
    uint8_t* at = encoder.at;
    for (size_t stop = finish; stop > begin; stop -= kLanes) {
      const T* step = values + stop - kLanes;
      prefetch_step_before(step);
      V entry[kVectors], freq[kVectors], start[kVectors], lanes[kVectors];
      V outside = none, two = none;
      for (int v = 0; v < kVectors; ++v) {
        entry[v] = source.entries(step + kWidth * v);
        outside = Simd::either(outside, Simd::at_least(entry[v], last));
      }
      if (__builtin_expect(Simd::any(outside), 0)) {
        int32_t exact[kLanes];
        if (!entries_outside(table, step, kLanes, encoder, exact)) return false;
        for (int v = 0; v < kVectors; ++v) entry[v] = Simd::narrow(exact + kWidth * v);
      }
      for (int v = 0; v < kVectors; ++v) {
        entry[v] = Simd::template index<kHigh>(entry[v]);
        freq[v] = freqs[entry[v]];
        start[v] = starts[entry[v]];
        two = Simd::either(two, Simd::at_least(Simd::top_bytes(x.high[v]), freq[v]));
      }
      if (__builtin_expect(Simd::any(two), 0)) {
        for (int v = 0; v < kVectors; ++v) {
          lanes[v] = Simd::at_least(Simd::top_bytes(x.high[v]), freq[v]);
        }
        at = Simd::put_bytes(at, lanes, x.low);
        for (int v = 0; v < kVectors; ++v) Simd::drop_byte(lanes[v], &x.high[v], &x.low[v]);
      }
      for (int v = 0; v < kVectors; ++v) lanes[v] = Simd::at_least(x.high[v], freq[v]);
      at = Simd::put_bytes(at, lanes, x.low);
      for (int v = 0; v < kVectors; ++v) {
        Simd::drop_byte(lanes[v], &x.high[v], &x.low[v]);
        divider.advance(entry[v], freq[v], start[v], &x.high[v], &x.low[v]);
      }
    }
    x.store(encoder.x);
    encoder.at = at;
    return true;
  }

  // Symbols [begin, finish), both multiples of 32.
  template <class T>
  static bool decode(const Table& table, T* out, size_t begin, size_t finish, Decoder& decoder) {
    const Tree tree(table.vectors->split_pivot);
    const Lookup<Depth> freqs(table.vectors->split_freq), starts(table.vectors->split_start);
    const typename Simd::Source source(table);
    const V last = Simd::fill(uint16_t(table.last)), none = Simd::fill(0);
    States x(decoder.x);
    for (size_t first = begin; first < finish; first += kLanes) {
      if (__builtin_expect(decoder.at > decoder.guard, 0) && !decoder.refill()) return false;
      const uint8_t* at = decoder.at;
      V entry[kVectors], lanes[kVectors], bytes[kVectors];
      V rare = none;
      for (int v = 0; v < kVectors; ++v) {
        const V index = tree.find(x.low[v]), freq = freqs[index];
        Simd::multiply(freq, Simd::subtract(x.low[v], starts[index]), &x.high[v], &x.low[v]);
        lanes[v] = Simd::equal(Simd::top_bytes(x.high[v]), none);
        entry[v] = Simd::low_bytes(index);
        rare = Simd::either(rare, Simd::equal(entry[v], last));
        rare = Simd::either(rare, Simd::equal(x.high[v], none));
      }
      at = Simd::take_bytes(at, lanes, bytes);
      for (int v = 0; v < kVectors; ++v) {
        Simd::append_byte(lanes[v], bytes[v], &x.high[v], &x.low[v]);
      }
      if (__builtin_expect(Simd::any(rare), 0)) {
        V twice = none, escaped = none;
        for (int v = 0; v < kVectors; ++v) {
          lanes[v] = Simd::equal(Simd::top_bytes(x.high[v]), none);
          twice = Simd::either(twice, lanes[v]);
          escaped = Simd::either(escaped, Simd::equal(entry[v], last));
        }
        if (Simd::any(twice)) {
          at = Simd::take_bytes(at, lanes, bytes);
          for (int v = 0; v < kVectors; ++v) {
            Simd::append_byte(lanes[v], bytes[v], &x.high[v], &x.low[v]);
          }
        }
        if (Simd::any(escaped)) {
          int32_t entries[kLanes];
          for (int v = 0; v < kVectors; ++v) Simd::widen(entry[v], entries + kWidth * v);
          decoder.at = at;
          if (!put_escaped(table, entries, kLanes, decoder, out + first)) return false;
          continue;
        }
      }
      decoder.at = at;
      for (int v = 0; v < kVectors; ++v) source.put(entry[v], out + first + kWidth * v);
    }
    x.store(decoder.x);
    return decoder.sound();
  }
};

// A row by the loops of its table's size; the short step at its end is the scalar loop's.
template <class Simd, class T>
bool encode_by(const Table& table, const T* row, size_t begin, size_t finish, Encoder& encoder) {
  const size_t whole = finish / kLanes * kLanes;
  if (whole < finish && !encode_row(*scalar_loops(), table, row, whole, finish, encoder)) {
    return false;
  }
  if (table.last < 8) return VectorLoops<Simd, 3>::encode(table, row, begin, whole, encoder);
  if (table.last < 16) return VectorLoops<Simd, 4>::encode(table, row, begin, whole, encoder);
  if (table.last < 32) return VectorLoops<Simd, 5>::encode(table, row, begin, whole, encoder);
  if (table.last < 64) return VectorLoops<Simd, 6>::encode(table, row, begin, whole, encoder);
  return VectorLoops<Simd, 7>::encode(table, row, begin, whole, encoder);
}

template <class Simd, class T>
bool decode_by(const Table& table, T* row, size_t begin, size_t finish, Decoder& decoder) {
  const size_t whole = finish / kLanes * kLanes;
  const auto decode = table.last < 8    ? VectorLoops<Simd, 3>::template decode<T>
                      : table.last < 16 ? VectorLoops<Simd, 4>::template decode<T>
                      : table.last < 32 ? VectorLoops<Simd, 5>::template decode<T>
                      : table.last < 64 ? VectorLoops<Simd, 6>::template decode<T>
                                        : VectorLoops<Simd, 7>::template decode<T>;
  if (!decode(table, row, begin, whole, decoder)) return false;
  return whole == finish || decode_row(*scalar_loops(), table, row, whole, finish, decoder);
}

}  // namespace sw

#endif
