// Scalar instructions against an H200: every line of tests/vectors/scalar_h200.txt is one form with
// the hash of the 256 results that the hardware gave. Inputs come from a generator, so no data is
// stored; a difference names the form.
//
//   test_sim_forms                 checks all lines with a hash (class 1: bit-exact)
//   test_sim_forms --emit DIR      writes DIR/forms.ptx and DIR/in.bin for a run on hardware
//   test_sim_forms --record OUT    puts the hashes of the results in OUT into the file
//   test_sim_forms --dump OUT      writes the simulator's results, to be compared with a recording
#include "lang/base/str.h"
#include "runtime/sim/sim_api.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

enum { CASES = 256, MAX_FORMS = 2000 };
#define VECTORS TESTS_DIR "/vectors/scalar_h200.txt"

typedef struct form {
  char hash[20], text[400], dest[10], src[3][10];
  int nsrc, class;
} form;
static form forms[MAX_FORMS];
static int nforms;
static char *header;

// Cuts the text behind the last " | " off and returns it; the instruction may hold bars itself.
static char *last_column(char *line) {
  char *found = NULL;
  for (char *p = line; (p = strstr(p, " | ")); p++)
    found = p;
  if (!found)
    return NULL;
  *found = 0;
  return found + 3;
}

static bool read_line(form *f, char *line) {
  char *class = last_column(line), *sources = last_column(line), *dest = last_column(line),
       *text = strchr(line, ' '), *save = NULL;
  if (!class || !sources || !dest || !text)
    return false;
  *text++ = 0;
  f->class = atoi(class);
  snprintf(f->hash, sizeof f->hash, "%s", line);
  snprintf(f->text, sizeof f->text, "%s", text);
  snprintf(f->dest, sizeof f->dest, "%s", dest);
  for (char *s = strtok_r(sources, ",", &save); s && f->nsrc < 3; s = strtok_r(NULL, ",", &save))
    snprintf(f->src[f->nsrc++], sizeof f->src[0], "%s", s);
  return true;
}

static bool read_forms(void) {
  size_t len;
  char *text = tl_read_file(VECTORS, &len), *save = NULL;
  tl_buf head = {0};
  if (!text)
    return false;
  for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
    if (line[0] == '#')
      tl_buf_printf(&head, "%s\n", line);
    else if (nforms == MAX_FORMS || !read_line(&forms[nforms++], line))
      return false;
  }
  free(text);
  header = head.data;
  return true;
}

// --- inputs -------------------------------------------------------------------------------------
static uint64_t state;
static uint64_t next(void) {
  uint64_t z = state += UINT64_C(0x9E3779B97F4A7C15);
  z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
  z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
  return z ^ z >> 31;
}
static uint64_t below(uint64_t n) { return next() % n; }
static uint64_t ones(int n) { return n >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << n) - 1; }

static uint64_t int_value(int n) {
  uint64_t edges[] = {0, 1, 2, ones(n), UINT64_C(1) << (n - 1), ones(n - 1), ones(n) - 1, 3, 5};
  uint64_t kind = below(10), v = next() & ones(n);
  if (kind == 0)
    return edges[below(9)];
  if (kind < 4)
    v &= ones(1 + (int)below((uint64_t)n));
  if (kind == 4)
    v = (0 - (v & ones(1 + (int)below((uint64_t)n)))) & ones(n);
  return v;
}

static uint64_t clamp_exponent(int64_t e, int64_t max) {
  return (uint64_t)(e < 0 ? 0 : e > max ? max : e);
}

