// Loads, stores, atomics, and the device functions that read memory (vprintf, __assertfail).
#include "runtime/sim/async.h"
#include <inttypes.h>

void sim_addresses(const sim_warp *w, int32_t slot, int64_t offset, bool wide, uint32_t mask,
                   uint64_t out[32]) {
  const uint32_t *A = sim_src(w, slot);
  (void)mask; // computing all lanes is cheaper than asking
  if (wide) {
    for (int i = 0; i < 32; i++)
      out[i] = sim_get64(A, i) + (uint64_t)offset;
  } else {
    for (int i = 0; i < 32; i++)
      out[i] = (uint32_t)(A[i] + (uint32_t)offset);
  }
}

static void widen_planes(sim_warp *w, const sim_mem_info *info, uint32_t mask) {
  int plane = 0;
  int per = info->type_bits > 32 ? info->type_bits / 32 : 1;
  for (int k = 0; k < info->access.elems; k++, plane += per) {
    if (info->planes[plane] == SIM_SINK || info->widen[k] <= info->type_bits)
      continue;
    uint32_t *D = sim_dst(w, info->planes[plane]);
    if (info->type_bits < 32 && info->sign_extend) {
      int shift = 32 - info->type_bits;
      SIM_LANES_DO(mask, { D[i] = (uint32_t)((int32_t)(D[i] << shift) >> shift); })
    }
    if (info->widen[k] == 64) {
      SIM_LANES_DO(mask, { D[32 + i] = info->sign_extend ? (uint32_t)((int32_t)D[i] >> 31) : 0; })
    }
  }
}

// a: base slot; imm: offset; sub: 1 when the base has 64 bits; extra: sim_mem_info.
void sim_exec_ld(sim_warp *w, const sim_op *op, uint32_t mask) {
  const sim_mem_info *info = op->extra;
  uint64_t addr[32];
  uint32_t *planes[32];
  sim_addresses(w, op->a, op->imm, op->sub, mask, addr);
  for (uint32_t k = 0; k < info->nplanes; k++)
    planes[k] = info->planes[k] == SIM_SINK ? NULL : sim_dst(w, info->planes[k]);
  w->view.line = op->line;
  if (!sim_mem_load(&w->view, info->space, addr, mask, info->access, planes)) {
    sim_fail_memory(w, op);
    return;
  }
  if (info->widens)
    widen_planes(w, info, mask);
}

void sim_exec_st(sim_warp *w, const sim_op *op, uint32_t mask) {
  const sim_mem_info *info = op->extra;
  uint64_t addr[32];
  const uint32_t *planes[32];
  sim_addresses(w, op->a, op->imm, op->sub, mask, addr);
  for (uint32_t k = 0; k < info->nplanes; k++)
    planes[k] = sim_src(w, info->planes[k]);
  w->view.line = op->line;
  w->cta->effects++;
  if (!sim_mem_store(&w->view, info->space, addr, mask, info->access, planes))
    sim_fail_memory(w, op);
}

// --- atomics ------------------------------------------------------------------------------------
static uint64_t load_bytes(const uint8_t *from, int bytes) {
  uint64_t value = 0;
  memcpy(&value, from, (size_t)bytes);
  return value;
}

static float flush_if(float x, bool flush) {
  return flush && x > -0x1p-126f && x < 0x1p-126f ? (tl_bits_of_f32(x) >> 31 ? -0.0f : 0.0f) : x;
}

static uint32_t add_f32(uint32_t old, uint32_t value, bool flush) {
  float r = flush_if(tl_f32_of_bits(old), flush) + flush_if(tl_f32_of_bits(value), flush);
  return r != r ? 0x7FFFFFFF : tl_bits_of_f32(flush_if(r, flush));
}

static uint32_t half_op(sim_atom_op what, ptx_type type, uint32_t old, uint32_t value) {
  double a = sim_half_value(type, old), b = sim_half_value(type, value);
  if (what == SIM_ATOM_ADD) {
    double sum = sim_odd_fma(a, 1, b);
    return type == PTX_F16 ? sim_f16_round(sum, TL_RN) : sim_bf16_round(sum, TL_RN);
  }
  if (a != a)
    return b != b ? 0x7FFF : value;
  if (b != b)
    return old;
  bool old_less = a < b || (a == b && old & 0x8000);
  return (what == SIM_ATOM_MIN) == old_less ? old : value;
}

