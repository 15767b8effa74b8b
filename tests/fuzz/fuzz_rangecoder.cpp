// libFuzzer harness of the range coder: hostile strings, latents and tables against every path of
// the machine. Build and run with tests/fuzz/run.sh.
//
// Byte 0 of an input chooses what is attacked, byte 1 the path, byte 2 the tables, bytes 3 and 4
// the shape; the rest is the attack.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "rangecoder.h"

namespace {

constexpr int kPaths[] = {SW_SCALAR, SW_NEON, SW_AVX2, SW_AVX512};

void require(bool condition) {
  if (!condition) abort();
}

// A copy that ends where its memory ends, so that an over-read is seen.
template <class T>
struct Exact {
  std::unique_ptr<T[]> data;
  size_t size;
  Exact(const void* from, size_t count) : data(new T[count ? count : 1]), size(count) {
    if (count) memcpy(data.get(), from, count * sizeof(T));
  }
  explicit Exact(size_t count) : data(new T[count ? count : 1]), size(count) {}
};

const std::vector<float> kMedians = {0.0f, 0.25f, -0.4f, 1e-3f};

// Four rows of intervals; where `wide`, more than vector registers hold.
sw_tables* make_tables(bool wide, int32_t offset) {
  const int counts[4] = {3, 20, 60, wide ? 500 : 120};
  const size_t width = 501;
  std::vector<int32_t> cdf(4 * width), length(4), offsets(4);
  for (int t = 0; t < 4; ++t) {
    int32_t sum = 0;
    for (int i = 0; i < counts[t]; ++i) {
      cdf[t * width + i] = sum;
      const double z = (i - counts[t] / 2.0) / (counts[t] / 8.0);
      sum += 1 + int32_t(30000 / counts[t] * std::exp(-z * z));
    }
    const int32_t rest = 65536 - sum;
    for (int i = counts[t] / 2 + 1; i < counts[t]; ++i) cdf[t * width + i] += rest;
    cdf[t * width + counts[t]] = 65536;
    length[t] = counts[t] + 1;
    offsets[t] = t == 3 ? offset : -counts[t] / 2;
  }
  const uint8_t id[4] = {1, 2, 3, 4};
  sw_tables* tables = nullptr;
  require(sw_tables_new(cdf.data(), 4, width, length.data(), offsets.data(), kMedians.data(), id,
                        &tables) == SW_OK);
  return tables;
}

const sw_tables* tables_of(uint8_t choice) {
  static const sw_tables* const all[4] = {make_tables(false, -60), make_tables(true, -250),
                                          make_tables(false, -2000000000),
                                          make_tables(true, 2000000000)};
  return all[choice & 3];
}

struct Setting {
  const sw_tables* tables;
  int path;
  size_t rows, height, width;
  std::vector<int32_t> indexes;
  size_t total() const { return rows * height * width; }
  const int32_t* index() const { return indexes.empty() ? nullptr : indexes.data(); }
};

void put_varint(std::string* out, uint32_t value) {
  for (; value > 127; value >>= 7) out->push_back(char(value | 128));
  out->push_back(char(value));
}

// The payload behind a sound header.
std::string wrapped(const Setting& s, uint8_t first, const uint8_t* payload, size_t size) {
  std::string head(1, char(first));
  head += std::string("\1\2\3\4", 4);
  put_varint(&head, uint32_t(s.height));
  put_varint(&head, uint32_t(s.width));
  put_varint(&head, uint32_t(size));
  uint32_t crc = sw_crc32(0, reinterpret_cast<const uint8_t*>(head.data()), head.size());
  crc = sw_crc32(crc, payload, size);
  for (int i = 0; i < 4; ++i) head.push_back(char(crc >> (8 * i)));
  return head + std::string(reinterpret_cast<const char*>(payload), size);
}

// Every path must say the same of a string; what it accepts must survive coding again.
void attack_string(const Setting& s, const std::string& bytes) {
  const Exact<uint8_t> string(bytes.data(), bytes.size());
  Exact<int32_t> symbols(s.total());
  const int status = sw_decode_symbols(s.tables, SW_SCALAR, string.data.get(), string.size,
                                       s.index(), s.rows, s.height, s.width, symbols.data.get());
  for (int path : kPaths) {
    if (!sw_has_path(path)) continue;
    Exact<int32_t> others(s.total());
    Exact<float> latent(s.total());
    require(sw_decode_symbols(s.tables, path, string.data.get(), string.size, s.index(), s.rows,
                              s.height, s.width, others.data.get()) == status);
    require(sw_decode(s.tables, path, string.data.get(), string.size, s.index(), s.rows, s.height,
                      s.width, latent.data.get()) == status);
    if (status != SW_OK) continue;
    require(memcmp(symbols.data.get(), others.data.get(), 4 * s.total()) == 0);
  }
  if (status != SW_OK) return;
  const uint8_t* again;
  size_t size;
  require(sw_encode_symbols(s.tables, s.path, symbols.data.get(), s.index(), s.rows, s.height,
                            s.width, &again, &size) == SW_OK);
  const Exact<uint8_t> copy(again, size);
  Exact<int32_t> others(s.total());
  require(sw_decode_symbols(s.tables, SW_AUTO, copy.data.get(), copy.size, s.index(), s.rows,
                            s.height, s.width, others.data.get()) == SW_OK);
  require(memcmp(symbols.data.get(), others.data.get(), 4 * s.total()) == 0);
}

void attack_compressai(const Setting& s, const uint8_t* data, size_t size) {
  const Exact<uint8_t> string(data, size);
  Exact<int32_t> symbols(s.total());
  const size_t n = s.height * s.width;
  if (sw_decode_compressai(s.tables, string.data.get(), string.size, s.index(), s.rows, n,
                           symbols.data.get()) != SW_OK) {
    return;
  }
  const uint8_t* again;
  size_t length;
  require(sw_encode_compressai(s.tables, symbols.data.get(), s.index(), s.rows, n, &again,
                               &length) == SW_OK);
}

// Any floats: all paths say the same, and what is coded decodes to what was rounded.
void attack_latent(const Setting& s, const uint8_t* data, size_t size) {
  Exact<float> latent(s.total());
  for (size_t i = 0; i < s.total(); ++i) {
    float value = float(int(i * 7 % 13) - 6);
    if (size >= 4) memcpy(&value, data + i * 4 % (size - 3), 4);
    latent.data[i] = value;
  }
  const uint8_t* bytes;
  size_t length = 0;
  const int status = sw_encode(s.tables, SW_SCALAR, latent.data.get(), s.index(), s.rows, s.height,
                               s.width, &bytes, &length);
  require(status == SW_OK || status == SW_NOT_CODABLE);
  const Exact<uint8_t> string(bytes, status == SW_OK ? length : 0);
  for (int path : kPaths) {
    if (!sw_has_path(path)) continue;
    require(sw_encode(s.tables, path, latent.data.get(), s.index(), s.rows, s.height, s.width,
                      &bytes, &length) == status);
    if (status != SW_OK) continue;
    require(length == string.size && memcmp(bytes, string.data.get(), length) == 0);
    Exact<int32_t> symbols(s.total());
    require(sw_decode_symbols(s.tables, path, string.data.get(), string.size, s.index(), s.rows,
                              s.height, s.width, symbols.data.get()) == SW_OK);
    for (size_t i = 0; i < s.total(); ++i) {
      const size_t table = s.index() ? size_t(s.index()[i]) : i / (s.height * s.width);
      require(symbols.data[i] == int32_t(std::rint(latent.data[i] - kMedians[table])));
    }
  }
}

void attack_tables(const uint8_t* data, size_t size) {
  const size_t width = 3 + size % 5;
  const size_t count = size / 4 / (width + 3);
  if (!count) return;
  const Exact<int32_t> numbers(data, count * (width + 3));
  const int32_t* at = numbers.data.get();
  Exact<float> medians(at + count * (width + 2), count);
  sw_tables* tables;
  if (sw_tables_new(at, count, width, at + count * width, at + count * (width + 1),
                    medians.data.get(), data, &tables) == SW_OK) {
    sw_tables_free(tables);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 5) return 0;
  Setting s;
  s.tables = tables_of(data[2]);
  s.path = kPaths[data[1] & 3];
  if (!sw_has_path(s.path)) s.path = SW_AUTO;
  s.rows = 4;
  s.height = 1 + (data[3] & 63);
  s.width = 1 + data[4] % 96;
  if (data[1] & 16) {
    for (size_t i = 0; i < s.total(); ++i) s.indexes.push_back(int32_t((i * 5 + i / 11) & 3));
  }
  const uint8_t* rest = data + 5;
  size -= 5;
  switch (data[0] % 6) {
    case 0: attack_string(s, std::string(reinterpret_cast<const char*>(rest), size)); break;
    case 1: attack_string(s, wrapped(s, 0xB0, rest, size)); break;
    case 2:
    case 3: attack_string(s, wrapped(s, 0xB5, rest, size)); break;
    case 4: attack_latent(s, rest, size); break;
    default:
      attack_compressai(s, rest, size);
      attack_tables(rest, size);
  }
  return 0;
}
