#include "base/result.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *word;
    ent_class error_class;
    int http_status;
    int exit_status;
} codes[ENT_CODE_COUNT] = {
    [ENT_OK] = {"ok", ENT_CLASS_OK, 200, 0},
#define X(name, word, error_class, http, exit_status) [ENT_##name] = {word, ENT_CLASS_##error_class, http, exit_status},
#include "base/errors.def"
#undef X
};

void ent_err_set(ent_err *err, ent_code code, const char *rule, const char *format, ...)
{
    if (err != NULL) {
        va_list arguments;
        err->code = (int)code;
        err->retry_after_s = 0;
        (void)snprintf(err->rule, sizeof err->rule, "%s", rule == NULL ? "" : rule);
        va_start(arguments, format);
        (void)vsnprintf(err->text, sizeof err->text, format, arguments);
        va_end(arguments);
    }
}

void ent_err_put_in(ent_err *err, int code, const char *format, ...)
{
    if (err != NULL && code != ENT_OK) {
        char old[sizeof err->text];
        char context[sizeof err->text - 3];
        va_list arguments;
        memcpy(old, err->text, sizeof old);
        va_start(arguments, format);
        (void)vsnprintf(context, sizeof context, format, arguments);
        va_end(arguments);
        size_t used = strlen(context);
        memcpy(err->text, context, used);
        memcpy(err->text + used, ": ", 2);
        used += 2;
        size_t kept = strnlen(old, sizeof old - 1);
        if (kept > sizeof err->text - 1 - used)
            kept = sizeof err->text - 1 - used;
        memcpy(err->text + used, old, kept);
        err->text[used + kept] = 0;
    }
}

static int known(int code)
{
    return code >= 0 && code < ENT_CODE_COUNT ? code : ENT_BUG;
}

const char *ent_code_word(int code)
{
    return codes[known(code)].word;
}

ent_class ent_code_class(int code)
{
    return codes[known(code)].error_class;
}

int ent_code_http_status(int code)
{
    return codes[known(code)].http_status;
}

int ent_code_exit_status(int code)
{
    return codes[known(code)].exit_status;
}

int ent_code_from_word(const char *word, size_t word_size)
{
    for (int code = 0; code < ENT_CODE_COUNT; code++) {
        if (strlen(codes[code].word) == word_size && memcmp(codes[code].word, word, word_size) == 0)
            return code;
    }
    return ENT_CODE_COUNT;
}
