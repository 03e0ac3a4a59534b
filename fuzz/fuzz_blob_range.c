/* A range that parses lies within its whole, and is written again as it was; one that is asked for too. */
#include "node/blob_range.h"

#include "check.h"

enum { WHOLE = 1000 };

static void ask(ent_text text)
{
    ent_blob_range range;
    char again[ENT_BLOB_RANGE_SIZE];
    if (ent_blob_range_asked(text, WHOLE, &range, NULL).code != ENT_OK)
        return;
    CHECK(!range.is_question && range.size > 0 && range.total == WHOLE);
    CHECK(range.first < WHOLE && range.size <= WHOLE - range.first);
    ent_blob_range_write(&range, again); /* "bytes F-L/1000", of "bytes=F-L" */
    CHECK(text.size > 6 && strncmp(again + 6, text.data + 6, text.size - 6) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ent_text text = {(const char *)data, size};
    ent_blob_range range;
    char again[ENT_BLOB_RANGE_SIZE];
    ask(text);
    if (ent_blob_range_parse(text, &range, NULL).code != ENT_OK)
        return 0;
    CHECK(range.total <= ENT_ATTACHMENT_MAX_SEALED_BYTES && range.is_question == (range.size == 0));
    CHECK(range.first <= range.total && range.size <= range.total - range.first);
    ent_blob_range_write(&range, again);
    CHECK(ent_text_is(text, again));
    return 0;
}
