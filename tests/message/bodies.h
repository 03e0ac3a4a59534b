/* Bodies for tests: the example of a kind with one place changed. */
#ifndef ENT_TESTS_MESSAGE_BODIES_H
#define ENT_TESTS_MESSAGE_BODIES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "message/kind.h"

enum { PATH_SIZE = 256 };

/* What to do where: `value` NULL takes the member away, else it is the JSON put there; a member that is not there yet
 * is added. */
typedef struct {
    const char *path; /* "fields.data[0].from" */
    const char *value;
} edit;

/* Every path has room: names of ours are short, and a path that is cut matches nothing. */
static inline void path_member(char out[PATH_SIZE], const char *path, ent_text name)
{
    int size = snprintf(out, PATH_SIZE, "%s%s%.*s", path, path[0] == 0 ? "" : ".", ENT_TEXT_ARG(name));
    assert_in_range(size, 1, PATH_SIZE - 1);
}

/* The name that the edit adds to the object at this path, or NULL. */
static inline const char *added_name(ent_json_value object, const char *path, const edit *change)
{
    size_t size = strlen(path);
    const char *name = change->path;
    if (change->value == NULL || strncmp(name, path, size) != 0 || (size > 0 && name[size] != '.'))
        return NULL;
    name += size > 0 ? size + 1 : 0;
    if (strpbrk(name, ".[") != NULL || ent_json_present(ent_json_get(object, name)))
        return NULL;
    return name;
}

static inline void rewrite(ent_buf *buf, ent_json_value value, const char *path, const edit *change)
{
    char inner[PATH_SIZE];
    bool first = true;
    if (strcmp(path, change->path) == 0 && change->value != NULL) {
        ent_buf_put_string(buf, change->value);
    } else if (ent_json_type_of(value) == ENT_JSON_OBJECT) {
        const char *more = added_name(value, path, change);
        ent_buf_put_string(buf, "{");
        for (ent_json_iter i = ent_json_iterate(value); ent_json_next(&i);) {
            path_member(inner, path, i.key);
            if (strcmp(inner, change->path) == 0 && change->value == NULL)
                continue;
            ent_buf_put_format(buf, "%s\"%.*s\":", first ? "" : ",", ENT_TEXT_ARG(i.key));
            rewrite(buf, i.value, inner, change);
            first = false;
        }
        if (more != NULL)
            ent_buf_put_format(buf, "%s\"%s\":%s", first ? "" : ",", more, change->value);
        ent_buf_put_string(buf, "}");
    } else if (ent_json_type_of(value) == ENT_JSON_ARRAY) {
        size_t at = 0;
        ent_buf_put_string(buf, "[");
        for (ent_json_iter i = ent_json_iterate(value); ent_json_next(&i); at++) {
            ent_buf_put_string(buf, at == 0 ? "" : ",");
            int size = snprintf(inner, sizeof inner, "%s[%zu]", path, at);
            assert_in_range(size, 1, PATH_SIZE - 1);
            rewrite(buf, i.value, inner, change);
        }
        ent_buf_put_string(buf, "]");
    } else {
        ent_json_put_value(buf, value);
    }
}

static inline ent_json *parsed(ent_text json)
{
    ent_json *document = NULL;
    ent_err err = {0};
    if (ent_json_parse(ent_text_bytes(json), &document, &err).code != ENT_OK)
        fail_msg("%.*s: %s", ENT_TEXT_ARG(json), err.text);
    return document;
}

/* The JSON text with the edit made; the caller releases it. */
static inline ent_buf edited(ent_text json, edit change)
{
    ent_buf buf = {0};
    ent_json *document = parsed(json);
    rewrite(&buf, ent_json_root(document), "", &change);
    ent_json_free(document);
    assert_int_equal(ent_buf_check(&buf, NULL).code, ENT_OK);
    return buf;
}

static inline ent_text example_of(const char *kind)
{
    const ent_kind *row = ent_kind_find(ent_text_of(kind));
    assert_non_null(row);
    return ent_text_of(ent_kind_example(row));
}

static inline int body_code(const ent_kinds *kinds, const char *kind, ent_bytes json, ent_err *err)
{
    ent_body body = {0};
    int code = ent_body_parse(kinds, ent_text_of(kind), json, 0, &body, err).code;
    ent_body_release(&body);
    return code;
}

/* The example with this edit is refused, and the error says all of these. */
static inline void refuse_edited(const ent_kinds *kinds, const char *kind, edit change, const char *named,
                                 const char *also)
{
    ent_err err = {0};
    ent_buf json = edited(example_of(kind), change);
    int code = body_code(kinds, kind, ent_buf_bytes(&json), &err);
    if (code != ENT_PEER_INVALID)
        fail_msg("%s with %s = %s: %s %s", kind, change.path, change.value == NULL ? "nothing" : change.value,
                 ent_code_word(code), err.text);
    if (strstr(err.text, named) == NULL || strstr(err.text, also) == NULL)
        fail_msg("%s: \"%s\" does not say %s and %s", kind, err.text, named, also);
    ent_buf_release(&json);
}

static inline void take_edited(const ent_kinds *kinds, const char *kind, edit change)
{
    ent_err err = {0};
    ent_buf json = edited(example_of(kind), change);
    if (body_code(kinds, kind, ent_buf_bytes(&json), &err) != ENT_OK)
        fail_msg("%s with %s: %s", kind, change.path, err.text);
    ent_buf_release(&json);
}

#endif
