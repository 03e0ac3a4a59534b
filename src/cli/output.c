#include "cli/cli.h"

#include "base/file.h"
#include "base/json.h"
#include "cli/terminal.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

void ent_cli_note(const char *format, ...)
{
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    ENT_CLEANUP(ent_buf_release) ent_buf line = {0};
    ent_buf_put_string(&line, "entente: ");
    ent_cli_put_block(&line, ent_text_of(text), 9);
    ent_buf_put_u8(&line, '\n');
    if (line.failed == ENT_OK)
        (void)fwrite(line.data, 1, line.size, stderr);
}

/* The error in the API's shape. */
static void put_failure_json(ent_buf *buf, const ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf json = {0};
    ent_json_writer writer = ent_json_writer_of(&json);
    ent_json_object_begin(&writer);
    ent_json_key(&writer, "error");
    ent_json_object_begin(&writer);
    ent_json_member_string(&writer, "code", ent_code_word(err->code));
    ent_json_member_string(&writer, "rule", err->rule[0] == 0 ? NULL : err->rule);
    ent_json_member_string(&writer, "text", err->text);
    ent_json_object_end(&writer);
    ent_json_object_end(&writer);
    if (json.failed != ENT_OK)
        ent_buf_put_string(&json, "{\"error\":{\"code\":\"no-memory\",\"rule\":null,\"text\":\"out of memory\"}}");
    ent_cli_put_json(buf, ent_buf_text(&json));
    ent_buf_put_u8(buf, '\n');
}

void ent_cli_print_failure(const ent_err *err, bool json)
{
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    if (json) {
        put_failure_json(&text, err);
    } else {
        ent_buf_put_string(&text, "entente: ");
        ent_cli_put_line(&text, ent_text_of(err->text));
        if (err->rule[0] != 0) {
            ent_buf_put_string(&text, "\n  rule: ");
            ent_cli_put_line(&text, ent_text_of(err->rule));
        }
        ent_buf_put_u8(&text, '\n');
    }
    if (text.failed == ENT_OK)
        (void)fwrite(text.data, 1, text.size, stderr);
    else
        (void)fputs("entente: out of memory\n", stderr);
}

ent_rc ent_cli_flush(ent_cli *cli, ent_err *err)
{
    ENT_TRY(ent_buf_check(&cli->out, err));
    ent_rc rc = ent_file_write_all(STDOUT_FILENO, ent_buf_bytes(&cli->out), err);
    ent_buf_clear(&cli->out);
    return rc.code == ENT_OK ? rc : ent_fail_in(err, rc, "standard output");
}
