// Sums of rows of 4-byte integers, tiles of 64 x 4 words brought in by cp.async, two in flight.
#include <cuda_pipeline.h>
extern "C" __global__ void __launch_bounds__(64) double_buffer(const int *a, int *sums, int columns) {
  __shared__ alignas(16) int tile[2][64][4];
  int row = blockIdx.x * 64 + threadIdx.x, tiles = columns / 4, sum = 0;
  const int *from = a + (size_t)row * columns;
  __pipeline_memcpy_async(tile[0][threadIdx.x], from, 16);
  __pipeline_commit();
  for (int t = 0; t < tiles; t++) {
    if (t + 1 < tiles)
      __pipeline_memcpy_async(tile[(t + 1) & 1][threadIdx.x], from + 4 * (t + 1), 16);
    __pipeline_commit();
    __pipeline_wait_prior(1);
    __syncthreads();
    int other = threadIdx.x ^ 33; // a row that another warp copied
    for (int k = 0; k < 4; k++)
      sum += tile[t & 1][other][k];
    __syncthreads();
  }
  sums[blockIdx.x * 64 + (threadIdx.x ^ 33)] = sum;
}
