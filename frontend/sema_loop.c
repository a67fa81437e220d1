// Loops. Every variable that the body may assign is carried; a range loop with break or return
// inside becomes a while loop whose condition tests hidden flags, so that the IR has no jumps.
#include "frontend/check.h"

// --- what a body assigns ------------------------------------------------------------------------

static void note_root(fe_ctx *ctx, const ast_expr *place, fe_numbers *out) {
  while (place->kind == AST_MEMBER || place->kind == AST_INDEX)
    place = place->kind == AST_MEMBER ? place->member.base : place->index.base;
  int number = place->kind == AST_IDENT ? fe_find(ctx, place->ident) : -1;
  if (number < 0 || fe_sym_at(ctx, number)->kind != FS_VAR)
    return;
  for (uint32_t i = 0; i < out->len; i++)
    if (out->data[i] == number)
      return;
  tl_push(ctx->arena, out, number);
}

static void in_expr(fe_ctx *ctx, const ast_expr *expr, fe_numbers *out);

static void in_call(fe_ctx *ctx, const ast_expr *expr, fe_numbers *out) {
  const ast_expr *callee = expr->call.callee;
  if (callee->kind == AST_INDEX)
    callee = callee->index.base;
  const fe_item *item =
      callee->kind == AST_IDENT ? fe_find_item(ctx->program, callee->ident) : NULL;
  bool is_fn = item && item->ast->kind == AST_ITEM_FN;
  for (uint32_t i = 0; i < expr->call.args.len; i++) {
    const ast_arg *arg = &expr->call.args.data[i];
    in_expr(ctx, arg->value, out);
    if (!is_fn)
      continue;
    const ast_params *params = &item->ast->fn.params;
    for (uint32_t p = 0; p < params->len; p++)
      if (params->data[p].dir == AST_DIR_INOUT &&
          (arg->name.text ? strcmp(arg->name.text, params->data[p].name.text) == 0 : p == i))
        note_root(ctx, arg->value, out);
  }
}

static void in_expr(fe_ctx *ctx, const ast_expr *expr, fe_numbers *out) {
  switch (expr->kind) {
  case AST_UNARY:
    in_expr(ctx, expr->unary.operand, out);
    return;
  case AST_BINARY:
    in_expr(ctx, expr->binary.left, out);
    in_expr(ctx, expr->binary.right, out);
    return;
  case AST_TERNARY:
    in_expr(ctx, expr->ternary.cond, out);
    in_expr(ctx, expr->ternary.then, out);
    in_expr(ctx, expr->ternary.other, out);
    return;
  case AST_CALL:
    in_call(ctx, expr, out);
    return;
  case AST_INDEX:
    in_expr(ctx, expr->index.base, out);
    for (uint32_t i = 0; i < expr->index.nsubs; i++)
      if (expr->index.subs[i].value)
        in_expr(ctx, expr->index.subs[i].value, out);
    return;
  case AST_MEMBER:
    in_expr(ctx, expr->member.base, out);
    return;
  case AST_TUPLE:
    for (uint32_t i = 0; i < expr->tuple.len; i++)
      in_expr(ctx, expr->tuple.data[i], out);
    return;
  default:
    return;
  }
}

static void in_stmt(fe_ctx *ctx, const ast_stmt *stmt, fe_numbers *out) {
  switch (stmt->kind) {
  case AST_LET:
  case AST_VAR:
    in_expr(ctx, stmt->let.value, out);
    return;
  case AST_DECL:
    if (stmt->decl.value)
      in_expr(ctx, stmt->decl.value, out);
    return;
  case AST_ASSIGN:
    note_root(ctx, stmt->assign.place, out);
    in_expr(ctx, stmt->assign.value, out);
    return;
  case AST_EXPR:
    in_expr(ctx, stmt->expr, out);
    return;
  case AST_FOR:
    in_expr(ctx, stmt->loop.lo, out);
    in_expr(ctx, stmt->loop.hi, out);
    fe_assigned(ctx, stmt->loop.body, out);
    return;
  case AST_FOREACH:
    fe_assigned(ctx, stmt->foreach.body, out);
    return;
  case AST_PUT:
  case AST_GET:
    fe_assigned(ctx, stmt->access.body, out);
    return;
  case AST_WHILE:
    in_expr(ctx, stmt->loop_while.cond, out);
    fe_assigned(ctx, stmt->loop_while.body, out);
    return;
  case AST_IF:
    in_expr(ctx, stmt->branch.cond, out);
    fe_assigned(ctx, stmt->branch.then, out);
    if (stmt->branch.other)
      in_stmt(ctx, stmt->branch.other, out);
    return;
  case AST_RETURN:
    if (stmt->result)
      in_expr(ctx, stmt->result, out);
    return;
  case AST_BLOCK:
    fe_assigned(ctx, stmt->block, out);
    return;
  default:
    return;
  }
}