static uint64_t float_value(int ebits, int mbits) { // edges, subnormals, any exponent, close to 1
  uint64_t sign = (next() & 1) << (ebits + mbits), all = ones(ebits),
           fraction = next() & ones(mbits);
  int64_t bias = (int64_t)ones(ebits - 1);
  uint64_t edges[] = {0,
                      1,
                      ones(mbits),
                      UINT64_C(1) << mbits,
                      (all << mbits) - 1,
                      all << mbits,
                      all << mbits | UINT64_C(1) << (mbits - 1),
                      all << mbits | 1,
                      (uint64_t)bias << mbits,
                      ((uint64_t)bias << mbits) + 1,
                      ((uint64_t)bias << mbits) - 1,
                      (uint64_t)(bias - 1) << mbits,
                      (uint64_t)(bias + 1) << mbits};
  uint64_t kind = below(12);
  if (kind == 0)
    return sign | edges[below(13)];
  if (kind == 1)
    return sign | fraction;
  if (kind < 4)
    return sign | below(all) << mbits | fraction;
  int64_t spread = kind < 6 ? 3 : kind < 8 ? mbits + 2 : 12;
  int64_t e = bias - spread + (int64_t)below(2 * (uint64_t)spread + 1);
  if (kind < 8 && kind > 5)
    fraction &= ~ones((int)below((uint64_t)mbits));
  return sign | clamp_exponent(e, (int64_t)all - 1) << mbits | fraction;
}

static uint64_t pair_of(int ebits, int mbits) {
  uint64_t low = float_value(ebits, mbits);
  return low | float_value(ebits, mbits) << 16;
}

static int bits_of(const char *type) {
  if (strncmp(type, "f16x2", 5) == 0 || strncmp(type, "bf16x2", 6) == 0)
    return 32;
  if (strcmp(type, "small64") == 0 || strstr(type, "64"))
    return 64;
  if (strstr(type, "16"))
    return 16;
  return type[1] == '8' ? 8 : 32;
}

static uint64_t value_of(const char *type) {
  static const uint64_t small[] = {7, 7, 7, 9, 5};
  if (strcmp(type, "f16") == 0)
    return float_value(5, 10);
  if (strcmp(type, "bf16") == 0)
    return float_value(8, 7);
  if (strcmp(type, "f32") == 0)
    return float_value(8, 23);
  if (strcmp(type, "f64") == 0)
    return float_value(11, 52);
  if (strcmp(type, "f16x2") == 0)
    return pair_of(5, 10);
  if (strcmp(type, "bf16x2") == 0)
    return pair_of(8, 7);
  if (strcmp(type, "sh") == 0)
    return below(3) == 0 ? int_value(32) : below(70);
  if (strcmp(type, "prmt") == 0)
    return below(2) ? next() & ones(32) : next() & 0xFFFF;
  if (strcmp(type, "lane") == 0)
    return below(32);
  if (strcmp(type, "fnsoff") == 0)
    return (below(19) - 9) & ones(32);
  if (strcmp(type, "small") == 0)
    return small[below(5)];
  if (strcmp(type, "small64") == 0) { // draws in a fixed order: C does not fix it in an expression
    uint64_t value = small[below(5)];
    return value << (below(5) == 0 ? 32 : 0);
  }
  if (strcmp(type, "pred") == 0)
    return next() & 1;
  int bits = bits_of(type);
  uint64_t v = int_value(bits);
  bool nonzero = strlen(type) > 2 && strcmp(type + strlen(type) - 2, "nz") == 0;
  return nonzero && !v ? 1 : v;
}

static void make_inputs(int k, uint64_t *in) { // [3][CASES]
  state = UINT64_C(20261120) * 1000003 + (uint64_t)k;
  for (int j = 0; j < 3; j++)
    for (int i = 0; i < CASES; i++)
      in[j * CASES + i] = j < forms[k].nsrc ? value_of(forms[k].src[j]) : 0;
}

// --- PTX ----------------------------------------------------------------------------------------
static int reg_bits(const char *type) { return bits_of(type) == 8 ? 16 : bits_of(type); }

static void write_template(const form *f, tl_buf *out) {
  int width = reg_bits(f->src[0]);
  for (const char *p = f->text; *p; p++) {
    if (*p != '$')
      tl_buf_putc(out, *p);
    else if (*++p == 'd')
      tl_buf_printf(out, "d%d", reg_bits(f->dest));
    else if (*p == 'e' || *p == 'f')
      tl_buf_printf(out, "r%d%c", width, *p);
    else
      tl_buf_printf(out, "r%d%c", reg_bits(f->src[*p - 'a']), *p);
  }
  tl_buf_puts(out, ";\n");
}

