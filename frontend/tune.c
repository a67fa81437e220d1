// The tune space: every combination of the declared values that the static requirements allow. Each
// tune clause is a space of its own, generics it does not name are at their defaults; the clauses
// that name the target count, or else those that name none.
#include "frontend/check.h"

enum { MAX_POINTS = 20000 };

typedef TL_VEC(fe_value) fe_values;

typedef struct space {
  fe_ctx ctx;
  const ast_kernel *kernel;
  fe_values *axes;    // per generic: values it may take
  fe_value *defaults; // per generic: poison without one
  uint32_t before;    // points of earlier clauses, which this one may repeat
} space;

static bool add_value(space *sp, uint32_t axis, const ast_expr *expr) {
  const ast_gparam *param = &sp->kernel->generics.data[axis];
  fe_value v = fv_poison(), checked;
  bool ok = fe_try_const(&sp->ctx, expr, &v) &&
            (v.kind == FV_INT || v.kind == FV_BOOL || v.kind == FV_DTYPE) &&
            fe_bind_generic(&sp->ctx, param, fe_generic_text(sp->ctx.arena, v), &checked) &&
            checked.kind == v.kind;
  if (!ok) {
    fe_error(&sp->ctx, expr->span, DIAG_E0207,
             tl_sprintf(sp->ctx.arena, "a value of '%s'", param->name.text),
             fe_generic_kind(param->kind));
    return false;
  }
  tl_push(sp->ctx.arena, &sp->axes[axis], v);
  return true;
}

static bool add_range(space *sp, uint32_t axis, const ast_tune *tune) {
  int64_t lo, hi, step = 1;
  if (!fe_eval_int(&sp->ctx, tune->lo, "a bound of tune", &lo) ||
      !fe_eval_int(&sp->ctx, tune->hi, "a bound of tune", &hi) ||
      (tune->step && !fe_eval_int(&sp->ctx, tune->step, "a step of tune", &step)))
    return false;
  if (step < 1 || hi < lo || (hi - lo) / step >= MAX_POINTS ||
      sp->kernel->generics.data[axis].kind != AST_GENERIC_INT) {
    fe_error(&sp->ctx, tune->span, DIAG_E0240, (int)step);
    return false;
  }
  for (int64_t at = lo; at <= hi; at += step)
    tl_push(sp->ctx.arena, &sp->axes[axis], fv_int(at));
  return true;
}

static bool add_axis(space *sp, const ast_tune *tune) {
  uint32_t axis = 0;
  while (strcmp(sp->kernel->generics.data[axis].name.text, tune->name.text) != 0)
    axis++; // fe_check made sure that it exists
  if (sp->axes[axis].len) {
    fe_error(&sp->ctx, tune->span, DIAG_E0102, tune->name.text);
    return false;
  }
  if (tune->is_range)
    return add_range(sp, axis, tune);
  for (uint32_t i = 0; i < tune->values.len; i++)
    if (!add_value(sp, axis, tune->values.data[i]))
      return false;
  return true;
}

static bool add_defaults(space *sp) {
  for (uint32_t i = 0; i < sp->kernel->generics.len; i++) {
    const ast_gparam *param = &sp->kernel->generics.data[i];
    sp->defaults[i] = fv_poison();
    if (!param->value)
      continue;
    fe_values kept = sp->axes[i];
    sp->axes[i] = (fe_values){0};
    if (!add_value(sp, i, param->value))
      return false;
    sp->defaults[i] = sp->axes[i].data[0];
    if (kept.len)
      sp->axes[i] = kept;
  }
  return true;
}

