/* A table for people, fitted to the terminal's width. */
#ifndef ENT_CLI_TABLE_H
#define ENT_CLI_TABLE_H

#include "cli/terminal.h"

enum { ENT_CLI_TABLE_COLUMNS = 12 };

typedef struct {
    const char *title;
    unsigned least; /* columns it may be cut down to; 0 = never cut */
    unsigned drop;  /* > 0: left out when the rest does not fit, the highest number first */
} ent_cli_column;

typedef struct {
    ent_text text; /* in the table's arena, safe for a terminal */
    ent_cli_style style;
} ent_cli_cell;

/** Rows are gathered, then written at once. Release with ent_cli_table_release. */
typedef struct {
    ent_cli_column columns[ENT_CLI_TABLE_COLUMNS];
    size_t column_count;
    ent_cli_cell *cells;
    size_t cell_count;
    size_t capacity;
    ent_arena arena;
    bool failed; /* no memory */
} ent_cli_table;

void ent_cli_table_column(ent_cli_table *table, const char *title, unsigned least, unsigned drop);
/** Add the next cell, left to right, row by row. The text is made safe and copied. */
void ent_cli_table_cell(ent_cli_table *table, ent_cli_style style, ent_text text);
/** Whether every column can be shown, cut to its least at most; always when width is 0. */
bool ent_cli_table_fits(const ent_cli_table *table, unsigned width);
/** Append the table; width 0 = as wide as it needs.  Errors: NOMEM. */
ENT_RC ent_cli_table_put(ent_cli_table *table, ent_buf *buf, unsigned width, bool colour, ent_err *err);
void ent_cli_table_release(ent_cli_table *table);

#endif