static void write_plain(const form *f, tl_buf *out, bool pair) {
  const char *suffix = strchr(f->text, ';');
  char op[80];
  snprintf(op, sizeof op, "%.*s", (int)(suffix ? suffix - f->text : (ptrdiff_t)strlen(f->text)),
           f->text);
  if (pair)
    *strstr(op, "|p") = 0;
  if (strcmp(f->dest, "pred") == 0)
    tl_buf_printf(out, "%s q", op);
  else
    tl_buf_printf(out, "%s d%d%s", op, reg_bits(f->dest), pair ? "|q" : "");
  for (int j = 0; j < f->nsrc; j++) {
    if (strcmp(f->src[j], "pred") == 0)
      tl_buf_puts(out, ", p");
    else
      tl_buf_printf(out, ", r%d%c", reg_bits(f->src[j]), 'a' + j);
  }
  tl_buf_printf(out, "%s;\n", suffix ? suffix + 1 : "");
}

static void write_entry(int k, tl_buf *out) {
  const form *f = &forms[k];
  bool template = strchr(f->text, '$'), pair = !template && strstr(f->text, "|p");
  tl_buf_printf(out, ".visible .entry f%d(.param .u64 pin, .param .u64 pout)\n{\n", k);
  tl_buf_puts(
      out,
      ".reg .b64 in,o,x,t64,r64a,r64b,r64c,r64e,r64f,d64;\n.reg .b32 "
      "t,y,sm,r32a,r32b,r32c,r32e,r32f,r32x,d32;\n"
      ".reg .b16 r16a,r16b,r16c,d16,h0,h1;\n.reg .pred p,q,pa;\n.shared .align 16 .b8 area[4096];\n"
      "ld.param.u64 in,[pin];\nld.param.u64 o,[pout];\nmov.u32 t,%tid.x;\nand.b32 "
      "r32x,t,63;\nshl.b32 y,t,4;\nmov.u32 sm,area;\n"
      "add.u32 sm,sm,y;\ncvt.u64.u32 t64,t;\nshl.b64 t64,t64,3;\nadd.u64 in,in,t64;\nadd.u64 "
      "o,o,t64;\n");
  for (int j = 0; j < f->nsrc; j++) {
    int bits = reg_bits(f->src[j]);
    tl_buf_printf(out, "ld.global.b64 x,[in+%d];\n", j * CASES * 8);
    if (bits == 64)
      tl_buf_printf(out, "mov.b64 r64%c,x;\n", 'a' + j);
    else
      tl_buf_printf(out, "cvt.u%d.u64 r%d%c,x;\n", bits, bits, 'a' + j);
    if (strcmp(f->src[j], "pred") == 0)
      tl_buf_printf(out, "setp.ne.u32 p,r32%c,0;\n", 'a' + j);
  }
  if (pair)
    tl_buf_puts(out, "setp.ne.u32 q,0,0;\n");
  if (template)
    write_template(f, out);
  else
    write_plain(f, out, pair);
  if (strcmp(f->dest, "pred") == 0)
    tl_buf_puts(out, "selp.u64 x,1,0,q;\n");
  else if (reg_bits(f->dest) == 64)
    tl_buf_puts(out, "mov.b64 x,d64;\n");
  else
    tl_buf_printf(out, "cvt.u64.u%d x,d%d;\n", reg_bits(f->dest), reg_bits(f->dest));
  if (pair)
    tl_buf_puts(out, "selp.u64 t64,0x100000000,0,q;\nor.b64 x,x,t64;\n");
  tl_buf_puts(out, "st.global.b64 [o],x;\nret;\n}\n");
}

static void write_module(tl_buf *out, int from, int to) {
  tl_buf_puts(out, ".version 9.0\n.target sm_90a\n.address_size 64\n");
  for (int k = from; k < to; k++)
    write_entry(k, out);
}

// --- running and comparing ----------------------------------------------------------------------
static uint64_t hash_of(const uint64_t *results) { // FNV-1a over the bytes
  uint64_t h = UINT64_C(0xCBF29CE484222325);
  for (int i = 0; i < CASES; i++)
    for (int b = 0; b < 8; b++)
      h = (h ^ (results[i] >> (8 * b) & 0xFF)) * UINT64_C(0x100000001B3);
  return h;
}