void fe_assigned(fe_ctx *ctx, const ast_block *block, fe_numbers *out) {
  for (uint32_t i = 0; i < block->len; i++)
    in_stmt(ctx, block->data[i], out);
}

// --- carried values -----------------------------------------------------------------------------

typedef struct carry {
  fe_numbers numbers;
  fe_value *likes; // values at loop entry
  fe_leaves inits;
} carry;

static void add_hidden(fe_ctx *ctx, fe_numbers *numbers, int number) {
  if (number >= 0)
    tl_push(ctx->arena, numbers, number);
}

static carry carry_begin(fe_ctx *ctx, const ast_block *body, const ast_expr *cond, int broken,
                         unsigned escapes) {
  carry c = {0};
  if (cond)
    in_expr(ctx, cond, &c.numbers);
  fe_assigned(ctx, body, &c.numbers);
  add_hidden(ctx, &c.numbers, broken);
  if (escapes & FE_MAY_RETURN) {
    add_hidden(ctx, &c.numbers, ctx->frame->returned);
    add_hidden(ctx, &c.numbers, ctx->frame->result);
  }
  c.likes = TL_NEW_N(ctx->arena, fe_value, c.numbers.len + 1);
  for (uint32_t i = 0; i < c.numbers.len; i++) {
    fe_value v = fv_materialize(ctx, fe_sym_at(ctx, c.numbers.data[i])->value);
    c.likes[i] = v;
    fv_leaves(ctx, v, &c.inits);
  }
  return c;
}

static void carry_set(fe_ctx *ctx, const carry *c, const ir_val *vals) {
  for (uint32_t i = 0; i < c->numbers.len; i++)
    fe_sym_at(ctx, c->numbers.data[i])->value = fv_rebuild(ctx, c->likes[i], &vals);
}

static void carry_leaves(fe_ctx *ctx, const carry *c, fe_leaves *out) {
  for (uint32_t i = 0; i < c->numbers.len; i++)
    fv_leaves(ctx, fe_sym_at(ctx, c->numbers.data[i])->value, out);
}

static const ty_type **types_of(fe_ctx *ctx, const ir_val *vals, uint32_t count) {
  const ty_type **types = TL_NEW_N(ctx->arena, const ty_type *, count + 1);
  for (uint32_t i = 0; i < count; i++)
    types[i] = ir_type(ctx->func, vals[i]);
  return types;
}

static void enter_region(fe_ctx *ctx, ir_region *region) {
  ctx->b.region = region;
  ctx->b.before = NULL;
}

static void region_params(fe_ctx *ctx, ir_region *region, const fe_leaves *inits) {
  for (uint32_t i = 0; i < inits->len; i++)
    ir_region_param(ctx->func, region, ir_type(ctx->func, inits->data[i]));
}

// The body with its loop variables in scope; break and continue set hidden flags.
static void run_body(fe_ctx *ctx, const ast_block *body, const ast_name *vars,
                     const fe_value *values, uint32_t nvars, fe_loop *loop) {
  uint32_t mark = fe_enter(ctx), base = ctx->scope_base;
  loop->up = ctx->loop;
  loop->frame = ctx->frame;
  loop->continued = fe_declare(ctx, FS_VAR, "%continued", fv_bool(false), body->span);
  for (uint32_t i = 0; i < nvars; i++)
    if (strcmp(vars[i].text, "_") != 0)
      fe_declare(ctx, FS_LOOP, vars[i].text, values[i], vars[i].span);
  ctx->loop = loop;
  fe_block(ctx, body);
  ctx->loop = loop->up;
  fe_leave(ctx, mark);
  ctx->scope_base = base;
}

