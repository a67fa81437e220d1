/* Grammar of .tile files, LALR(1) without conflicts; the readable part is SPEC's chapter on syntax.
 *
 * What keeps it conflict-free: element types are reserved words; dims follow the declared name;
 * two names in a row can only start a declaration, so a statement that is an expression begins with
 * a name (`place`); generic arguments and subscripts share `[...]` and sema tells them apart; braces
 * are mandatory; assignment is a statement, so `name = e` inside a call is a named argument.
 *
 * Recovery: `error RESYNC` in every list. The token stream (frontend/token_stream.c) finds the place
 * to go on and announces it with RESYNC, so no rule here has to guess how far to skip. */
%define api.pure full
%define api.prefix {fe_yy}
%define api.token.prefix {FE_YY_}
%define api.location.type {tl_span}
%define parse.error custom
%define parse.lac full
%locations
%expect 0
%param { fe_parser *ps }

%code requires {
#include "frontend/parse_act.h"
}

%union {
  ast_name name;
  ast_expr *expr;
  ast_sub sub;
  ast_arg arg;
  ast_type *type;
  ast_dims dims;
  ast_attr attr;
  ast_attrs attrs;
  ast_block *block;
  ast_stmt *stmt;
  ast_role role;
  ast_field field;
  ast_gparam gparam;
  ast_param param;
  ast_clause clause;
  ast_tune tune;
  ast_result result;
  ast_item *item;
  fe_list list;
  struct { fe_list list; bool parens; } names;
  tl_dtype dtype;
  ast_dir dir;
  ast_gkind gkind;
  ast_op op;
  uint32_t depth;
}

%code {
#define YYMAXDEPTH 10000 /* deeper nesting is refused: nobody writes it, and consumers recurse */
#define YYLLOC_DEFAULT(cur, rhs, n)                                                                \
  do {                                                                                             \
    (cur) = (n) ? YYRHSLOC(rhs, 1) : YYRHSLOC(rhs, 0);                                             \
    if (n) (cur).hi = YYRHSLOC(rhs, n).hi;                                                         \
    else (cur).lo = (cur).hi;                                                                      \
  } while (0)

static int fe_yylex(FE_YYSTYPE *value, tl_span *span, fe_parser *ps);
static void fe_yyerror(tl_span *span, fe_parser *ps, const char *message);

/* Appends a by-value node; the list's type is fixed where it is stored into the tree (AS). */
#define ADD(list, item) fe_append(ps, (list), &(item), sizeof(item))
#define ADD_NODE(list, node) ((node) ? ADD(list, node) : (list))
#define AS(T, l) ((T){(l).data, (l).len})
static const fe_list EMPTY = {0};
}

%token END 0 "end of file"
%token KERNEL "kernel" FN "fn" STRUCT "struct" CONST "const" IMPORT "import"
%token TUNE "tune" REQUIRE "require" GRID "grid" KEY "key" IN "in" OUT "out" INOUT "inout"
%token LET "let" VAR "var" FOR "for" FOREACH "foreach" WHILE "while" IF "if" ELSE "else"
%token RETURN "return" BREAK "break" CONTINUE "continue" STEP "step"
%token ROLES "roles" ROLE "role" CHANNEL "channel" PUT "put" GET "get"
%token NONE "none" TRUE "true" FALSE "false" INT "int" BOOL "bool" DTYPE "dtype" PTR "ptr"
%token <dtype> TYPENAME
%token <name> IDENT
%token <expr> INTLIT FLTLIT STRLIT
%token RESYNC
%token LPAREN "(" RPAREN ")" LBRACKET "[" RBRACKET "]" LBRACE "{" RBRACE "}"
%token COMMA "," SEMI ";" COLON ":" DOT "." AT "@" QUESTION "?"
%token PLUSCOLON "+:" DOTDOT ".." ARROW "->" INCR "++" DECR "--"
%token ASSIGN "=" ADDEQ "+=" SUBEQ "-=" MULEQ "*=" DIVEQ "/=" MODEQ "%="
%token ANDEQ "&=" OREQ "|=" XOREQ "^=" SHLEQ "<<=" SHREQ ">>="
%token OROR "||" ANDAND "&&" OR "|" XOR "^" AND "&" EQ "==" NE "!=" LT "<" GT ">" LE "<=" GE ">="
%token SHL "<<" SHR ">>" ADD "+" SUB "-" MUL "*" DIV "/" MOD "%" NOT "!" INV "~"

