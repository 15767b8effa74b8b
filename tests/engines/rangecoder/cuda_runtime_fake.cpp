// The three functions of CUDA's runtime that the plugins call; the device's memory is the processor's.
#include <cuda_runtime_api.h>
#include <stdlib.h>
#include <string.h>

extern "C" cudaError_t cudaMalloc(void** pointer, size_t size) {
  *pointer = malloc(size);
  return cudaSuccess;
}
extern "C" cudaError_t cudaFree(void* pointer) {
  free(pointer);
  return cudaSuccess;
}
extern "C" cudaError_t cudaMemcpy(void* to, const void* from, size_t size, cudaMemcpyKind) {
  memcpy(to, from, size);
  return cudaSuccess;
}
