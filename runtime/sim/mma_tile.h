// Building a hot loop several times, once per vector extension of the host.
#ifndef RUNTIME_SIM_MMA_TILE_H
#define RUNTIME_SIM_MMA_TILE_H
// The loader picks the clone when the program starts. Sanitized builds run the plain form: their
// runtime is not up yet when the loader asks.
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__) && __GNUC__ >= 12 &&          \
    !defined(__SANITIZE_ADDRESS__)
#define SIM_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define SIM_CLONES
#endif
// Helpers of a cloned function must become part of it.
#define SIM_INLINE static inline __attribute__((always_inline))
#endif