%right "?" ":"
%left "||"
%left "&&"
%left "|"
%left "^"
%left "&"
%left "==" "!="
%left "<" ">" "<=" ">="
%left "<<" ">>"
%left "+" "-"
%left "*" "/" "%"

%type <item> item
%type <list> generics_opt gparams clauses tunes params_opt params fields attr_list stmts roles
%type <list> names namelist exprs subs args_opt args strings
%type <gparam> gparam
%type <gkind> gkind
%type <expr> gdefault place expr unary postfix primary step_opt
%type <clause> clause
%type <tune> tune
%type <param> param
%type <dir> dir_opt
%type <dims> dims_opt
%type <type> type
%type <names> results_opt result_list let_names
%type <result> result
%type <field> field
%type <attrs> attrs_opt attrs
%type <attr> attr
%type <block> block
%type <stmt> stmt plain for_head foreach_head while_head if_head if_stmt else_opt
%type <role> role
%type <op> assign_op
%type <sub> sub
%type <arg> arg
%type <name> arg_name

%start module
%%

/* ---- declarations ---------------------------------------------------------------------------- */
module : %empty
       | module item
         { fe_list items = {ps->module->items, ps->module->nitems, ps->item_cap};
           items = ADD(items, $2);
           ps->module->items = items.data;
           ps->module->nitems = items.len;
           ps->item_cap = items.cap; }
       | module error RESYNC { yyerrok; }
       ;

item : IMPORT STRLIT ";"
       { $$ = fe_make_item(ps, @$, AST_ITEM_IMPORT);
         $$->import = (ast_import){$2->string.text, @2, $2->string.spelling}; }
     | CONST type IDENT "=" expr ";"
       { $$ = fe_make_item(ps, @$, AST_ITEM_CONST);
         $$->constant = (ast_const){$2, $3, $5}; }
     | STRUCT IDENT "{" fields "}"
       { $$ = fe_make_item(ps, @$, AST_ITEM_STRUCT);
         $$->record = (ast_struct){$2, AS(ast_fields, $4)}; }
     | attrs_opt FN IDENT generics_opt "(" params_opt ")" results_opt block
       { $$ = fe_make_item(ps, @$, AST_ITEM_FN);
         $$->fn = (ast_fn){.name = $3, .attrs = $1, .generics = AS(ast_gparams, $4),
                           .params = AS(ast_params, $6), .results = $8.list.data,
                           .nresults = $8.list.len, .tuple_result = $8.parens, .body = $9}; }
     | attrs_opt KERNEL IDENT generics_opt "(" params_opt ")" clauses block
       { $$ = fe_make_item(ps, @$, AST_ITEM_KERNEL);
         $$->kernel = (ast_kernel){.name = $3, .attrs = $1, .generics = AS(ast_gparams, $4),
                                   .params = AS(ast_params, $6), .clauses = $8.data,
                                   .nclauses = $8.len, .body = $9}; }
     ;

generics_opt : %empty { $$ = EMPTY; }
             | "[" gparams "]" { $$ = $2; }
             ;
gparams : gparam { $$ = ADD(EMPTY, $1); }
        | gparams "," gparam { $$ = ADD($1, $3); }
        ;
gparam : gkind IDENT { $$ = (ast_gparam){@$, $1, $2, NULL}; }
       | gkind IDENT "=" gdefault { $$ = (ast_gparam){@$, $1, $2, $4}; }
       ;