// --- while --------------------------------------------------------------------------------------

static ir_val and_not(fe_ctx *ctx, ir_val cond, int flag) {
  if (flag < 0)
    return cond;
  fe_value v = fv_materialize(ctx, fe_sym_at(ctx, flag)->value);
  return ir_binary(&ctx->b, IR_AND, cond, ir_unary(&ctx->b, IR_NOT, v.val));
}

typedef struct while_loop {
  const ast_stmt *stmt;
  const ast_block *body;
  const ast_expr *cond; // NULL: a range, iv < hi
  int iv;               // hidden variable of a range, or -1
  ir_val hi, step;
  const ast_name *var;
  unsigned escapes;
} while_loop;

static ir_val while_condition(fe_ctx *ctx, const while_loop *wl, int broken) {
  ir_val cond = {0};
  if (wl->iv >= 0) {
    cond = ir_cmp(&ctx->b, "lt", fe_sym_at(ctx, wl->iv)->value.val, wl->hi);
  } else {
    fe_value known;
    cond = fe_condition(ctx, wl->cond, "while", &known);
    if (!ir_some(cond))
      cond = ir_const_int(&ctx->b, TL_I1, known.kind == FV_BOOL && known.b);
  }
  ctx->b.loc = wl->stmt->span;
  cond = and_not(ctx, cond, broken);
  return and_not(ctx, cond, wl->escapes & FE_MAY_RETURN ? ctx->frame->returned : -1);
}

static void lower_while(fe_ctx *ctx, while_loop *wl) {
  uint32_t mark = fe_enter(ctx);
  fe_loop loop = {.broken = -1};
  if (wl->escapes & FE_MAY_BREAK)
    loop.broken = fe_declare(ctx, FS_VAR, "%broken", fv_bool(false), wl->stmt->span);
  carry c = carry_begin(ctx, wl->body, wl->cond, loop.broken, wl->escapes);
  if (wl->iv >= 0) {
    add_hidden(ctx, &c.numbers, wl->iv);
    fe_value *likes = TL_NEW_N(ctx->arena, fe_value, c.numbers.len);
    memcpy(likes, c.likes, (c.numbers.len - 1) * sizeof *likes);
    likes[c.numbers.len - 1] = fe_sym_at(ctx, wl->iv)->value;
    c.likes = likes;
    fv_leaves(ctx, likes[c.numbers.len - 1], &c.inits);
  }
  ir_builder outer = ctx->b;
  ir_op *op = ir_build(&ctx->b, IR_WHILE, c.inits.len, c.inits.data, c.inits.len,
                       types_of(ctx, c.inits.data, c.inits.len));
  region_params(ctx, op->regions[0], &c.inits);
  enter_region(ctx, op->regions[0]);
  carry_set(ctx, &c, op->regions[0]->params);
  fe_leaves handed = {0};
  ir_val cond = while_condition(ctx, wl, loop.broken);
  tl_push(ctx->arena, &handed, cond);
  carry_leaves(ctx, &c, &handed);
  ir_build(&ctx->b, IR_CONDITION, handed.len, handed.data, 0, NULL);

  region_params(ctx, op->regions[1], &c.inits);
  enter_region(ctx, op->regions[1]);
  carry_set(ctx, &c, op->regions[1]->params);
  fe_value iv = wl->iv >= 0 ? fe_sym_at(ctx, wl->iv)->value : fv_poison();
  run_body(ctx, wl->body, wl->var, &iv, wl->var ? 1 : 0, &loop);
  ctx->b.loc = wl->stmt->span;
  if (wl->iv >= 0)
    fe_sym_at(ctx, wl->iv)->value = fv_ir(ir_binary(&ctx->b, IR_ADD, iv.val, wl->step));
  fe_leaves next = {0};
  carry_leaves(ctx, &c, &next);
  ir_build(&ctx->b, IR_YIELD, next.len, next.data, 0, NULL);
  ctx->b = outer;
  carry_set(ctx, &c, op->res);
  fe_leave(ctx, mark);
}