static bool apply_fixed(space *sp, const fe_binding *fixed, int nfixed) {
  TL_VEC(const char *) names = {0};
  for (uint32_t i = 0; i < sp->kernel->generics.len; i++)
    tl_push(sp->ctx.arena, &names, sp->kernel->generics.data[i].name.text);
  for (int i = 0; i < nfixed; i++) {
    uint32_t axis = 0;
    while (axis < names.len && strcmp(names.data[axis], fixed[i].name) != 0)
      axis++;
    if (axis == names.len) {
      tl_diag *diag = fe_error(&sp->ctx, sp->kernel->name.span, DIAG_E0110, sp->kernel->name.text,
                               fixed[i].name);
      const char *near = tl_nearest(fixed[i].name, names.data, names.len);
      if (near)
        tl_help(sp->ctx.diags, diag, "did you mean '%s'?", near);
      return false;
    }
    const ast_gparam *param = &sp->kernel->generics.data[axis];
    fe_value v;
    if (!fe_bind_generic(&sp->ctx, param, fixed[i].value, &v)) {
      fe_error(&sp->ctx, param->span, DIAG_E0112, fixed[i].value, fe_generic_kind(param->kind),
               param->name.text);
      return false;
    }
    sp->axes[axis] = (fe_values){0};
    tl_push(sp->ctx.arena, &sp->axes[axis], v);
    sp->defaults[axis] = v;
  }
  return true;
}

static bool statically_false(space *sp, const ast_expr *cond) {
  fe_value v;
  if (fe_try_const(&sp->ctx, cond, &v))
    return v.kind == FV_BOOL && !v.b;
  return cond->kind == AST_BINARY && cond->binary.op == AST_OP_ANDAND &&
         (statically_false(sp, cond->binary.left) || statically_false(sp, cond->binary.right));
}

static bool allowed(space *sp, const fe_value *point) {
  uint32_t mark = fe_enter(&sp->ctx);
  for (uint32_t i = 0; i < sp->kernel->generics.len; i++)
    fe_declare(&sp->ctx, FS_GENERIC, sp->kernel->generics.data[i].name.text, point[i],
               sp->kernel->generics.data[i].span);
  bool ok = true;
  for (uint32_t i = 0; i < sp->kernel->nclauses && ok; i++)
    if (sp->kernel->clauses[i].kind == AST_CLAUSE_REQUIRE)
      ok = !statically_false(sp, sp->kernel->clauses[i].cond);
  fe_leave(&sp->ctx, mark);
  return ok;
}

static fe_variant make_variant(space *sp, const fe_value *point) {
  uint32_t n = sp->kernel->generics.len;
  fe_binding *bindings = TL_NEW_N(sp->ctx.arena, fe_binding, n + 1);
  bool is_default = true;
  for (uint32_t i = 0; i < n; i++) {
    bindings[i] = (fe_binding){sp->kernel->generics.data[i].name.text,
                               fe_generic_text(sp->ctx.arena, point[i])};
    is_default = is_default && fv_same(point[i], sp->defaults[i]);
  }
  return (fe_variant){bindings, (int)n, is_default};
}

typedef TL_VEC(fe_variant) fe_variant_list;

static bool same_point(const fe_variant *a, const fe_variant *b) {
  for (int i = 0; i < a->count; i++)
    if (strcmp(a->bindings[i].value, b->bindings[i].value) != 0)
      return false;
  return true;
}

static void add_point(space *sp, const fe_value *point, fe_variant_list *out) {
  if (!allowed(sp, point))
    return;
  fe_variant made = make_variant(sp, point);
  for (uint32_t i = 0; i < sp->before; i++)
    if (same_point(&out->data[i], &made))
      return;
  tl_push(sp->ctx.arena, out, made);
}

// The last axis turns fastest.
static void enumerate(space *sp, fe_value *point, uint32_t axis, fe_variant_list *out) {
  if (axis == sp->kernel->generics.len) {
    add_point(sp, point, out);
    return;
  }
  for (uint32_t i = 0; i < sp->axes[axis].len; i++) {
    point[axis] = sp->axes[axis].data[i];
    enumerate(sp, point, axis + 1, out);
  }
}

static void default_first(fe_variant_list *list) {
  uint32_t at = 0;
  while (at < list->len && !list->data[at].is_default)
    at++;
  if (at == list->len) {
    list->data[0].is_default = true; // the space leaves the defaults out: its first point stands in
    return;
  }
  fe_variant chosen = list->data[at];
  memmove(list->data + 1, list->data, at * sizeof *list->data);
  list->data[0] = chosen;
}

