// Runs golden vectors against the library without Python, on every path of the machine: how the
// ARM build is tested under an emulator.
//   golden_check FILE...             checks; exit code 0 where all agree
//   golden_check --count PATH ENCODES DECODES FILE   runs loops whose instructions are counted
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmath>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "rangecoder.h"

namespace {

struct Vector {
  std::vector<char> file;
  size_t at = 8;
  int32_t format, tables, width, items, rows, height, columns, indexed, overrides;
  const int32_t *cdf, *length, *offset;
  const float* median;
  const uint8_t* id;
  std::vector<float> latent;
  std::vector<int32_t> indexes;
  std::vector<std::string> strings;

  template <class T>
  const T* take(size_t count) {
    const size_t bytes = (count * sizeof(T) + 3) / 4 * 4;
    if (at + bytes > file.size()) {
      fprintf(stderr, "a golden vector is truncated\n");
      exit(2);
    }
    const T* array = reinterpret_cast<const T*>(file.data() + at);
    at += bytes;
    return array;
  }

  explicit Vector(const char* path) {
    std::ifstream stream(path, std::ios::binary);
    file.assign(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
    if (file.size() < 8 || memcmp(file.data(), "SWGOLD1", 8) != 0) {
      fprintf(stderr, "%s is no golden vector\n", path);
      exit(2);
    }
    const int32_t* head = take<int32_t>(9);
    format = head[0], tables = head[1], width = head[2], items = head[3], rows = head[4];
    height = head[5], columns = head[6], indexed = head[7], overrides = head[8];
    cdf = take<int32_t>(size_t(tables) * width);
    length = take<int32_t>(tables);
    offset = take<int32_t>(tables);
    median = take<float>(tables);
    id = take<uint8_t>(4);
    const size_t size = size_t(items) * rows * height * columns;
    const int16_t* fixed = take<int16_t>(size);
    for (size_t i = 0; i < size; ++i) latent.push_back(float(fixed[i]) / 128);
    for (int32_t i = 0; i < overrides; ++i) {
      const int32_t position = *take<int32_t>(1);
      latent[position] = *take<float>(1);
    }
    if (indexed) {
      const uint8_t* small = take<uint8_t>(size);
      indexes.assign(small, small + size);
    }
    const int32_t* lengths = take<int32_t>(items);
    for (int32_t i = 0; i < items; ++i) {
      const char* bytes = take<char>(lengths[i]);
      strings.emplace_back(bytes, lengths[i]);
    }
  }
};

int encode(const sw_tables* tables, const Vector& v, int path, size_t item, std::string* string) {
  const size_t n = size_t(v.height) * v.columns, size = v.rows * n;
  const int32_t* indexes = v.indexed ? v.indexes.data() + item * size : nullptr;
  const float* latent = v.latent.data() + item * size;
  const uint8_t* bytes;
  size_t length;
  int status;
  if (v.format == 0) {
    status = sw_encode(tables, path, latent, indexes, v.rows, v.height, v.columns, &bytes, &length);
  } else {
    std::vector<int32_t> symbols(size);
    for (size_t i = 0; i < size; ++i) {
      symbols[i] = int32_t(std::rint(latent[i] - v.median[indexes ? size_t(indexes[i]) : i / n]));
    }
    status = sw_encode_compressai(tables, symbols.data(), indexes, v.rows, n, &bytes, &length);
  }
  if (status == SW_OK) string->assign(reinterpret_cast<const char*>(bytes), length);
  return status;
}

int decode(const sw_tables* tables, const Vector& v, int path, size_t item, const std::string& s,
           std::vector<float>* out) {
  const size_t n = size_t(v.height) * v.columns, size = v.rows * n;
  const int32_t* indexes = v.indexed ? v.indexes.data() + item * size : nullptr;
  const uint8_t* bytes = reinterpret_cast<const uint8_t*>(s.data());
  out->resize(size);
  if (v.format == 0) {
    return sw_decode(tables, path, bytes, s.size(), indexes, v.rows, v.height, v.columns,
                     out->data());
  }
  std::vector<int32_t> symbols(size);
  const int status =
      sw_decode_compressai(tables, bytes, s.size(), indexes, v.rows, n, symbols.data());
  for (size_t i = 0; i < size; ++i) {
    (*out)[i] = float(symbols[i]) + v.median[indexes ? size_t(indexes[i]) : i / n];
  }
  return status;
}

bool check(const sw_tables* tables, const Vector& v, int path) {
  const size_t n = size_t(v.height) * v.columns, size = v.rows * n;
  for (int32_t item = 0; item < v.items; ++item) {
    std::string string;
    std::vector<float> out;
    if (encode(tables, v, path, item, &string) != SW_OK || string != v.strings[item]) return false;
    if (decode(tables, v, path, item, string, &out) != SW_OK) return false;
    for (size_t i = 0; i < size; ++i) {
      const size_t at = item * size + i;
      const float median = v.median[v.indexed ? size_t(v.indexes[at]) : i / n];
      if (!(out[i] == std::rint(v.latent[at] - median) + median)) return false;
    }
    string[string.size() / 2] ^= 1;
    if (v.format == 0 && decode(tables, v, path, item, string, &out) != SW_DAMAGED) return false;
  }
  return true;
}

sw_tables* tables_of(const Vector& v) {
  sw_tables* tables;
  if (sw_tables_new(v.cdf, v.tables, v.width, v.length, v.offset, v.median, v.id, &tables)) exit(2);
  return tables;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 6 && strcmp(argv[1], "--count") == 0) {
    const Vector v(argv[5]);
    sw_tables* tables = tables_of(v);
    std::string string;
    std::vector<float> out;
    const int path = atoi(argv[2]);
    encode(tables, v, path, 0, &string);
    for (int i = atoi(argv[3]); i > 0; --i) encode(tables, v, path, 0, &string);
    for (int i = atoi(argv[4]); i > 0; --i) decode(tables, v, path, 0, string, &out);
    sw_tables_free(tables);
    return 0;
  }
  bool all = argc > 1;
  for (int i = 1; i < argc; ++i) {
    const Vector v(argv[i]);
    sw_tables* tables = tables_of(v);
    for (int path : {SW_SCALAR, SW_NEON, SW_AVX2, SW_AVX512}) {
      if (!sw_has_path(path)) continue;
      const bool good = check(tables, v, path);
      printf("%s path %d: %s\n", argv[i], path, good ? "agrees" : "DIFFERS");
      all = all && good;
    }
    sw_tables_free(tables);
  }
  return all ? 0 : 1;
}