gkind : INT { $$ = AST_GENERIC_INT; }
      | BOOL { $$ = AST_GENERIC_BOOL; }
      | DTYPE { $$ = AST_GENERIC_DTYPE; }
      ;
gdefault : expr
         | TYPENAME { $$ = fe_make_dtype(ps, @1, $1); }
         ;

clauses : %empty { $$ = EMPTY; }
        | clauses clause { $$ = ADD($1, $2); }
        ;
clause : GRID "(" args ")"
         { $$ = (ast_clause){@$, AST_CLAUSE_GRID, .args = AS(ast_args, $3)}; }
       | KEY "(" args ")"
         { $$ = (ast_clause){@$, AST_CLAUSE_KEY, .args = AS(ast_args, $3)}; }
       | REQUIRE "(" expr ")"
         { $$ = (ast_clause){@$, AST_CLAUSE_REQUIRE, .cond = $3}; }
       | TUNE "{" tunes "}"
         { $$ = (ast_clause){@$, AST_CLAUSE_TUNE, .tunes = $3.data, .ntunes = $3.len}; }
       | TUNE "(" args ")" "{" tunes "}"
         { $$ = (ast_clause){@$, AST_CLAUSE_TUNE, .args = AS(ast_args, $3), .tunes = $6.data,
                             .ntunes = $6.len}; }
       ;
tunes : %empty { $$ = EMPTY; }
      | tunes tune { $$ = ADD($1, $2); }
      | tunes error RESYNC { yyerrok; $$ = $1; }
      ;
tune : IDENT IN "{" exprs "}" ";"
       { $$ = (ast_tune){@$, $1, .values = AS(ast_exprs, $4)}; }
     | IDENT IN expr ".." expr step_opt ";"
       { $$ = (ast_tune){@$, $1, .is_range = true, .lo = $3, .hi = $5, .step = $6}; }
     ;

params_opt : %empty { $$ = EMPTY; }
           | params
           ;
params : param { $$ = ADD(EMPTY, $1); }
       | params "," param { $$ = ADD($1, $3); }
       ;
param : dir_opt type IDENT dims_opt attrs_opt
        { $$ = (ast_param){@$, $1, $2, $3, $4, $5};
          if (@1.lo == @1.hi) $$.span.lo = @2.lo; }
      ;
dir_opt : %empty { $$ = AST_DIR_NONE; }
        | IN { $$ = AST_DIR_IN; }
        | OUT { $$ = AST_DIR_OUT; }
        | INOUT { $$ = AST_DIR_INOUT; }
        ;
dims_opt : %empty { $$ = (ast_dims){.span = @$}; }
         | "[" exprs "]" { $$ = (ast_dims){@$, AS(ast_exprs, $2), {0}}; }
         | "[" exprs ";" exprs "]" { $$ = (ast_dims){@$, AS(ast_exprs, $2), AS(ast_exprs, $4)}; }
         ;

type : TYPENAME { $$ = fe_make_type(ps, @$, AST_TYPE_DTYPE, $1, NULL, NULL); }
     | PTR "[" type "]" { $$ = fe_make_type(ps, @$, AST_TYPE_PTR, TL_NODTYPE, NULL, $3); }
     | IDENT { $$ = fe_make_c_type(ps, @$, $1.text);
               if (!$$) $$ = fe_make_type(ps, @$, AST_TYPE_NAME, TL_NODTYPE, $1.text, NULL); }
       /* C habits: read, reported, and taken for what was meant. */
     | INT { $$ = fe_make_c_type(ps, @$, "int"); }
     | BOOL { $$ = fe_make_c_type(ps, @$, "bool"); }
     | type "*" { $$ = fe_make_c_pointer(ps, @$, $1); }
     ;

results_opt : %empty { $$.list = EMPTY; $$.parens = false; }
            | "->" result { $$.list = ADD(EMPTY, $2); $$.parens = false; }
            | "->" "(" result_list ")" { $$ = $3; $$.parens = true; }
            ;
