// Shared by the IR's unit tests: a function from text, its text back, and what a step makes of it.
#ifndef TESTS_UNIT_IR_TEXT_H
#define TESTS_UNIT_IR_TEXT_H
#include "ir/ir.h"
#include "lang/base/str.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

typedef struct ir_fixture {
  tl_arena arena;
  tl_sources sources;
  tl_buf buf;
} ir_fixture;

static inline void fixture_init(ir_fixture *f) {
  *f = (ir_fixture){0};
  f->sources.arena = &f->arena;
}

static inline void fixture_free(ir_fixture *f) {
  tl_buf_free(&f->buf);
  tl_arena_free(&f->arena);
}

static inline ir_module *read_module(ir_fixture *f, const char *text) {
  const char *error;
  ir_module *module = ir_parse(&f->arena, &f->sources, text, strlen(text), &error);
  if (!module)
    fail_msg("%s", error);
  return module;
}

// One function around `body`, with a few parameters every test may use.
static inline ir_func *read_body(ir_fixture *f, const char *body) {
  const char *text =
      tl_sprintf(&f->arena,
                 "func @t target \"sm_90a\" warps 4 (%%1: i32 dim \"N\" div 16, "
                 "%%2: f32 scalar \"a\", %%3: i32 scalar \"n\", "
                 "%%4: ptr<f32> ptr \"X\" align 16, %%5: i1 scalar \"p\") {\n%s\n}\n",
                 body);
  return read_module(f, text)->funcs.data[0];
}

static inline const char *module_text(ir_fixture *f, const ir_module *module) {
  tl_buf out = {0};
  ir_print(module, &out);
  const char *text = tl_strndup(&f->arena, out.data, out.len);
  tl_buf_free(&out);
  return text;
}

// The operations alone: the text between the header and the last brace.
static inline const char *body_text(ir_fixture *f, const ir_func *func) {
  tl_buf out = {0};
  ir_print_func(func, &out);
  char *body = strstr(out.data, ") {\n") + 4;
  body[strlen(body) - 2] = 0;
  const char *text = tl_strdup(&f->arena, body);
  tl_buf_free(&out);
  return text;
}
#endif