void fe_while(fe_ctx *ctx, const ast_stmt *stmt) {
  while_loop wl = {.stmt = stmt,
                   .body = stmt->loop_while.body,
                   .cond = stmt->loop_while.cond,
                   .iv = -1,
                   .escapes = fe_block_escapes(stmt->loop_while.body)};
  fe_value known;
  if (fe_try_const(ctx, wl.cond, &known) && known.kind == FV_BOOL && !known.b)
    return;
  lower_while(ctx, &wl);
}

// --- for ----------------------------------------------------------------------------------------

typedef struct bounds {
  fe_value lo, hi, step; // as written
  ir_val lo_val, hi_val, step_val;
} bounds;

static bool eval_bounds(fe_ctx *ctx, const ast_stmt *stmt, bounds *bd) {
  const ast_expr *step = stmt->loop.step;
  bd->lo = fe_eval_value(ctx, stmt->loop.lo);
  bd->hi = fe_eval_value(ctx, stmt->loop.hi);
  bd->step = step ? fe_eval_value(ctx, step) : fv_int(1);
  if (bd->step.kind == FV_INT && bd->step.i < 1) {
    fe_error(ctx, step->span, DIAG_E0240, (int)bd->step.i);
    return false;
  }
  bd->lo_val = fe_scalar_i32(ctx, bd->lo, stmt->loop.lo->span, "a loop bound");
  bd->hi_val = fe_scalar_i32(ctx, bd->hi, stmt->loop.hi->span, "a loop bound");
  bd->step_val = fe_scalar_i32(ctx, bd->step, step ? step->span : stmt->span, "a loop step");
  return ir_some(bd->lo_val) && ir_some(bd->hi_val) && ir_some(bd->step_val);
}

static bool split_k_is_possible(fe_ctx *ctx, const ast_attr *attr, int64_t value) {
  if (value <= 8 && (value & (value - 1)) == 0)
    return true;
  fe_error(ctx, attr->span, DIAG_E0203, tl_sprintf(ctx->arena, "%lld", (long long)value),
           "@split_k: 1, 2, 4 or 8");
  return false;
}

// @swap(auto|on|off), or a number: 0 is auto, another on.
static bool swap_attr(fe_ctx *ctx, const ast_attr *attr, ir_op *op) {
  const ast_expr *value = attr->args.len == 1 ? attr->args.data[0].value : NULL;
  const char *word = value && value->kind == AST_IDENT ? value->ident : NULL;
  int64_t on;
  if (!value) {
    fe_error(ctx, attr->span, DIAG_E0109, "@swap", "1", (int)attr->args.len);
    return false;
  }
  if (!word || (strcmp(word, "auto") && strcmp(word, "on") && strcmp(word, "off"))) {
    if (!fe_eval_int(ctx, value, "'@swap'", &on))
      return false;
    word = on ? "on" : "auto";
  }
  if (strcmp(word, "auto"))
    ir_set_str(ctx->func, op, "swap", word);
  return true;
}

static bool loop_attrs(fe_ctx *ctx, const ast_stmt *stmt, ir_op *op) {
  const ast_attr *attr = fe_attr(&stmt->attrs, "pipeline");
  int64_t value;
  if (attr && fe_attr_int(ctx, attr, &value))
    ir_set_int(ctx->func, op, "pipeline", value);
  attr = fe_attr(&stmt->attrs, "unroll");
  if (attr && attr->args.len && fe_attr_int(ctx, attr, &value))
    ir_set_int(ctx->func, op, "unroll", value);
  attr = fe_attr(&stmt->attrs, "split_k");
  if (attr && fe_attr_int(ctx, attr, &value) && split_k_is_possible(ctx, attr, value) && value > 1)
    ir_set_int(ctx->func, op, "split_k", value);
  attr = fe_attr(&stmt->attrs, "swap");
  if (attr && !swap_attr(ctx, attr, op))
    return false;
  attr = fe_attr(&stmt->attrs, "specialize");
  if (!attr)
    return true;
  if (attr->args.len != 1 || attr->args.data[0].value->kind != AST_IDENT) {
    fe_error(ctx, attr->span, DIAG_E0109, "@specialize", "1", (int)attr->args.len);
    return false;
  }
  const char *word = attr->args.data[0].value->ident;
  if (strcmp(word, "auto") != 0 && strcmp(word, "off") != 0) {
    fe_error(ctx, attr->span, DIAG_E0116, "@specialize", "auto|off", word);
    return false;
  }
  ir_set_str(ctx->func, op, "specialize", word);
  return true;
}

