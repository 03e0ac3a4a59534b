/* What is read as JSON and written again is read as the same value, and written a second time it is the same bytes. */
#include "base/json.h"

#include <stdint.h>
#include <stdlib.h>

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* Walk everything and touch every byte a value gives out. */
static size_t walk(ent_json_value value, unsigned depth)
{
    size_t seen = 1;
    size_t members = 0;
    uint64_t number = 0;
    double real = 0;
    ent_json_type type = ent_json_type_of(value);
    require(type != ENT_JSON_ABSENT && depth <= ENT_JSON_MAX_DEPTH);
    require(ent_utf8_valid(ent_json_string(value)));
    require((type == ENT_JSON_STRING) == (ent_json_string(value).data != NULL));
    require(ent_json_double(value, &real) == (type == ENT_JSON_INTEGER || type == ENT_JSON_NUMBER));
    require(!ent_json_unsigned(value, UINT64_MAX, &number) || type == ENT_JSON_INTEGER);
    for (ent_json_iter i = ent_json_iterate(value); ent_json_next(&i); members++) {
        if (type == ENT_JSON_OBJECT && members < 64) {
            ent_json_value same = ent_json_get_text(value, i.key);
            require(ent_utf8_valid(i.key));
            /* Keys are unique, so a look-up finds this very member. */
            require(memcmp(same.opaque, i.value.opaque, sizeof same.opaque) == 0);
        }
        seen += walk(i.value, depth + 1);
    }
    require(members == ent_json_count(value));
    return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ent_json *first = NULL;
    ent_json *second = NULL;
    ent_buf once = {0};
    ent_buf twice = {0};
    if (ent_json_parse(ent_bytes_of(data, size), &first, NULL).code != ENT_OK)
        return 0;
    size_t seen = walk(ent_json_root(first), 0);
    ent_json_put_value(&once, ent_json_root(first));
    require(ent_buf_check(&once, NULL).code == ENT_OK);
    int code = ent_json_parse(ent_buf_bytes(&once), &second, NULL).code;
    if (once.size > ENT_JSON_MAX_BYTES) {
        require(code == ENT_PEER_TOO_LARGE); /* escapes of control characters are longer than what they came from */
    } else {
        require(code == ENT_OK);
        require(walk(ent_json_root(second), 0) == seen);
        ent_json_put_value(&twice, ent_json_root(second));
        require(ent_bytes_equal(ent_buf_bytes(&once), ent_buf_bytes(&twice)));
    }
    ent_json_release(&second);
    ent_json_release(&first);
    ent_buf_release(&once);
    ent_buf_release(&twice);
    return 0;
}
