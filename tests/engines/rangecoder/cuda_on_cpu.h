// Enough of CUDA to run kernels on a processor, thread by thread: every thread of a block is a
// fiber that gives way where CUDA threads wait for each other.
#ifndef SPLITWATT_CUDA_ON_CPU_H
#define SPLITWATT_CUDA_ON_CPU_H

#include <math.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

#include <functional>
#include <memory>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __launch_bounds__(n)

struct Place {
  unsigned x;
};
static Place threadIdx, blockIdx;

namespace cpu {

struct Fiber {
  ucontext_t context;
  std::vector<char> stack;
  bool done = false;
};

// What some threads do together: the last one to arrive publishes.
struct Meeting {
  unsigned size = 0, arrived = 0;
  uint64_t round = 0;
  uint32_t values[1024];
  uint32_t published[2][1024];
};

static ucontext_t scheduler;
static std::vector<std::unique_ptr<Fiber>> fibers;
static std::vector<Meeting> warps;
static Meeting block;
static std::function<void()> body;

inline void give_way() {
  const unsigned me = threadIdx.x;
  swapcontext(&fibers[me]->context, &scheduler);
  threadIdx.x = me;
}

inline const uint32_t* meet(Meeting& meeting, unsigned place, uint32_t value) {
  const uint64_t round = meeting.round;
  meeting.values[place] = value;
  if (++meeting.arrived == meeting.size) {
    memcpy(meeting.published[round & 1], meeting.values, sizeof(meeting.values));
    meeting.arrived = 0;
    ++meeting.round;
  }
  while (meeting.round == round) give_way();
  return meeting.published[round & 1];
}

inline Meeting& my_warp() { return warps[threadIdx.x / 32]; }

inline void enter() {
  body();
  fibers[threadIdx.x]->done = true;
  swapcontext(&fibers[threadIdx.x]->context, &scheduler);
}

inline void run_block(unsigned threads) {
  fibers.clear();
  warps.assign((threads + 31) / 32, Meeting());
  for (Meeting& warp : warps) warp.size = 32;
  block = Meeting();
  block.size = threads;
  for (unsigned i = 0; i < threads; ++i) {
    fibers.emplace_back(new Fiber);
    Fiber& fiber = *fibers.back();
    fiber.stack.resize(1 << 16);
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.data();
    fiber.context.uc_stack.ss_size = fiber.stack.size();
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, enter, 0);
  }
  for (unsigned left = threads; left;) {
    for (unsigned i = 0; i < threads; ++i) {
      if (fibers[i]->done) continue;
      threadIdx.x = i;
      swapcontext(&scheduler, &fibers[i]->context);
      left -= fibers[i]->done;
    }
  }
}

// kernel<<<blocks, threads>>>(arguments...)
template <class Kernel, class... Arguments>
void launch(unsigned blocks, unsigned threads, Kernel kernel, Arguments... arguments) {
  body = [=] { kernel(arguments...); };
  for (unsigned i = 0; i < blocks; ++i) {
    blockIdx.x = i;
    run_block(threads);
  }
}

}  // namespace cpu

inline void __syncthreads() { cpu::meet(cpu::block, threadIdx.x, 0); }
inline uint32_t __ballot_sync(uint32_t, bool vote) {
  const uint32_t* votes = cpu::meet(cpu::my_warp(), threadIdx.x % 32, vote);
  uint32_t mask = 0;
  for (int i = 0; i < 32; ++i) mask |= votes[i] << i;
  return mask;
}
inline int __shfl_sync(uint32_t, int value, int lane) {
  return int(cpu::meet(cpu::my_warp(), threadIdx.x % 32, uint32_t(value))[lane & 31]);
}
inline int __popc(uint32_t mask) { return __builtin_popcount(mask); }
inline int __ffs(int mask) { return __builtin_ffs(mask); }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __uint2float_rn(uint32_t x) { return float(x); }
inline float __uint_as_float(uint32_t bits) {
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

#endif
