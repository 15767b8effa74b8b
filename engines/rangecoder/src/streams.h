// What the coding loops read and change: the lanes and their place in the bytes.
#ifndef SPLITWATT_STREAMS_H
#define SPLITWATT_STREAMS_H

#include <vector>

#include "tables.h"

namespace sw {

// Bytes a vector loop may touch beside those that it means to.
constexpr size_t kSlack = 80;

// 1.5 * 2^23: adding it rounds a number below 2^22 to an integer, ties to even, which then lies in
// the low bits of the float.
constexpr float kRounder = 12582912.0f, kRounderMax = 4194304.0f;
constexpr int32_t kRounderBits = 0x4B400000;

// Encoders walk memory backwards, which processors foresee badly: this asks for a step's 128 bytes
// some microseconds before they are read.
inline void prefetch_step_before(const void* at) {
  const uintptr_t address = reinterpret_cast<uintptr_t>(at) - 8192;
  __builtin_prefetch(reinterpret_cast<const void*>(address));
  __builtin_prefetch(reinterpret_cast<const void*>(address + 64));
}

struct Encoder {
  alignas(64) uint32_t x[kLanes];
  uint8_t* at;                      // the next byte is written before it
  std::vector<uint64_t>* escapes;   // distances, the last symbol's first
};

struct Decoder {
  alignas(64) uint32_t x[kLanes];
  const uint8_t* at;
  const uint8_t* end;    // of the bytes that `at` walks through
  const uint8_t* guard;  // where at > guard, call refill()
  EscapeReader escapes;
  bool padded = false;
  uint8_t pad[4 * kSlack];

  Decoder(const uint8_t* begin, const uint8_t* finish)
      : at(begin), end(finish), guard(begin), escapes{begin, finish, 0} {
    set_guard();
  }

  // Called before a step where at > guard. A step may then read kSlack bytes without leaving
  // memory that is ours: near the end the rest is moved to a padded buffer. False at an overrun.
  bool refill();

  // False where a loop has read beyond the end (into the padding).
  bool valid() const { return at <= end; }

 private:
  void set_guard() {
    const bool near = size_t(end - at) < kSlack;
    guard = near ? at : end - kSlack;
    if (near) refill();
  }
};

// The first `count` values of a row through all 32 lanes. Encoders return false for what cannot be
// coded, decoders for a desync.
struct Loops {
  bool (*encode)(const Table&, const float*, size_t count, Encoder&);
  bool (*decode)(const Table&, float*, size_t count, Decoder&);
};

const Loops* neon_loops();
const Loops* avx2_loops();
const Loops* avx512_loops();
// The loops of an sw_path; null where this machine cannot run them.
const Loops* loops_of(int path);

// What vector loops leave to plain code. Files that are compiled for some processors only define no
// function that others may be linked with: these are compiled once, for all processors.

// As Loops, for float and int32_t values; Pick is a Table, or SymbolTables.
template <class Pick, class T>
bool encode_scalar(const Pick&, const T* values, size_t count, Encoder&);
template <class Pick, class T>
bool decode_scalar(const Pick&, T* values, size_t count, Decoder&);

// The entries of a step where some values lie outside their table, the last symbol's first; false
// for what cannot be coded.
bool entries_outside(const Table&, const float* values, int count, Encoder&, int32_t* entries);

// The values of a step where some entries are escapes; false at a desync.
bool put_escaped(const Table&, const int32_t* entries, int count, Decoder&, float* out);

uint32_t crc32(uint32_t crc, const uint8_t* data, size_t size);

}  // namespace sw

#endif