// @unroll without a number: one copy of the body per value, the variable known in each.
static void unroll(fe_ctx *ctx, const ast_stmt *stmt, const bounds *bd, unsigned escapes) {
  if (bd->lo.kind != FV_INT || bd->hi.kind != FV_INT || bd->step.kind != FV_INT ||
      (bd->hi.i - bd->lo.i) / bd->step.i > 1024 || (escapes & (FE_MAY_BREAK | FE_MAY_RETURN))) {
    fe_error(ctx, stmt->span, DIAG_E0246);
    return;
  }
  for (int64_t i = bd->lo.i; i < bd->hi.i; i += bd->step.i) {
    fe_loop loop = {.broken = -1};
    fe_value iv = fv_int(i);
    run_body(ctx, stmt->loop.body, &stmt->loop.var, &iv, 1, &loop);
  }
}

typedef struct for_body {
  const ast_block *body;
  const ast_name *vars;
  uint32_t nvars;
  bool is_foreach;
  void (*values)(fe_ctx *ctx, const void *user, ir_val iv, fe_value *out);
  const void *user;
} for_body;

static ir_op *lower_for(fe_ctx *ctx, const ir_val range[3], const for_body *fb) {
  carry c = carry_begin(ctx, fb->body, NULL, -1, 0);
  fe_leaves args = {0};
  for (int i = 0; i < 3; i++)
    tl_push(ctx->arena, &args, range[i]);
  for (uint32_t i = 0; i < c.inits.len; i++)
    tl_push(ctx->arena, &args, c.inits.data[i]);
  ir_builder outer = ctx->b;
  ir_op *op = ir_build(&ctx->b, IR_FOR, args.len, args.data, c.inits.len,
                       types_of(ctx, c.inits.data, c.inits.len));
  ir_val iv = ir_region_param(ctx->func, op->regions[0], ty_scalar(ctx->types, TL_I32));
  region_params(ctx, op->regions[0], &c.inits);
  enter_region(ctx, op->regions[0]);
  carry_set(ctx, &c, op->regions[0]->params + 1);
  fe_value values[TY_MAX_RANK] = {fv_ir(iv)};
  if (fb->values)
    fb->values(ctx, fb->user, iv, values);
  fe_loop loop = {.broken = -1, .is_foreach = fb->is_foreach};
  run_body(ctx, fb->body, fb->vars, values, fb->nvars, &loop);
  fe_leaves next = {0};
  ctx->b.loc = outer.loc;
  carry_leaves(ctx, &c, &next);
  ir_build(&ctx->b, IR_YIELD, next.len, next.data, 0, NULL);
  ctx->b = outer;
  carry_set(ctx, &c, op->res);
  return op;
}

void fe_for(fe_ctx *ctx, const ast_stmt *stmt) {
  bounds bd;
  if (!eval_bounds(ctx, stmt, &bd))
    return;
  unsigned escapes = fe_block_escapes(stmt->loop.body);
  const ast_attr *attr = fe_attr(&stmt->attrs, "unroll");
  if (attr && !attr->args.len) {
    unroll(ctx, stmt, &bd, escapes);
    return;
  }
  ctx->b.loc = stmt->span;
  if (!(escapes & (FE_MAY_BREAK | FE_MAY_RETURN))) {
    for_body fb = {.body = stmt->loop.body, .vars = &stmt->loop.var, .nvars = 1};
    ir_op *op = lower_for(ctx, (ir_val[]){bd.lo_val, bd.hi_val, bd.step_val}, &fb);
    loop_attrs(ctx, stmt, op);
    return;
  }
  if (stmt->attrs.len)
    tl_report(ctx->diags, stmt->attrs.data[0].span, DIAG_W1001, stmt->attrs.data[0].name.text,
              escapes & FE_MAY_BREAK ? "break" : "return");
  uint32_t mark = fe_enter(ctx);
  while_loop wl = {.stmt = stmt,
                   .body = stmt->loop.body,
                   .hi = bd.hi_val,
                   .step = bd.step_val,
                   .var = &stmt->loop.var,
                   .escapes = escapes};
  wl.iv = fe_declare(ctx, FS_VAR, "%iv", fv_ir(bd.lo_val), stmt->span);
  lower_while(ctx, &wl);
  fe_leave(ctx, mark);
}