static bool check_size(space *sp, uint32_t already) {
  double points = 1;
  for (uint32_t i = 0; i < sp->kernel->generics.len; i++) {
    const ast_gparam *param = &sp->kernel->generics.data[i];
    if (!sp->axes[i].len) {
      fe_error(&sp->ctx, param->span, DIAG_E0113, param->name.text, sp->kernel->name.text);
      return false;
    }
    points *= sp->axes[i].len;
  }
  if (points + already <= MAX_POINTS)
    return true;
  fe_error(&sp->ctx, sp->kernel->name.span, DIAG_E0119, sp->kernel->name.text, MAX_POINTS);
  return false;
}

static bool is_named(const ast_clause *clause, const tl_target *target) {
  for (uint32_t i = 0; i < clause->args.len; i++)
    if (clause->args.data[i].value->kind == AST_IDENT &&
        !strcmp(clause->args.data[i].value->ident, target->name))
      return true;
  return false;
}

// Does the target have clauses of its own?
static bool is_special(const ast_kernel *kernel, const tl_target *target) {
  for (uint32_t i = 0; target && i < kernel->nclauses; i++)
    if (kernel->clauses[i].kind == AST_CLAUSE_TUNE && is_named(&kernel->clauses[i], target))
      return true;
  return false;
}

static bool counts(const ast_kernel *kernel, const ast_clause *clause, const tl_target *target) {
  if (clause->kind != AST_CLAUSE_TUNE)
    return false;
  if (!target)
    return true;
  return is_special(kernel, target) ? is_named(clause, target) : !clause->args.len;
}

// The points of one clause (NULL: the defaults alone) behind those there are.
static bool add_points(space *sp, const ast_clause *clause, const fe_binding *fixed, int nfixed,
                       fe_variant_list *list) {
  uint32_t n = sp->kernel->generics.len;
  memset(sp->axes, 0, sizeof *sp->axes * (n + 1));
  for (uint32_t i = 0; clause && i < clause->ntunes; i++)
    if (!add_axis(sp, &clause->tunes[i]))
      return false;
  if (!add_defaults(sp) || !apply_fixed(sp, fixed, nfixed) || !check_size(sp, list->len))
    return false;
  sp->before = list->len;
  enumerate(sp, TL_NEW_N(sp->ctx.arena, fe_value, n + 1), 0, list);
  return true;
}

bool fe_is_tuned(const fe_kernel *kernel, const char *generic) {
  for (uint32_t i = 0; i < kernel->ast->nclauses; i++)
    for (uint32_t j = 0; j < kernel->ast->clauses[i].ntunes; j++)
      if (!strcmp(kernel->ast->clauses[i].tunes[j].name.text, generic))
        return true;
  return false;
}

// The points of all clauses that count for the target.
static bool collect(space *sp, const fe_kernel *kernel, const tl_target *target,
                    const fe_binding *fixed, int nfixed, fe_variant_list *list) {
  bool any = false;
  for (uint32_t i = 0; i < kernel->ast->nclauses; i++) {
    if (!counts(kernel->ast, &kernel->ast->clauses[i], target))
      continue;
    any = true;
    if (!add_points(sp, &kernel->ast->clauses[i], fixed, nfixed, list))
      return false;
  }
  return any || add_points(sp, NULL, fixed, nfixed, list);
}

bool fe_variants(fe_program *program, const fe_kernel *kernel, const tl_target *target,
                 const fe_binding *fixed, int nfixed, const fe_variant **out_variants,
                 int *out_count) {
  space sp = {.kernel = kernel->ast};
  sp.ctx = (fe_ctx){.program = program, .arena = program->arena, .diags = program->diags};
  uint32_t n = kernel->ast->generics.len;
  sp.axes = TL_NEW_N(program->arena, fe_values, n + 1);
  sp.defaults = TL_NEW_N(program->arena, fe_value, n + 1);
  fe_variant_list list = {0};
  sp.ctx.target = target; // requirements may ask for arch()
  if (!collect(&sp, kernel, target, fixed, nfixed, &list))
    return false;
  sp.ctx.target = NULL; // if none is left because of that, compiling one says which it was
  if (!list.len && target && !collect(&sp, kernel, target, fixed, nfixed, &list))
    return false;
  if (!list.len) {
    fe_error(&sp.ctx, kernel->ast->name.span, DIAG_E0250, kernel->name);
    return false;
  }
  default_first(&list);
  *out_variants = list.data;
  *out_count = (int)list.len;
  return true;
}
