#include "cli/draft.h"

#include "base/cursor.h"

#include <strings.h>

static const struct {
    const char *extension;
    const char *type;
} types[] = {
    {"csv", "text/csv"},
    {"eml", "message/rfc822"},
    {"gif", "image/gif"},
    {"gz", "application/gzip"},
    {"html", "text/html"},
    {"jpeg", "image/jpeg"},
    {"jpg", "image/jpeg"},
    {"json", "application/json"},
    {"log", "text/plain"},
    {"md", "text/markdown"},
    {"ndjson", "application/x-ndjson"},
    {"p7s", "application/pkcs7-signature"},
    {"pcap", "application/vnd.tcpdump.pcap"},
    {"pdf", "application/pdf"},
    {"png", "image/png"},
    {"svg", "image/svg+xml"},
    {"tar", "application/x-tar"},
    {"txt", "text/plain"},
    {"xml", "application/xml"},
    {"yar", "text/plain"},
    {"yara", "text/plain"},
    {"zip", "application/zip"},
    {"zst", "application/zstd"},
};

const char *ent_cli_media_type(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *dot = strrchr(slash == NULL ? path : slash, '.');
    for (size_t i = 0; dot != NULL && i < sizeof types / sizeof types[0]; i++) {
        if (strcasecmp(dot + 1, types[i].extension) == 0)
            return types[i].type;
    }
    return "application/octet-stream";
}

static bool is_envelope(ent_json_value root)
{
    static const char *const members[] = {"fields", "text", "stix", "files"};
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        if (ent_json_present(ent_json_get(root, members[i])))
            return true;
    }
    return false;
}

/* files[]: the rows that were given, then a row for each attachment that has none. */
static void put_files(ent_json_writer *writer, ent_json_value given, const char *const *names, size_t name_count)
{
    size_t count = ent_json_count(given);
    if (count == 0 && name_count == 0)
        return;
    ent_json_key(writer, "files");
    ent_json_array_begin(writer);
    for (ent_json_iter i = ent_json_iterate(given); ent_json_next(&i);)
        ent_json_put_copy(writer, i.value);
    for (size_t i = count; i < name_count; i++) {
        ent_json_object_begin(writer);
        ent_json_member_string(writer, "name", names[i]);
        ent_json_object_end(writer);
    }
    ent_json_array_end(writer);
}

/* The object as it was given, with files[] put before its last brace. */
static void put_with_files(ent_text object, const char *const *names, size_t name_count, ent_buf *ret)
{
    ent_json_writer writer = ent_json_writer_of(ret);
    while (object.size > 0 && object.data[object.size - 1] != '}')
        object.size--; /* white space */
    ent_buf_put_text(ret, (ent_text){object.data, object.size - 1});
    ent_buf_put_string(ret, ",\"files\":");
    ent_json_array_begin(&writer);
    for (size_t i = 0; i < name_count; i++) {
        ent_json_object_begin(&writer);
        ent_json_member_string(&writer, "name", names[i]);
        ent_json_object_end(&writer);
    }
    ent_json_array_end(&writer);
    ent_buf_put_u8(ret, '}');
}

static ent_rc put_envelope(ent_text object, ent_json_value root, const char *const *names, size_t name_count,
                           ent_buf *ret, ent_err *err)
{
    ent_json_writer writer = ent_json_writer_of(ret);
    ent_json_value files = ent_json_get(root, "files");
    if (ent_json_count(files) > name_count)
        return ent_fail(err, ENT_USAGE, "design 4",
                        "the body's \"files\" names %zu attachments, but %zu are attached: --attach each of them",
                        ent_json_count(files), name_count);
    if (ent_json_count(files) == name_count || !ent_json_present(files)) {
        if (ent_json_count(files) == name_count)
            ent_buf_put_text(ret, object);
        else
            put_with_files(object, names, name_count, ret);
        return ent_buf_check(ret, err);
    }
    ent_json_object_begin(&writer);
    for (ent_json_iter i = ent_json_iterate(root); ent_json_next(&i);) {
        if (ent_text_is(i.key, "files") && ent_json_type_of(i.value) == ENT_JSON_ARRAY)
            continue;
        ent_json_key_text(&writer, i.key);
        ent_json_put_copy(&writer, i.value);
    }
    put_files(&writer, files, names, name_count);
    ent_json_object_end(&writer);
    return ent_buf_check(ret, err);
}

static ent_rc put_plain(const ent_buf *content, const char *language, const char *const *names, size_t name_count,
                        ent_buf *ret, ent_err *err)
{
    ent_json_writer writer = ent_json_writer_of(ret);
    ent_json_object_begin(&writer);
    ent_json_key(&writer, "fields");
    ent_json_object_begin(&writer);
    ent_json_object_end(&writer);
    if (content != NULL) {
        ent_json_key(&writer, "text");
        ent_json_object_begin(&writer);
        ent_json_member_text(&writer, language, content->size > 0 ? ent_buf_text(content) : ENT_TEXT(""));
        ent_json_object_end(&writer);
        ent_json_member_string(&writer, "authentic", language);
    }
    put_files(&writer, (ent_json_value){{NULL, NULL}}, names, name_count);
    ent_json_object_end(&writer);
    return ent_buf_check(ret, err);
}

