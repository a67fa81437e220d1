// D = A B^T with TMA, mbarriers and wgmma: one producer warp, one consumer warpgroup, three stages of
// 64 x 64 and 128 x 64 bf16 tiles with 128-byte swizzle; D leaves through shared memory and TMA.
#include <cuda.h>
#include <cuda_bf16.h>
#include <stdint.h>

constexpr int STAGES = 3, BM = 64, BN = 128, BK = 64;

__device__ uint32_t shared_address(const void *p) { return (uint32_t)__cvta_generic_to_shared(p); }

__device__ void wait(uint32_t bar, uint32_t parity) {
  asm volatile("{\n.reg .pred p;\nWAIT:\n"
               "mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n@!p bra WAIT;\n}\n" ::"r"(bar),
               "r"(parity)
               : "memory");
}

__device__ void load(uint32_t to, const CUtensorMap *map, int x, int y, uint32_t bar) {
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
               "[%0], [%1, {%2, %3}], [%4];" ::"r"(to),
               "l"(map), "r"(x), "r"(y), "r"(bar)
               : "memory");
}

__device__ uint64_t descriptor(uint32_t address) {
  return (uint64_t)(address >> 4) | (uint64_t)(1024 >> 4) << 32 | 1ull << 62;
}

#define F4(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define F16(i) F4(i), F4(i + 4), F4(i + 8), F4(i + 12)

__device__ void product(float (&d)[64], uint64_t a, uint64_t b) {
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 "
      "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, "
      "%20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, "
      "%38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, "
      "%56, %57, %58, %59, %60, %61, %62, %63}, %64, %65, 1, 1, 1, 0, 0;"
      : F16(0), F16(16), F16(32), F16(48)
      : "l"(a), "l"(b));
}

extern "C" __global__ void __launch_bounds__(160)
    gemm_sm90(const __grid_constant__ CUtensorMap a, const __grid_constant__ CUtensorMap b,
              const __grid_constant__ CUtensorMap out, int k) {
  extern __shared__ __align__(1024) uint8_t smem[];
  __shared__ __align__(8) uint64_t full[STAGES], empty[STAGES];
  const int m0 = blockIdx.y * BM, n0 = blockIdx.x * BN, steps = k / BK;
  uint32_t tiles = shared_address(smem);
  if (threadIdx.x == 0)
    for (int s = 0; s < STAGES; s++) {
      asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(shared_address(&full[s])));
      asm volatile("mbarrier.init.shared::cta.b64 [%0], 4;" ::"r"(shared_address(&empty[s])));
    }
  asm volatile("fence.mbarrier_init.release.cluster;");
  __syncthreads();
  if (threadIdx.x >= 128) {
    if (threadIdx.x == 128)
      for (int i = 0; i < steps; i++) {
        int s = i % STAGES;
        uint32_t bar = shared_address(&full[s]), at = tiles + s * (BM + BN) * BK * 2;
        wait(shared_address(&empty[s]), i / STAGES % 2 ^ 1);
        asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(bar),
                     "r"((BM + BN) * BK * 2)
                     : "memory");
        load(at, &a, i * BK, m0, bar);
        load(at + BM * BK * 2, &b, i * BK, n0, bar);
      }
    return;
  }
  float d[64];
  for (int i = 0; i < 64; i++)
    d[i] = 0;
  for (int i = 0; i < steps; i++) {
    int s = i % STAGES;
    uint32_t at = tiles + s * (BM + BN) * BK * 2;
    wait(shared_address(&full[s]), i / STAGES % 2);
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
    for (int j = 0; j < BK / 16; j++)
      product(d, descriptor(at + 32 * j), descriptor(at + BM * BK * 2 + 32 * j));
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
    asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
    if (threadIdx.x % 32 == 0)
      asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(&empty[s]))
                   : "memory");
  }
  // The tile of D, plain rows of BN, where the stages were.
  float *tile = (float *)smem;
  int row = threadIdx.x / 32 * 16 + threadIdx.x % 32 / 4, col = threadIdx.x % 4 * 2;
  asm volatile("bar.sync 1, 128;" ::: "memory");
  for (int i = 0; i < 64; i++)
    tile[(row + 8 * (i / 2 % 2)) * BN + 8 * (i / 4) + col + i % 2] = d[i];
  asm volatile("fence.proxy.async.shared::cta;\nbar.sync 1, 128;" ::: "memory");
  if (threadIdx.x == 0) {
    asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%0, {%1, %2}], [%3];" ::"l"(
                     &out),
                 "r"(n0), "r"(m0), "r"(tiles)
                 : "memory");
    asm volatile("cp.async.bulk.commit_group;\ncp.async.bulk.wait_group 0;" ::: "memory");
  }
}