result_list : result { $$.list = ADD(EMPTY, $1); }
            | result_list "," result { $$.list = ADD($1.list, $3); }
            ;
result : type dims_opt { $$ = (ast_result){@$, $1, $2}; } ;

fields : %empty { $$ = EMPTY; }
       | fields field { $$ = ADD($1, $2); }
       | fields error RESYNC { yyerrok; $$ = $1; }
       ;
field : type IDENT dims_opt ";" { $$ = (ast_field){@$, $1, $2, $3}; } ;

attrs_opt : %empty { $$ = (ast_attrs){0}; }
          | attrs
          ;
attrs : attr_list { $$ = AS(ast_attrs, $1); } ;
attr_list : attr { $$ = ADD(EMPTY, $1); }
          | attr_list attr { $$ = ADD($1, $2); }
          ;
attr : "@" IDENT { $$ = (ast_attr){@$, $2, false, {0}}; }
     | "@" IDENT "(" args_opt ")" { $$ = (ast_attr){@$, $2, true, AS(ast_args, $4)}; }
     ;

/* ---- statements ------------------------------------------------------------------------------ */
block : "{" stmts "}" { $$ = fe_make_block(ps, @$, $2); } ;
stmts : %empty { $$ = EMPTY; }
      | stmts stmt { $$ = ADD_NODE($1, $2); }
      | stmts error RESYNC { yyerrok; $$ = $1; }
      ;
stmt : plain
     | attrs plain
       { $$ = $2;
         if ($$) { $$->attrs = $1; $$->span = @$; } }
     ;
plain : block { $$ = fe_make_stmt(ps, @$, AST_BLOCK); $$->block = $1; }
      | ";" { $$ = fe_make_stmt(ps, @$, AST_EMPTY); }
      | LET let_names "=" expr ";"
        { $$ = fe_make_stmt(ps, @$, AST_LET);
          $$->let.names = AS(ast_names, $2.list); $$->let.tuple = $2.parens; $$->let.value = $4; }
      | VAR let_names "=" expr ";"
        { $$ = fe_make_stmt(ps, @$, AST_VAR);
          $$->let.names = AS(ast_names, $2.list); $$->let.tuple = $2.parens; $$->let.value = $4; }
      | type IDENT dims_opt ";"
        { $$ = fe_make_stmt(ps, @$, AST_DECL);
          $$->decl.type = $1; $$->decl.name = $2; $$->decl.dims = $3; }
      | type IDENT dims_opt "=" expr ";"
        { $$ = fe_make_stmt(ps, @$, AST_DECL);
          $$->decl.type = $1; $$->decl.name = $2; $$->decl.dims = $3; $$->decl.value = $5; }
      | place assign_op expr ";" { $$ = fe_make_assign(ps, @$, $1, $2, $3); }
      | place ";" { $$ = fe_make_call_stmt(ps, @$, $1); }
      | for_head block { $$ = $1; if ($$) { $$->span = @$; $$->loop.body = $2; } }
      | foreach_head block { $$ = $1; if ($$) { $$->span = @$; $$->foreach.body = $2; } }
      | while_head block { $$ = $1; if ($$) { $$->span = @$; $$->loop_while.body = $2; } }
      | if_stmt
      | RETURN ";" { $$ = fe_make_stmt(ps, @$, AST_RETURN); }
      | RETURN expr ";" { $$ = fe_make_stmt(ps, @$, AST_RETURN); $$->result = $2; }
      | BREAK ";" { $$ = fe_make_stmt(ps, @$, AST_BREAK); }
      | CONTINUE ";" { $$ = fe_make_stmt(ps, @$, AST_CONTINUE); }
      | CHANNEL IDENT "[" expr "]" "{" fields "}"
        { $$ = fe_make_stmt(ps, @$, AST_CHANNEL);
          $$->channel.name = $2; $$->channel.stages = $4;
          $$->channel.fields = AS(ast_fields, $7); }
      | ROLES "{" roles "}"
        { $$ = fe_make_stmt(ps, @$, AST_ROLES); $$->roles.data = $3.data; $$->roles.len = $3.len; }
      | PUT IDENT block
        { $$ = fe_make_stmt(ps, @$, AST_PUT); $$->access.channel = $2; $$->access.body = $3; }
      | GET IDENT block
        { $$ = fe_make_stmt(ps, @$, AST_GET); $$->access.channel = $2; $$->access.body = $3; }
      ;

