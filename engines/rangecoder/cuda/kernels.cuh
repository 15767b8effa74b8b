// The range coder on a GPU: the format of docs/bitstream.md, one warp an item, a lane a thread.
//
// The format itself is in format.h. tests/engines/rangecoder/cuda_on_cpu.h runs the same code on a processor.
//
// The 32 lanes of the format are the 32 threads of a warp; the tail is its first thread's. A second
// kernel with a block an item makes or checks what spans the item: copies, header, CRC.
#ifndef SPLITWATT_KERNELS_CUH
#define SPLITWATT_KERNELS_CUH

#include "blob.h"

namespace sw_device {

using namespace sw;
typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t i32;
typedef int64_t i64;

constexpr u32 kAll = 0xffffffffu;
constexpr int kFinishThreads = 512;

// What the first kernel leaves to the second, an item.
struct Item {
  i32 status;
  u32 first;     // byte of the header
  u32 escapes;   // distances in the scratch memory
  u32 unused;
  u64 at, end;   // of the payload: in the scratch memory (encoding) or in the string (decoding)
};

struct Shape {
  i32 rows, height, width, n, per_row, steps;
};

__host__ __device__ inline Shape shape_of(i32 rows, i32 height, i32 width) {
  Shape s;
  s.rows = rows;
  s.height = height;
  s.width = width;
  s.n = height * width;
  s.per_row = (s.n + kLanes - 1) / kLanes;
  s.steps = rows * s.per_row;
  return s;
}

// Scratch bytes of an item: the stream's worst case, then room for escapes.
__host__ __device__ inline u64 stream_bytes(const Shape& s) {
  return (u64(s.rows) * u64(s.n) * 2 + 4 * kLanes + 64 + 15) / 16 * 16;
}
__host__ __device__ inline u64 max_escapes(const Shape& s) {
  return u64(s.rows) * u64(s.n) + 32;
}
__host__ __device__ inline u64 scratch_bytes(const Shape& s) {
  return stream_bytes(s) + 8 * max_escapes(s);
}

__device__ inline Words load_words(const Words* at) {
#if defined(__CUDA_ARCH__)
  const uint2 both = __ldg(reinterpret_cast<const uint2*>(at));
  Words words;
  words.packed = both.x;
  words.other = both.y;
  return words;
#else
  return *at;
#endif
}

__device__ inline u32 lanes_before(u32 mask, u32 lane) {
  return u32(__popc(mask & ((1u << lane) - 1)));
}

// ---------------------------------------------------------------- encoding

struct Coded {
  i32 entry;
  u64 distance;  // of an escape
  bool outside, codable;
};

__device__ inline Coded entry_of(const Head& table, float value) {
  Coded coded;
  const float rounded = rintf(__fsub_rn(value, table.median));
  coded.codable = rounded >= -2147483648.0f && rounded < 2147483648.0f;
  const i64 at = i64(coded.codable ? i32(rounded) : 0) - table.offset;
  coded.outside = at < 0 || at >= table.last;
  coded.entry = coded.outside ? table.last : i32(at);
  coded.distance = escape_distance(at, table.last);
  return coded;
}

// x / freq * 65536 + x % freq + start; the inverse is a little below 1 / freq.
__device__ inline u32 advanced(u32 x, Words interval) {
  const u32 freq = interval.packed & 0xffff;
  u32 quotient = u32(__fmul_rn(__uint2float_rn(x), __uint_as_float(interval.other)));
  if (x - quotient * freq >= freq) ++quotient;
  return x + quotient * (kTotal - freq) + (interval.packed >> 16);
}

// The single lane's part, by one thread.
struct Tail {
  i32 steps, status;
  u32 escapes;
  u64 at;
};

__device__ inline Tail encode_tail(const Blob& tables, const float* latent, const Shape& s,
                                   u8* stream, u64* escapes) {
  Tail tail = {0, SW_OK, 0, stream_bytes(s)};
  const u64 top = tail.at;
  const bool single = i64(s.rows) * s.n <= kSingleLaneMax;
  u32 x = kLow;
  while (tail.steps < s.steps && (single || top - tail.at < kTailBytes - 4)) {
    const i32 step = s.steps - ++tail.steps;
    const i32 row = step / s.per_row, first = step % s.per_row * kLanes;
    const Head table = tables.heads()[row];
    const i32 stop = first + kLanes < s.n ? first + kLanes : s.n;
    for (i32 column = stop - 1; column >= first; --column) {
      const Coded coded = entry_of(table, latent[i64(row) * s.n + column]);
      if (!coded.codable) tail.status = SW_NOT_CODABLE;
      if (coded.outside) {
        if (tail.escapes == max_escapes(s)) tail.status = SW_OVERFLOW;
        if (tail.status == SW_OK) escapes[tail.escapes++] = coded.distance;
      }
      const Words interval = load_words(tables.all_intervals() + table.first + coded.entry);
      const u32 freq = interval.packed & 0xffff;
      while (x >> 16 >= freq) {
        stream[--tail.at] = u8(x);
        x >>= 8;
      }
      x = advanced(x, interval);
    }
  }
  tail.at -= 4;
  store_u32(stream + tail.at, x);
  return tail;
}

}  // namespace sw_device

