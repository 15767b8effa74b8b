// Whole items: the tail, the lanes' first states, the header.
#include <stdlib.h>

#include <algorithm>
#include <new>

#include "rangecoder.h"
#include "symbols.h"

namespace sw {
namespace {

struct Shape {
  size_t rows, height, width, n, per_row, steps;
};

bool shape_of(const sw_tables* tables, const int32_t* indexes, size_t rows, size_t height,
              size_t width, Shape* shape) {
  if (!tables || rows < 1 || height < 1 || width < 1) return false;
  const size_t most = size_t(kMaxSymbols);
  if (height > most / width || rows > most / (height * width)) return false;
  const size_t n = height * width, per_row = (n + kLanes - 1) / kLanes;
  *shape = Shape{rows, height, width, n, per_row, rows * per_row};
  if (!indexes) return rows == tables->tables.size();
  uint32_t largest = 0;
  for (size_t i = 0; i < rows * n; ++i) largest = std::max(largest, uint32_t(indexes[i]));
  return largest < tables->tables.size();
}

const Loops* loops_of(int path) {
  if (path == SW_AUTO) {
    static const int best = sw_best_path();
    path = best;
  }
  if (!sw_has_path(path)) return nullptr;
  switch (path) {
    case SW_NEON: return neon_loops();
    case SW_AVX2: return avx2_loops();
    case SW_AVX512: return avx512_loops();
    default: return scalar_loops();
  }
}

// Memory of a thread that outlives its calls, so that its pages are there already.
struct Scratch {
  uint8_t* bytes = nullptr;
  size_t capacity = 0;
  std::vector<uint64_t> escapes;

  ~Scratch() { free(bytes); }

  void reserve(size_t size) {
    if (size <= capacity) return;
    free(bytes);
    capacity = 0;
    bytes = static_cast<uint8_t*>(malloc(size));
    if (!bytes) throw std::bad_alloc();
    capacity = size;
  }

