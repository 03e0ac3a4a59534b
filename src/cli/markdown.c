#include "cli/markdown.h"

#include "cli/terminal.h"

void ent_cli_put_markdown(ent_buf *buf, ent_text text)
{
    /* CommonMark 0.30, section 2.4: "Any ASCII punctuation character may be backslash-escaped". These are the ones that
     * mean something in the middle of a line; text of others never begins one. */
    static const char special[] = "\\`*_{}[]<>()#!|~&:@$^=";
    ENT_CLEANUP(ent_buf_release) ent_buf safe = {0};
    ent_cli_put_line(&safe, text);
    if (safe.failed != ENT_OK)
        buf->failed = safe.failed;
    char before = ' ';
    for (size_t i = 0; i < safe.size; i++) {
        char c = (char)safe.data[i];
        /* GitHub makes links of "www." too. */
        bool link_dot = c == '.' && (before == 'w' || before == 'W');
        if (c != 0 && (strchr(special, c) != NULL || link_dot))
            ent_buf_put_u8(buf, '\\');
        ent_buf_put_u8(buf, (uint8_t)c);
        before = c;
    }
}

void ent_cli_put_cell(ent_buf *buf, ent_text text)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c == '|' || c == '<')
            ent_buf_put_u8(buf, '\\');
        ent_buf_put_u8(buf, c == '\n' ? ' ' : (uint8_t)c);
    }
}