static bool simulate(int k, uint64_t *results) {
  tl_buf text = {0};
  uint64_t in[3 * CASES];
  sim_verdict verdict;
  sim_machine *machine = sim_create("sm_90a", NULL);
  write_module(&text, k, k + 1);
  make_inputs(k, in);
  sim_module *module = sim_load_ptx(machine, "forms.ptx", text.data, text.len, &verdict);
  uint64_t address_in = sim_alloc(machine, sizeof in, "in"),
           address_out = sim_alloc(machine, CASES * 8, "out");
  uint64_t params[2] = {address_in, address_out};
  char entry[16];
  snprintf(entry, sizeof entry, "f%d", k);
  sim_launch_desc desc = {.entry = entry,
                          .grid = {1, 1, 1},
                          .block = {CASES, 1, 1},
                          .cluster = {1, 1, 1},
                          .params = params,
                          .params_bytes = 16};
  sim_write(machine, address_in, in, sizeof in);
  if (module)
    verdict = sim_launch(module, &desc);
  if (verdict != SIM_OK)
    print_error("%s: %s\n", forms[k].text, sim_error(machine));
  sim_read(machine, address_out, results, CASES * 8);
  sim_unload(module);
  sim_destroy(machine);
  tl_buf_free(&text);
  return verdict == SIM_OK;
}

static void test_bits_equal_hardware(void **unused) {
  (void)unused;
  int wrong = 0, checked = 0;
  uint64_t results[CASES];
  for (int k = 0; k < nforms; k++) {
    char hash[20];
    if (!simulate(k, results)) {
      wrong++;
      continue;
    }
    if (forms[k].class != 1)
      continue;
    checked++;
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)hash_of(results));
    if (strcmp(hash, forms[k].hash) == 0)
      continue;
    print_error("differs from the hardware: %s (%s)\n", forms[k].text, forms[k].src[0]);
    wrong++;
  }
  assert_int_equal(wrong, 0);
  assert_true(checked > 1000);
}

static int emit(const char *dir) {
  tl_buf text = {0}, data = {0}, path = {0};
  uint64_t in[3 * CASES];
  write_module(&text, 0, nforms);
  for (int k = 0; k < nforms; k++)
    make_inputs(k, in), tl_buf_write(&data, in, sizeof in);
  tl_buf_printf(&path, "%s/forms.ptx", dir);
  bool ok = tl_write_file(path.data, text.data, text.len);
  path.len = 0;
  tl_buf_printf(&path, "%s/in.bin", dir);
  ok = ok && tl_write_file(path.data, data.data, data.len);
  printf("%d\n", nforms);
  return ok ? 0 : 1;
}

static int record(const char *results_path) {
  size_t len;
  char *bytes = tl_read_file(results_path, &len);
  tl_buf out = {0};
  if (!bytes || len != (size_t)nforms * CASES * 8)
    return fprintf(stderr, "bad results file\n"), 1;
  tl_buf_puts(&out, header ? header : "");
  for (int k = 0; k < nforms; k++) {
    const form *f = &forms[k];
    uint64_t results[CASES];
    memcpy(results, bytes + (size_t)k * CASES * 8, sizeof results);
    tl_buf_printf(&out, "%016llx %s | %s | %s%s%s%s%s | %d\n", (unsigned long long)hash_of(results),
                  f->text, f->dest, f->src[0], f->nsrc > 1 ? "," : "", f->src[1],
                  f->nsrc > 2 ? "," : "", f->src[2], f->class);
  }
  return tl_write_file(VECTORS, out.data, out.len) ? 0 : 1;
}

static int dump(const char *path) {
  tl_buf out = {0};
  for (int k = 0; k < nforms; k++) {
    uint64_t results[CASES] = {0};
    simulate(k, results);
    tl_buf_write(&out, results, sizeof results);
  }
  return tl_write_file(path, out.data, out.len) ? 0 : 1;
}

int main(int argc, char **argv) {
  if (!read_forms())
    return fprintf(stderr, "cannot read %s\n", VECTORS), 1;
  if (argc == 3 && strcmp(argv[1], "--emit") == 0)
    return emit(argv[2]);
  if (argc == 3 && strcmp(argv[1], "--record") == 0)
    return record(argv[2]);
  if (argc == 3 && strcmp(argv[1], "--dump") == 0)
    return dump(argv[2]);
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_bits_equal_hardware)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
