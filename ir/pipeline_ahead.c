// What may be loaded before its place in a loop: the questions of pipeline_util.h.
#include "ir/pipeline_util.h"

bool ir_region_inside(const ir_region *region, const ir_op *loop) {
  for (; region; region = region->parent ? region->parent->parent : NULL)
    if (region->parent == loop)
      return true;
  return false;
}

const ir_region *ir_home_region(const ir_func *func, ir_val val) {
  const ir_val_info *info = ir_info_of(func, val);
  return info->def ? info->def->parent : info->region;
}

bool ir_reads_only_input(const ir_func *func, const ir_access *access) {
  const ir_param *param = ir_tensor_param(func, access->tensor);
  return param && param->read_only;
}

// A pure function of the loop variable and of values from outside; with `loads`, of inputs too,
// which are read again where they are wanted.
static bool runs_ahead(const ir_func *func, const ir_op *loop, ir_val val, bool loads) {
  if (!ir_region_inside(ir_home_region(func, val), loop))
    return true;
  const ir_op *def = ir_def(func, val);
  if (!def)
    return ir_same(val, loop->regions[0]->params[0]);
  ir_access access = {0};
  if (def->code == IR_LOAD)
    access = ir_access_of(func, def);
  bool again = ir_info(def->code)->effect == IR_PURE ||
               (loads && def->code == IR_LOAD && ir_reads_only_input(func, &access));
  if (!again || def->nregions)
    return false;
  for (uint32_t i = 0; i < def->nargs; i++)
    if (!runs_ahead(func, loop, def->args[i], loads))
      return false;
  return true;
}

// Why a load cannot be done earlier; NULL when it can.
static const char *refuse(const ir_func *func, const ir_op *load, const ir_op *loop, bool loads) {
  ir_access access = ir_access_of(func, load);
  if (!ty_is_tile(ir_type(func, load->res[0])))
    return "a scalar";
  if (ir_some(access.mask) || ir_some(access.other))
    return "it has a mask or a fill value";
  if (!ir_reads_only_input(func, &access))
    return "the kernel may write its tensor";
  if (loop && ir_region_inside(ir_home_region(func, access.tensor), loop))
    return "the view it reads is made in the loop";
  for (int i = 0; loop && i < access.rank; i++)
    if (!runs_ahead(func, loop, load->args[access.first_sub + i], loads))
      return "its subscripts depend on values computed in the loop";
  return NULL;
}

const char *ir_refuse_ahead(const ir_func *func, const ir_op *load, const ir_op *loop) {
  return refuse(func, load, loop, false);
}

static const char *refuse_type(const ir_func *func, const ir_op *load) {
  bool truth = tl_dtype_bits(ir_type(func, load->res[0])->dtype) == 1;
  return truth ? "its elements are truth values" : NULL;
}

const char *ir_refuse_async(const ir_func *func, const ir_op *load, const ir_op *loop) {
  ir_access access = ir_access_of(func, load);
  if (strchr(access.subs, 'g'))
    return "it gathers by index";
  const char *why = refuse_type(func, load);
  return why ? why : ir_refuse_ahead(func, load, loop);
}

// Whole rows may be gathered: the positions along the tile's first dim, a range along its second.
const char *ir_refuse_copy(const ir_func *func, const ir_op *load, const ir_op *loop) {
  ir_access access = ir_access_of(func, load);
  const ty_type *tile = ir_type(func, load->res[0]);
  const char *gather = strchr(access.subs, 'g'), *range = strchr(access.subs, 'r');
  if (gather && (tile->rank != 2 || !range || range < gather || tl_dtype_bits(tile->dtype) < 8))
    return "it gathers by index, and not whole rows";
  const char *why = refuse_type(func, load);
  return why ? why : refuse(func, load, loop, true);
}