static uint64_t apply_int(sim_atom_op what, ptx_type type, uint64_t old, uint64_t value) {
  bool wide = ptx_type_bits(type) == 64;
  bool less;
  switch (type) {
  case PTX_S32:
    less = (int32_t)old < (int32_t)value;
    break;
  case PTX_S64:
    less = (int64_t)old < (int64_t)value;
    break;
  default:
    less = wide ? old < value : (uint32_t)old < (uint32_t)value;
    break;
  }
  switch (what) {
  case SIM_ATOM_ADD:
    return old + value;
  case SIM_ATOM_MIN:
    return less ? old : value;
  case SIM_ATOM_MAX:
    return less ? value : old;
  case SIM_ATOM_AND:
    return old & value;
  case SIM_ATOM_OR:
    return old | value;
  case SIM_ATOM_XOR:
    return old ^ value;
  case SIM_ATOM_INC:
    return (uint32_t)old >= (uint32_t)value ? 0 : old + 1;
  case SIM_ATOM_DEC:
    return (uint32_t)old == 0 || (uint32_t)old > (uint32_t)value ? value : old - 1;
  default:
    return value; // exch
  }
}

uint64_t sim_atom_apply(sim_atom_op what, ptx_type type, uint64_t old, uint64_t value,
                        sim_atom_unit unit) {
  switch (type) {
  case PTX_F32:
    return add_f32((uint32_t)old, (uint32_t)value, unit == SIM_UNIT_GLOBAL);
  case PTX_F64: {
    double a = tl_f64_of_bits(old), b = tl_f64_of_bits(value), r = a + b;
    if (a != a || b != b) {
      uint64_t nan = unit == SIM_UNIT_SHARED ? (a != a ? old : value) : b != b ? value : old;
      return unit == SIM_UNIT_SHARED ? nan | UINT64_C(0x0008000000000000) : nan;
    }
    return r != r ? UINT64_C(0xFFF8000000000000) : tl_bits_of_f64(r);
  }
  case PTX_F16:
  case PTX_BF16:
    return half_op(what, type, (uint32_t)old & 0xFFFF, (uint32_t)value & 0xFFFF);
  case PTX_F16X2:
  case PTX_BF16X2: {
    ptx_type one = type == PTX_F16X2 ? PTX_F16 : PTX_BF16;
    uint32_t lo = half_op(what, one, (uint32_t)old & 0xFFFF, (uint32_t)value & 0xFFFF);
    return lo | half_op(what, one, (uint32_t)old >> 16 & 0xFFFF, (uint32_t)value >> 16 & 0xFFFF)
                    << 16;
  }
  default:
    return apply_int(what, type, old, value);
  }
}

static void put_lane(sim_warp *w, int32_t slot, int lane, uint64_t value, int bytes) {
  if (slot == SIM_SINK)
    return;
  uint32_t *D = sim_dst(w, slot);
  D[lane] = (uint32_t)value;
  if (bytes == 8)
    D[32 + lane] = (uint32_t)(value >> 32);
}

static void atom_128(sim_warp *w, const sim_atom_info *info, uint32_t mask,
                     uint8_t *const host[32]) {
  for (uint32_t left = mask; left; left &= left - 1) {
    int i = __builtin_ctz(left);
    uint32_t old[4], value[4], expect[4] = {0};
    memcpy(old, host[i], 16);
    for (int k = 0; k < 4; k++) {
      value[k] = sim_src(w, info->value[0])[32 * k + i];
      if (info->what == SIM_ATOM_CAS)
        expect[k] = sim_src(w, info->compare)[32 * k + i];
    }
    if (info->what == SIM_ATOM_EXCH || memcmp(old, expect, 16) == 0)
      memcpy(host[i], value, 16);
    for (int k = 0; k < 4 && info->dest[0] != SIM_SINK; k++)
      sim_dst(w, info->dest[0])[32 * k + i] = old[k];
  }
}