// Codes one item a warp into its scratch memory.
extern "C" __global__ void __launch_bounds__(32)
    sw_encode_items(const sw_device::Blob* tables, const float* latents, sw_device::Shape s,
                    sw_device::u8* scratch, sw_device::Item* items) {
  using namespace sw_device;
  __shared__ Tail tail;
  const u32 lane = threadIdx.x;
  const float* latent = latents + i64(blockIdx.x) * s.rows * s.n;
  u8* stream = scratch + blockIdx.x * scratch_bytes(s);
  u64* escapes = reinterpret_cast<u64*>(stream + stream_bytes(s));
  if (lane == 0) tail = encode_tail(*tables, latent, s, stream, escapes);
  __syncthreads();
  u64 at = tail.at;
  u32 count = tail.escapes;
  i32 status = tail.status;
  const bool lanes = tail.steps < s.steps;
  if (lanes && status == SW_OK) {
    const u8* seed = stream + at + 3 * lane;
    u32 x = kLow | seed[0] | u32(seed[1]) << 8 | u32(seed[2]) << 16;
    at += kTailBytes;
    const i32 steps = s.steps - tail.steps;
    for (i32 row = (steps - 1) / s.per_row; row >= 0 && status == SW_OK; --row) {
      const Head table = tables->heads()[row];
      const Words* intervals = tables->all_intervals() + table.first;
      const float* values = latent + i64(row) * s.n;
      const i32 stop = (steps - row * s.per_row < s.per_row ? steps - row * s.per_row : s.per_row);
      // Three steps are under way: one is loaded, one looked up, one coded.
      i32 column = (stop - 1) * kLanes + i32(lane);
      float value = column < s.n ? values[column] : 0.0f;
      float ahead = column >= kLanes ? values[column - kLanes] : 0.0f;
      Coded coded = entry_of(table, value);
      Words interval = load_words(intervals + coded.entry);
      for (; column > i32(lane) - kLanes; column -= kLanes) {
        const bool active = column < s.n;
        const bool bad = active && !coded.codable;
        const u32 outside = __ballot_sync(kAll, active && (coded.outside || bad));
        if (outside) {
          if (__ballot_sync(kAll, bad)) status = SW_NOT_CODABLE;
          if (count + 32 > max_escapes(s)) status = SW_OVERFLOW;
          if (status != SW_OK) break;
          // The last lane's first.
          if (outside >> lane & 1) escapes[count + u32(__popc(outside >> lane)) - 1] = coded.distance;
          count += u32(__popc(outside));
        }
        const Words now = interval;
        value = ahead;
        ahead = column >= 2 * kLanes ? values[column - 2 * kLanes] : 0.0f;
        coded = entry_of(table, value);
        interval = load_words(intervals + coded.entry);

        const u32 freq = now.packed & 0xffff;
        const bool two = active && x >> 24 >= freq;
        const u32 twos = __ballot_sync(kAll, two);
        if (twos) {
          at -= u32(__popc(twos));
          if (two) {
            stream[at + lanes_before(twos, lane)] = u8(x);
            x >>= 8;
          }
        }
        const bool one = active && x >> 16 >= freq;
        const u32 ones = __ballot_sync(kAll, one);
        at -= u32(__popc(ones));
        if (one) {
          stream[at + lanes_before(ones, lane)] = u8(x);
          x >>= 8;
        }
        if (active) x = advanced(x, now);
      }
    }
    at -= 4 * kLanes;
    store_u32(stream + at + 4 * lane, x);
    u8 varint[kMaxVarint];
    const u32 size = u32(put_varint(varint, u64(tail.steps)));
    at -= size;
    if (lane < size) stream[at + lane] = varint[lane];
  }
  if (lane == 0) {
    Item& item = items[blockIdx.x];
    item.status = status;
    item.first = lanes ? kInterleaved : kSingle;
    item.escapes = count;
    item.at = at;
    item.end = stream_bytes(s);
  }
}

