#include "node/blob_range.h"

#include "base/cursor.h"

#include <stdio.h>

/* Cut a text at a character; false when it is not there. */
static bool cut(ent_text *text, char at, ent_text *ret_before)
{
    const char *found = text->size == 0 ? NULL : memchr(text->data, at, text->size);
    if (found == NULL)
        return false;
    size_t before = (size_t)(found - text->data);
    *ret_before = (ent_text){text->data, before};
    *text = (ent_text){found + 1, text->size - before - 1};
    return true;
}

/* FIRST-LAST within ret->total */
static bool read_bounds(ent_text bounds, ent_blob_range *ret)
{
    ent_text first = {0};
    uint64_t last = 0;
    if (!cut(&bounds, '-', &first) || !ent_decimal_parse(first, INT64_MAX, &ret->first) ||
        !ent_decimal_parse(bounds, INT64_MAX, &last) || last < ret->first || last >= ret->total)
        return false;
    ret->size = last - ret->first + 1;
    return true;
}

static bool read_range(ent_text text, ent_blob_range *ret)
{
    static const char unit[] = "bytes ";
    ent_text bounds = {0};
    if (!ent_text_starts(text, ent_text_of(unit)))
        return false;
    text = (ent_text){text.data + sizeof unit - 1, text.size - (sizeof unit - 1)};
    if (!cut(&text, '/', &bounds) || !ent_decimal_parse(text, INT64_MAX, &ret->total))
        return false;
    ret->is_question = ent_text_is(bounds, "*");
    return ret->is_question || read_bounds(bounds, ret);
}

ent_rc ent_blob_range_parse(ent_text text, ent_blob_range *ret, ent_err *err)
{
    ent_blob_range range = {0};
    if (!read_range(text, &range))
        return ent_fail(err, ENT_PEER_MALFORMED, "RFC 9110, section 14.4",
                        "Content-Range must be \"bytes FIRST-LAST/TOTAL\", or \"bytes */TOTAL\" without a body");
    if (range.total > ENT_ATTACHMENT_MAX_SEALED_BYTES)
        return ent_fail(err, ENT_PEER_TOO_LARGE, "docs/formats.md", "an attachment has at most %llu bytes once sealed",
                        (unsigned long long)ENT_ATTACHMENT_MAX_SEALED_BYTES);
    *ret = range;
    return ENT_DONE;
}

ent_rc ent_blob_range_asked(ent_text text, uint64_t total, ent_blob_range *ret, ent_err *err)
{
    static const char unit[] = "bytes=";
    ent_blob_range range = {.total = total};
    bool is_range = text.data != NULL && ent_text_starts(text, ent_text_of(unit));
    if (!is_range || !read_bounds((ent_text){text.data + sizeof unit - 1, text.size - (sizeof unit - 1)}, &range))
        return ent_fail(err, ENT_PEER_MALFORMED, "RFC 9110, section 14.2",
                        "Range must be \"bytes=FIRST-LAST\", one range within the attachment");
    *ret = range;
    return ENT_DONE;
}

void ent_blob_range_write(const ent_blob_range *range, char ret[ENT_BLOB_RANGE_SIZE])
{
    unsigned long long total = range->total;
    if (range->is_question)
        (void)snprintf(ret, ENT_BLOB_RANGE_SIZE, "bytes */%llu", total);
    else
        (void)snprintf(ret, ENT_BLOB_RANGE_SIZE, "bytes %llu-%llu/%llu", (unsigned long long)range->first,
                       (unsigned long long)(range->first + range->size - 1), total);
}
