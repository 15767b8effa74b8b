// Tables in a GPU's memory: a Blob, then the heads of the tables, all intervals and all guesses,
// each part aligned to 16 bytes. Written by blob.cpp, read by kernels.cuh.
#ifndef SPLITWATT_BLOB_H
#define SPLITWATT_BLOB_H

#include "../src/format.h"

namespace sw_device {

struct Head {
  int32_t offset;
  float median;
  int32_t last;    // the escape's interval
  uint32_t first;  // of the table's intervals
};

struct Words {
  uint32_t packed;  // frequency, and start << 16
  uint32_t other;   // an interval's inverse as float bits; a guess's interval
};

struct Blob {
  uint32_t count, intervals;
  uint8_t id[4];
  uint32_t unused;

  SW_BOTH const Head* heads() const { return reinterpret_cast<const Head*>(this + 1); }
  SW_BOTH const Words* all_intervals() const {
    return reinterpret_cast<const Words*>(heads() + count);
  }
  SW_BOTH const Words* guesses(int table) const {
    return all_intervals() + interval_slots(intervals) + (uint64_t(table) << sw::kLutBits);
  }
  SW_BOTH static uint64_t interval_slots(uint64_t intervals) { return (intervals + 1) / 2 * 2; }
};

}  // namespace sw_device

#endif
