// The format's numbers, its header, its escapes.
#ifndef SPLITWATT_FORMAT_H
#define SPLITWATT_FORMAT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

namespace sw {

constexpr int kLanes = 32;
constexpr uint32_t kLow = 1u << 24;
constexpr uint8_t kSingle = 0xB0, kInterleaved = 0xB5;
constexpr size_t kSingleLaneMax = 8192;  // symbols
constexpr size_t kTailBytes = 3 * kLanes;
constexpr size_t kMaxHeader = 1 + 4 + 3 * 5 + 4;
constexpr size_t kMaxSymbols = 0x7fffffff;

inline void store_u32(uint8_t* at, uint32_t value) {
  at[0] = uint8_t(value);
  at[1] = uint8_t(value >> 8);
  at[2] = uint8_t(value >> 16);
  at[3] = uint8_t(value >> 24);
}

inline uint32_t load_u32(const uint8_t* at) {
  return at[0] | uint32_t(at[1]) << 8 | uint32_t(at[2]) << 16 | uint32_t(at[3]) << 24;
}

inline size_t put_varint(uint8_t* at, uint64_t value) {
  size_t size = 0;
  for (; value > 127; value >>= 7) at[size++] = uint8_t(value & 127) | 128;
  at[size++] = uint8_t(value);
  return size;
}

enum class Varint { ok, cut, malformed };

// Reads a varint of at most 5 bytes without a needless last one, moving *at.
inline Varint get_varint(const uint8_t** at, const uint8_t* end, uint64_t* value) {
  *value = 0;
  for (int i = 0; i < 5; ++i) {
    if (*at == end) return Varint::cut;
    const uint8_t byte = *(*at)++;
    *value |= uint64_t(byte & 127) << (7 * i);
    if (byte < 128) return byte == 0 && i ? Varint::malformed : Varint::ok;
  }
  return Varint::malformed;
}

// Reads escapes backwards from the end of a payload, a nibble a digit, low nibble first.
class EscapeReader {
 public:
  EscapeReader(const uint8_t* begin, const uint8_t* end) : begin_(begin), end_(end), at_(0) {}

  // The next distance; false where there is none.
  bool read(uint64_t* distance) {
    *distance = 0;
    for (int digit = 0; digit < 12; ++digit) {
      if ((at_ >> 1) >= size_t(end_ - begin_)) return false;
      const uint8_t byte = end_[-1 - ptrdiff_t(at_ >> 1)];
      const uint8_t nibble = at_ & 1 ? byte >> 4 : byte & 15;
      ++at_;
      *distance |= uint64_t(nibble & 7) << (3 * digit);
      if (nibble < 8) return nibble != 0 || digit == 0;
    }
    return false;
  }

  // Whether exactly `left` bytes at the payload's end have been read, the filler being zero.
  bool took(size_t left) const {
    if ((at_ + 1) >> 1 != left) return false;
    return !(at_ & 1) || end_[-1 - ptrdiff_t(at_ >> 1)] >> 4 == 0;
  }

 private:
  const uint8_t* begin_;
  const uint8_t* end_;
  size_t at_;  // nibbles read
};

// A symbol from the distance of an escape; false where it is beyond int32.
inline bool escaped_symbol(uint64_t distance, int32_t last, int32_t offset, int32_t* symbol) {
  const int64_t entry =
      distance & 1 ? -int64_t((distance + 1) >> 1) : last + int64_t(distance >> 1);
  const int64_t value = entry + offset;
  *symbol = int32_t(value);
  return value == *symbol;
}

// The distance of a symbol outside its table.
inline uint64_t escape_distance(int64_t entry, int32_t last) {
  return entry < 0 ? uint64_t(-2 * entry - 1) : uint64_t(2 * (entry - last));
}

}  // namespace sw

#endif