// ---------------------------------------------------------------- CRC-32 by a block

namespace sw_device {

constexpr u32 kPolynomial = 0xEDB88320u;

// a * b modulo the polynomial; x^0 is the top bit.
__device__ inline u32 multiply(u32 a, u32 b) {
  u32 product = 0;
  for (int i = 31; i >= 0; --i) {
    product ^= a >> i & 1 ? b : 0;
    b = b >> 1 ^ (b & 1 ? kPolynomial : 0);
  }
  return product;
}

// A CRC register moved over `bytes` zero bytes.
__device__ inline u32 moved(u32 crc, u64 bytes) {
  u32 power = 1u << 23;  // x^8
  for (; bytes; bytes >>= 1) {
    if (bytes & 1) crc = multiply(power, crc);
    power = multiply(power, power);
  }
  return crc;
}

// The CRC of `head` (a few bytes) and `data`, by all threads of a block.
__device__ inline u32 block_crc(const u8* head, u32 head_size, const u8* data, u64 size) {
  __shared__ u32 table[256];
  __shared__ u32 parts[kFinishThreads];
  const u32 thread = threadIdx.x;
  for (u32 i = thread; i < 256; i += kFinishThreads) {
    u32 crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? kPolynomial : 0);
    table[i] = crc;
  }
  __syncthreads();
  const u64 chunk = (size + kFinishThreads - 1) / kFinishThreads;
  const u64 begin = chunk * thread < size ? chunk * thread : size;
  const u64 end = begin + chunk < size ? begin + chunk : size;
  u32 crc = 0;
  for (u64 i = begin; i < end; ++i) crc = crc >> 8 ^ table[(crc ^ data[i]) & 255];
  crc = moved(crc, size - end);
  if (thread == 0) {
    u32 start = 0xffffffffu;
    for (u32 i = 0; i < head_size; ++i) start = start >> 8 ^ table[(start ^ head[i]) & 255];
    crc ^= moved(start, size);
  }
  parts[thread] = crc;
  for (u32 half = kFinishThreads / 2; half; half /= 2) {
    __syncthreads();
    if (thread < half) parts[thread] ^= parts[thread + half];
  }
  __syncthreads();
  const u32 result = ~parts[0];
  __syncthreads();
  return result;
}

}  // namespace sw_device

// Puts header, payload and escapes of an item into its output, or a length of -1.
extern "C" __global__ void __launch_bounds__(512)
    sw_finish_items(const sw_device::Blob* tables, sw_device::Shape s,
                    const sw_device::u8* scratch, const sw_device::Item* items,
                    sw_device::u8* out, sw_device::u64 capacity, sw_device::i32* lengths) {
  using namespace sw_device;
  __shared__ u8 head[kMaxHeader];
  __shared__ u32 head_size;
  __shared__ u64 escape_bytes;
  const Item item = items[blockIdx.x];
  const u8* stream = scratch + blockIdx.x * scratch_bytes(s);
  const u64* escapes = reinterpret_cast<const u64*>(stream + stream_bytes(s));
  u8* string = out + blockIdx.x * capacity;
  const u64 used = item.end - item.at;
  if (threadIdx.x == 0) {
    escape_bytes = put_escapes(escapes, item.escapes, nullptr);
    head_size = u32(put_header(head, u8(item.first), tables->id, u64(s.height), u64(s.width),
                               used + escape_bytes));
  }
  __syncthreads();
  const u64 payload = used + escape_bytes, length = head_size + 4 + payload;
  if (item.status != SW_OK || length > capacity) {
    if (threadIdx.x == 0) lengths[blockIdx.x] = -1;
    return;
  }
  u8* body = string + head_size + 4;
  for (u64 i = threadIdx.x; i < used; i += kFinishThreads) body[i] = stream[item.at + i];
  if (threadIdx.x == 0) put_escapes(escapes, item.escapes, body + payload);
  __syncthreads();
  const u32 crc = block_crc(head, head_size, body, payload);
  if (threadIdx.x == 0) {
    for (u32 i = 0; i < head_size; ++i) string[i] = head[i];
    store_u32(string + head_size, crc);
    lengths[blockIdx.x] = i32(length);
  }
}

