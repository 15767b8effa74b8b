// Enqueues the kernels.
#include <cuda_runtime_api.h>

#include "kernels.cuh"
#include "launch.h"

using sw_device::Item;
using sw_device::Shape;

namespace {

size_t aligned(size_t size) { return (size + 15) / 16 * 16; }

}  // namespace

size_t sw_cuda_decode_scratch(int32_t items) { return size_t(items) * sizeof(Item); }

size_t sw_cuda_encode_scratch(int32_t items, int32_t rows, int32_t height, int32_t width) {
  const Shape shape = sw_device::shape_of(rows, height, width);
  return aligned(sw_cuda_decode_scratch(items)) +
         size_t(items) * size_t(sw_device::scratch_bytes(shape));
}

int sw_cuda_encode(const void* blob, const float* latent, int32_t items, int32_t rows,
                   int32_t height, int32_t width, uint8_t* strings, size_t capacity,
                   int32_t* lengths, void* scratch, void* stream) {
  const Shape shape = sw_device::shape_of(rows, height, width);
  const sw_device::Blob* tables = static_cast<const sw_device::Blob*>(blob);
  Item* work = static_cast<Item*>(scratch);
  uint8_t* bytes = static_cast<uint8_t*>(scratch) + aligned(sw_cuda_decode_scratch(items));
  cudaStream_t queue = static_cast<cudaStream_t>(stream);
  sw_encode_items<<<items, sw_device::kLanes, 0, queue>>>(tables, latent, shape, bytes, work);
  sw_finish_items<<<items, sw_device::kFinishThreads, 0, queue>>>(tables, shape, bytes, work,
                                                                  strings, capacity, lengths);
  return int(cudaGetLastError());
}

int sw_cuda_pack(const uint8_t* strings, size_t capacity, const int32_t* lengths, int32_t items,
                 uint32_t* words, int32_t* words_count, void* stream) {
  sw_pack_items<<<items, sw_device::kFinishThreads, 0, static_cast<cudaStream_t>(stream)>>>(
      strings, capacity, lengths, items, words, words_count);
  return int(cudaGetLastError());
}

int sw_cuda_decode(const void* blob, const uint8_t* strings, size_t capacity,
                   const int32_t* lengths, int32_t items, int32_t rows, int32_t height,
                   int32_t width, float* latent, int32_t* results, void* scratch, void* stream) {
  const Shape shape = sw_device::shape_of(rows, height, width);
  const sw_device::Blob* tables = static_cast<const sw_device::Blob*>(blob);
  Item* work = static_cast<Item*>(scratch);
  cudaStream_t queue = static_cast<cudaStream_t>(stream);
  sw_open_items<<<items, sw_device::kFinishThreads, 0, queue>>>(tables, shape, strings, capacity,
                                                                lengths, work);
  sw_decode_items<<<items, sw_device::kLanes, 0, queue>>>(tables, shape, strings, capacity, work,
                                                          latent, results);
  return int(cudaGetLastError());
}
