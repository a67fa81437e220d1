// Edges of the race detector: barriers, fences, synchronisation objects, asynchronous operations.
#include "runtime/sim/race_impl.h"

void sim_race_drop_objects(sim_race *race) {
  for (uint32_t i = 0; i < race->object_cap; i++) {
    sim_clocks_drop(race->objects[i].wide);
    sim_clocks_drop(race->objects[i].near);
  }
  free(race->objects);
  race->objects = NULL;
  race->object_count = race->object_cap = 0;
}

// --- vector clocks ------------------------------------------------------------------------------
static void tick(sim_race_agent *agent) {
  uint32_t *own = &agent->clock[agent->index];
  if (*own < CLOCK_MAX)
    ++*own;
}

static void join_dense(uint32_t *into, const uint32_t *from, uint32_t n) {
  for (uint32_t i = 0; i < n; i++)
    into[i] = into[i] > from[i] ? into[i] : from[i];
}

void sim_race_bar_arrive(sim_race_agent *agent, uint32_t barrier) {
  barrier_clock *b = &agent->cta->barriers[barrier & (MAX_BARRIERS - 1)];
  join_dense(b->clock, agent->clock, agent->cta->race->agents_per_cta);
  for (int g = 0; g < 2; g++)
    join_dense(b->proxied[g], agent->proxied[g], agent->cta->race->agents_per_cta);
  b->foreign = sim_clocks_join(b->foreign, agent->foreign);
  tick(agent);
}

void sim_race_bar_complete(sim_race_cta *cta, uint32_t barrier, uint32_t warps) {
  barrier_clock *b = &cta->barriers[barrier & (MAX_BARRIERS - 1)];
  for (uint32_t m = warps; m; m &= m - 1) {
    sim_race_agent *agent = &cta->warps[__builtin_ctz(m)];
    join_dense(agent->clock, b->clock, cta->race->agents_per_cta);
    for (int g = 0; g < 2; g++)
      join_dense(agent->proxied[g], b->proxied[g], cta->race->agents_per_cta);
    agent->foreign = sim_clocks_join(agent->foreign, b->foreign);
  }
  sim_clocks_drop(b->foreign);
  memset(b, 0, sizeof *b);
}

uint32_t sim_race_async_commit(sim_race_agent *agent) {
  uint32_t token = agent->async_clock;
  if (agent->async_clock < CLOCK_MAX)
    agent->async_clock++;
  return token;
}

void sim_race_async_wait(sim_race_agent *agent, uint32_t token) {
  uint32_t *done = &agent->clock[agent->cta->race->warps + agent->index];
  if (*done < token)
    *done = token;
}

// Everything the agent knows, as a sparse map.
static sim_clocks *snapshot(const sim_race_agent *agent) {
  const sim_race_cta *cta = agent->cta;
  uint32_t n = cta->race->agents_per_cta;
  sim_clocks *all = sim_clocks_of_dense(cta->first_agent, agent->clock, n);
  for (int g = 0; g < 2 && cta->race->proxies; g++) {
    sim_clocks *proxied =
        sim_clocks_of_dense(PROXIED_KEY(g) | cta->first_agent, agent->proxied[g], n);
    all = sim_clocks_join(all, proxied);
    sim_clocks_drop(proxied);
  }
  return sim_clocks_join(all, agent->foreign);
}

static void learn(sim_race_agent *agent, const sim_clocks *from) {
  const sim_race_cta *cta = agent->cta;
  if (!from)
    return;
  sim_clocks_split(from, cta->first_agent, agent->clock, cta->race->agents_per_cta);
  for (int g = 0; g < 2 && cta->race->proxies; g++)
    sim_clocks_split(from, PROXIED_KEY(g) | cta->first_agent, agent->proxied[g],
                     cta->race->agents_per_cta);
  agent->foreign = sim_clocks_join(agent->foreign, from);
}

