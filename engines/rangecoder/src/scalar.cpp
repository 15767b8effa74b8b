// The portable loops: the 32 lanes one after the other, four operations ahead of any branch.
#include "symbols.h"

#include <algorithm>

namespace sw {
namespace {

inline uint32_t quotient(uint32_t x, uint64_t magic) {
  return uint32_t((static_cast<unsigned __int128>(magic) * (uint64_t(x) << 1)) >> 64);
}

}  // namespace

template <class Pick, class T>
bool encode_scalar(const Pick& row, const T* values, size_t stop, Encoder& encoder) {
  alignas(64) int32_t entries[kLanes];
  // Copies that no byte written through a pointer can change, as far as a compiler knows.
  uint32_t x[kLanes], packed[kLanes];
  uint64_t magic[kLanes];
  memcpy(x, encoder.x, sizeof(x));
  uint8_t* at = encoder.at;
  while (stop) {
    const size_t first = (stop - 1) / kLanes * kLanes;
    const int count = int(stop - first);
    stop = first;
    prefetch_step_before(values + first);
    const auto& pick = row.from(first);
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
bool decode_scalar(const Pick& row, T* out, size_t finish, Decoder& decoder) {
  alignas(64) int32_t entries[kLanes];
  uint32_t* x = decoder.x;
  for (size_t first = 0; first < finish; first += kLanes) {
    if (decoder.at > decoder.guard && !decoder.refill()) return false;
    const int count = int(std::min<size_t>(kLanes, finish - first));
    const auto& pick = row.from(first);
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

template bool encode_scalar(const Table&, const float*, size_t, Encoder&);
template bool encode_scalar(const Table&, const int32_t*, size_t, Encoder&);
template bool encode_scalar(const SymbolTables&, const float*, size_t, Encoder&);
template bool encode_scalar(const SymbolTables&, const int32_t*, size_t, Encoder&);
template bool decode_scalar(const Table&, float*, size_t, Decoder&);
template bool decode_scalar(const Table&, int32_t*, size_t, Decoder&);
template bool decode_scalar(const SymbolTables&, float*, size_t, Decoder&);
template bool decode_scalar(const SymbolTables&, int32_t*, size_t, Decoder&);

bool entries_outside(const Table& table, const float* values, int count, Encoder& encoder,
                     int32_t* entries) {
  return entries_exact(table, values, count, encoder, entries);
}

bool put_escaped(const Table& table, const int32_t* entries, int count, Decoder& decoder,
                 float* out) {
  return put_entries(table, entries, count, decoder, out);
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

}  // namespace sw