/* Heads are rules of their own so that recovery inside the parentheses keeps the body. */
for_head : FOR "(" IDENT IN expr ".." expr step_opt ")"
           { $$ = fe_make_stmt(ps, @$, AST_FOR);
             $$->loop.var = $3; $$->loop.lo = $5; $$->loop.hi = $7; $$->loop.step = $8; }
         | FOR "(" error RESYNC ")" { yyerrok; $$ = NULL; }
         ;
foreach_head : FOREACH "(" namelist IN expr ")"
               { $$ = fe_make_stmt(ps, @$, AST_FOREACH);
                 $$->foreach.vars = AS(ast_names, $3); $$->foreach.domain = $5; }
             | FOREACH "(" error RESYNC ")" { yyerrok; $$ = NULL; }
             ;
while_head : WHILE "(" expr ")" { $$ = fe_make_stmt(ps, @$, AST_WHILE); $$->loop_while.cond = $3; }
           | WHILE "(" error RESYNC ")" { yyerrok; $$ = NULL; }
           ;
if_head : IF "(" expr ")" { $$ = fe_make_stmt(ps, @$, AST_IF); $$->branch.cond = $3; }
        | IF "(" error RESYNC ")" { yyerrok; $$ = NULL; }
        ;
if_stmt : if_head block else_opt
          { $$ = $1; if ($$) { $$->span = @$; $$->branch.then = $2; $$->branch.other = $3; } }
        ;
else_opt : %empty { $$ = NULL; }
         | ELSE block { $$ = fe_make_stmt(ps, @2, AST_BLOCK); $$->block = $2; }
         | ELSE if_stmt { $$ = $2; }
         ;
step_opt : %empty { $$ = NULL; }
         | STEP expr { $$ = $2; }
         ;
roles : %empty { $$ = EMPTY; }
      | roles role { $$ = ADD($1, $2); }
      | roles error RESYNC { yyerrok; $$ = $1; }
      ;
role : attrs_opt ROLE IDENT block
       { $$ = (ast_role){@$, $1, $3, $4};
         if (!$1.len) $$.span.lo = @2.lo; }
     ;
let_names : names { $$.list = $1; $$.parens = false; }
          | "(" namelist ")" { $$.list = $2; $$.parens = true; }
          ;
names : IDENT { $$ = ADD(EMPTY, $1); } ;
namelist : IDENT { $$ = ADD(EMPTY, $1); }
         | namelist "," IDENT { $$ = ADD($1, $3); }
         ;
place : IDENT { $$ = fe_make_ident(ps, $1); }
      | place "[" subs "]" { $$ = fe_make_index(ps, @$, $1, $3); }
      | place "(" args_opt ")" { $$ = fe_make_call(ps, @$, $1, $3); }
      | place "." IDENT { $$ = fe_make_member(ps, @$, $1, $3); }
      ;
assign_op : "=" { $$ = AST_OP_NONE; }
          | "+=" { $$ = AST_OP_ADD; } | "-=" { $$ = AST_OP_SUB; } | "*=" { $$ = AST_OP_MUL; }
          | "/=" { $$ = AST_OP_DIV; } | "%=" { $$ = AST_OP_MOD; } | "&=" { $$ = AST_OP_AND; }
          | "|=" { $$ = AST_OP_OR; }  | "^=" { $$ = AST_OP_XOR; }
          | "<<=" { $$ = AST_OP_SHL; } | ">>=" { $$ = AST_OP_SHR; }
          ;