// --- foreach ------------------------------------------------------------------------------------

typedef struct tiling {
  const fe_domain *domain;
  ir_val counts[TY_MAX_RANK]; // tiles per axis
  int64_t group;              // @swizzle(group = G); 0: row-major
} tiling;

static ir_val mul_all(fe_ctx *ctx, const ir_val *vals, int n) {
  ir_val out = n ? vals[0] : ir_const_int(&ctx->b, TL_I32, 1);
  for (int i = 1; i < n; i++)
    out = ir_binary(&ctx->b, IR_MUL, out, vals[i]);
  return out;
}

static ir_val i32(fe_ctx *ctx, int64_t value) { return ir_const_int(&ctx->b, TL_I32, value); }

// What the arithmetic hides from the analyses: tiles are not negative, and no element of a tile
// lies beyond 2^31. (Elements that would wrap lie outside of the tensor, whatever is computed for
// them.)
static void tile_bounds(fe_ctx *ctx, const tiling *tl, const fe_value *tile) {
  for (int i = 0; i < tl->domain->rank; i++) {
    ir_val least = ir_cmp(&ctx->b, "ge", tile[i].val, i32(ctx, 0));
    ir_val most =
        ir_cmp(&ctx->b, "le", tile[i].val, i32(ctx, ((1ll << 31) / tl->domain->blocks[i]) - 1));
    ir_build(&ctx->b, IR_ASSUME, 1, &least, 0, NULL);
    ir_build(&ctx->b, IR_ASSUME, 1, &most, 0, NULL);
  }
}

// Tiles of G rows of tiles at a time, column after column inside: neighbours in time share both
// their rows and their columns, so the operands of a wave stay in L2.
static void grouped(fe_ctx *ctx, const tiling *tl, ir_val t, fe_value *out) {
  ir_builder *b = &ctx->b;
  ir_val group = i32(ctx, tl->group);
  ir_val per_group = ir_binary(b, IR_MUL, group, tl->counts[1]);
  ir_val first = ir_binary(b, IR_MUL, ir_binary(b, IR_DIV, t, per_group), group);
  ir_val rows = ir_binary(b, IR_MIN, ir_binary(b, IR_SUB, tl->counts[0], first), group);
  ir_val local = ir_binary(b, IR_REM, t, per_group);
  out[0] = fv_ir(ir_binary(b, IR_ADD, first, ir_binary(b, IR_REM, local, rows)));
  out[1] = fv_ir(ir_binary(b, IR_DIV, local, rows));
}

static void tile_coords(fe_ctx *ctx, const void *user, ir_val t, fe_value *out) {
  const tiling *tl = user;
  if (tl->group > 1) {
    grouped(ctx, tl, t, out);
    tile_bounds(ctx, tl, out);
    return;
  }
  for (int i = tl->domain->rank - 1; i > 0; i--) {
    out[i] = fv_ir(ir_binary(&ctx->b, IR_REM, t, tl->counts[i]));
    t = ir_binary(&ctx->b, IR_DIV, t, tl->counts[i]);
  }
  out[0] = fv_ir(t);
  tile_bounds(ctx, tl, out);
}

