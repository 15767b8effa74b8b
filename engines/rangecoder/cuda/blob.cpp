// Tables for the GPU, and the sizes of its buffers: no CUDA needed.
#include <string.h>

#include "../src/tables.h"
#include "launch.h"

namespace {

struct Head {
  int32_t offset;
  float median;
  int32_t last;
  uint32_t first;
};

struct Words {
  uint32_t packed, other;
};

size_t interval_slots(const sw_tables& tables) { return (tables.intervals.size() + 1) / 2 * 2; }

}  // namespace

size_t sw_cuda_blob_size(const sw_tables* tables) {
  return 16 + tables->tables.size() * (sizeof(Head) + sw::kLutSize * sizeof(Words)) +
         interval_slots(*tables) * sizeof(Words);
}

void sw_cuda_blob(const sw_tables* tables, void* blob) {
  memset(blob, 0, sw_cuda_blob_size(tables));
  uint8_t* at = static_cast<uint8_t*>(blob);
  const uint32_t counts[2] = {uint32_t(tables->tables.size()), uint32_t(tables->intervals.size())};
  memcpy(at, counts, 8);
  memcpy(at + 8, tables->id, 4);
  at += 16;
  for (const sw::Table& table : tables->tables) {
    const Head head = {table.offset, table.median, table.last,
                       uint32_t(table.intervals - tables->intervals.data())};
    memcpy(at, &head, sizeof(head));
    at += sizeof(head);
  }
  Words* words = reinterpret_cast<Words*>(at);
  for (const sw::Interval& interval : tables->intervals) {
    words->packed = interval.packed;
    memcpy(&words->other, &interval.inverse, 4);
    ++words;
  }
  words = reinterpret_cast<Words*>(at) + interval_slots(*tables);
  for (const sw::Guess& guess : tables->guesses) *words++ = Words{guess.packed, guess.entry};
}

size_t sw_cuda_capacity(int32_t rows, int32_t height, int32_t width) {
  // Two bytes a symbol, the lanes' states, the tail's length, the header.
  return (2 * size_t(rows) * size_t(height) * size_t(width) + 128 + 5 + 24 + 4 + 3) / 4 * 4;
}