/* ---- expressions: C's precedence, without assignment, comma, address-of and dereference ------- */
exprs : expr { $$ = ADD(EMPTY, $1); }
      | exprs "," expr { $$ = ADD($1, $3); }
      ;
expr : unary
     | expr "?" expr ":" expr { $$ = fe_make_ternary(ps, @$, $1, $3, $5); }
     | expr "||" expr { $$ = fe_make_binary(ps, @$, AST_OP_OROR, @2, $1, $3); }
     | expr "&&" expr { $$ = fe_make_binary(ps, @$, AST_OP_ANDAND, @2, $1, $3); }
     | expr "|" expr { $$ = fe_make_binary(ps, @$, AST_OP_OR, @2, $1, $3); }
     | expr "^" expr { $$ = fe_make_binary(ps, @$, AST_OP_XOR, @2, $1, $3); }
     | expr "&" expr { $$ = fe_make_binary(ps, @$, AST_OP_AND, @2, $1, $3); }
     | expr "==" expr { $$ = fe_make_binary(ps, @$, AST_OP_EQ, @2, $1, $3); }
     | expr "!=" expr { $$ = fe_make_binary(ps, @$, AST_OP_NE, @2, $1, $3); }
     | expr "<" expr { $$ = fe_make_binary(ps, @$, AST_OP_LT, @2, $1, $3); }
     | expr ">" expr { $$ = fe_make_binary(ps, @$, AST_OP_GT, @2, $1, $3); }
     | expr "<=" expr { $$ = fe_make_binary(ps, @$, AST_OP_LE, @2, $1, $3); }
     | expr ">=" expr { $$ = fe_make_binary(ps, @$, AST_OP_GE, @2, $1, $3); }
     | expr "<<" expr { $$ = fe_make_binary(ps, @$, AST_OP_SHL, @2, $1, $3); }
     | expr ">>" expr { $$ = fe_make_binary(ps, @$, AST_OP_SHR, @2, $1, $3); }
     | expr "+" expr { $$ = fe_make_binary(ps, @$, AST_OP_ADD, @2, $1, $3); }
     | expr "-" expr { $$ = fe_make_binary(ps, @$, AST_OP_SUB, @2, $1, $3); }
     | expr "*" expr { $$ = fe_make_binary(ps, @$, AST_OP_MUL, @2, $1, $3); }
     | expr "/" expr { $$ = fe_make_binary(ps, @$, AST_OP_DIV, @2, $1, $3); }
     | expr "%" expr { $$ = fe_make_binary(ps, @$, AST_OP_MOD, @2, $1, $3); }
     ;
unary : postfix
      | "-" unary { $$ = fe_make_unary(ps, @$, AST_OP_NEG, $2); }
      | "!" unary { $$ = fe_make_unary(ps, @$, AST_OP_NOT, $2); }
      | "~" unary { $$ = fe_make_unary(ps, @$, AST_OP_INV, $2); }
      ;
postfix : primary
        | postfix "[" subs "]" { $$ = fe_make_index(ps, @$, $1, $3); }
        | postfix "(" args_opt ")" { $$ = fe_make_call(ps, @$, $1, $3); }
        | postfix "." IDENT { $$ = fe_make_member(ps, @$, $1, $3); }
        ;
primary : IDENT { $$ = fe_make_ident(ps, $1); }
        | INTLIT
        | FLTLIT
        | strings { $$ = *(ast_expr **)$1.data; }
        | TRUE { $$ = fe_make_bool(ps, @$, true); }
        | FALSE { $$ = fe_make_bool(ps, @$, false); }
        | "(" exprs ")" { $$ = fe_make_parens(ps, @$, $2); }
        | TYPENAME "(" args_opt ")" { $$ = fe_make_call(ps, @$, fe_make_dtype(ps, @1, $1), $3); }
        | FN "(" namelist ")" { $<depth>$ = ps->deepest; ps->deepest = 0; } block
          { $$ = fe_make_fn(ps, @$, $3, $6, $<depth>5); }
        ;