// --- synchronisation objects --------------------------------------------------------------------
static sync_object *find_object(sim_race *race, uint64_t key, bool create) {
  if (!key)
    key = 1;
  if (create && race->object_count * 2 >= race->object_cap) {
    sync_object *old = race->objects;
    uint32_t old_cap = race->object_cap;
    race->object_cap = old_cap ? old_cap * 2 : 64;
    race->objects = must(calloc(race->object_cap, sizeof *race->objects));
    for (uint32_t i = 0; i < old_cap; i++) {
      if (!old[i].key)
        continue;
      uint32_t at = (uint32_t)mix(old[i].key) & (race->object_cap - 1);
      while (race->objects[at].key)
        at = (at + 1) & (race->object_cap - 1);
      race->objects[at] = old[i];
    }
    free(old);
  }
  if (!race->object_cap)
    return NULL;
  uint32_t at = (uint32_t)mix(key) & (race->object_cap - 1);
  while (race->objects[at].key && race->objects[at].key != key)
    at = (at + 1) & (race->object_cap - 1);
  if (race->objects[at].key)
    return &race->objects[at];
  if (!create)
    return NULL;
  race->objects[at].key = key;
  race->object_count++;
  return &race->objects[at];
}

static void publish(sim_race_agent *agent, sync_object *object, const sim_clocks *clocks,
                    bool wide) {
  uint32_t cta = agent->cta->first_agent;
  if (object->near && object->cta != cta) {
    sim_clocks_drop(object->near);
    object->near = NULL;
  }
  object->cta = cta;
  object->near = sim_clocks_join(object->near, clocks);
  if (wide)
    object->wide = sim_clocks_join(object->wide, clocks);
}

void sim_race_release(sim_race_agent *agent, uint64_t key) {
  sim_clocks *now = snapshot(agent);
  publish(agent, find_object(agent->cta->race, mix(key) | 1, true), now, true);
  sim_clocks_drop(now);
  tick(agent);
}

void sim_race_acquire(sim_race_agent *agent, uint64_t key) {
  sync_object *object = find_object(agent->cta->race, mix(key) | 1, false);
  if (object)
    learn(agent, object->wide);
}

void sim_race_fence(sim_race_agent *agent, sim_scope scope) {
  learn(agent, agent->acquired);
  sim_clocks_drop(agent->acquired);
  agent->acquired = NULL;
  sim_clocks_drop(agent->released);
  agent->released = snapshot(agent);
  agent->released_scope = scope;
  tick(agent);
}

void sim_race_strong(sim_race_agent *agent, sim_region *region, uint64_t offset, bool reads,
                     bool writes, sim_access access) {
  sim_race *race = agent->cta->race;
  uint64_t key = mix((uint64_t)(uintptr_t)region) ^ (offset >> 2);
  bool release = writes && (access.sem & SIM_SEM_RELEASE);
  bool publishes = writes && (release || agent->released);
  sync_object *object = find_object(race, key, publishes);
  if (!object)
    return;
  if (reads) {
    bool wide = access.scope != SIM_SCOPE_CTA;
    const sim_clocks *seen = wide ? object->wide : NULL;
    const sim_clocks *near = object->cta == agent->cta->first_agent ? object->near : NULL;
    if (access.sem & SIM_SEM_ACQUIRE) {
      learn(agent, seen);
      learn(agent, near);
    } else {
      agent->acquired = sim_clocks_join(sim_clocks_join(agent->acquired, seen), near);
    }
  }
  if (writes && !reads) { // a plain store ends the release sequence of what it overwrites
    sim_clocks_drop(object->wide);
    sim_clocks_drop(object->near);
    object->wide = object->near = NULL;
  }
  if (release) {
    sim_clocks *now = snapshot(agent);
    publish(agent, object, now, access.scope != SIM_SCOPE_CTA);
    sim_clocks_drop(now);
    tick(agent);
  } else if (publishes) {
    publish(agent, object, agent->released,
            access.scope != SIM_SCOPE_CTA && agent->released_scope != SIM_SCOPE_CTA);
  }
}

// --- mbarriers and cluster barriers -------------------------------------------------------------
void sim_race_sync_release(sim_race_agent *agent, sim_race_sync *sync) {
  sim_clocks *now = snapshot(agent);
  sync->open = sim_clocks_join(sync->open, now);
  sim_clocks_drop(now);
  tick(agent);
}

void sim_race_sync_publish_inits(const sim_race_agent *agent, sim_race_sync *sync) {
  sim_clocks *inits = sim_clocks_slice(agent->foreign, INIT_KEY, PROXIED_KEY(0), 0);
  sync->open = sim_clocks_join(sync->open, inits);
  sim_clocks_drop(inits);
}

