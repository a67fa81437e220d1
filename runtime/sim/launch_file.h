// The launch file of ptxsim (JSON): which entry of which PTX, grid, buffers, parameters.
//
// Every function that can refuse the file returns false with one line in `error`: the path, what is
// wrong, and its name. Relative paths in the file are relative to its folder.
#ifndef RUNTIME_SIM_LAUNCH_FILE_H
#define RUNTIME_SIM_LAUNCH_FILE_H
#include "lang/base/str.h"
#include "runtime/sim/sim_api.h"
#include <jansson.h>

enum { SIM_LAUNCH_BUFFERS = 64 };

typedef struct sim_launch_buffer {
  const char *name;
  uint8_t *bytes; // NULL: poison, or zeros
  bool zeros;
  size_t len;
  uint64_t address; // on the machine, set by the caller before the parameters are packed
} sim_launch_buffer;

typedef struct sim_launch_file {
  const char *path, *ptx, *entry;
  json_t *root;
  sim_launch_buffer buffers[SIM_LAUNCH_BUFFERS];
  int nbuffers;
  sim_launch_desc desc; // all but the parameters
  tl_buf error;
} sim_launch_file;

// From the file at `path`, or from text that stands for it. `read_files`: .npy files of buffers are
// read; without, they are empty (fuzzing).
bool sim_launch_load(sim_launch_file *out, const char *path);
bool sim_launch_parse(sim_launch_file *out, const char *path, const char *text, size_t len);
bool sim_launch_read_buffers(sim_launch_file *file, bool read_files);
void sim_launch_close(sim_launch_file *file);

// A path of the file as the host knows it; malloc'd.
char *sim_launch_resolve(const sim_launch_file *file, const char *path);
sim_launch_buffer *sim_launch_find(sim_launch_file *file, const char *name); // NULL: none
// The packed parameters as the entry takes them; malloc'd.
bool sim_launch_params(sim_launch_file *file, int count, const uint32_t *offsets,
                       const uint32_t *sizes, uint8_t **out, size_t *out_len);
// The string members of "outputs" or "print": calls `each` until it returns false.
typedef bool (*sim_launch_each)(void *ctx, const sim_launch_buffer *buffer, const char *value);
bool sim_launch_outputs(sim_launch_file *file, const char *key, sim_launch_each each, void *ctx);
#endif
