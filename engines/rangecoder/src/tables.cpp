#include "tables.h"

#include <string.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "rangecoder.h"

namespace sw {
namespace {

bool valid(const int32_t* cdf, size_t width, int32_t length, int32_t offset, float median) {
  if (length < 3 || size_t(length) > width || size_t(length) > kTotal + 1) return false;
  if (int64_t(offset) + length - 2 > INT32_MAX) return false;
  if (cdf[0] != 0 || cdf[length - 1] != int32_t(kTotal) || !std::isfinite(median)) return false;
  for (int32_t i = 1; i < length; ++i) {
    if (cdf[i] <= cdf[i - 1]) return false;
  }
  return true;
}

Interval interval(uint32_t start, uint32_t freq) {
  Interval result;
  result.packed = freq | start << 16;
  // A float quotient errs by less than 2^-22 of itself: aim low by 2^-21.
  result.inverse = float((1.0 / freq) * (1.0 - 1.0 / (1 << 21)));
  result.magic = ((uint64_t(1) << 63) + freq - 1) / freq;
  return result;
}

// For each top part of a slot the interval (or, with `pair`, the first of two neighbours) that
// covers most of its slots.
template <class Put>
void guess(const int32_t* cdf, int32_t last, int bits, bool pair, Put put) {
  const int32_t bucket = int32_t(kTotal >> bits);
  int32_t first = 0;  // the interval that holds the bucket's first slot
  for (int32_t b = 0; b < (1 << bits); ++b) {
    const int32_t low = b * bucket, high = low + bucket;
    while (cdf[first + 1] <= low) ++first;
    int32_t best = first, best_cover = -1;
    for (int32_t i = first; i <= last && cdf[i] < high; ++i) {
      const int32_t end = cdf[pair && i < last ? i + 2 : i + 1];
      const int32_t cover = std::min(end, high) - std::max(cdf[i], low);
      if (cover > best_cover) {
        best = i;
        best_cover = cover;
      }
    }
    put(b, best);
  }
}

// Entry `at` of 2^depth split numbers.
void put_split(uint8_t* split, int depth, int at, uint32_t number) {
  split[at] = uint8_t(number);
  split[at + (1 << depth)] = uint8_t(number >> 8);
}

void fill(Vectors& v, const int32_t* cdf, int32_t last, const Interval* intervals) {
  int depth = 3;
  while (last >> depth) ++depth;
  for (int32_t i = 0; i <= last; ++i) {
    const uint32_t freq = uint32_t(cdf[i + 1] - cdf[i]);
    v.largest_freq = std::max(v.largest_freq, uint16_t(freq));
    const uint32_t reciprocal = freq == 1 ? 0xffffffffu : uint32_t((uint64_t(1) << 32) / freq);
    put_split(v.split_start, depth, i, uint32_t(cdf[i]));
    put_split(v.split_freq, depth, i, freq);
    put_split(v.split_reciprocal_low, depth, i, reciprocal);
    put_split(v.split_reciprocal_high, depth, i, reciprocal >> 16);
    uint32_t inverse;
    memcpy(&inverse, &intervals[i].inverse, 4);
    put_split(v.split_inverse_low, depth, i, inverse);
    put_split(v.split_inverse_high, depth, i, inverse >> 16);
  }
  for (int32_t i = 0; i < int32_t(kVectorMax); ++i) {
    v.bound[i] = uint16_t(i <= last ? cdf[i] - 1 : kTotal - 1);
  }
  guess(cdf, last, 8, true, [&](int32_t bucket, int32_t entry) {
    v.guess[bucket] = uint8_t(entry);
  });
}

// Builds the tables; false where they make no sense.
bool build(sw_tables& out, const int32_t* cdf, size_t count, size_t width, const int32_t* length,
           const int32_t* offset, const float* median, const uint8_t* id) {
  if (count < 1 || count > kMaxTables || width < 3) return false;
  size_t total = 0, vectors = 0;
  for (size_t t = 0; t < count; ++t) {
    if (!valid(cdf + t * width, width, length[t], offset[t], median[t])) return false;
    total += size_t(length[t]) - 1;
    vectors += size_t(length[t]) - 1 <= kVectorMax;
  }
  memcpy(out.id, id, 4);
  out.tables.resize(count);
  out.intervals.resize(total);
  out.guesses.resize(count * kLutSize);
  out.vector_memory.reset(new uint8_t[vectors * sizeof(Vectors) + 64]);
  uint8_t* memory = out.vector_memory.get();
  memory += -reinterpret_cast<uintptr_t>(memory) & 63;
  Interval* next = out.intervals.data();
  for (size_t t = 0; t < count; ++t) {
    const int32_t* row = cdf + t * width;
    Table& table = out.tables[t];
    table.offset = offset[t];
    table.median = median[t];
    table.last = length[t] - 2;
    table.near = std::llabs(offset[t]) < kNear;
    for (int32_t i = 0; i <= table.last; ++i) {
      next[i] = interval(uint32_t(row[i]), uint32_t(row[i + 1] - row[i]));
    }
    table.intervals = next;
    Guess* guesses = &out.guesses[t * kLutSize];
    guess(row, table.last, kLutBits, false, [&](int32_t bucket, int32_t entry) {
      guesses[bucket] = Guess{next[entry].packed, uint32_t(entry)};
    });
    table.guesses = guesses;
    if (size_t(table.last) < kVectorMax && table.near) {
      Vectors* loaded = new (memory) Vectors();
      fill(*loaded, row, table.last, next);
      table.vectors = loaded;
      memory += sizeof(Vectors);
    }
    next += table.last + 1;
  }
  return true;
}

}  // namespace

bool fits(const sw_tables* tables, const int32_t* indexes, size_t rows, size_t height,
          size_t width) {
  if (!tables || rows < 1 || height < 1 || width < 1) return false;
  const size_t most = size_t(kMaxSymbols);
  if (height > most / width || rows > most / (height * width)) return false;
  if (!indexes) return rows == tables->tables.size();
  uint32_t largest = 0;
  for (size_t i = 0; i < rows * height * width; ++i) {
    largest = std::max(largest, uint32_t(indexes[i]));
  }
  return largest < tables->tables.size();
}

}  // namespace sw

int sw_tables_new(const int32_t* cdf, size_t count, size_t width, const int32_t* length,
                  const int32_t* offset, const float* median, const uint8_t id[4],
                  sw_tables** tables) {
  if (!cdf || !length || !offset || !median || !id || !tables) return SW_BAD_ARGUMENT;
  *tables = nullptr;
  return sw::guarded([&] {
    std::unique_ptr<sw_tables> made(new sw_tables);
    if (!sw::build(*made, cdf, count, width, length, offset, median, id)) return SW_BAD_ARGUMENT;
    *tables = made.release();
    return SW_OK;
  });
}

void sw_tables_free(sw_tables* tables) { delete tables; }
