/* The range coder on a GPU, over a plain C interface. All pointers but `blob` (where it says so)
 * are device pointers; calls only enqueue work on `stream` (a cudaStream_t) and return a
 * cudaError_t. They do not check sizes: all of an item's must be positive, and rows * height * width
 * at most 2^31 - 33, since the kernels count symbols and lanes in int32. */
#ifndef SPLITWATT_LAUNCH_H
#define SPLITWATT_LAUNCH_H

#include <stddef.h>
#include <stdint.h>

#include "../src/rangecoder.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Tables in the layout that the kernels read: the size of it, and it (host memory) itself. */
SW_API size_t sw_cuda_blob_size(const sw_tables* tables);
SW_API void sw_cuda_blob(const sw_tables* tables, void* blob);

/* Bytes of a buffer that holds any item of this shape without escapes, its header included: a
 * multiple of 4. An item that needs more gets the length -1. */
SW_API size_t sw_cuda_capacity(int32_t rows, int32_t height, int32_t width);

/* Scratch bytes for a batch; decoding needs less. */
SW_API size_t sw_cuda_encode_scratch(int32_t items, int32_t rows, int32_t height, int32_t width);
SW_API size_t sw_cuda_decode_scratch(int32_t items);

/* float32 latent [items, rows, height, width] to strings [items, capacity]; lengths [items], -1
 * for NaN, infinity, symbols beyond int32, or a string longer than `capacity`. */
SW_API int sw_cuda_encode(const void* blob, const float* latent, int32_t items, int32_t rows,
                          int32_t height, int32_t width, uint8_t* strings, size_t capacity,
                          int32_t* lengths, void* scratch, void* stream);

/* Strings [items, capacity] as words [items, M], M what the longest needs (at least 1), which
 * words_count holds then; 0 after the end of a string. */
SW_API int sw_cuda_pack(const uint8_t* strings, size_t capacity, const int32_t* lengths,
                        int32_t items, uint32_t* words, int32_t* words_count, void* stream);

/* The inverse of sw_cuda_encode; results [items] hold an sw_status each. Where it is not SW_OK, the item's latent is
 * undefined. */
SW_API int sw_cuda_decode(const void* blob, const uint8_t* strings, size_t capacity,
                          const int32_t* lengths, int32_t items, int32_t rows, int32_t height,
                          int32_t width, float* latent, int32_t* results, void* scratch,
                          void* stream);

#ifdef __cplusplus
}
#endif
#endif
