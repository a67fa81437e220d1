// The small contract through which the runtime reaches the compiler where a user asks to compile at
// run time: libtilec.so, loaded by dlopen, exports `tilec_api` of this shape. No LLVM, no compiler
// headers on the runtime's side.
#ifndef LANG_COMPILER_H
#define LANG_COMPILER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TILEC_ABI 2

typedef struct tilec_ref_arg {
  const char *name; // tensor or scalar parameter
  void *data;       // tensors: host memory of the first element
  size_t bytes;     // extent of that memory from `data`
  int32_t ndim;
  const int64_t *shape, *stride; // tensors: elements
  double scalar;    // scalars of float type
  int64_t integer;  // scalars of integer type
} tilec_ref_arg;

typedef enum tilec_ref_result {
  TILEC_REF_REFUSED, // the program or its arguments are wrong
  TILEC_REF_DONE,
  TILEC_REF_FAILED, // it ran, and stopped: a failed assert or assume, an access out of bounds
} tilec_ref_result;

typedef struct tilec_api {
  uint32_t abi; // TILEC_ABI
  const char *version;
  // Compiles source text to the bytes of a .tla. `flags` are tilec's own command-line options
  // ("--arch=sm_90a", "--set", "BM=64", "--kernel=NAME"). On failure returns false and the printed diagnostics in
  // *out_text; on success *out_text holds warnings. Both outputs are malloc'd.
  bool (*compile)(const char *path, const char *text, size_t len, const char *const *flags,
                  int nflags, void **out_bytes, size_t *out_len, char **out_text);
  // Runs one kernel on the reference evaluator over host memory. Same flags. *out_text: what the
  // program printed, then why it was refused or stopped.
  tilec_ref_result (*reference)(const char *path, const char *text, size_t len, const char *kernel,
                                const char *const *flags, int nflags, const tilec_ref_arg *args,
                                int nargs, char **out_text);
} tilec_api;

// The exported symbol: const tilec_api *tilec_get_api(void);
typedef const tilec_api *(*tilec_get_api_fn)(void);
#define TILEC_GET_API "tilec_get_api"
#endif