  // Makes room for `more` bytes behind `size` used ones at `from`; where those are now.
  uint8_t* extend(uint8_t* from, size_t size, size_t more) {
    if (size_t(bytes + capacity - from) >= size + more) return from;
    uint8_t* larger = static_cast<uint8_t*>(malloc(kMaxHeader + size + more));
    if (!larger) throw std::bad_alloc();
    memcpy(larger + kMaxHeader, from, size);
    free(bytes);
    bytes = larger;
    capacity = kMaxHeader + size + more;
    return bytes + kMaxHeader;
  }
};

thread_local Scratch scratch;

// Escape distances (the last symbol's first) as a payload's last bytes; without a payload, counts.
size_t put_escapes(const std::vector<uint64_t>& distances, uint8_t* end) {
  size_t nibbles = 0;
  for (size_t i = distances.size(); i-- > 0;) {
    uint64_t rest = distances[i];
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

template <class Pick, class T>
bool encode_lane(const Pick& pick, const T* values, int count, Encoder& encoder, uint32_t* state) {
  uint32_t x = *state;
  for (int j = count - 1; j >= 0; --j) {
    int32_t entry;
    if (!entry_of(pick(j), values[j], encoder, &entry)) return false;
    const Interval& interval = pick(j).intervals[entry];
    const uint32_t freq = interval.packed & 0xffff;
    while (x >> 16 >= freq) {
      *--encoder.at = uint8_t(x);
      x >>= 8;
    }
    x = x + x / freq * (kTotal - freq) + (interval.packed >> 16);
  }
  *state = x;
  return true;
}

// Bytes of the tail: the lanes' last states, then what the stream holds beyond them.
class TailBytes {
 public:
  TailBytes(const uint8_t* seeds, size_t count, const uint8_t* at, const uint8_t* end)
      : at_(seeds), end_(seeds + count), stream_(at), stream_end_(end) {}

  bool next(uint8_t* byte) {
    if (at_ == end_) {
      if (in_stream_ || stream_ == stream_end_) return false;
      in_stream_ = true;
      at_ = stream_;
      end_ = stream_end_;
    }
    *byte = *at_++;
    return true;
  }

  // Bytes of the stream that are left; false where seeds are left, too.
  bool left(size_t* count) const {
    if (!in_stream_ && at_ != end_) return false;
    *count = in_stream_ ? size_t(end_ - at_) : size_t(stream_end_ - stream_);
    return true;
  }

 private:
  const uint8_t* at_;
  const uint8_t* end_;
  const uint8_t* stream_;
  const uint8_t* stream_end_;
  bool in_stream_ = false;
};

template <class Pick, class T>
bool decode_lane(const Pick& pick, T* out, int count, Decoder& decoder, TailBytes& bytes,
                 uint32_t* state) {
  int32_t entries[kLanes];
  uint32_t x = *state;
  for (int j = 0; j < count; ++j) {
    uint32_t packed;
    const uint32_t slot = x & 0xffff;
    entries[j] = find_entry(pick(j), slot, &packed);
    x = (packed & 0xffff) * (x >> 16) + slot - (packed >> 16);
    while (x < kLow) {
      uint8_t byte;
      if (!bytes.next(&byte)) return false;
      x = x << 8 | byte;
    }
  }
  *state = x;
  return put_entries(pick, entries, count, decoder, out);
}

template <class Run>
bool with_table(const sw_tables& tables, const int32_t* indexes, size_t row, size_t at, Run run) {
  if (indexes) return run(SymbolTables{tables.tables.data(), indexes + at});
  return run(RowTable{tables.tables[row]});
}

// One step by the single lane, encoding or decoding.
struct Step {
  size_t row, at;
  int count;
  Step(const Shape& shape, size_t step)
      : row(step / shape.per_row), at(row * shape.n + step % shape.per_row * kLanes) {
    count = int(std::min<size_t>(kLanes, (row + 1) * shape.n - at));
  }
};

// The end (in symbols of its row) of a row's interleaved part.
size_t row_finish(const Shape& shape, size_t row, size_t steps) {
  return std::min(shape.n, (steps - row * shape.per_row) * kLanes);
}

template <class T>
bool encode_lanes(const sw_tables& tables, const Loops& loops, const T* values,
                  const int32_t* indexes, const Shape& shape, size_t steps, Encoder& encoder) {
  for (size_t row = (steps - 1) / shape.per_row + 1; row-- > 0;) {
    const size_t finish = row_finish(shape, row, steps), at = row * shape.n;
    if (indexes) {
      if (!encode_indexed(tables, indexes + at, values + at, 0, finish, encoder)) return false;
      continue;
    }
    const Table& table = tables.tables[row];
    const Loops& use = table.vectors ? loops : *scalar_loops();
    if (!encode_row(use, table, values + at, 0, finish, encoder)) return false;
  }
  return true;
}

template <class T>
bool decode_lanes(const sw_tables& tables, const Loops& loops, T* values, const int32_t* indexes,
                  const Shape& shape, size_t steps, Decoder& decoder) {
  for (size_t row = 0; row * shape.per_row < steps; ++row) {
    const size_t finish = row_finish(shape, row, steps), at = row * shape.n;
    if (indexes) {
      if (!decode_indexed(tables, indexes + at, values + at, 0, finish, decoder)) return false;
      continue;
    }
    const Table& table = tables.tables[row];
    const Loops& use = table.vectors ? loops : *scalar_loops();
    if (!decode_row(use, table, values + at, 0, finish, decoder)) return false;
  }
  return true;
}

// Puts the header before the payload [at, end); where the string begins.
uint8_t* put_header_before(uint8_t first, const sw_tables& tables, const Shape& shape, uint8_t* at,
                           const uint8_t* end) {
  uint8_t head[kMaxHeader];
  const size_t length = size_t(end - at);
  const size_t size = size_t(put_header(head, first, tables.id, shape.height, shape.width, length));
  store_u32(head + size, crc32(crc32(0, head, size), at, length));
  memcpy(at - size - 4, head, size + 4);
  return at - size - 4;
}

template <class T>
int encode_item(const sw_tables* tables, int path, const T* values, const int32_t* indexes,
                size_t rows, size_t height, size_t width, const uint8_t** string, size_t* size) {
  Shape shape;
  const Loops* loops = loops_of(path);
  if (!values || !string || !size || !loops) return SW_BAD_ARGUMENT;
  if (!shape_of(tables, indexes, rows, height, width, &shape)) return SW_BAD_ARGUMENT;
  const size_t total = shape.rows * shape.n;
  const size_t before = kMaxHeader + 4 * kLanes + 64 + kSlack + 2 * total;
  scratch.reserve(before + 64 + total / 16);
  scratch.escapes.clear();
  uint8_t* const top = scratch.bytes + before;
  Encoder encoder;
  encoder.at = top;
  encoder.escapes = &scratch.escapes;
  uint32_t x = kLow;
  size_t tail = 0;
  const bool single = total <= kSingleLaneMax;
  while (tail < shape.steps && (single || size_t(top - encoder.at) < kTailBytes - 4)) {
    const Step step(shape, shape.steps - ++tail);
    const bool coded = with_table(*tables, indexes, step.row, step.at, [&](auto pick) {
      return encode_lane(pick, values + step.at, step.count, encoder, &x);
    });
    if (!coded) return SW_NOT_CODABLE;
  }
  store_u32(encoder.at -= 4, x);
  uint8_t first = kSingle;
  if (tail < shape.steps) {
    first = kInterleaved;
    for (int j = 0; j < kLanes; ++j) {
      const uint8_t* seed = encoder.at + 3 * j;
      encoder.x[j] = kLow | seed[0] | uint32_t(seed[1]) << 8 | uint32_t(seed[2]) << 16;
    }
    encoder.at += kTailBytes;
    if (!encode_lanes(*tables, *loops, values, indexes, shape, shape.steps - tail, encoder)) {
      return SW_NOT_CODABLE;
    }
    encoder.at -= 4 * kLanes;
    for (int j = 0; j < kLanes; ++j) store_u32(encoder.at + 4 * j, encoder.x[j]);
    uint8_t count[kMaxVarint];
    const int length = put_varint(count, tail);
    encoder.at -= length;
    memcpy(encoder.at, count, size_t(length));
  }
  uint8_t* at = encoder.at;
  size_t used = size_t(top - at);
  if (!scratch.escapes.empty()) {
    const size_t more = put_escapes(scratch.escapes, nullptr);
    at = scratch.extend(at, used, more);
    put_escapes(scratch.escapes, at + used + more);
    used += more;
  }
  *string = put_header_before(first, *tables, shape, at, at + used);
  *size = size_t(at + used - *string);
  return SW_OK;
}

// Checks everything that needs no decoding; the payload and its first byte.
int open_string(const sw_tables& tables, const Shape& shape, const uint8_t* string, size_t size,
                uint8_t* first, const uint8_t** payload) {
  Header header;
  const int status = read_header(string, string + size, &header);
  if (status != SW_OK) return status;
  const size_t before = size_t(header.crc - string);
  const uint32_t crc = crc32(crc32(0, string, before), header.crc + 4, size - before - 4);
  if (crc != load_u32(header.crc)) return SW_DAMAGED;
  *first = header.first;
  *payload = header.crc + 4;
  return compare_header(header, tables.id, shape.height, shape.width);
}

template <class T>
int decode_tail(const sw_tables& tables, const int32_t* indexes, const Shape& shape, size_t step,
                TailBytes bytes, Decoder& decoder, T* values) {
  uint8_t state[4];
  for (uint8_t& byte : state) {
    if (!bytes.next(&byte)) return SW_DESYNC;
  }
  uint32_t x = load_u32(state);
  if (x < kLow) return SW_DESYNC;
  for (; step < shape.steps; ++step) {
    const Step place(shape, step);
    const bool decoded = with_table(tables, indexes, place.row, place.at, [&](auto pick) {
      return decode_lane(pick, values + place.at, place.count, decoder, bytes, &x);
    });
    if (!decoded) return SW_DESYNC;
  }
  size_t left;
  return x == kLow && bytes.left(&left) && decoder.escapes.took(left) ? SW_OK : SW_DESYNC;
}

template <class T>
int decode_item(const sw_tables* tables, int path, const uint8_t* string, size_t size,
                const int32_t* indexes, size_t rows, size_t height, size_t width, T* values) {
  Shape shape;
  const Loops* loops = loops_of(path);
  if (!string || !values || !loops) return SW_BAD_ARGUMENT;
  if (!shape_of(tables, indexes, rows, height, width, &shape)) return SW_BAD_ARGUMENT;
  uint8_t first;
  const uint8_t* at;
  const int status = open_string(*tables, shape, string, size, &first, &at);
  if (status != SW_OK) return status;
  const uint8_t* const end = string + size;
  if (first == kSingle) {
    Decoder decoder(at, end);
    return decode_tail(*tables, indexes, shape, 0, TailBytes(at, 0, at, end), decoder, values);
  }
  uint64_t tail;
  if (get_varint(&at, end, &tail) != SW_OK) return SW_DAMAGED;
  if (tail < 1 || tail >= shape.steps) return SW_DAMAGED;
  if (end - at < 4 * kLanes) return SW_DESYNC;
  Decoder decoder(at + 4 * kLanes, end);
  for (int j = 0; j < kLanes; ++j) {
    decoder.x[j] = load_u32(at + 4 * j);
    if (decoder.x[j] < kLow) return SW_DESYNC;
  }
  const size_t steps = shape.steps - size_t(tail);
  if (!decode_lanes(*tables, *loops, values, indexes, shape, steps, decoder)) return SW_DESYNC;
  uint8_t seeds[kTailBytes];
  for (int j = 0; j < kLanes; ++j) {
    if (decoder.x[j] >> 24 != 1) return SW_DESYNC;
    for (int k = 0; k < 3; ++k) seeds[3 * j + k] = uint8_t(decoder.x[j] >> (8 * k));
  }
  const TailBytes bytes(seeds, kTailBytes, decoder.at, decoder.end);
  return decode_tail(*tables, indexes, shape, steps, bytes, decoder, values);
}

template <class Run>
int guarded(Run run) {
  try {
    return run();
  } catch (const std::bad_alloc&) {
    return SW_NO_MEMORY;
  }
}

}  // namespace
}  // namespace sw

using sw::guarded;

int sw_encode(const sw_tables* tables, int path, const float* latent, const int32_t* indexes,
              size_t rows, size_t height, size_t width, const uint8_t** string, size_t* size) {
  return guarded([&] {
    return sw::encode_item(tables, path, latent, indexes, rows, height, width, string, size);
  });
}

int sw_encode_symbols(const sw_tables* tables, int path, const int32_t* symbols,
                      const int32_t* indexes, size_t rows, size_t height, size_t width,
                      const uint8_t** string, size_t* size) {
  return guarded([&] {
    return sw::encode_item(tables, path, symbols, indexes, rows, height, width, string, size);
  });
}

int sw_decode(const sw_tables* tables, int path, const uint8_t* string, size_t size,
              const int32_t* indexes, size_t rows, size_t height, size_t width, float* latent) {
  return guarded([&] {
    return sw::decode_item(tables, path, string, size, indexes, rows, height, width, latent);
  });
}

int sw_decode_symbols(const sw_tables* tables, int path, const uint8_t* string, size_t size,
                      const int32_t* indexes, size_t rows, size_t height, size_t width,
                      int32_t* symbols) {
  return guarded([&] {
    return sw::decode_item(tables, path, string, size, indexes, rows, height, width, symbols);
  });
}

int sw_quantize(const sw_tables* tables, const float* latent, const int32_t* indexes, size_t rows,
                size_t n, int32_t* symbols) {
  sw::Shape shape;
  if (!latent || !symbols) return SW_BAD_ARGUMENT;
  if (!sw::shape_of(tables, indexes, rows, 1, n, &shape)) return SW_BAD_ARGUMENT;
  for (size_t i = 0; i < rows * n; ++i) {
    const float median = tables->tables[indexes ? size_t(indexes[i]) : i / n].median;
    if (!sw::symbol_of(latent[i], median, symbols + i)) return SW_NOT_CODABLE;
  }
  return SW_OK;
}
