// Latents to symbols and to intervals of a table.
#ifndef SPLITWATT_SYMBOLS_H
#define SPLITWATT_SYMBOLS_H

#include <string.h>

#include <cmath>

#include "streams.h"

namespace sw {

// rint(value - median), ties to even; false for NaN, infinity and what is beyond int32.
inline bool symbol_of(float value, float median, int32_t* symbol) {
  const float exact = value - median;
  if (std::fabs(exact) < kRounderMax) {
    *symbol = int32_t((exact + kRounder) - kRounder);
    return true;
  }
  const float rounded = std::rint(exact);
  if (!(rounded >= -2147483648.0f && rounded < 2147483648.0f)) return false;
  *symbol = int32_t(rounded);
  return true;
}

inline bool symbol_of(int32_t value, float, int32_t* symbol) {
  *symbol = value;
  return true;
}

inline void put_symbol(float* at, int32_t symbol, float median) { *at = float(symbol) + median; }
inline void put_symbol(int32_t* at, int32_t symbol, float) { *at = symbol; }

// The interval of one value; a symbol outside the table becomes an escape. False: not codable.
template <class T>
inline bool entry_of(const Table& table, T value, Encoder& encoder, int32_t* entry) {
  int32_t symbol;
  if (!symbol_of(value, table.median, &symbol)) return false;
  const int64_t at = int64_t(symbol) - table.offset;
  *entry = int32_t(at);
  if (at < 0 || at >= table.last) {
    encoder.escapes->push_back(escape_distance(at, table.last));
    *entry = table.last;
  }
  return true;
}

// Entries of `count` <= 32 values of one table, where none is outside it; else false.
//
// Adding kRounder leaves the rounded number in a float's low bits; the bits of anything else, NaN
// among it, lie far from those of any table that is near. So no value needs a branch.
inline bool entries_inside(const Table& table, const float* values, int count, int32_t* entries) {
  if (!table.near) return false;
  float rounded[kLanes];
  uint32_t bits[kLanes];
  const float median = table.median;
  const uint32_t zero = uint32_t(kRounderBits) + uint32_t(table.offset);
  const uint32_t last = uint32_t(table.last);
  for (int j = 0; j < count; ++j) rounded[j] = (values[j] - median) + kRounder;
  memcpy(bits, rounded, sizeof(float) * size_t(count));
  uint32_t outside = 0;
  for (int j = 0; j < count; ++j) {
    const uint32_t entry = bits[j] - zero;
    entries[j] = int32_t(entry);
    outside |= uint32_t(entry >= last);
  }
  return !outside;
}

// Entries of a step in the general case, the last symbol's first, as escapes are gathered.
template <class Pick, class T>
inline bool entries_exact(const Pick& pick, const T* values, int count, Encoder& encoder,
                          int32_t* entries) {
  for (int j = count - 1; j >= 0; --j) {
    if (!entry_of(pick(j), values[j], encoder, entries + j)) return false;
  }
  return true;
}

// Writes the values of a step's entries, reading escapes. False: desync.
template <class Pick, class T>
inline bool put_entries(const Pick& pick, const int32_t* entries, int count, Decoder& decoder,
                        T* out) {
  for (int j = 0; j < count; ++j) {
    const Table& table = pick(j);
    int32_t symbol = int32_t(uint32_t(entries[j]) + uint32_t(table.offset));
    if (entries[j] == table.last) {
      uint64_t distance;
      if (!decoder.escapes.read(&distance)) return false;
      if (!escaped_symbol(distance, table.last, table.offset, &symbol)) return false;
    }
    put_symbol(out + j, symbol, table.median);
  }
  return true;
}

template <class Pick, class T>
inline bool entries_of(const Pick& pick, const T* values, int count, Encoder& encoder,
                       int32_t* entries) {
  return entries_exact(pick, values, count, encoder, entries);
}

inline bool entries_of(const Table& table, const float* values, int count, Encoder& encoder,
                       int32_t* entries) {
  return entries_inside(table, values, count, entries) ||
         entries_outside(table, values, count, encoder, entries);
}

// The interval of a slot: nearly always the guess.
inline int32_t find_entry(const Table& table, uint32_t slot, uint32_t* packed) {
  const Guess guess = table.guesses[slot >> (kPrecision - kLutBits)];
  uint32_t entry = guess.entry;
  *packed = guess.packed;
  while (slot - (*packed >> 16) >= (*packed & 0xffff)) {  // a slot below wraps around
    entry += slot < *packed >> 16 ? uint32_t(-1) : 1;
    *packed = table.intervals[entry].packed;
  }
  return int32_t(entry);
}

}  // namespace sw

#endif