strings : STRLIT { $$ = ADD(EMPTY, $1); }
        | strings STRLIT
          { ast_expr *joined = fe_join_strings(ps, @$, *(ast_expr **)$1.data, $2);
            $$ = ADD(EMPTY, joined); }
        ;
subs : sub { $$ = ADD(EMPTY, $1); }
     | subs "," sub { $$ = ADD($1, $3); }
     ;
sub : expr { $$ = (ast_sub){@$, AST_SUB_EXPR, .value = $1}; }
    | expr "+:" expr { $$ = (ast_sub){@$, AST_SUB_TILE, .value = $1, .length = $3}; }
    | ":" { $$ = (ast_sub){.span = @$, .kind = AST_SUB_FULL}; }
    | NONE { $$ = (ast_sub){.span = @$, .kind = AST_SUB_NONE}; }
    | TYPENAME { $$ = (ast_sub){@$, AST_SUB_DTYPE, .dtype = $1}; }
    ;
args_opt : %empty { $$ = EMPTY; }
         | args
         ;
args : arg { $$ = ADD(EMPTY, $1); }
     | args "," arg { $$ = ADD($1, $3); }
     ;
arg : expr { $$ = (ast_arg){@$, {0}, $1}; }
    | TYPENAME { $$ = (ast_arg){@$, {0}, fe_make_dtype(ps, @1, $1)}; }
    | arg_name "=" expr { $$ = (ast_arg){@$, $1, $3}; }
    | arg_name "=" TYPENAME { $$ = (ast_arg){@$, $1, fe_make_dtype(ps, @3, $3)}; }
    ;
arg_name : IDENT
         | STEP { $$ = (ast_name){"step", @1}; }
         | KEY { $$ = (ast_name){"key", @1}; }
         | GRID { $$ = (ast_name){"grid", @1}; }
         ;
%%

/* The grammar's token numbers and the lexer's are matched by name, from tokens.def. */
static const int number_of[FE_TOK_COUNT] = {
    [FE_EOF] = FE_YY_END,
#define TOKEN(id, spelling, cls, group) [FE_##id] = FE_YY_##id,
#include "lang/tokens.def"
#undef TOKEN
};
static const yysymbol_kind_t symbol_of[FE_TOK_COUNT] = {
    [FE_EOF] = YYSYMBOL_YYEOF,
#define TOKEN(id, spelling, cls, group) [FE_##id] = YYSYMBOL_##id,
#include "lang/tokens.def"
#undef TOKEN
};
/* Bison adds "error" and "invalid token". */
_Static_assert(YYNTOKENS - 2 == FE_TOK_COUNT, "tokens.def misses a token of tile.y");

static int fe_yylex(FE_YYSTYPE *value, tl_span *span, fe_parser *ps) {
  fe_token token = fe_next_token(ps);
  *span = token.span;
  switch (token.kind) {
  case FE_IDENT: value->name = (ast_name){token.text, token.span}; break;
  case FE_TYPENAME: value->dtype = token.dtype; break;
  case FE_INTLIT:
  case FE_FLTLIT:
  case FE_STRLIT: value->expr = token.expr; break;
  default: break;
  }
  return number_of[token.kind];
}

static int yyreport_syntax_error(const yypcontext_t *context, fe_parser *ps) {
  yysymbol_kind_t symbols[YYNTOKENS];
  int count = yypcontext_expected_tokens(context, symbols, YYNTOKENS);
  bool expected[FE_TOK_COUNT] = {false};
  for (int i = 0; i < count; i++)
    for (int kind = 0; kind < FE_TOK_COUNT; kind++)
      if (symbol_of[kind] == symbols[i]) expected[kind] = true;
  fe_syntax_error(ps, expected);
  return 0;
}

/* Bison's only other message is a full stack. */
static void fe_yyerror(tl_span *span, fe_parser *ps, const char *message) {
  (void)message;
  fe_too_deep(ps, *span);
}
