#include "pouch/members.h"

#include "base/cursor.h"

/* pouch.json: canonical JSON, written and read in this one spelling. */

static const char rule[] = "design 2, Pouch";

/* What both directions hold an index to. */
static ent_rc index_check(const ent_pouch_index *index, ent_code code, ent_err *err)
{
    ent_text party = {NULL, 0};
    ent_hash channel;
    if (ent_origin_parse(index->origin, &party, &channel, NULL).code != ENT_OK)
        return ent_fail(err, code, rule, "pouch.json: the origin is not <party>/entente/<64 hex digits>");
    if (index->size > ENT_LOG_MAX_SIZE || index->old_size > index->size)
        return ent_fail(err, code, rule, "pouch.json: the sizes %llu to %llu are no range of a log",
                        (unsigned long long)index->old_size, (unsigned long long)index->size);
    if (index->member_count > ENT_POUCH_MAX_MEMBERS)
        return ent_fail(err, ENT_PEER_TOO_LARGE, rule, "pouch.json: more than %d members", ENT_POUCH_MAX_MEMBERS);
    for (size_t i = 0; i < index->member_count; i++) {
        if (!ent_ustar_name_valid(index->members[i].name))
            return ent_fail(err, code, rule, "pouch.json: the name of member %zu is not allowed", i + 1);
        if (index->members[i].size > ENT_POUCH_MAX_BYTES)
            return ent_fail(
                err, ENT_PEER_TOO_LARGE, rule, "pouch.json: %.*s has %llu bytes, a whole pouch has at most %d",
                ENT_TEXT_ARG(index->members[i].name), (unsigned long long)index->members[i].size, ENT_POUCH_MAX_BYTES);
    }
    return ENT_DONE;
}

ent_rc ent_pouch_index_put(ent_buf *buf, const ent_pouch_index *index, ent_err *err)
{
    ENT_TRY(index_check(index, ENT_USAGE, err));
    ent_buf_put_string(buf, "{\"v\":1,\"origin\":\"");
    ent_buf_put_text(buf, index->origin);
    ent_buf_put_string(buf, "\",\"old_size\":");
    ent_buf_put_decimal(buf, index->old_size);
    ent_buf_put_string(buf, ",\"size\":");
    ent_buf_put_decimal(buf, index->size);
    ent_buf_put_string(buf, ",\"members\":[");
    for (size_t i = 0; i < index->member_count; i++) {
        ent_buf_put_string(buf, i == 0 ? "{\"name\":\"" : ",{\"name\":\"");
        ent_buf_put_text(buf, index->members[i].name);
        ent_buf_put_string(buf, "\",\"size\":");
        ent_buf_put_decimal(buf, index->members[i].size);
        ent_buf_put_u8(buf, '}');
    }
    ent_buf_put_string(buf, "]}");
    return ent_buf_check(buf, err);
}

/* Reads the list that follows "members":[ and its end; with members NULL it only counts. */
static size_t read_members(ent_cursor *cursor, struct ent_pouch_listed *members)
{
    size_t count = 0;
    if (ent_cursor_accept(cursor, ENT_TEXT("]")))
        return 0;
    do {
        ent_cursor_literal(cursor, ENT_TEXT("{\"name\":\""));
        ent_text name = ent_cursor_until(cursor, '"');
        ent_cursor_literal(cursor, ENT_TEXT(",\"size\":"));
        uint64_t size = ent_cursor_decimal(cursor, UINT64_MAX);
        ent_cursor_literal(cursor, ENT_TEXT("}"));
        if (cursor->failed)
            return 0;
        if (members != NULL)
            members[count] = (struct ent_pouch_listed){name, size};
        count++;
    } while (ent_cursor_accept(cursor, ENT_TEXT(",")));
    ent_cursor_literal(cursor, ENT_TEXT("]"));
    return count;
}

static ent_rc not_canonical(const ent_cursor *cursor, ent_err *err)
{
    return ent_fail(err, ENT_PEER_NOT_CANONICAL, rule, "pouch.json: not as this version writes it, near offset %zu",
                    ent_cursor_offset(cursor));
}

ent_rc ent_pouch_index_parse(ent_bytes bytes, ent_arena *arena, ent_pouch_index *ret, ent_err *err)
{
    if (bytes.size > ENT_POUCH_MAX_INDEX_BYTES)
        return ent_fail(err, ENT_PEER_TOO_LARGE, rule, "pouch.json has %zu bytes, at most %d are allowed", bytes.size,
                        ENT_POUCH_MAX_INDEX_BYTES);
    ent_cursor cursor = ent_cursor_of(bytes);
    ent_pouch_index index = {0};
    ent_cursor_literal(&cursor, ENT_TEXT("{\"v\":1,\"origin\":\""));
    index.origin = ent_cursor_until(&cursor, '"');
    ent_cursor_literal(&cursor, ENT_TEXT(",\"old_size\":"));
    index.old_size = ent_cursor_decimal(&cursor, UINT64_MAX);
    ent_cursor_literal(&cursor, ENT_TEXT(",\"size\":"));
    index.size = ent_cursor_decimal(&cursor, UINT64_MAX);
    ent_cursor_literal(&cursor, ENT_TEXT(",\"members\":["));

    /* Once to count, once to keep: the number of members is known before memory is asked for. */
    ent_cursor list = cursor;
    index.member_count = read_members(&cursor, NULL);
    ent_cursor_literal(&cursor, ENT_TEXT("}"));
    if (!ent_cursor_finished(&cursor))
        return not_canonical(&cursor, err);
    if (index.member_count > ENT_POUCH_MAX_MEMBERS)
        return ent_fail(err, ENT_PEER_TOO_LARGE, rule, "pouch.json: more than %d members", ENT_POUCH_MAX_MEMBERS);
    index.members = ent_arena_alloc(arena, index.member_count * sizeof *index.members);
    if (index.members == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory for %zu members of a pouch", index.member_count);
    (void)read_members(&list, index.members);
    ENT_TRY(index_check(&index, ENT_PEER_MALFORMED, err));
    *ret = index;
    return ENT_DONE;
}
