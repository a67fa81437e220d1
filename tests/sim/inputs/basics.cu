// Small kernels compiled by nvcc for the foreign-PTX tests: nvcc -ptx -arch=sm_90a -lineinfo
// basics.cu
#include <cstdio>

extern "C" __global__ void reduce(const float *a, float *o, int n) {
  __shared__ float s[256];
  float v = 0;
  for (int i = threadIdx.x; i < n; i += 256)
    v += a[i];
  s[threadIdx.x] = v;
  __syncthreads();
  for (int k = 128; k > 0; k >>= 1) {
    if (threadIdx.x < k)
      s[threadIdx.x] += s[threadIdx.x + k];
    __syncthreads();
  }
  if (!threadIdx.x) {
    *o = s[0];
    printf("sum %.1f of %d\n", s[0], n);
  }
}

extern "C" __global__ void transpose(const float *a, float *b, int n) {
  __shared__ float t[32][33];
  int x = blockIdx.x * 32 + threadIdx.x, y = blockIdx.y * 32 + threadIdx.y;
  for (int j = 0; j < 32; j += 8)
    t[threadIdx.y + j][threadIdx.x] = a[(y + j) * n + x];
  __syncthreads();
  x = blockIdx.y * 32 + threadIdx.x;
  y = blockIdx.x * 32 + threadIdx.y;
  for (int j = 0; j < 32; j += 8)
    b[(y + j) * n + x] = t[threadIdx.x][threadIdx.y + j];
}

extern "C" __global__ void functions(const float *a, float *o, int n) { // libdevice code
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n)
    return;
  float x = a[i];
  o[i * 6 + 0] = expf(x);
  o[i * 6 + 1] = logf(fabsf(x) + 1);
  o[i * 6 + 2] = sinf(x * 1e4f);
  o[i * 6 + 3] = powf(fabsf(x) + .5f, 1.7f);
  o[i * 6 + 4] = erff(x);
  o[i * 6 + 5] = tanhf(x);
}

__device__ __noinline__ int fibonacci(int n, int *trace) {
  int a = 0, b = 1;
  for (int i = 0; i < n; i++) {
    int c = a + b;
    a = b;
    b = c;
    trace[i & 3] = a;
  }
  return a;
}

extern "C" __global__ void locals(int *o, int k) { // local memory, a call, divergent loops
  int array[16];
  for (int i = 0; i < 16; i++)
    array[i] = i * k;
  int s = fibonacci(threadIdx.x % 20, array);
  o[threadIdx.x] = s + array[(threadIdx.x * 7) & 15];
}

extern "C" __global__ void last_block(const float *a, float *part, unsigned *count, float *o) {
  __shared__ bool last;
  float v = a[blockIdx.x * 32 + threadIdx.x];
  for (int k = 16; k; k >>= 1)
    v += __shfl_xor_sync(~0u, v, k);
  if (!threadIdx.x) {
    part[blockIdx.x] = v;
    __threadfence();
    last = atomicInc(count, gridDim.x) == gridDim.x - 1;
    __threadfence();
  }
  __syncthreads();
  if (!last)
    return;
  float w = 0;
  for (int i = threadIdx.x; i < gridDim.x; i += 32)
    w += part[i];
  for (int k = 16; k; k >>= 1)
    w += __shfl_xor_sync(~0u, w, k);
  if (!threadIdx.x)
    *o = w;
}