// Copies the strings so that a row has as many words as the longest string needs, by a block an item.
extern "C" __global__ void __launch_bounds__(512)
    sw_pack_items(const sw_device::u8* strings, sw_device::u64 capacity,
                  const sw_device::i32* lengths, sw_device::i32 items, sw_device::u32* words,
                  sw_device::i32* words_count) {
  using namespace sw_device;
  i32 longest = 1;
  for (i32 i = 0; i < items; ++i) longest = lengths[i] > longest ? lengths[i] : longest;
  const i64 most = (i64(longest) + 3) / 4, length = lengths[blockIdx.x];
  const u8* string = strings + blockIdx.x * capacity;
  u32* row = words + blockIdx.x * most;
  for (i64 i = threadIdx.x; i < most; i += kFinishThreads) {
    u32 word = 0;
    for (i64 byte = 0; byte < 4 && 4 * i + byte < length; ++byte) {
      word |= u32(string[4 * i + byte]) << (8 * byte);
    }
    row[i] = word;
  }
  if (blockIdx.x == 0 && threadIdx.x == 0) *words_count = i32(most);
}

// ---------------------------------------------------------------- decoding

namespace sw_device {

// The symbol of an entry, from the escapes where it is one.
__device__ inline bool symbol_of(const Head& table, i32 entry, EscapeReader& escapes,
                                 i32* symbol) {
  if (entry != table.last) {
    *symbol = entry + table.offset;
    return true;
  }
  u64 distance;
  return escapes.read(&distance) && escaped_symbol(distance, table.last, table.offset, symbol);
}

__device__ inline float value_of(const Head& table, i32 symbol) {
  return __fadd_rn(float(symbol), table.median);
}

// The interval of a slot; `packed` its numbers.
__device__ inline i32 find_entry(const Words* intervals, const Words* guesses, u32 slot,
                                 u32* packed) {
  const Words guess = load_words(guesses + (slot >> (16 - kLutBits)));
  u32 entry = guess.other;
  *packed = guess.packed;
  while (slot - (*packed >> 16) >= (*packed & 0xffff)) {
    entry += slot < *packed >> 16 ? u32(-1) : 1u;
    *packed = load_words(intervals + entry).packed;
  }
  return i32(entry);
}

// The single lane's part, by one thread.
__device__ inline i32 decode_tail(const Blob& tables, const Shape& s, i32 step, TailBytes bytes,
                                  EscapeReader escapes, float* latent) {
  u8 byte;
  u32 x;
  if (!bytes.first_state(&x)) return SW_DESYNC;
  for (; step < s.steps; ++step) {
    const i32 row = step / s.per_row, first = step % s.per_row * kLanes;
    const Head table = tables.heads()[row];
    const Words* intervals = tables.all_intervals() + table.first;
    const i32 stop = first + kLanes < s.n ? first + kLanes : s.n;
    for (i32 column = first; column < stop; ++column) {
      const u32 slot = x & 0xffff;
      u32 packed;
      const i32 entry = find_entry(intervals, tables.guesses(row), slot, &packed);
      x = (packed & 0xffff) * (x >> 16) + slot - (packed >> 16);
      while (x < kLow) {
        if (!bytes.next(&byte)) return SW_DESYNC;
        x = x << 8 | byte;
      }
      i32 symbol;
      if (!symbol_of(table, entry, escapes, &symbol)) return SW_DESYNC;
      latent[i64(row) * s.n + column] = value_of(table, symbol);
    }
  }
  if (x != kLow || bytes.seed != bytes.seeds_end) return SW_DESYNC;
  return escapes.took(u64(bytes.end - bytes.at)) ? SW_OK : SW_DESYNC;
}

}  // namespace sw_device

// Checks the header of an item, by a block.
extern "C" __global__ void __launch_bounds__(512)
    sw_open_items(const sw_device::Blob* tables, sw_device::Shape s, const sw_device::u8* strings,
                  sw_device::u64 capacity, const sw_device::i32* lengths,
                  sw_device::Item* items) {
  using namespace sw_device;
  __shared__ i32 status;
  __shared__ Header header;
  const u8* string = strings + blockIdx.x * capacity;
  const i64 length = lengths[blockIdx.x];
  const u64 size = length < 0 || u64(length) > capacity ? 0 : u64(length);
  if (threadIdx.x == 0) status = read_header(string, string + size, &header);
  __syncthreads();
  u64 at = 0;
  if (status == SW_OK) {
    at = u64(header.crc - string) + 4;
    const u32 crc = block_crc(string, u32(at - 4), string + at, size - at);
    if (threadIdx.x == 0) {
      status = crc == load_u32(header.crc)
                   ? compare_header(header, tables->id, u64(s.height), u64(s.width))
                   : SW_DAMAGED;
    }
  }
  if (threadIdx.x == 0) {
    Item& item = items[blockIdx.x];
    item.status = status;
    item.first = at ? header.first : 0;
    item.at = at;
    item.end = size;
  }
}

