/* The range coder's plain C interface. The format is specified in docs/bitstream.md.
 *
 * One item is `rows` (channels) of `n` = height * width symbols. `indexes` (int32 [rows * n])
 * chooses each symbol's table; where it is NULL, row r is coded in table r. Nothing is kept
 * between calls but scratch memory of the calling thread; tables may be shared by threads.
 */
#ifndef SPLITWATT_RANGECODER_H
#define SPLITWATT_RANGECODER_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

#if defined(__GNUC__)
#define SW_API __attribute__((visibility("default")))
#else
#define SW_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define SW_ABI_VERSION 1

enum sw_path { SW_AUTO = 0, SW_SCALAR = 1, SW_NEON = 2, SW_AVX2 = 3, SW_AVX512 = 4 };

typedef struct sw_tables sw_tables;

SW_API int sw_abi_version(void);

/* 1 where this machine can run `path`. */
SW_API int sw_has_path(int path);

/* The fastest path of this machine. */
SW_API int sw_best_path(void);

/* CRC-32 as zlib's, of `size` bytes, continuing from `crc` (0 at first). */
SW_API uint32_t sw_crc32(uint32_t crc, const uint8_t* data, size_t size);

/* Tables as docs/bitstream.md lays them out: cdf int32 [count, width] and so on. `id` is the
 * first 4 bytes of their SHA-256. Returns SW_OK, SW_BAD_ARGUMENT or SW_NO_MEMORY. */
SW_API int sw_tables_new(const int32_t* cdf, size_t count, size_t width, const int32_t* length,
                         const int32_t* offset, const float* median, const uint8_t id[4],
                         sw_tables** tables);
SW_API void sw_tables_free(sw_tables* tables);

/* Code one item. *string points into the calling thread's scratch memory and holds until the
 * thread's next encoding. */
SW_API int sw_encode(const sw_tables* tables, int path, const float* latent,
                     const int32_t* indexes, size_t rows, size_t height, size_t width,
                     const uint8_t** string, size_t* size);
SW_API int sw_encode_symbols(const sw_tables* tables, int path, const int32_t* symbols,
                             const int32_t* indexes, size_t rows, size_t height, size_t width,
                             const uint8_t** string, size_t* size);

/* Decode one item into `latent` or `symbols`, which hold rows * height * width values. */
SW_API int sw_decode(const sw_tables* tables, int path, const uint8_t* string, size_t size,
                     const int32_t* indexes, size_t rows, size_t height, size_t width,
                     float* latent);
SW_API int sw_decode_symbols(const sw_tables* tables, int path, const uint8_t* string,
                             size_t size, const int32_t* indexes, size_t rows, size_t height,
                             size_t width, int32_t* symbols);

/* The same in CompressAI's own format. */
SW_API int sw_encode_compressai(const sw_tables* tables, const int32_t* symbols,
                                const int32_t* indexes, size_t rows, size_t n,
                                const uint8_t** string, size_t* size);
SW_API int sw_decode_compressai(const sw_tables* tables, const uint8_t* string, size_t size,
                                const int32_t* indexes, size_t rows, size_t n,
                                int32_t* symbols);

#ifdef __cplusplus
}
#endif
#endif
