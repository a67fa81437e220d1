// The artifact embedded: `--emit=obj` is an ELF object with the bytes in .rodata and two symbols,
// `--emit=header` declares them, `--emit=json` is the contract without the images.
#include "codegen/embed.h"
#include "lang/base/assert.h"
#include <ctype.h>
#include <elf.h>
#include <sqlite3.h>
#include <string.h>

#ifdef __aarch64__
enum { HOST_MACHINE = EM_AARCH64 };
#else
enum { HOST_MACHINE = EM_X86_64 };
#endif

// tile_module_<stem>: "kernels/fp8_gemm.tile" -> tile_module_fp8_gemm
static void symbol_of(const char *path, char *out, size_t size) {
  const char *base = strrchr(path, '/');
  base = base ? base + 1 : path;
  int len = snprintf(out, size, "tile_module_%.*s", (int)strcspn(base, "."), base);
  for (int i = 0; i < len && (size_t)i + 1 < size; i++)
    if (!isalnum((unsigned char)out[i]))
      out[i] = '_';
}

// --- ELF ---------------------------------------------------------------------------------------

enum { S_NULL, S_RODATA, S_SYMTAB, S_STRTAB, S_SHSTRTAB, S_STACK, S_COUNT };

static void pad_to(tl_buf *out, size_t start, size_t alignment) {
  while ((out->len - start) % alignment)
    tl_buf_putc(out, 0);
}

static Elf64_Shdr section(uint32_t name, uint32_t type, uint64_t flags, uint64_t offset,
                          uint64_t size, uint64_t alignment) {
  return (Elf64_Shdr){.sh_name = name,
                      .sh_type = type,
                      .sh_flags = flags,
                      .sh_offset = offset,
                      .sh_size = size,
                      .sh_addralign = alignment};
}

static void write_object(const char *symbol, const tl_buf *bytes, tl_buf *out) {
  static const char names[] = "\0.rodata\0.symtab\0.strtab\0.shstrtab\0.note.GNU-stack";
  size_t start = out->len;
  Elf64_Shdr sections[S_COUNT] = {{0}};
  Elf64_Ehdr header = {.e_type = ET_REL,
                       .e_machine = HOST_MACHINE,
                       .e_version = EV_CURRENT,
                       .e_ehsize = sizeof header,
                       .e_shentsize = sizeof(Elf64_Shdr),
                       .e_shnum = S_COUNT,
                       .e_shstrndx = S_SHSTRTAB};
  memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  tl_buf_write(out, &header, sizeof header);

  pad_to(out, start, 4096);
  sections[S_RODATA] = section(1, SHT_PROGBITS, SHF_ALLOC, out->len - start, 0, 4096);
  tl_buf_write(out, bytes->data, bytes->len);
  pad_to(out, start, 8);
  uint64_t count = bytes->len, count_at = out->len - start - sections[S_RODATA].sh_offset;
  tl_buf_write(out, &count, sizeof count);
  sections[S_RODATA].sh_size = out->len - start - sections[S_RODATA].sh_offset;

  char strings[512];
  size_t len = strlen(symbol);
  int used = snprintf(strings, sizeof strings, "%c%s%c%s_size", 0, symbol, 0, symbol) + 1;
  unsigned char info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT);
  Elf64_Sym symbols[3] = {
      {0},
      {.st_name = 1, .st_info = info, .st_shndx = S_RODATA, .st_size = bytes->len},
      {.st_name = (uint32_t)len + 2,
       .st_info = info,
       .st_shndx = S_RODATA,
       .st_value = count_at,
       .st_size = 8},
  };
  sections[S_SYMTAB] = section(9, SHT_SYMTAB, 0, out->len - start, sizeof symbols, 8);
  sections[S_SYMTAB].sh_link = S_STRTAB;
  sections[S_SYMTAB].sh_info = 1; // index of the first global symbol
  sections[S_SYMTAB].sh_entsize = sizeof(Elf64_Sym);
  tl_buf_write(out, symbols, sizeof symbols);
  sections[S_STRTAB] = section(17, SHT_STRTAB, 0, out->len - start, (uint64_t)used, 1);
  tl_buf_write(out, strings, (size_t)used);
  sections[S_SHSTRTAB] = section(25, SHT_STRTAB, 0, out->len - start, sizeof names, 1);
  tl_buf_write(out, names, sizeof names);
  sections[S_STACK] = section(35, SHT_PROGBITS, 0, out->len - start, 0, 1);

  pad_to(out, start, 8);
  uint64_t table_at = out->len - start;
  tl_buf_write(out, sections, sizeof sections);
  ((Elf64_Ehdr *)(void *)(out->data + start))->e_shoff = table_at;
}

