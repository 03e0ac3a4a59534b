/* What is read as an entry is written again as the same bytes. */
#include "message/entry.h"

#include <stdint.h>
#include <stdlib.h>

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* A reference that parses is spelled in one way only. */
static void check_ref(ent_text text)
{
    ent_message_ref ref;
    ent_buf buf = {0};
    if (!ent_message_ref_parse(text, &ref))
        return;
    ent_buf_put_text(&buf, ref.party);
    ent_buf_put_u8(&buf, '/');
    ent_buf_put_decimal(&buf, ref.index);
    require(ent_text_equal(ent_buf_text(&buf), text));
    ent_buf_release(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ent_arena arena = {0};
    ent_buf again = {0};
    ent_entry entry;
    ent_err err = {0};
    check_ref(ent_bytes_text(ent_bytes_of(data, size)));
    ent_rc rc = ent_entry_decode(ent_bytes_of(data, size), &arena, &entry, &err);
    if (rc.code == ENT_OK) {
        require(ent_entry_encode(&entry, &again, NULL).code == ENT_OK);
        require(ent_bytes_equal(ent_buf_bytes(&again), ent_bytes_of(data, size)));
        require(entry.to_count <= ENT_ENTRY_MAX_MEMBERS && entry.ack_count <= ENT_ENTRY_MAX_MEMBERS);
        require(entry.attachment_count <= ENT_ENTRY_MAX_ATTACHMENTS && ent_name_valid(entry.writer));
    } else {
        require(ent_code_class(rc.code) == ENT_CLASS_PEER && err.code == rc.code && err.text[0] != 0);
    }
    ent_buf_release(&again);
    ent_arena_release(&arena);
    return 0;
}
