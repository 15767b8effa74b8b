// The portable loops: the 32 lanes one after the other, four operations ahead of any branch.
#include "symbols.h"

#include <algorithm>

namespace sw {
namespace {

inline uint32_t quotient(uint32_t x, uint64_t magic) {
#if defined(__SIZEOF_INT128__)
  return uint32_t((static_cast<unsigned __int128>(magic) * (uint64_t(x) << 1)) >> 64);
#else
  const uint64_t twice = uint64_t(x) << 1;  // 33 bits
  const uint64_t low = (magic & 0xffffffff) * (twice & 0xffffffff);
  const uint64_t cross = (magic >> 32) * (twice & 0xffffffff) + (low >> 32);
  const uint64_t high = (twice >> 32) * magic;
  return uint32_t(((cross >> 1) + (high >> 1)) >> 31);
#endif
}

template <class Pick, class T>
bool encode_row(const Pick& row, const T* values, size_t begin, size_t finish, Encoder& encoder) {
  alignas(64) int32_t entries[kLanes];
  // Copies that no byte written through a pointer can change, as far as a compiler knows.
  uint32_t x[kLanes], packed[kLanes];
  uint64_t magic[kLanes];
  memcpy(x, encoder.x, sizeof(x));
  uint8_t* at = encoder.at;
  size_t stop = finish;
  while (stop > begin) {
    const size_t first = (stop - 1) / kLanes * kLanes;
    const int count = int(stop - first);
    stop = first;
    prefetch_step_before(values + first);
    const Pick pick = row.from(first);
    if (!entries_of(pick, values + first, count, encoder, entries)) return false;
    uint32_t two = 0;
    for (int j = 0; j < count; ++j) {
      const Interval& interval = pick(j).intervals[entries[j]];
      packed[j] = interval.packed;
      magic[j] = interval.magic;
      two |= uint32_t(x[j] >> 24 >= (interval.packed & 0xffff));
    }
    if (two) {
      for (int j = count - 1; j >= 0; --j) {
        if (x[j] >> 24 < (packed[j] & 0xffff)) continue;
        *--at = uint8_t(x[j]);
        x[j] >>= 8;
      }
    }
    for (int j = count - 1; j >= 0; --j) {
      const uint32_t freq = packed[j] & 0xffff;
      const uint32_t over = uint32_t(x[j] >> 16 >= freq);
      at[-1] = uint8_t(x[j]);
      at -= over;
      const uint32_t state = x[j] >> (8 * over);
      x[j] = state + quotient(state, magic[j]) * (kTotal - freq) + (packed[j] >> 16);
    }
  }
  memcpy(encoder.x, x, sizeof(x));
  encoder.at = at;
  return true;
}

template <class Pick, class T>
bool decode_row(const Pick& row, T* out, size_t begin, size_t finish, Decoder& decoder) {
  alignas(64) int32_t entries[kLanes];
  uint32_t* x = decoder.x;
  for (size_t first = begin; first < finish; first += kLanes) {
    if (decoder.at > decoder.guard && !decoder.refill()) return false;
    const int count = int(std::min<size_t>(kLanes, finish - first));
    const Pick pick = row.from(first);
    const uint8_t* at = decoder.at;
    uint32_t two = 0;
    for (int j = 0; j < count; ++j) {
      const uint32_t slot = x[j] & 0xffff;
      uint32_t packed;
      entries[j] = find_entry(pick(j), slot, &packed);
      const uint32_t state = (packed & 0xffff) * (x[j] >> 16) + slot - (packed >> 16);
      const uint32_t under = uint32_t(state < kLow);
      x[j] = state << (8 * under) | (*at & (0u - under));  // no branch: it would be a coin toss
      at += under;
      two |= uint32_t(x[j] < kLow);
    }
    if (two) {
      for (int j = 0; j < count; ++j) {
        if (x[j] < kLow) x[j] = x[j] << 8 | *at++;
      }
    }
    decoder.at = at;
    if (!put_entries(pick, entries, count, decoder, out + first)) return false;
  }
  return decoder.valid();
}

template <class T>
bool encode_one(const Table& table, const T* row, size_t begin, size_t finish, Encoder& encoder) {
  return encode_row(RowTable{table}, row, begin, finish, encoder);
}

template <class T>
bool decode_one(const Table& table, T* row, size_t begin, size_t finish, Decoder& decoder) {
  return decode_row(RowTable{table}, row, begin, finish, decoder);
}

const Loops kScalar = {encode_one<float>, encode_one<int32_t>, decode_one<float>,
                       decode_one<int32_t>};

}  // namespace

const Loops* scalar_loops() { return &kScalar; }

bool entries_outside(const Table& table, const float* values, int count, Encoder& encoder,
                     int32_t* entries) {
  return entries_exact(RowTable{table}, values, count, encoder, entries);
}

bool entries_outside(const Table& table, const int32_t* values, int count, Encoder& encoder,
                     int32_t* entries) {
  return entries_exact(RowTable{table}, values, count, encoder, entries);
}

bool put_escaped(const Table& table, const int32_t* entries, int count, Decoder& decoder,
                 float* out) {
  return put_entries(RowTable{table}, entries, count, decoder, out);
}

bool put_escaped(const Table& table, const int32_t* entries, int count, Decoder& decoder,
                 int32_t* out) {
  return put_entries(RowTable{table}, entries, count, decoder, out);
}

bool Decoder::refill() {
  if (padded) return at <= end;
  const size_t left = size_t(end - at);
  memcpy(pad, at, left);
  memset(pad + left, 0, sizeof(pad) - left);
  at = pad;
  end = pad + left;
  guard = end;
  padded = true;
  return true;
}

bool encode_indexed(const sw_tables& tables, const int32_t* indexes, const float* row,
                    size_t begin, size_t finish, Encoder& encoder) {
  return encode_row(SymbolTables{tables.tables.data(), indexes}, row, begin, finish, encoder);
}

bool encode_indexed(const sw_tables& tables, const int32_t* indexes, const int32_t* row,
                    size_t begin, size_t finish, Encoder& encoder) {
  return encode_row(SymbolTables{tables.tables.data(), indexes}, row, begin, finish, encoder);
}

bool decode_indexed(const sw_tables& tables, const int32_t* indexes, float* row, size_t begin,
                    size_t finish, Decoder& decoder) {
  return decode_row(SymbolTables{tables.tables.data(), indexes}, row, begin, finish, decoder);
}

bool decode_indexed(const sw_tables& tables, const int32_t* indexes, int32_t* row, size_t begin,
                    size_t finish, Decoder& decoder) {
  return decode_row(SymbolTables{tables.tables.data(), indexes}, row, begin, finish, decoder);
}

}  // namespace sw