// --- header ------------------------------------------------------------------------------------

static void write_header(const char *symbol, tl_buf *out) {
  tl_buf_printf(out,
                "// Declares what `tilec --emit=obj` put into the object file; load it with\n"
                "//   tile_module_load_bytes(ctx, %s, %s_size, &module);\n"
                "#pragma once\n#include <stddef.h>\n#include <stdint.h>\n"
                "#ifdef __cplusplus\nextern \"C\" {\n#endif\n"
                "extern const unsigned char %s[];\nextern const uint64_t %s_size;\n"
                "#ifdef __cplusplus\n}\n#endif\n",
                symbol, symbol, symbol, symbol);
}

// --- JSON --------------------------------------------------------------------------------------

static const char contract_sql[] =
    "SELECT json_object('schema', 1, 'compiler', (SELECT value FROM meta WHERE key='compiler'),"
    " 'kernels', (SELECT json_group_array(json_object('name', name, 'export', export, 'source', "
    "source,"
    "  'line', line,"
    "  'params', (SELECT json_group_array(json_object('name', p.name, 'kind', p.kind, 'dir', p.dir,"
    "    'dtype', p.dtype, 'dims', p.dims, 'strides', p.strides)) FROM"
    "    (SELECT * FROM param WHERE kernel=k.id ORDER BY pos) p),"
    "  'variants', (SELECT json_group_array(json_object('name', v.name, 'arch', v.arch, 'settings',"
    "    v.settings, 'align', v.align, 'default', v.is_default, 'symbol', v.symbol, 'grid',"
    "    json_array(v.grid_x, v.grid_y, v.grid_z), 'threads', v.threads, 'smem', v.smem_bytes,"
    "    'ctas_per_sm', v.ctas_per_sm, 'regs', v.regs, 'spill_bytes', v.spill_bytes, 'stages',"
    "    v.stages, 'requires', (SELECT json_group_array(r.expr) FROM (SELECT expr FROM require "
    "WHERE"
    "      variant=v.id ORDER BY pos) r))) FROM (SELECT * FROM variant WHERE kernel=k.id ORDER BY "
    "id) v)"
    " )) FROM (SELECT * FROM kernel ORDER BY id) k))";

static void write_json(const tl_buf *bytes, tl_buf *out) {
  sqlite3 *db = NULL;
  sqlite3_stmt *statement = NULL;
  bool good =
      sqlite3_open(":memory:", &db) == SQLITE_OK &&
      sqlite3_deserialize(db, "main", (unsigned char *)bytes->data, (sqlite3_int64)bytes->len,
                          (sqlite3_int64)bytes->len, SQLITE_DESERIALIZE_READONLY) == SQLITE_OK &&
      sqlite3_prepare_v2(db, contract_sql, -1, &statement, NULL) == SQLITE_OK &&
      sqlite3_step(statement) == SQLITE_ROW;
  if (!good)
    TL_UNREACHABLE("SQLite while writing the contract: %s", sqlite3_errmsg(db));
  tl_buf_printf(out, "%s\n", (const char *)sqlite3_column_text(statement, 0));
  sqlite3_finalize(statement);
  sqlite3_close(db);
}

void cg_embed(cg_stage form, const char *input_path, const tl_buf *artifact, tl_buf *out) {
  char symbol[200];
  symbol_of(input_path, symbol, sizeof symbol);
  switch (form) {
  case CG_OBJ:
    write_object(symbol, artifact, out);
    return;
  case CG_HEADER:
    write_header(symbol, out);
    return;
  case CG_JSON:
    write_json(artifact, out);
    return;
  default:
    tl_buf_write(out, artifact->data, artifact->len);
    return;
  }
}
