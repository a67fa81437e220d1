// The plans that tile_launch has made for one kernel, found again by everything but addresses.
#ifndef RUNTIME_PLAN_CACHE_H
#define RUNTIME_PLAN_CACHE_H
typedef struct tile_plan_cache tile_plan_cache;

tile_plan_cache *tile_plan_cache_new(void); // NULL: out of memory
void tile_plan_cache_free(tile_plan_cache *cache);
#endif
