// C[M,N] f32 = A[M,K] B[N,K]^T in bf16: 64x64x32 tiles, four warps, three cp.async stages, ldmatrix
// and mma.sync. nvcc -ptx -arch=sm_90a gemm.cu
#include <cstdint>
#include <cuda_bf16.h>

static __device__ uint32_t shared_address(const void *p) {
  return (uint32_t)__cvta_generic_to_shared(p);
}
static __device__ int place(int row, int chunk) {
  return row * 32 + (chunk ^ ((row >> 1) & 3)) * 8;
}
static __device__ void copy16(void *to, const void *from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(to)), "l"(from));
}
static __device__ void load4(uint32_t *r, const void *from) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(from)));
}

extern "C" __global__ void __launch_bounds__(128)
    gemm(const __nv_bfloat16 *A, const __nv_bfloat16 *B, float *C, int M, int N, int K) {
  __shared__ __align__(16) __nv_bfloat16 sa[3][64 * 32], sb[3][64 * 32];
  int t = threadIdx.x, w = t / 32, l = t % 32, m0 = blockIdx.y * 64, n0 = blockIdx.x * 64;
  int wm = (w & 1) * 32, wn = (w >> 1) * 32, nk = K / 32;
  float d[2][4][4] = {};
  auto load = [&](int k) {
    for (int i = t; k < nk && i < 256; i += 128) {
      int r = i / 4, c = i % 4;
      copy16(&sa[k % 3][place(r, c)], A + (size_t)(m0 + r) * K + k * 32 + c * 8);
      copy16(&sb[k % 3][place(r, c)], B + (size_t)(n0 + r) * K + k * 32 + c * 8);
    }
    asm volatile("cp.async.commit_group;");
  };
  load(0);
  load(1);
  for (int k = 0; k < nk; k++) {
    asm volatile("cp.async.wait_group 1;" ::: "memory");
    __syncthreads();
    load(k + 2);
    for (int kk = 0; kk < 2; kk++) {
      uint32_t a[2][4], b[2][4];
      for (int i = 0; i < 2; i++)
        load4(a[i], &sa[k % 3][place(wm + i * 16 + l % 16, kk * 2 + l / 16)]);
      for (int j = 0; j < 2; j++)
        load4(b[j], &sb[k % 3][place(wn + j * 16 + l % 8 + l / 16 * 8, kk * 2 + l / 8 % 2)]);
      for (int i = 0; i < 2; i++)
        for (int j = 0; j < 4; j++)
          asm volatile(
              "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
              "{%8,%9}, {%0,%1,%2,%3};"
              : "+f"(d[i][j][0]), "+f"(d[i][j][1]), "+f"(d[i][j][2]), "+f"(d[i][j][3])
              : "r"(a[i][0]), "r"(a[i][1]), "r"(a[i][2]), "r"(a[i][3]), "r"(b[j / 2][j % 2 * 2]),
                "r"(b[j / 2][j % 2 * 2 + 1]));
    }
  }
  for (int i = 0; i < 2; i++)
    for (int j = 0; j < 4; j++) {
      int r = m0 + wm + i * 16 + l / 4, c = n0 + wn + j * 8 + l % 4 * 2;
      *(float2 *)&C[(size_t)r * N + c] = make_float2(d[i][j][0], d[i][j][1]);
      *(float2 *)&C[(size_t)(r + 8) * N + c] = make_float2(d[i][j][2], d[i][j][3]);
    }
}
