// The format's numbers, its header, its escapes: one text for processors and for GPUs.
//
// C++14 for every compiler of CUDA 10.2 to 13 and for NVRTC, which has no host headers.
#ifndef SPLITWATT_FORMAT_H
#define SPLITWATT_FORMAT_H

#if defined(__CUDACC_RTC__)
typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long long int64_t;
typedef unsigned long long uint64_t;
#else
#include <stddef.h>
#include <stdint.h>
#endif

#include "status.h"

#if defined(__CUDACC__)
#define SW_BOTH __host__ __device__ inline
#else
#define SW_BOTH inline
#endif

namespace sw {

constexpr int kPrecision = 16;
constexpr uint32_t kTotal = 1u << kPrecision;
constexpr int kLanes = 32;
constexpr uint32_t kLow = 1u << 24;  // a lane's state lies in [kLow, 2^32)
// So before a symbol is coded a state is below freq << 16 after at most two bytes, its quotient by
// freq fits into 16 bits, and a float's 24 bits come within one of it.
static_assert(uint64_t(kLow) << 8 == uint64_t(1) << 32, "states shrink and grow by bytes");
static_assert(kLow >= kTotal << 8, "a byte leaves a state with the bits of a slot and 8 more");
constexpr uint8_t kSingle = 0xB0, kInterleaved = 0xB5;
constexpr int kSingleLaneMax = 8192;  // symbols
constexpr int kTailBytes = 3 * kLanes;
constexpr int kMaxVarint = 5;
constexpr int kMaxHeader = 1 + 4 + 3 * kMaxVarint + 4;
constexpr int kMaxDigits = 12;  // of an escape
constexpr int kLutBits = 10;  // a slot's top bits, which nearly always tell its interval
constexpr int32_t kMaxSymbols = 0x7fffffff;

SW_BOTH void store_u32(uint8_t* at, uint32_t value) {
  at[0] = uint8_t(value);
  at[1] = uint8_t(value >> 8);
  at[2] = uint8_t(value >> 16);
  at[3] = uint8_t(value >> 24);
}

SW_BOTH uint32_t load_u32(const uint8_t* at) {
  return at[0] | uint32_t(at[1]) << 8 | uint32_t(at[2]) << 16 | uint32_t(at[3]) << 24;
}

SW_BOTH int put_varint(uint8_t* at, uint64_t value) {
  int size = 0;
  for (; value > 127; value >>= 7) at[size++] = uint8_t(value & 127) | 128;
  at[size++] = uint8_t(value);
  return size;
}

// Reads a varint without a needless last byte, moving *at: SW_OK, SW_TRUNCATED or SW_DAMAGED.
SW_BOTH int get_varint(const uint8_t** at, const uint8_t* end, uint64_t* value) {
  *value = 0;
  for (int i = 0; i < kMaxVarint; ++i) {
    if (*at == end) return SW_TRUNCATED;
    const uint8_t byte = *(*at)++;
    *value |= uint64_t(byte & 127) << (7 * i);
    if (byte < 128) return byte == 0 && i ? SW_DAMAGED : SW_OK;
  }
  return SW_DAMAGED;
}

// A string's header, read up to its CRC.
struct Header {
  uint8_t first;
  const uint8_t* id;
  uint64_t height, width;
  const uint8_t* crc;  // the payload follows its 4 bytes
};

// SW_OK, or what is wrong with the header without looking at its CRC.
SW_BOTH int read_header(const uint8_t* string, const uint8_t* end, Header* header) {
  const int64_t size = end - string;
  if (size < 1) return SW_TRUNCATED;
  header->first = string[0];
  if (header->first != kSingle && header->first != kInterleaved) return SW_NOT_OURS;
  if (size < 5) return SW_TRUNCATED;
  header->id = string + 1;
  const uint8_t* at = string + 5;
  uint64_t length;
  int status = get_varint(&at, end, &header->height);
  if (status == SW_OK) status = get_varint(&at, end, &header->width);
  if (status == SW_OK) status = get_varint(&at, end, &length);
  if (status != SW_OK) return status;
  if (end - at < 4 || uint64_t(end - at - 4) != length) return SW_TRUNCATED;
  header->crc = at;
  return SW_OK;
}

// What an intact header says that the tables and the shape at hand do not.
SW_BOTH int compare_header(const Header& header, const uint8_t* id, uint64_t height,
                           uint64_t width) {
  for (int i = 0; i < 4; ++i) {
    if (header.id[i] != id[i]) return SW_OTHER_TABLES;
  }
  return header.height == height && header.width == width ? SW_OK : SW_OTHER_SHAPE;
}

// Writes all of a header but its CRC; its size.
SW_BOTH int put_header(uint8_t* at, uint8_t first, const uint8_t* id, uint64_t height,
                       uint64_t width, uint64_t length) {
  int size = 0;
  at[size++] = first;
  for (int i = 0; i < 4; ++i) at[size++] = id[i];
  size += put_varint(at + size, height);
  size += put_varint(at + size, width);
  return size + put_varint(at + size, length);
}

// Writes distances (the last symbol's first) as a payload's last bytes; their number. Without `end`
// it only counts.
SW_BOTH uint64_t put_escapes(const uint64_t* distances, uint64_t count, uint8_t* end) {
  uint64_t nibbles = 0;
  while (count--) {
    uint64_t rest = distances[count];
    for (bool more = true; more; rest >>= 3) {
      more = rest > 7;
      const uint8_t nibble = uint8_t((rest & 7) | (more ? 8 : 0));
      if (end) {
        uint8_t* at = end - 1 - (nibbles >> 1);
        *at = nibbles & 1 ? uint8_t(*at | nibble << 4) : nibble;
      }
      ++nibbles;
    }
  }
  return (nibbles + 1) / 2;
}

// Bytes of the tail: the lanes' last states, then what the stream holds beyond them.
struct TailBytes {
  const uint8_t* seed;
  const uint8_t* seeds_end;
  const uint8_t* at;
  const uint8_t* end;