void sim_race_sync_publish_fenced(const sim_race_agent *agent, sim_race_sync *sync) {
  if (agent->released && agent->released_scope != SIM_SCOPE_CTA)
    sync->open = sim_clocks_join(sync->open, agent->released);
}

void sim_race_sync_async(sim_race_sync *sync, uint64_t token) {
  uint32_t clock = epoch_clock(token);
  sim_clocks *one = sim_clocks_of_dense(epoch_agent(token), &clock, 1);
  sync->open = sim_clocks_join(sync->open, one);
  sim_clocks_drop(one);
}

void sim_race_sync_complete(sim_race_sync *sync) {
  sync->done = sim_clocks_join(sync->done, sync->open);
  sim_clocks_drop(sync->open);
  sync->open = NULL;
}

void sim_race_sync_acquire(sim_race_agent *agent, const sim_race_sync *sync) {
  learn(agent, sync->done);
}

void sim_race_sync_free(sim_race_sync *sync) {
  sim_clocks_drop(sync->open);
  sim_clocks_drop(sync->done);
  *sync = (sim_race_sync){0};
}

// --- proxies and bulk operations ----------------------------------------------------------------
void sim_race_fence_proxy(sim_race_agent *agent, bool shared, bool global) {
  uint32_t n = agent->cta->race->agents_per_cta;
  agent->cta->race->proxies = true;
  for (int g = 0; g < 2; g++) {
    if (g ? !global : !shared)
      continue;
    join_dense(agent->proxied[g], agent->clock, n);
    sim_clocks *others = sim_clocks_slice(agent->foreign, 0, INIT_KEY, PROXIED_KEY(g));
    agent->foreign = sim_clocks_join(agent->foreign, others);
    sim_clocks_drop(others);
  }
  tick(agent); // later accesses are not covered
}

void sim_race_fence_inits(sim_race_agent *agent) {
  sim_clocks *own = sim_clocks_of_dense(INIT_KEY | (agent->cta->first_agent + agent->index),
                                        &agent->clock[agent->index], 1);
  agent->foreign = sim_clocks_join(agent->foreign, own);
  sim_clocks_drop(own);
  tick(agent);
}

uint64_t sim_race_now(const sim_race_agent *agent) {
  return (uint64_t)(agent->cta->first_agent + agent->index) << AGENT_SHIFT |
         (uint64_t)agent->clock[agent->index] << CLOCK_SHIFT;
}

bool sim_race_knows_init(const sim_race_agent *agent, uint64_t init) {
  return known(agent, init) ||
         sim_clocks_get(agent->foreign, INIT_KEY | epoch_agent(init)) >= epoch_clock(init);
}

uint64_t sim_race_cp_async_token(sim_race_agent *agent) {
  uint32_t clock = sim_race_async_commit(agent);
  return (uint64_t)(agent->cta->first_agent + agent->cta->race->warps + agent->index)
             << AGENT_SHIFT |
         (uint64_t)clock << CLOCK_SHIFT;
}

uint64_t sim_race_bulk_begin(sim_race_agent *issuer) {
  sim_race_cta *cta = issuer->cta;
  uint32_t k = cta->bulk_next++ % BULK_AGENTS;
  if (cta->bulk_clock[k] < CLOCK_MAX)
    cta->bulk_clock[k]++;
  return (uint64_t)(cta->first_agent + 2 * cta->race->warps + k) << AGENT_SHIFT |
         (uint64_t)cta->bulk_clock[k] << CLOCK_SHIFT;
}

void sim_race_bulk_wait(sim_race_agent *agent, uint64_t token) {
  uint32_t local = epoch_agent(token) - agent->cta->first_agent;
  if (local < agent->cta->race->agents_per_cta) {
    if (agent->clock[local] < epoch_clock(token))
      agent->clock[local] = epoch_clock(token);
    return;
  }
  uint32_t clock = epoch_clock(token);
  sim_clocks *one = sim_clocks_of_dense(epoch_agent(token), &clock, 1);
  agent->foreign = sim_clocks_join(agent->foreign, one);
  sim_clocks_drop(one);
}