// a: base slot; imm: offset; sub: 64-bit base; extra: sim_atom_info. Lanes go in order.
void sim_exec_atom(sim_warp *w, const sim_op *op, uint32_t mask) {
  const sim_atom_info *info = op->extra;
  uint64_t addr[32];
  uint8_t *host[32];
  uint32_t in_shared = 0;
  sim_addresses(w, op->a, op->imm, op->sub, mask, addr);
  w->view.line = op->line;
  if (!sim_mem_atomic(&w->view, info->space, addr, mask, info->access, host, &in_shared)) {
    sim_fail_memory(w, op);
    return;
  }
  int bytes = info->access.elem_bytes;
  if (bytes == 16) {
    atom_128(w, info, mask, host);
    return;
  }
  for (uint32_t left = mask; left; left &= left - 1) {
    int i = __builtin_ctz(left);
    if (!host[i])
      continue; // outside, with bounds checks off
    for (int e = 0; e < info->vec; e++) {
      uint8_t *cell = host[i] + e * bytes;
      const uint32_t *V = sim_src(w, info->value[e]);
      uint64_t value = bytes == 8 ? sim_get64(V, i) : V[i], old = load_bytes(cell, bytes), fresh;
      if (info->what == SIM_ATOM_CAS) {
        const uint32_t *C = sim_src(w, info->compare);
        uint64_t expect = bytes == 8 ? sim_get64(C, i) : bytes == 2 ? C[i] & 0xFFFF : C[i];
        fresh = old == expect ? value : old;
      } else {
        fresh = sim_atom_apply((sim_atom_op)info->what, info->type, old, value,
                               in_shared >> i & 1 ? SIM_UNIT_SHARED : SIM_UNIT_GLOBAL);
      }
      memcpy(cell, &fresh, (size_t)bytes);
      put_lane(w, info->dest[e], i, old, bytes);
    }
  }
}

// --- printf and assert
// -------------------------------------------------------------------------------- One lane's byte
// from a generic address; false: fault reported.
static bool read_generic(sim_warp *w, int lane, uint64_t address, void *out, int bytes) {
  uint64_t addr[32] = {0};
  uint32_t lo[32], hi[32];
  uint32_t *planes[2] = {lo, hi};
  addr[lane] = address;
  sim_access access = {.elem_bytes = (uint8_t)bytes, .elems = 1};
  if (!sim_mem_load(&w->view, SIM_SPACE_GENERIC, addr, 1u << lane, access, planes))
    return false;
  uint64_t value = lo[lane] | (bytes == 8 ? (uint64_t)hi[lane] << 32 : 0);
  memcpy(out, &value, (size_t)bytes);
  return true;
}

static bool read_string(sim_warp *w, int lane, uint64_t address, tl_buf *out) {
  for (int n = 0; n < 65536; n++) {
    char c;
    if (!read_generic(w, lane, address + (uint64_t)n, &c, 1))
      return false;
    if (!c)
      return true;
    tl_buf_putc(out, c);
  }
  return true;
}

typedef struct arg_reader {
  sim_warp *warp;
  int lane;
  uint64_t at;
} arg_reader;

static bool next_arg(arg_reader *args, void *out, int bytes) {
  args->at = (args->at + (uint64_t)bytes - 1) & ~(uint64_t)(bytes - 1);
  bool ok = read_generic(args->warp, args->lane, args->at, out, bytes);
  args->at += (uint64_t)bytes;
  return ok;
}

