// Counts bytes: atomics on shared memory, then on global memory.
extern "C" __global__ void histogram(const unsigned *words, int n, unsigned *counts) {
  __shared__ unsigned bins[256];
  for (int i = threadIdx.x; i < 256; i += blockDim.x)
    bins[i] = 0;
  __syncthreads();
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
    unsigned w = words[i];
    for (int b = 0; b < 4; b++)
      atomicAdd(&bins[w >> (8 * b) & 255], 1u);
  }
  __syncthreads();
  for (int i = threadIdx.x; i < 256; i += blockDim.x)
    if (bins[i])
      atomicAdd(&counts[i], bins[i]);
}