  SW_BOTH bool next(uint8_t* byte) {
    if (seed == seeds_end && at == end) return false;
    *byte = seed == seeds_end ? *at++ : *seed++;
    return true;
  }

  // The single lane's first state; false where it is missing or too small.
  SW_BOTH bool first_state(uint32_t* x) {
    *x = 0;
    for (int bits = 0; bits < 32; bits += 8) {
      uint8_t byte;
      if (!next(&byte)) return false;
      *x |= uint32_t(byte) << bits;
    }
    return *x >= kLow;
  }
};

// Reads escapes backwards from the end of a payload, a nibble a digit, low nibble first.
struct EscapeReader {
  const uint8_t* begin;
  const uint8_t* end;
  uint64_t at;  // nibbles read

  // The next distance; false where no distance is left.
  SW_BOTH bool read(uint64_t* distance) {
    *distance = 0;
    for (int digit = 0; digit < kMaxDigits; ++digit) {
      if (at >> 1 >= uint64_t(end - begin)) return false;
      const uint8_t byte = end[-1 - int64_t(at >> 1)];
      const uint8_t nibble = at & 1 ? byte >> 4 : byte & 15;
      ++at;
      *distance |= uint64_t(nibble & 7) << (3 * digit);
      if (nibble < 8) return nibble != 0 || digit == 0;
    }
    return false;
  }

  // Whether exactly `left` bytes at the payload's end have been read, the filler being zero.
  SW_BOTH bool took(uint64_t left) const {
    if ((at + 1) >> 1 != left) return false;
    return !(at & 1) || end[-1 - int64_t(at >> 1)] >> 4 == 0;
  }
};

// A symbol from the distance of an escape; false where it is beyond int32.
SW_BOTH bool escaped_symbol(uint64_t distance, int32_t last, int32_t offset, int32_t* symbol) {
  const int64_t entry =
      distance & 1 ? -int64_t((distance + 1) >> 1) : last + int64_t(distance >> 1);
  const int64_t value = entry + offset;
  *symbol = int32_t(value);
  return value == *symbol;
}

// The distance of a symbol outside its table, from its entry.
SW_BOTH uint64_t escape_distance(int64_t entry, int32_t last) {
  return entry < 0 ? uint64_t(-2 * entry - 1) : uint64_t(2 * (entry - last));
}

}  // namespace sw

#endif