// One conversion, from '%' to its letter; returns the characters consumed, 0 on a fault.
static size_t format_one(arg_reader *args, const char *spec, tl_buf *out) {
  char copy[32] = "%";
  size_t n = 1, longs = 0;
  int stars[2], nstars = 0;
  for (; spec[n] && strchr("-+ #0123456789.*hlLjzt", spec[n]) && n < sizeof copy - 4; n++) {
    if (spec[n] == 'l' || spec[n] == 'L' || spec[n] == 'j' || spec[n] == 'z' || spec[n] == 't')
      longs += 1 + (spec[n] != 'l');
    if (spec[n] == '*') {
      int32_t star = 0;
      if (nstars == 2 || !next_arg(args, &star, 4))
        return 0;
      stars[nstars++] = star;
    }
    if (!strchr("hlLjzt", spec[n]))
      strncat(copy, &spec[n], 1);
  }
  char letter = spec[n];
  if (!letter)
    return n;
  tl_buf text = {0};
  bool ok = true;
#define PRINT(fmt_suffix, value)                                                                   \
  do {                                                                                             \
    strcat(copy, fmt_suffix);                                                                      \
    if (nstars == 2)                                                                               \
      tl_buf_printf(out, copy, stars[0], stars[1], value);                                         \
    else if (nstars == 1)                                                                          \
      tl_buf_printf(out, copy, stars[0], value);                                                   \
    else                                                                                           \
      tl_buf_printf(out, copy, value);                                                             \
  } while (0)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
  if (letter == '%') {
    tl_buf_putc(out, '%');
  } else if (strchr("diouxXc", letter)) {
    uint64_t value = 0;
    ok = next_arg(args, &value, longs ? 8 : 4);
    char suffix[8] = {'l', 'l', letter, 0};
    if (letter == 'c')
      PRINT("c", (int)value);
    else if (letter == 'd' || letter == 'i')
      PRINT(suffix, (long long)(longs ? (int64_t)value : (int32_t)value));
    else
      PRINT(suffix, (unsigned long long)value);
  } else if (strchr("eEfFgGaA", letter)) {
    double value = 0;
    ok = next_arg(args, &value, 8);
    char suffix[2] = {letter, 0};
    PRINT(suffix, value);
  } else if (letter == 's' || letter == 'p') {
    uint64_t value = 0;
    ok = next_arg(args, &value, 8);
    if (letter == 's') {
      ok = ok && read_string(args->warp, args->lane, value, &text);
      PRINT("s", text.data ? text.data : "");
    } else {
      PRINT("p", (void *)(uintptr_t)value);
    }
  } else {
    tl_buf_write(out, spec, n + 1); // unknown conversion: printed as it is
  }
#pragma GCC diagnostic pop
#undef PRINT
  tl_buf_free(&text);
  return ok ? n + 1 : 0;
}

// a: slot of the format's address, b: slot of the argument block's address (both generic); d:
// result register or SIM_SINK.
void sim_exec_print(sim_warp *w, const sim_op *op, uint32_t mask) {
  FILE *to = w->cta->launch->machine->options.print_to;
  bool uninit = w->view.check_uninit;
  w->view.line = op->line;
  w->view.check_uninit = false; // padding between arguments
  for (uint32_t left = mask; left; left &= left - 1) {
    int i = __builtin_ctz(left);
    tl_buf format = {0}, out = {0};
    arg_reader args = {w, i, sim_get64(sim_src(w, op->b), i)};
    bool ok = read_string(w, i, sim_get64(sim_src(w, op->a), i), &format);
    for (const char *p = format.data ? format.data : ""; ok && *p;) {
      size_t used = 1;
      if (*p == '%')
        ok = (used = format_one(&args, p, &out)) != 0;
      else
        tl_buf_putc(&out, *p);
      p += used;
    }
    if (ok && out.len)
      fwrite(out.data, 1, out.len, to ? to : stdout);
    tl_buf_free(&format);
    tl_buf_free(&out);
    if (!ok) {
      sim_fail_memory(w, op);
      break;
    }
    if (op->d != SIM_SINK)
      sim_dst(w, op->d)[i] = 1;
  }
  w->view.check_uninit = uninit;
}

// __assertfail(message, file, line, function, char size): extra lists the slots of the arguments.
void sim_exec_assert(sim_warp *w, const sim_op *op, uint32_t mask) {
  const sim_slot_list *list = op->extra;
  int lane = __builtin_ctz(mask);
  tl_buf message = {0}, file = {0}, function = {0};
  uint32_t line = list->count > 2 ? sim_src(w, list->slots[2])[lane] : 0;
  w->view.line = op->line;
  if (list->count < 4 ||
      !read_string(w, lane, sim_get64(sim_src(w, list->slots[0]), lane), &message) ||
      !read_string(w, lane, sim_get64(sim_src(w, list->slots[1]), lane), &file) ||
      !read_string(w, lane, sim_get64(sim_src(w, list->slots[3]), lane), &function)) {
    sim_fail(w, op, mask, SIM_TRAP, "device assertion failed (its message is unreadable)");
  } else {
    sim_fail(w, op, mask, SIM_TRAP, "%s:%u: %s: assertion `%s' failed", file.data ? file.data : "?",
             line, function.data ? function.data : "?", message.data ? message.data : "?");
  }
  tl_buf_free(&message);
  tl_buf_free(&file);
  tl_buf_free(&function);
}
