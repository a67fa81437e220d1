// Integer expressions over named symbols, as text: what the artifact carries for dims, strides,
// requirements and launch grids ("ceildiv(M, 128) * ceildiv(N, 128)", "K % 128 == 0 && N > 0").
// C operators and precedence on int64 (+ - * / % == != < <= > >= && || ! ?: ( )), and the functions
// ceildiv(a,b) min(a,b) max(a,b). Division truncates; by zero is an error.
#ifndef LANG_BASE_EXPR_H
#define LANG_BASE_EXPR_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Returns false when the name is unknown.
typedef bool (*tl_expr_lookup)(void *user, const char *name, size_t len, int64_t *out_value);
// False with a reason in `error` (size bytes).
bool tl_expr_eval(const char *text, tl_expr_lookup lookup, void *user, int64_t *out_value,
                  char *error, size_t error_size);
#endif
