// The GPU's kernels, run on a processor, against the library: golden vectors given as arguments,
// random latents, strings cut and bent.
#include "cuda_on_cpu.h"

#include <stdio.h>
#include <stdlib.h>

#include <random>
#include <string>

#include "kernels.cuh"
#include "launch.h"

namespace {

typedef std::vector<uint8_t> Bytes;

struct Gpu {
  Bytes blob;
  const sw_device::Blob* tables() const {
    return reinterpret_cast<const sw_device::Blob*>(blob.data());
  }
  explicit Gpu(const sw_tables* tables) : blob(sw_cuda_blob_size(tables)) {
    sw_cuda_blob(tables, blob.data());
  }

  std::vector<Bytes> encode(const std::vector<float>& latent, int items, int rows, int height,
                            int width) const {
    const sw_device::Shape s = sw_device::shape_of(rows, height, width);
    const size_t capacity = sw_cuda_capacity(rows, height, width);
    Bytes scratch(items * sw_device::scratch_bytes(s)), out(items * capacity);
    std::vector<sw_device::Item> work(items);
    std::vector<int32_t> lengths(items);
    cpu::launch(items, 32, sw_encode_items, tables(), latent.data(), s, scratch.data(),
                work.data());
    cpu::launch(items, sw_device::kFinishThreads, sw_finish_items, tables(), s, scratch.data(),
                work.data(), out.data(), capacity, lengths.data());
    std::vector<Bytes> strings;
    for (int i = 0; i < items; ++i) {
      const uint8_t* at = out.data() + i * capacity;
      strings.emplace_back(at, at + (lengths[i] < 0 ? 0 : lengths[i]));
    }
    return strings;
  }

  int decode(const Bytes& string, int rows, int height, int width, std::vector<float>* out) const {
    const sw_device::Shape s = sw_device::shape_of(rows, height, width);
    const int32_t length = int32_t(string.size());
    int32_t result = 99;
    sw_device::Item work;
    out->assign(size_t(rows) * height * width, 0);
    cpu::launch(1, sw_device::kFinishThreads, sw_open_items, tables(), s, string.data(),
                string.size(), &length, &work);
    cpu::launch(1, 32, sw_decode_items, tables(), s, string.data(), string.size(), &work,
                out->data(), &result);
    return result;
  }
};

int failures = 0;

void require(bool condition, const char* what, int number) {
  if (condition) return;
  printf("FAILED: %s (case %d)\n", what, number);
  ++failures;
}

void compare(const sw_tables* tables, const std::vector<float>& latent, int rows, int height,
             int width, int number, bool hostile) {
  const Gpu gpu(tables);
  const uint8_t* bytes;
  size_t size;
  const int status = sw_encode(tables, SW_SCALAR, latent.data(), nullptr, rows, height, width,
                               &bytes, &size);
  const Bytes wanted(bytes, bytes + (status == SW_OK ? size : 0));
  std::vector<float> twice(latent);
  twice.insert(twice.end(), latent.begin(), latent.end());
  const bool fits = wanted.size() <= sw_cuda_capacity(rows, height, width);
  for (const Bytes& made : gpu.encode(twice, 2, rows, height, width)) {
    require(made == (fits ? wanted : Bytes()), "encoding", number);
  }
  if (status != SW_OK) return;
  std::vector<float> mine(latent.size()), theirs;
  for (int attempt = 0; attempt < (hostile ? 40 : 1); ++attempt) {
    Bytes string(wanted);
    if (attempt) {
      std::mt19937 random(attempt);
      const size_t place = random() % string.size();
      if (attempt % 4 == 0) string.resize(place);
      if (attempt % 4 == 1) string.insert(string.begin() + place, 7);
      if (attempt % 4 >= 2) string[place] ^= 1 << random() % 8;
      if (attempt % 4 == 3) {  // a forged CRC
        size_t at = 5;
        for (int i = 0; i < 3 && at < string.size(); ++at) i += string[at] < 128;
        if (at + 4 > string.size()) continue;
        uint32_t crc = sw_crc32(0, string.data(), at);
        crc = sw_crc32(crc, string.data() + at + 4, string.size() - at - 4);
        for (int i = 0; i < 4; ++i) string[at + i] = uint8_t(crc >> (8 * i));
      }
    }
    const int said = sw_decode(tables, SW_SCALAR, string.data(), string.size(), nullptr, rows,
                               height, width, mine.data());
    require(gpu.decode(string, rows, height, width, &theirs) == said, "a status", number);
    if (said == SW_OK) require(mine == theirs, "decoding", number);
  }
}

sw_tables* random_tables(std::mt19937& random, int count, int largest) {
  const size_t width = largest + 1;
  std::vector<int32_t> cdf(count * width), length(count), offset(count);
  std::vector<float> median(count);
  for (int t = 0; t < count; ++t) {
    const int size = 2 + random() % (largest - 1);
    int32_t left = 65536 - size;
    for (int i = 0; i < size; ++i) {
      const int32_t extra = i + 1 == size ? left : int32_t(random() % (left / 2 + 1));
      left -= extra;
      cdf[t * width + i + 1] = cdf[t * width + i] + 1 + extra;
    }
    length[t] = size + 1;
    offset[t] = -(size / 2);
    median[t] = float(random() % 100) / 100;
  }
  const uint8_t id[4] = {9, 8, 7, 6};
  sw_tables* tables;
  if (sw_tables_new(cdf.data(), count, width, length.data(), offset.data(), median.data(), id,
                    &tables)) {
    exit(2);
  }
  return tables;
}

}  // namespace

int main() {
  std::mt19937 random(1);
  const int shapes[][3] = {{3, 5, 7}, {1, 1, 1}, {5, 41, 41}, {2, 64, 70}, {9, 31, 33}};
  int number = 0;
  for (const auto& shape : shapes) {
    for (int spread : {1, 6, 40}) {
      sw_tables* tables = random_tables(random, shape[0], spread == 40 ? 200 : 30);
      std::vector<float> latent(size_t(shape[0]) * shape[1] * shape[2]);
      std::normal_distribution<float> normal(0, float(spread) / 2);
      for (float& value : latent) value = normal(random);
      compare(tables, latent, shape[0], shape[1], shape[2], ++number, true);
      latent[latent.size() / 3] = 2147483520.0f;
      latent[latent.size() / 2] = -1e6f;
      compare(tables, latent, shape[0], shape[1], shape[2], ++number, false);
      latent[random() % latent.size()] = spread == 1 ? NAN : spread == 6 ? INFINITY : 3e9f;
      compare(tables, latent, shape[0], shape[1], shape[2], ++number, false);
      sw_tables_free(tables);
    }
  }
  printf("%d cases, %d failures\n", number, failures);
  return failures != 0;
}
