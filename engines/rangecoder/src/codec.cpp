// Whole items: the tail, the lanes' first states, the header.
#include <stdlib.h>

#include <algorithm>

#include "rangecoder.h"
#include "symbols.h"

namespace sw {
namespace {

struct Shape {
  size_t rows, height, width, n, per_row, steps;

  Shape(size_t rows_, size_t height_, size_t width_)
      : rows(rows_), height(height_), width(width_), n(height * width),
        per_row((n + kLanes - 1) / kLanes), steps(rows * per_row) {}
};

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
  return run(tables.tables[row]);
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

// The interleaved part of a row. Only vector loops of floats are worth their code.
bool encode_row(const Loops& loops, const Table& table, const float* row, size_t count,
                Encoder& encoder) {
  return table.vectors ? loops.encode(table, row, count, encoder)
                       : encode_scalar(table, row, count, encoder);
}
bool decode_row(const Loops& loops, const Table& table, float* row, size_t count,
                Decoder& decoder) {
  return table.vectors ? loops.decode(table, row, count, decoder)
                       : decode_scalar(table, row, count, decoder);
}
template <class Pick, class T>
bool encode_row(const Loops&, const Pick& pick, const T* row, size_t count, Encoder& encoder) {
  return encode_scalar(pick, row, count, encoder);
}
template <class Pick, class T>
bool decode_row(const Loops&, const Pick& pick, T* row, size_t count, Decoder& decoder) {
  return decode_scalar(pick, row, count, decoder);
}

template <class T>
bool encode_lanes(const sw_tables& tables, const Loops& loops, const T* values,
                  const int32_t* indexes, const Shape& shape, size_t steps, Encoder& encoder) {
  for (size_t row = (steps - 1) / shape.per_row + 1; row-- > 0;) {
    const size_t finish = row_finish(shape, row, steps), at = row * shape.n;
    const bool coded = with_table(tables, indexes, row, at, [&](const auto& pick) {
      return encode_row(loops, pick, values + at, finish, encoder);
    });
    if (!coded) return false;
  }
  return true;
}

template <class T>
bool decode_lanes(const sw_tables& tables, const Loops& loops, T* values, const int32_t* indexes,
                  const Shape& shape, size_t steps, Decoder& decoder) {
  for (size_t row = 0; row * shape.per_row < steps; ++row) {
    const size_t finish = row_finish(shape, row, steps), at = row * shape.n;
    const bool decoded = with_table(tables, indexes, row, at, [&](const auto& pick) {
      return decode_row(loops, pick, values + at, finish, decoder);
    });
    if (!decoded) return false;
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
  const Loops* loops = loops_of(path);
  if (!values || !string || !size || !loops) return SW_BAD_ARGUMENT;
  if (!fits(tables, indexes, rows, height, width)) return SW_BAD_ARGUMENT;
  const Shape shape(rows, height, width);
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
    const bool coded = with_table(*tables, indexes, step.row, step.at, [&](const auto& pick) {
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
    const std::vector<uint64_t>& escapes = scratch.escapes;
    const size_t more = size_t(put_escapes(escapes.data(), escapes.size(), nullptr));
    at = scratch.extend(at, used, more);
    put_escapes(escapes.data(), escapes.size(), at + used + more);
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
  uint32_t x;
  if (!bytes.first_state(&x)) return SW_DESYNC;
  for (; step < shape.steps; ++step) {
    const Step place(shape, step);
    const bool decoded = with_table(tables, indexes, place.row, place.at, [&](const auto& pick) {
      return decode_lane(pick, values + place.at, place.count, decoder, bytes, &x);
    });
    if (!decoded) return SW_DESYNC;
  }
  if (x != kLow || bytes.seed != bytes.seeds_end) return SW_DESYNC;
  return decoder.escapes.took(uint64_t(bytes.end - bytes.at)) ? SW_OK : SW_DESYNC;
}

template <class T>
int decode_item(const sw_tables* tables, int path, const uint8_t* string, size_t size,
                const int32_t* indexes, size_t rows, size_t height, size_t width, T* values) {
  const Loops* loops = loops_of(path);
  if (!string || !values || !loops) return SW_BAD_ARGUMENT;
  if (!fits(tables, indexes, rows, height, width)) return SW_BAD_ARGUMENT;
  const Shape shape(rows, height, width);
  uint8_t first;
  const uint8_t* at;
  const int status = open_string(*tables, shape, string, size, &first, &at);
  if (status != SW_OK) return status;
  const uint8_t* const end = string + size;
  if (first == kSingle) {
    Decoder decoder(at, end);
    return decode_tail(*tables, indexes, shape, 0, TailBytes{at, at, at, end}, decoder, values);
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
  const TailBytes bytes = {seeds, seeds + kTailBytes, decoder.at, decoder.end};
  return decode_tail(*tables, indexes, shape, steps, bytes, decoder, values);
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
