// We never emit what the simulator cannot run: every row of codegen/ll/asm.def, with registers of
// the kinds its constraints name, must parse and match a row of runtime/ptx/ptx_ops.def.
#include "runtime/ptx/ptx.h"
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct asm_row {
  const char *id, *text, *constraints;
} asm_row;
static const asm_row rows[] = {
#define ASM(id, text, constraints, flags) {#id, text, constraints},
#include "codegen/ll/asm.def"
#undef ASM
};
enum { ROWS = sizeof rows / sizeof *rows, MAX_OPERANDS = 32 };

static const char *register_for(char letter) {
  switch (letter) {
  case 'b':
    return "%p";
  case 'h':
    return "%rs";
  case 'r':
    return "%r";
  case 'l':
    return "%rd";
  case 'f':
    return "%f";
  default:
    return NULL;
  }
}

// Operand k as text: its own register, the one it is tied to, or an immediate.
static int read_operands(const asm_row *row, char out[][16]) {
  char copy[256], *save = NULL;
  int count = 0;
  snprintf(copy, sizeof copy, "%s", row->constraints);
  for (char *word = strtok_r(copy, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
    if (word[0] == '~')
      continue;
    const char *letter = word + strspn(word, "=&");
    assert_true(count < MAX_OPERANDS);
    if (isdigit((unsigned char)*letter)) {
      memcpy(out[count], out[atoi(letter)], sizeof out[count]);
    } else if (*letter == 'n') {
      snprintf(out[count], sizeof out[count], "16");
    } else {
      const char *kind = register_for(*letter);
      if (!kind)
        fail_msg("%s: constraint '%s' is of no known kind", row->id, word);
      snprintf(out[count], sizeof out[count], "%s%d", kind, count);
    }
    count++;
  }
  return count;
}

static void substitute(const asm_row *row, tl_buf *out) {
  char operands[MAX_OPERANDS][16];
  int count = read_operands(row, operands);
  for (const char *at = row->text; *at; at++) {
    if (*at != '$') {
      tl_buf_putc(out, *at);
      continue;
    }
    char *end;
    long index = strtol(at + 1, &end, 10);
    if (end == at + 1 || index >= count)
      fail_msg("%s: the text names operand '%s', the constraints have %d", row->id, at, count);
    tl_buf_puts(out, operands[index]);
    at = end - 1;
  }
}

static void match_row(const asm_row *row) {
  tl_arena arena = {0};
  tl_buf text = {0}, why = {0};
  tl_buf_puts(&text, ".version 9.0\n.target sm_90a\n.address_size 64\n.visible .entry k() {\n"
                     ".reg .pred %p<32>;\n.reg .b16 %rs<32>;\n.reg .b32 %r<32>;\n"
                     ".reg .b64 %rd<32>;\n.reg .f32 %f<32>;\n");
  substitute(row, &text);
  tl_buf_puts(&text, "\nret;\n}\n");
  const char *error = NULL;
  ptx_module *module = ptx_parse(&arena, row->id, text.data, text.len, &error);
  if (!module)
    fail_msg("%s does not parse: %s\n%s", row->id, error, text.data);
  int matched = 0;
  const ptx_stmts *body = &module->funcs.data[0]->body;
  for (uint32_t i = 0; i < body->len; i++) {
    ptx_match_result result;
    if (body->data[i].kind != PTX_STMT_INSTR)
      continue;
    if (!ptx_match(&arena, body->data[i].instr, &result, &why))
      fail_msg("%s: %s", row->id, why.data);
    matched++;
  }
  assert_true(matched >= 2); // the row's, and ret
  tl_buf_free(&text);
  tl_buf_free(&why);
  tl_arena_free(&arena);
}

static void every_row_has_a_form(void **state) {
  (void)state;
  assert_true(ROWS > 10);
  for (int i = 0; i < ROWS; i++)
    match_row(&rows[i]);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_row_has_a_form)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
