/* Text in Markdown (CommonMark, and the tables of GitHub's). */
#ifndef ENT_CLI_MARKDOWN_H
#define ENT_CLI_MARKDOWN_H

#include "base/bytes.h"

/** Append text that others wrote, on one line: it stays text wherever in a paragraph, list item or table cell it
 * stands, and makes no link, heading, HTML, code or new cell. What could act on a terminal is shown escaped. */
void ent_cli_put_markdown(ent_buf *buf, ent_text text);
/** Append our own text into a table cell: its Markdown stays, and it does not end the cell. */
void ent_cli_put_cell(ent_buf *buf, ent_text text);

#endif
