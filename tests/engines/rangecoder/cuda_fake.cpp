// The launches of cuda/launch.cu, their kernels run on a processor.
#include "cuda_on_cpu.h"

#include "kernels.cuh"
#include "launch.h"

using namespace sw_device;

size_t sw_cuda_decode_scratch(int32_t items) { return size_t(items) * sizeof(Item); }

size_t sw_cuda_encode_scratch(int32_t items, int32_t rows, int32_t height, int32_t width) {
  return (sw_cuda_decode_scratch(items) + 15) / 16 * 16 +
         items * scratch_bytes(shape_of(rows, height, width));
}

int sw_cuda_encode(const void* blob, const float* latent, int32_t items, int32_t rows,
                   int32_t height, int32_t width, uint8_t* strings, size_t capacity,
                   int32_t* lengths, void* scratch, void*) {
  const Shape shape = shape_of(rows, height, width);
  const Blob* tables = static_cast<const Blob*>(blob);
  Item* work = static_cast<Item*>(scratch);
  uint8_t* bytes = static_cast<uint8_t*>(scratch) + (sw_cuda_decode_scratch(items) + 15) / 16 * 16;
  cpu::launch(items, kLanes, sw_encode_items, tables, latent, shape, bytes, work);
  cpu::launch(items, kFinishThreads, sw_finish_items, tables, shape, bytes, work, strings,
              capacity, lengths);
  return 0;
}

int sw_cuda_pack(const uint8_t* strings, size_t capacity, const int32_t* lengths, int32_t items,
                 uint32_t* words, int32_t* words_count, void*) {
  cpu::launch(items, kFinishThreads, sw_pack_items, strings, capacity, lengths, items, words,
              words_count);
  return 0;
}

int sw_cuda_decode(const void* blob, const uint8_t* strings, size_t capacity,
                   const int32_t* lengths, int32_t items, int32_t rows, int32_t height,
                   int32_t width, float* latent, int32_t* results, void* scratch, void*) {
  const Shape shape = shape_of(rows, height, width);
  const Blob* tables = static_cast<const Blob*>(blob);
  Item* work = static_cast<Item*>(scratch);
  cpu::launch(items, kFinishThreads, sw_open_items, tables, shape, strings, capacity, lengths,
              work);
  cpu::launch(items, kLanes, sw_decode_items, tables, shape, strings, capacity, work, latent,
              results);
  return 0;
}
