/* Text that others wrote, shown on a terminal: nothing in it may move the cursor, change colours, reorder what is read,
 * or hide. */
#ifndef ENT_CLI_TERMINAL_H
#define ENT_CLI_TERMINAL_H

#include "cli/cli.h"

/** Columns that a code point takes: 0, 1 or 2. */
unsigned ent_cli_point_width(uint32_t point);
/** Take one code point off the front of a text.
 *  @out  ret_point   undefined for bytes that are no UTF-8
 *  Returns the bytes it takes; 0 when the first byte is no part of well-formed UTF-8. */
size_t ent_cli_point(ent_text text, uint32_t *ret_point);

/** Append on one line: control characters, line separators, bidirectional controls and invisible characters are shown
 * as \n, \t, \u{202e}; bytes that are no UTF-8 as \x9c. */
void ent_cli_put_line(ent_buf *buf, ent_text text);
/** The same, but newlines start a new line after `indent` spaces, and tabs stay. No newline at the end. */
void ent_cli_put_block(ent_buf *buf, ent_text text, unsigned indent);
/** Append JSON as it is, but with the characters that could reach into a terminal written as \uXXXX: the same value to
 * every reader of JSON. */
void ent_cli_put_json(ent_buf *buf, ent_text json);

/** Columns that a text on one line takes. */
size_t ent_cli_width(ent_text text);
/** Append as much of a text on one line as fits into columns, with an ellipsis in the last column when it is cut.
 *  Returns the columns used. */
size_t ent_cli_put_fitted(ent_buf *buf, ent_text text, size_t columns);

typedef enum {
    ENT_CLI_PLAIN = 0,
    ENT_CLI_BOLD,
    ENT_CLI_FAINT,
    ENT_CLI_GREEN,
    ENT_CLI_YELLOW,
    ENT_CLI_RED
} ent_cli_style;
/** Start a style, or end it with PLAIN; nothing when colours are off. */
void ent_cli_put_style(ent_buf *buf, bool colour, ent_cli_style style);
/** Style for an urgency's word: flash red, immediate yellow, priority bold. */
ent_cli_style ent_cli_urgency_style(ent_text urgency);

/** Find out about standard output: its width (of no terminal, COLUMNS in the environment), and whether colours are
 * wanted (a terminal, and no NO_COLOR). */
void ent_cli_look_at_terminal(ent_cli *cli);

#endif
