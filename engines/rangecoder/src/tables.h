// Entropy tables and what the coding loops derive from them, made once.
#ifndef SPLITWATT_TABLES_H
#define SPLITWATT_TABLES_H

#include <stddef.h>
#include <stdint.h>

#include <memory>
#include <new>
#include <vector>

#include "format.h"

namespace sw {

constexpr size_t kMaxTables = 4096;
constexpr size_t kLutSize = size_t(1) << kLutBits;
constexpr int64_t kNear = 1 << 21;
constexpr size_t kVectorMax = 128;  // intervals that vector registers hold

// One interval, ready for the single steps of the scalar loops.
struct Interval {
  uint32_t packed;  // frequency, and start << 16
  float inverse;    // a little below 1 / frequency: a quotient is right or one too small
  uint64_t magic;   // ceil(2^63 / frequency): quotients by a high multiplication
};

// What a slot's top bits say: an interval that holds most of them.
struct Guess {
  uint32_t packed;
  uint32_t entry;
};

// What vector loops read of one table.
//
// Arrays that are split hold 16-bit numbers for shuffles: the low bytes of 2^depth entries, then
// their high bytes; 2^depth is the smallest of 8 to 128 that holds the table.
struct alignas(64) Vectors {
  uint8_t guess[256];  // by a slot's top 8 bits: the better pair of neighbours' first one
  uint8_t split_start[2 * kVectorMax];
  uint8_t split_freq[2 * kVectorMax];
  uint8_t split_reciprocal_low[2 * kVectorMax];  // of 2^32 / freq
  uint8_t split_reciprocal_high[2 * kVectorMax];
  uint8_t split_inverse_low[2 * kVectorMax];  // of the bits of an interval's inverse
  uint8_t split_inverse_high[2 * kVectorMax];
  uint16_t largest_freq;
  uint16_t bound[kVectorMax];  // the last slot before each interval; 65535 beyond the table
};

struct Table {
  int32_t offset = 0;
  float median = 0;
  int32_t last = 0;                   // the escape's interval; there are last + 1
  bool near = false;                  // offset is small: symbols near the table are small, too
  const Interval* intervals = nullptr;
  const Guess* guesses = nullptr;     // [kLutSize]
  const Vectors* vectors = nullptr;   // null where the table is too large for them

  // As SymbolTables: this table for every symbol of a row.
  const Table& operator()(int) const { return *this; }
  const Table& from(size_t) const { return *this; }
};

// Each symbol's own table.
struct SymbolTables {
  const Table* tables;
  const int32_t* indexes;
  const Table& operator()(int j) const { return tables[indexes[j]]; }
  SymbolTables from(size_t first) const { return SymbolTables{tables, indexes + first}; }
};

}  // namespace sw

struct sw_tables {
  std::vector<sw::Table> tables;
  std::vector<sw::Interval> intervals;
  std::vector<sw::Guess> guesses;
  std::unique_ptr<uint8_t[]> vector_memory;
  uint8_t id[4];
};

namespace sw {

// Whether an item of this shape can be coded with these tables, chosen by these indexes.
bool fits(const sw_tables* tables, const int32_t* indexes, size_t rows, size_t height,
          size_t width);

// A status from code that may throw std::bad_alloc.
template <class Run>
int guarded(Run run) {
  try {
    return run();
  } catch (const std::bad_alloc&) {
    return SW_NO_MEMORY;
  }
}

}  // namespace sw

#endif
