// CompressAI's own strings: one 64-bit state, 32-bit words, 4-bit digits for what is outside.
#include "rangecoder.h"
#include "symbols.h"

namespace sw {
namespace {

constexpr uint64_t kLow64 = uint64_t(1) << 31;
constexpr int kDigitBits = 4, kMaxNibbles = 8;

thread_local std::vector<uint32_t> words;  // written from the end

class WordEncoder {
 public:
  void interval(const Interval& interval) {
    const uint64_t freq = interval.packed & 0xffff;
    if (x_ >> 47 >= freq) flush_word();
    const uint64_t q = x_ / freq;
    x_ = (q << kPrecision) + (x_ - q * freq) + (interval.packed >> 16);
  }

  void digit(uint32_t value) {
    if (x_ >> 59) flush_word();
    x_ = x_ << kDigitBits | value;
  }

  // Codes a distance so that a decoder meets the number of digits, then the digits, low ones first.
  bool distance(uint64_t value) {
    if (value >> 32) return false;
    uint32_t count = 0;
    while (value >> (kDigitBits * count)) ++count;
    for (uint32_t i = count; i-- > 0;) digit(uint32_t(value >> (kDigitBits * i)) & 15);
    digit(count);
    return true;
  }

  void finish() {
    words.push_back(uint32_t(x_ >> 32));
    words.push_back(uint32_t(x_));
  }

 private:
  void flush_word() {
    words.push_back(uint32_t(x_));
    x_ >>= 32;
  }

  uint64_t x_ = kLow64;
};

class WordDecoder {
 public:
  WordDecoder(const uint8_t* string, size_t size) : at_(string + 8), end_(string + size) {
    x_ = load_u32(string) | uint64_t(load_u32(string + 4)) << 32;
    valid_ = x_ >= kLow64 && x_ < kLow64 << 32;
  }

  int32_t entry(const Table& table) {
    uint32_t packed;
    const uint32_t slot = uint32_t(x_ & 0xffff);
    const int32_t entry = find_entry(table, slot, &packed);
    advance((packed & 0xffff) * (x_ >> 16) + slot - (packed >> 16));
    return entry;
  }

  uint64_t distance() {
    const uint32_t count = digit();
    valid_ = valid_ && count <= kMaxNibbles;
    uint64_t value = 0;
    for (uint32_t i = 0; valid_ && i < count; ++i) value |= uint64_t(digit()) << (kDigitBits * i);
    return value;
  }

  bool valid() const { return valid_; }
  bool finished() const { return valid_ && x_ == kLow64 && at_ == end_; }

 private:
  uint32_t digit() {
    const uint32_t value = uint32_t(x_ & 15);
    advance(x_ >> kDigitBits);
    return value;
  }

  void advance(uint64_t x) {
    if (x < kLow64) {
      if (at_ == end_) {
        valid_ = false;
        x = kLow64;
      } else {
        x = x << 32 | load_u32(at_);
        at_ += 4;
      }
    }
    x_ = x;
  }

  const uint8_t* at_;
  const uint8_t* end_;
  uint64_t x_;
  bool valid_;
};

int encode(const sw_tables* tables, const int32_t* symbols, const int32_t* indexes, size_t rows,
           size_t n) {
  words.clear();
  WordEncoder encoder;
  for (size_t i = rows * n; i-- > 0;) {
    const Table& table = tables->tables[indexes ? size_t(indexes[i]) : i / n];
    int64_t entry = int64_t(symbols[i]) - table.offset;
    if (entry < 0 || entry >= table.last) {
      if (!encoder.distance(escape_distance(entry, table.last))) return SW_NOT_CODABLE;
      entry = table.last;
    }
    encoder.interval(table.intervals[entry]);
  }
  encoder.finish();
  for (size_t i = 0, j = words.size() - 1; i < j; ++i, --j) std::swap(words[i], words[j]);
  for (uint32_t& word : words) store_u32(reinterpret_cast<uint8_t*>(&word), uint32_t(word));
  return SW_OK;
}

}  // namespace
}  // namespace sw

int sw_encode_compressai(const sw_tables* tables, const int32_t* symbols, const int32_t* indexes,
                         size_t rows, size_t n, const uint8_t** string, size_t* size) {
  if (!symbols || !string || !size || !sw::fits(tables, indexes, rows, 1, n)) {
    return SW_BAD_ARGUMENT;
  }
  return sw::guarded([&] {
    const int status = sw::encode(tables, symbols, indexes, rows, n);
    *string = reinterpret_cast<const uint8_t*>(sw::words.data());
    *size = sw::words.size() * 4;
    return status;
  });
}

int sw_decode_compressai(const sw_tables* tables, const uint8_t* string, size_t size,
                         const int32_t* indexes, size_t rows, size_t n, int32_t* symbols) {
  if (!string || !symbols || !sw::fits(tables, indexes, rows, 1, n)) return SW_BAD_ARGUMENT;
  if (size < 8 || size % 4) return SW_TRUNCATED;
  sw::WordDecoder decoder(string, size);
  for (size_t i = 0; i < rows * n; ++i) {
    const sw::Table& table = tables->tables[indexes ? size_t(indexes[i]) : i / n];
    const int32_t entry = decoder.entry(table);
    if (entry == table.last) {
      const uint64_t distance = decoder.distance();
      if (!sw::escaped_symbol(distance, table.last, table.offset, symbols + i)) return SW_DESYNC;
    } else {
      symbols[i] = entry + table.offset;
    }
    if (!decoder.valid()) return SW_DESYNC;
  }
  return decoder.finished() ? SW_OK : SW_DESYNC;
}
