// Tables for the GPU, and the sizes of its buffers: no CUDA needed.
#include "blob.h"

#include <string.h>

#include "../src/tables.h"
#include "launch.h"

using sw_device::Blob;
using sw_device::Head;
using sw_device::Words;

static_assert(sizeof(Blob) == 16 && sizeof(Head) == 16, "parts are aligned to 16 bytes");

size_t sw_cuda_blob_size(const sw_tables* tables) {
  return sizeof(Blob) + tables->tables.size() * sizeof(Head) +
         (Blob::interval_slots(tables->intervals.size()) + tables->guesses.size()) * sizeof(Words);
}

void sw_cuda_blob(const sw_tables* tables, void* blob) {
  memset(blob, 0, sw_cuda_blob_size(tables));
  uint8_t* at = static_cast<uint8_t*>(blob);
  const auto put = [&](const auto& part) {
    memcpy(at, &part, sizeof(part));
    at += sizeof(part);
  };
  Blob head = {uint32_t(tables->tables.size()), uint32_t(tables->intervals.size()), {}, 0};
  memcpy(head.id, tables->id, 4);
  put(head);
  for (const sw::Table& table : tables->tables) {
    put(Head{table.offset, table.median, table.last,
             uint32_t(table.intervals - tables->intervals.data())});
  }
  for (const sw::Interval& interval : tables->intervals) {
    Words words = {interval.packed, 0};
    memcpy(&words.other, &interval.inverse, 4);
    put(words);
  }
  if (tables->intervals.size() % 2) at += sizeof(Words);
  for (const sw::Guess& guess : tables->guesses) put(Words{guess.packed, guess.entry});
}

size_t sw_cuda_capacity(int32_t rows, int32_t height, int32_t width) {
  // The header, the tail's length, the lanes' states, two bytes a symbol; rounded up to words.
  const size_t beside = sw::kMaxHeader + sw::kMaxVarint + 4 * sw::kLanes;
  return (2 * size_t(rows) * size_t(height) * size_t(width) + beside + 4 + 3) / 4 * 4;
}