static bool starts_like_object(ent_text text)
{
    size_t at = 0;
    while (at < text.size && strchr(" \t\r\n", text.data[at]) != NULL && text.data[at] != 0)
        at++;
    return at < text.size && text.data[at] == '{';
}

/* Just behind a JSON string that begins at `at`; the end when it is not closed. */
static size_t string_end(ent_text json, size_t at)
{
    for (at++; at < json.size && json.data[at] != '"'; at++)
        at += json.data[at] == '\\';
    return at < json.size ? at + 1 : json.size;
}

/* The JSON reader does not say which number it cannot take: the first whole one over 64 bits, and the name last said
 * before it. */
static bool find_large_number(ent_text json, ent_text *ret_name, ent_text *ret_number)
{
    uint64_t unused = 0;
    *ret_name = ENT_TEXT("");
    for (size_t at = 0; at < json.size;) {
        size_t from = at;
        if (json.data[at] == '"') {
            at = string_end(json, at);
            size_t colon = at;
            while (colon < json.size && memchr(" \t\r\n", json.data[colon], 4) != NULL)
                colon++;
            if (colon < json.size && json.data[colon] == ':')
                *ret_name = (ent_text){json.data + from, at - from};
            continue;
        }
        while (at < json.size && json.data[at] >= '0' && json.data[at] <= '9')
            at++;
        *ret_number = (ent_text){json.data + from, at - from};
        bool is_whole = at == json.size || memchr(".eE", json.data[at], 3) == NULL;
        if (at > from && is_whole && json.data[from] != '0' && !ent_decimal_parse(*ret_number, UINT64_MAX, &unused))
            return true;
        while (at > from && at < json.size && memchr(".eE+-0123456789", json.data[at], 15) != NULL)
            at++; /* the rest of a fraction */
        at += at == from;
    }
    return false;
}

static ent_rc not_an_object(ent_text content, ent_rc rc, ent_err *err)
{
    ent_text name;
    ent_text number;
    if (rc.code == ENT_PEER_MALFORMED && find_large_number(content, &name, &number))
        return ent_fail(err, ENT_PEER_MALFORMED, "RFC 8259", "%.*s: the number %.*s%s is larger than any that is taken",
                        (int)(name.size > 64 ? 64 : name.size), name.data, (int)(number.size > 24 ? 24 : number.size),
                        number.data, number.size > 24 ? "..." : "");
    return ent_fail_in(err, rc, "the body begins like a JSON object but is none");
}

ent_rc ent_cli_body_make(const ent_buf *content, const char *language, const char *const *names, size_t name_count,
                         ent_buf *ret, bool *ret_text, ent_err *err)
{
    ENT_CLEANUP(ent_json_release) ent_json *json = NULL;
    *ret_text = false;
    if (content != NULL && starts_like_object(ent_buf_text(content))) {
        /* What is said cannot be unsaid: a slip in the JSON must not make the whole of it a plain text. */
        ent_rc rc = ent_json_parse(ent_buf_bytes(content), &json, err);
        if (rc.code != ENT_OK)
            return not_an_object(ent_buf_text(content), rc, err);
        if (is_envelope(ent_json_root(json)))
            return put_envelope(ent_buf_text(content), ent_json_root(json), names, name_count, ret, err);
    }
    if (content != NULL && !ent_utf8_valid(ent_buf_text(content)))
        return ent_fail(err, ENT_PEER_MALFORMED, "design 4",
                        "the body is neither JSON nor text in UTF-8; send other files with --attach");
    *ret_text = content != NULL;
    return put_plain(content, language, names, name_count, ret, err);
}

static void put_member(ent_json_writer *writer, ent_text key, ent_json_value value)
{
    ent_json_key_text(writer, key);
    ent_json_put_copy(writer, value);
}

ent_rc ent_cli_body_field(ent_buf *body, const char *name, const char *value, ent_err *err)
{
    ENT_CLEANUP(ent_json_release) ent_json *json = NULL;
    ENT_CLEANUP(ent_buf_wipe) ent_buf made = {0};
    ent_json_writer writer = ent_json_writer_of(&made);
    ENT_TRY(ent_json_parse(ent_buf_bytes(body), &json, err));
    ent_json_value root = ent_json_root(json);
    ent_json_object_begin(&writer);
    ent_json_key(&writer, "fields");
    ent_json_object_begin(&writer);
    for (ent_json_iter i = ent_json_iterate(ent_json_get(root, "fields")); ent_json_next(&i);) {
        if (!ent_text_is(i.key, name))
            put_member(&writer, i.key, i.value);
    }
    ent_json_member_string(&writer, name, value);
    ent_json_object_end(&writer);
    for (ent_json_iter i = ent_json_iterate(root); ent_json_next(&i);) {
        if (!ent_text_is(i.key, "fields"))
            put_member(&writer, i.key, i.value);
    }
    ent_json_object_end(&writer);
    ENT_TRY(ent_buf_check(&made, err));
    ent_buf_wipe(body);
    *body = made;
    made = (ent_buf){0};
    return ENT_DONE;
}