static bool swizzle_group(fe_ctx *ctx, const ast_stmt *stmt, tiling *tl) {
  const ast_attr *attr = fe_attr(&stmt->attrs, "swizzle");
  if (!attr)
    return true;
  if (attr->args.len != 1 || !attr->args.data[0].name.text ||
      strcmp(attr->args.data[0].name.text, "group") != 0) {
    fe_error(ctx, attr->span, DIAG_E0109, "@swizzle(group = G)", "1", (int)attr->args.len);
    return false;
  }
  const ast_expr *value = attr->args.data[0].value;
  if (!fe_eval_int(ctx, value, "'group'", &tl->group))
    return false;
  if (tl->domain->rank != 2 || tl->group < 1 || tl->group > 1 << 20) {
    fe_error(ctx, attr->span, DIAG_E0203,
             tl_sprintf(ctx->arena, "group %lld", (long long)tl->group),
             "@swizzle, which needs a group of at least 1 and two dimensions");
    return false;
  }
  return true;
}

static ir_val linear_block(fe_ctx *ctx, bool count) {
  const ty_type *type = ty_scalar(ctx->types, TL_I32);
  ir_val out = {0};
  for (int axis = ctx->grid_dims - 1; axis >= 0; axis--) {
    ir_val blocks = {0}, here = ir_build1(&ctx->b, count ? IR_NBLOCKS : IR_BID, type, 0, NULL);
    ir_set_int(ctx->func, ir_def(ctx->func, here), "axis", axis);
    if (ir_some(out) && !count) {
      blocks = ir_build1(&ctx->b, IR_NBLOCKS, type, 0, NULL);
      ir_set_int(ctx->func, ir_def(ctx->func, blocks), "axis", axis);
      out = ir_binary(&ctx->b, IR_MUL, out, blocks);
      out = ir_binary(&ctx->b, IR_ADD, out, here);
    } else {
      out = ir_some(out) ? ir_binary(&ctx->b, IR_MUL, out, here) : here;
    }
  }
  return out;
}

static void note_grid(fe_ctx *ctx, const fe_domain *domain) {
  tl_buf buf = {0};
  for (int i = 0; i < domain->rank; i++)
    tl_buf_printf(&buf, "%sceildiv(%s, %lld)", i ? " * " : "", domain->tensor->dim_texts[i],
                  (long long)domain->blocks[i]);
  const char *text = tl_strdup(ctx->arena, buf.data);
  tl_buf_free(&buf);
  for (uint32_t i = 0; i < ctx->grids.len; i++)
    if (strcmp(ctx->grids.data[i], text) == 0)
      return;
  tl_push(ctx->arena, &ctx->grids, text);
}

void fe_foreach(fe_ctx *ctx, const ast_stmt *stmt) {
  fe_value v = fe_eval(ctx, stmt->foreach.domain);
  if (fv_bad(v))
    return;
  if (v.kind != FV_DOMAIN) {
    tl_diag *diag = fe_error(ctx, stmt->foreach.domain->span, DIAG_E0208, "foreach",
                             "an iteration domain", fv_type_text(ctx, v));
    tl_help(ctx->diags, diag, "foreach walks the tiles of a tensor: tiles(X, b0, b1)");
    return;
  }
  tiling tl = {.domain = v.domain};
  if ((int)stmt->foreach.vars.len != v.domain->rank) {
    fe_error(ctx, stmt->foreach.domain->span, DIAG_E0235, (int)stmt->foreach.vars.len,
             v.domain->rank);
    return;
  }
  if (!swizzle_group(ctx, stmt, &tl))
    return;
  note_grid(ctx, v.domain);
  ctx->b.loc = stmt->span;
  for (int i = 0; i < v.domain->rank; i++) {
    fe_value dim = fv_materialize(ctx, v.domain->tensor->dims[i]);
    ir_val up = ir_binary(&ctx->b, IR_ADD, dim.val, i32(ctx, v.domain->blocks[i] - 1));
    tl.counts[i] = ir_binary(&ctx->b, IR_DIV, up, i32(ctx, v.domain->blocks[i]));
  }
  ir_val range[3] = {linear_block(ctx, false), mul_all(ctx, tl.counts, v.domain->rank),
                     linear_block(ctx, true)};
  for_body fb = {.body = stmt->foreach.body,
                 .vars = stmt->foreach.vars.data,
                 .nvars = stmt->foreach.vars.len,
                 .is_foreach = true,
                 .values = tile_coords,
                 .user = &tl};
  lower_for(ctx, range, &fb);
}
