#include "cli/people.h"

#include "base/clock.h"
#include "crypto/crypto.h"

enum { LABEL_COLUMNS = 14, FINGERPRINT_BYTES = 20, STEP = 2 };

void ent_cli_put_time(ent_buf *buf, ent_text time)
{
    int64_t unix_s = 0;
    if (ent_time_parse(time, &unix_s))
        ent_buf_put_format(buf, "%.10s %.8s UTC", time.data, time.data + 11);
    else
        ent_cli_put_line(buf, time);
}

void ent_cli_put_time_unix(ent_buf *buf, int64_t unix_s)
{
    char text[ENT_TIME_TEXT_SIZE + 1];
    ent_time_format(unix_s, text);
    ent_cli_put_time(buf, ent_text_of(text));
}

void ent_cli_put_bytes(ent_buf *buf, uint64_t bytes)
{
    static const char *const units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
    size_t unit = 0;
    double value = (double)bytes / 1000;
    if (bytes < 1000) {
        ent_buf_put_format(buf, "%" PRIu64 " byte%s", bytes, bytes == 1 ? "" : "s");
        return;
    }
    while (value >= 999.95 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1000;
        unit++;
    }
    ent_buf_put_format(buf, "%.1f %s", value, units[unit]);
}

void ent_cli_put_counted(ent_buf *buf, uint64_t count, const char *one, const char *many)
{
    ent_buf_put_format(buf, "%" PRIu64 " %s", count, count == 1 ? one : many);
}

void ent_cli_put_first_entries(ent_buf *buf, uint64_t count)
{
    if (count == 1)
        ent_buf_put_string(buf, "the first entry");
    else
        ent_buf_put_format(buf, "the first %" PRIu64 " entries", count);
}

/* What stands behind "name:" or "-". Depth is bounded by the JSON reader. */
void ent_cli_put_nested(ent_buf *buf, ent_json_value value, unsigned indent)
{
    ent_json_type type = ent_json_type_of(value);
    bool nests = (type == ENT_JSON_OBJECT || type == ENT_JSON_ARRAY) && ent_json_count(value) > 0;
    ent_buf_put_u8(buf, nests ? '\n' : ' ');
    ent_cli_put_value(buf, value, indent + STEP);
    if (!nests)
        ent_buf_put_u8(buf, '\n');
}

void ent_cli_put_value(ent_buf *buf, ent_json_value value, unsigned indent)
{
    ent_json_type type = ent_json_type_of(value);
    if (type == ENT_JSON_STRING) {
        ent_cli_put_block(buf, ent_json_string(value), indent);
        return;
    }
    if ((type != ENT_JSON_OBJECT && type != ENT_JSON_ARRAY) || ent_json_count(value) == 0) {
        ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
        ent_json_put_value(&text, value);
        ent_cli_put_line(buf, ent_buf_text(&text));
        return;
    }
    for (ent_json_iter i = ent_json_iterate(value); ent_json_next(&i);) {
        ent_buf_put_format(buf, "%*s", (int)indent, "");
        if (type == ENT_JSON_OBJECT) {
            ent_cli_put_line(buf, i.key);
            ent_buf_put_u8(buf, ':');
        } else {
            ent_buf_put_u8(buf, '-');
        }
        ent_cli_put_nested(buf, i.value, indent);
    }
}

void ent_cli_put_names(ent_buf *buf, ent_json_value names)
{
    size_t count = ent_json_count(names);
    size_t at = 0;
    for (ent_json_iter i = ent_json_iterate(names); ent_json_next(&i); at++) {
        ent_buf_put_string(buf, at == 0 ? "" : at + 1 == count ? " and " : ", ");
        ent_cli_put_line(buf, ent_json_string(i.value));
    }
}

void ent_cli_put_joined(ent_buf *buf, ent_json_value texts, const char *separator)
{
    bool first = true;
    for (ent_json_iter i = ent_json_iterate(texts); ent_json_next(&i); first = false) {
        ent_buf_put_string(buf, first ? "" : separator);
        ent_cli_put_line(buf, ent_json_string(i.value));
    }
}

void ent_cli_put_recall(ent_buf *buf, ent_json_value message)
{
    ent_json_value recall = ent_json_get(message, "recalled");
    ent_text action = ent_json_string(ent_json_get(recall, "action"));
    if (ent_json_type_of(recall) != ENT_JSON_OBJECT)
        return;
    ent_cli_put_line(buf, ent_json_string(ent_json_get(recall, "by")));
    ent_buf_put_string(buf, " at ");
    ent_cli_put_time(buf, ent_json_string(ent_json_get(recall, "time")));
    ent_buf_put_string(buf, ": ");
    ent_cli_put_line(buf, action.size > 0 ? action : ENT_TEXT("what is asked cannot be read"));
}

void ent_cli_put_label(ent_buf *buf, const char *label)
{
    ent_buf_put_format(buf, "  %-*s", LABEL_COLUMNS, label);
}

void ent_cli_put_key_fingerprint(ent_buf *buf, const ent_public_key *key)
{
    ent_hash hash;
    ent_sha256(ent_bytes_of(key->bytes, sizeof key->bytes), &hash);
    for (size_t i = 0; i < FINGERPRINT_BYTES; i += 2)
        ent_buf_put_format(buf, "%s%02x%02x", i == 0 ? "" : " ", hash.bytes[i], hash.bytes[i + 1]);
}

void ent_cli_put_title(ent_cli *cli, const char *title)
{
    ent_buf_put_u8(&cli->out, '\n');
    ent_cli_put_style(&cli->out, cli->colour, ENT_CLI_BOLD);
    ent_buf_put_string(&cli->out, title);
    ent_cli_put_style(&cli->out, cli->colour, ENT_CLI_PLAIN);
    ent_buf_put_u8(&cli->out, '\n');
}
