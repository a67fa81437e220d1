// libtilec.so, found and loaded when someone first asks to compile or to evaluate the reference.
#ifndef RUNTIME_COMPILER_LOAD_H
#define RUNTIME_COMPILER_LOAD_H
#include "lang/compiler.h"
#include "runtime/tile.h"

// Looks at TILE_COMPILER (a file), then beside this program or library and in ../lib from there.
tile_status tile_compiler_get(const tilec_api **out);
#endif