// Decodes one item a warp, after sw_open_items.
extern "C" __global__ void __launch_bounds__(32)
    sw_decode_items(const sw_device::Blob* tables, sw_device::Shape s,
                    const sw_device::u8* strings, sw_device::u64 capacity,
                    const sw_device::Item* items, float* latents, sw_device::i32* results) {
  using namespace sw_device;
  __shared__ u8 seeds[kTailBytes];
  const u32 lane = threadIdx.x;
  const Item item = items[blockIdx.x];
  float* latent = latents + i64(blockIdx.x) * s.rows * s.n;
  const u8* string = strings + blockIdx.x * capacity;
  const u8* const end = string + item.end;
  i32 status = item.status;
  u64 at = item.at, tail = u64(s.steps);
  u32 seed_count = 0;
  EscapeReader escapes = {string + item.at, end, 0};
  if (status == SW_OK && item.first == kInterleaved) {
    const u8* next = string + at;
    status = get_varint(&next, end, &tail) == SW_OK ? SW_OK : SW_DAMAGED;
    at = u64(next - string);
    if (status == SW_OK && (tail < 1 || tail >= u64(s.steps))) status = SW_DAMAGED;
    if (status == SW_OK && item.end - at < 4 * kLanes) status = SW_DESYNC;
    u32 x = kLow;
    if (status == SW_OK) x = load_u32(string + at + 4 * lane);
    at += 4 * kLanes;
    escapes.begin = string + at;
    if (__ballot_sync(kAll, x < kLow)) status = SW_DESYNC;
    const i32 steps = status == SW_OK ? s.steps - i32(tail) : 0;
    u32 byte = status == SW_OK && at + lane < item.end ? string[at + lane] : 0;
    for (i32 row = 0; row * s.per_row < steps && status == SW_OK; ++row) {
      const Head table = tables->heads()[row];
      const Words* intervals = tables->all_intervals() + table.first;
      const Words* guesses = tables->guesses(row);
      const i32 stop = steps - row * s.per_row < s.per_row ? steps - row * s.per_row : s.per_row;
      for (i32 k = 0; k < stop; ++k) {
        const i32 column = k * kLanes + i32(lane);
        const bool active = column < s.n;
        const u32 slot = x & 0xffff;
        u32 packed;
        const i32 entry = find_entry(intervals, guesses, slot, &packed);
        if (active) x = (packed & 0xffff) * (x >> 16) + slot - (packed >> 16);
        bool under = active && x < kLow;
        u32 mask = __ballot_sync(kAll, under);
        const u32 mine = u32(__shfl_sync(kAll, i32(byte), i32(lanes_before(mask, lane))));
        if (under) x = x << 8 | mine;
        at += u32(__popc(mask));
        under = active && x < kLow;
        mask = __ballot_sync(kAll, under);
        if (mask) {
          const u64 place = at + lanes_before(mask, lane);
          if (under) x = x << 8 | (place < item.end ? string[place] : 0);
          at += u32(__popc(mask));
        }
        if (at > item.end) {
          status = SW_DESYNC;
          break;
        }
        byte = at + lane < item.end ? string[at + lane] : 0;
        i32 symbol = entry + table.offset;
        u32 escaped = __ballot_sync(kAll, active && entry == table.last);
        while (escaped) {  // rare; every thread reads every escape
          i32 far;
          if (!symbol_of(table, table.last, escapes, &far)) {
            status = SW_DESYNC;
            break;
          }
          if (u32(__ffs(i32(escaped))) == lane + 1) symbol = far;
          escaped &= escaped - 1;
        }
        if (status != SW_OK) break;
        if (active) latent[i64(row) * s.n + column] = value_of(table, symbol);
      }
    }
    if (__ballot_sync(kAll, x >> 24 != 1) && status == SW_OK) status = SW_DESYNC;
    for (int i = 0; i < 3; ++i) seeds[3 * lane + u32(i)] = u8(x >> (8 * i));
    seed_count = kTailBytes;
  }
  __syncthreads();
  if (lane == 0) {
    if (status == SW_OK) {
      const TailBytes bytes = {seeds, seeds + seed_count, string + at, end};
      status = decode_tail(*tables, s, s.steps - i32(tail), bytes, escapes, latent);
    }
    results[blockIdx.x] = status;
  }
}

#endif
