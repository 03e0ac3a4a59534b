#include "cli/table.h"

enum { GAP = 2 };

void ent_cli_table_column(ent_cli_table *table, const char *title, unsigned least, unsigned drop)
{
    if (table->column_count < ENT_CLI_TABLE_COLUMNS)
        table->columns[table->column_count++] = (ent_cli_column){title, least, drop};
    else
        table->failed = true;
}

void ent_cli_table_cell(ent_cli_table *table, ent_cli_style style, ent_text text)
{
    ENT_CLEANUP(ent_buf_release) ent_buf safe = {0};
    ent_cli_put_line(&safe, text);
    if (table->cell_count == table->capacity && !table->failed) {
        size_t capacity = table->capacity == 0 ? 256 : table->capacity * 2;
        ent_cli_cell *cells = ent_realloc(table->cells, capacity * sizeof *cells);
        if (cells == NULL) {
            table->failed = true;
            return;
        }
        table->cells = cells;
        table->capacity = capacity;
    }
    ent_text copy = ent_arena_text(&table->arena, ent_buf_text(&safe));
    if (table->failed || safe.failed != ENT_OK || (safe.size > 0 && copy.data == NULL)) {
        table->failed = true;
        return;
    }
    table->cells[table->cell_count++] = (ent_cli_cell){copy, style};
}

static size_t total(const ent_cli_table *table, const size_t *widths, const bool *dropped)
{
    size_t sum = 0;
    size_t shown = 0;
    for (size_t i = 0; i < table->column_count; i++) {
        if (!dropped[i]) {
            sum += widths[i];
            shown++;
        }
    }
    return sum + (shown > 0 ? (shown - 1) * GAP : 0);
}

/* Cut the widest column that may be cut by one; false when none may. */
static bool shrink(const ent_cli_table *table, size_t *widths, const bool *dropped)
{
    size_t widest = table->column_count;
    for (size_t i = 0; i < table->column_count; i++) {
        bool can = !dropped[i] && table->columns[i].least > 0 && widths[i] > table->columns[i].least;
        if (can && (widest == table->column_count || widths[i] > widths[widest]))
            widest = i;
    }
    if (widest == table->column_count)
        return false;
    widths[widest]--;
    return true;
}

static bool drop(const ent_cli_table *table, bool *dropped)
{
    size_t found = table->column_count;
    for (size_t i = 0; i < table->column_count; i++) {
        bool can = !dropped[i] && table->columns[i].drop > 0;
        if (can && (found == table->column_count || table->columns[i].drop > table->columns[found].drop))
            found = i;
    }
    if (found == table->column_count)
        return false;
    dropped[found] = true;
    return true;
}

static void natural_widths(const ent_cli_table *table, size_t *widths)
{
    for (size_t i = 0; i < table->column_count; i++)
        widths[i] = strlen(table->columns[i].title);
    for (size_t i = 0; i < table->cell_count; i++) {
        size_t width = ent_cli_width(table->cells[i].text);
        if (width > widths[i % table->column_count])
            widths[i % table->column_count] = width;
    }
}

/* Cut what may be cut, leave columns out one after the other, and begin anew with each. */
static void fit(const ent_cli_table *table, unsigned width, size_t *widths, bool *dropped)
{
    natural_widths(table, widths);
    while (width > 0 && total(table, widths, dropped) > width) {
        if (shrink(table, widths, dropped))
            continue;
        if (!drop(table, dropped))
            return;
        natural_widths(table, widths);
    }
}

bool ent_cli_table_fits(const ent_cli_table *table, unsigned width)
{
    size_t widths[ENT_CLI_TABLE_COLUMNS] = {0};
    const bool dropped[ENT_CLI_TABLE_COLUMNS] = {false};
    natural_widths(table, widths);
    for (size_t i = 0; i < table->column_count; i++) {
        size_t least = table->columns[i].least;
        widths[i] = least > 0 && least < widths[i] ? least : widths[i];
    }
    return width == 0 || total(table, widths, dropped) <= width;
}

static void put_row(const ent_cli_table *table, const ent_cli_cell *cells, const size_t *widths, const bool *dropped,
                    bool colour, ent_buf *buf)
{
    size_t owed = 0; /* spaces before the next cell: none at a line's end */
    for (size_t i = 0; i < table->column_count; i++) {
        if (dropped[i])
            continue;
        size_t used = 0;
        if (cells[i].text.size > 0) {
            ent_buf_put_format(buf, "%*s", (int)owed, "");
            owed = 0;
            if (cells[i].style != ENT_CLI_PLAIN)
                ent_cli_put_style(buf, colour, cells[i].style);
            used = ent_cli_put_fitted(buf, cells[i].text, widths[i]);
            if (cells[i].style != ENT_CLI_PLAIN)
                ent_cli_put_style(buf, colour, ENT_CLI_PLAIN);
        }
        owed += widths[i] - used + GAP;
    }
    ent_buf_put_u8(buf, '\n');
}

ent_rc ent_cli_table_put(ent_cli_table *table, ent_buf *buf, unsigned width, bool colour, ent_err *err)
{
    size_t widths[ENT_CLI_TABLE_COLUMNS] = {0};
    bool dropped[ENT_CLI_TABLE_COLUMNS] = {false};
    ent_cli_cell titles[ENT_CLI_TABLE_COLUMNS] = {0};
    if (table->failed || table->column_count == 0)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory for a table");
    fit(table, width, widths, dropped);
    for (size_t i = 0; i < table->column_count; i++)
        titles[i] = (ent_cli_cell){ent_text_of(table->columns[i].title), ENT_CLI_FAINT};
    put_row(table, titles, widths, dropped, colour, buf);
    for (size_t i = 0; i + table->column_count <= table->cell_count; i += table->column_count)
        put_row(table, table->cells + i, widths, dropped, colour, buf);
    return ent_buf_check(buf, err);
}

void ent_cli_table_release(ent_cli_table *table)
{
    ent_free(table->cells);
    ent_arena_release(&table->arena);
    *table = (ent_cli_table){0};
}
