#include "keeper/wire.h"

#include "base/cursor.h"

static ent_rc malformed(ent_err *err, const char *what)
{
    return ent_fail(err, ENT_PEER_MALFORMED, "design 8, keeper", "a message between node and keeper is malformed: %s",
                    what);
}

static void put_hash(ent_buf *buf, const ent_hash *hash)
{
    ent_buf_put(buf, ent_hash_bytes(hash));
}

static void take_into(ent_cursor *cursor, void *ret, size_t size)
{
    ent_bytes bytes = ent_cursor_take(cursor, size);
    if (bytes.size == size)
        memcpy(ret, bytes.data, size);
}

static ent_keeper_what take_what(ent_cursor *cursor)
{
    uint8_t what = ent_cursor_u8(cursor);
    if (what != ENT_KEEPER_HEAD && what != ENT_KEEPER_RECEIPT)
        ent_cursor_fail(cursor);
    return what == ENT_KEEPER_HEAD ? ENT_KEEPER_HEAD : ENT_KEEPER_RECEIPT;
}

static ent_text take_text(ent_cursor *cursor, size_t size)
{
    return ent_bytes_text(ent_cursor_take(cursor, size));
}

/* --- requests --- */

static ent_rc put_what(ent_keeper_what what, ent_text origin, ent_buf *buf, ent_err *err)
{
    if (origin.size > UINT16_MAX)
        return ent_fail(err, ENT_USAGE, NULL, "an origin of %zu bytes", origin.size);
    ent_buf_put_u8(buf, (uint8_t)what);
    ent_buf_put_u16be(buf, (uint16_t)origin.size);
    ent_buf_put_text(buf, origin);
    return ENT_DONE;
}

static ent_rc put_item(const ent_keeper_request *item, ent_buf *buf, ent_err *err)
{
    size_t count = item->extends == NULL ? 0 : item->extends->count;
    ENT_TRY(put_what(item->what, item->origin, buf, err));
    ent_buf_put_u64be(buf, item->head.size);
    put_hash(buf, &item->head.root);
    ent_buf_put_u64be(buf, item->timestamp_unix_s);
    ent_buf_put(buf, ent_bytes_of(item->key.bytes, sizeof item->key.bytes));
    ent_buf_put_u8(buf, (uint8_t)count);
    for (size_t i = 0; i < count; i++)
        put_hash(buf, &item->extends->hashes[i]);
    return ENT_DONE;
}

static ent_rc take_item(ent_cursor *cursor, ent_arena *arena, ent_keeper_request *ret, ent_err *err)
{
    ret->what = take_what(cursor);
    ret->origin = take_text(cursor, ent_cursor_u16be(cursor));
    ret->head.size = ent_cursor_u64be(cursor);
    take_into(cursor, ret->head.root.bytes, sizeof ret->head.root.bytes);
    ret->timestamp_unix_s = ent_cursor_u64be(cursor);
    take_into(cursor, ret->key.bytes, sizeof ret->key.bytes);
    size_t count = ent_cursor_u8(cursor);
    if (count > ENT_PROOF_MAX_HASHES)
        ent_cursor_fail(cursor);
    if (count == 0 || cursor->failed)
        return ENT_DONE;
    ent_tree_proof *proof = ent_arena_alloc(arena, sizeof *proof);
    if (proof == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    proof->count = count;
    for (size_t i = 0; i < count; i++)
        take_into(cursor, proof->hashes[i].bytes, sizeof proof->hashes[i].bytes);
    ret->extends = proof;
    return ENT_DONE;
}

static ent_rc take_items(ent_cursor *cursor, ent_wire_request *ret, ent_err *err)
{
    size_t count = ent_cursor_u16be(cursor);
    if (count > ENT_WIRE_MAX_ITEMS)
        ent_cursor_fail(cursor);
    if (cursor->failed || count == 0)
        return ENT_DONE;
    ret->items = ent_arena_alloc(&ret->arena, count * sizeof *ret->items);
    if (ret->items == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    ret->count = count;
    for (size_t i = 0; i < count && !cursor->failed; i++)
        ENT_TRY(take_item(cursor, &ret->arena, &ret->items[i], err));
    return ENT_DONE;
}

ent_rc ent_wire_request_put(const ent_wire_request *request, ent_buf *buf, ent_err *err)
{
    ent_buf_put_u8(buf, (uint8_t)request->kind);
    if (request->kind == ENT_WIRE_SIGN) {
        if (request->count > ENT_WIRE_MAX_ITEMS)
            return ent_fail(err, ENT_USAGE, NULL, "%zu things to sign in one message", request->count);
        ent_buf_put_u16be(buf, (uint16_t)request->count);
        for (size_t i = 0; i < request->count; i++)
            ENT_TRY(put_item(&request->items[i], buf, err));
    } else if (request->kind == ENT_WIRE_MARK) {
        ENT_TRY(put_what(request->what, request->origin, buf, err));
    } else if (request->kind == ENT_WIRE_UNWRAP) {
        ent_buf_put(buf, request->header);
    } else if (request->kind == ENT_WIRE_KEY) {
        ent_buf_put_u8(buf, (uint8_t)request->role);
        ent_buf_put_u64be(buf, request->serial);
    } else if (request->kind == ENT_WIRE_TLS_KEY) {
        ent_buf_put_u64be(buf, request->serial);
    }
    return ent_buf_check(buf, err);
}

static ent_rc take_request(ent_cursor *cursor, ent_wire_request *ret, ent_err *err)
{
    uint8_t kind = ent_cursor_u8(cursor);
    if (kind < ENT_WIRE_PUBLICS || kind > ENT_WIRE_KEY)
        return malformed(err, "a request of an unknown kind");
    ret->kind = (ent_wire_kind)kind;
    if (ret->kind == ENT_WIRE_SIGN) {
        ENT_TRY(take_items(cursor, ret, err));
    } else if (ret->kind == ENT_WIRE_MARK) {
        ret->what = take_what(cursor);
        ret->origin = take_text(cursor, ent_cursor_u16be(cursor));
    } else if (ret->kind == ENT_WIRE_UNWRAP) {
        ret->header = ent_cursor_take(cursor, ent_cursor_left(cursor));
    } else if (ret->kind == ENT_WIRE_KEY) {
        uint8_t role = ent_cursor_u8(cursor);
        if (role >= ENT_KEY_ROLE_COUNT)
            return malformed(err, "a key of an unknown role");
        ret->role = (ent_key_role)role;
        ret->serial = ent_cursor_u64be(cursor);
    } else if (ret->kind == ENT_WIRE_TLS_KEY) {
        ret->serial = ent_cursor_u64be(cursor);
    }
    return ent_cursor_finished(cursor) ? ENT_DONE : malformed(err, "a request is cut, or longer than it says");
}

ent_rc ent_wire_request_parse(ent_bytes bytes, ent_wire_request *ret, ent_err *err)
{
    ent_wire_request request = {0};
    ent_cursor cursor = ent_cursor_of(bytes);
    ent_rc rc = take_request(&cursor, &request, err);
    if (rc.code != ENT_OK) {
        ent_wire_request_release(&request);
        return rc;
    }
    *ret = request;
    return ENT_DONE;
}

void ent_wire_request_release(ent_wire_request *request)
{
    ent_arena_release(&request->arena);
    *request = (ent_wire_request){0};
}

/* --- answers --- */

static void put_outcome(const ent_err *outcome, ent_buf *buf)
{
    ent_text rule = {outcome->rule, strnlen(outcome->rule, sizeof outcome->rule)};
    ent_text text = {outcome->text, strnlen(outcome->text, sizeof outcome->text)};
    ent_buf_put_u8(buf, (uint8_t)outcome->code);
    ent_buf_put_u8(buf, (uint8_t)rule.size);
    ent_buf_put_text(buf, rule);
    ent_buf_put_u16be(buf, (uint16_t)text.size);
    ent_buf_put_text(buf, text);
}

static uint8_t take_code(ent_cursor *cursor)
{
    uint8_t code = ent_cursor_u8(cursor);
    if (code >= ENT_CODE_COUNT)
        ent_cursor_fail(cursor);
    return code;
}

static void take_string(ent_cursor *cursor, size_t size, char *ret, size_t room)
{
    ent_text text = take_text(cursor, size);
    if (text.size >= room || (text.size > 0 && memchr(text.data, 0, text.size) != NULL)) {
        ent_cursor_fail(cursor);
        return;
    }
    if (text.size > 0)
        memcpy(ret, text.data, text.size);
}

static void take_outcome(ent_cursor *cursor, ent_err *ret)
{
    ent_err outcome = {.code = take_code(cursor)};
    take_string(cursor, ent_cursor_u8(cursor), outcome.rule, sizeof outcome.rule);
    take_string(cursor, ent_cursor_u16be(cursor), outcome.text, sizeof outcome.text);
    *ret = outcome;
}

static void put_signatures(const ent_wire_answer *answer, ent_buf *buf)
{
    ent_buf_put_u16be(buf, (uint16_t)answer->count);
    for (size_t i = 0; i < answer->count; i++) {
        const ent_keeper_request *item = &answer->items[i];
        ent_buf_put_u8(buf, (uint8_t)item->rc.code);
        if (item->rc.code == ENT_OK)
            ent_buf_put(buf, ent_bytes_of(item->signature.bytes, sizeof item->signature.bytes));
    }
}

static void take_signatures(ent_cursor *cursor, const ent_wire_answer *answer)
{
    if (ent_cursor_u16be(cursor) != answer->count)
        ent_cursor_fail(cursor);
    for (size_t i = 0; i < answer->count && !cursor->failed; i++) {
        ent_keeper_request *item = &answer->items[i];
        item->rc = (ent_rc){take_code(cursor)};
        if (item->rc.code == ENT_OK)
            take_into(cursor, item->signature.bytes, sizeof item->signature.bytes);
    }
}

ent_rc ent_wire_answer_put(const ent_wire_answer *answer, ent_buf *buf, ent_err *err)
{
    ent_buf_put_u8(buf, (uint8_t)answer->kind);
    put_outcome(&answer->outcome, buf);
    if (answer->outcome.code != ENT_OK)
        return ent_buf_check(buf, err);
    if (answer->kind == ENT_WIRE_PUBLICS) {
        ent_buf_put(buf, ent_bytes_of(answer->publics.log.bytes, sizeof answer->publics.log.bytes));
        ent_buf_put(buf, ent_bytes_of(answer->publics.receipt.bytes, sizeof answer->publics.receipt.bytes));
        ent_buf_put(buf, ent_bytes_of(answer->publics.age.bytes, sizeof answer->publics.age.bytes));
    } else if (answer->kind == ENT_WIRE_SIGN) {
        put_signatures(answer, buf);
    } else if (answer->kind == ENT_WIRE_MARK) {
        ent_buf_put_u64be(buf, answer->mark.size);
        put_hash(buf, &answer->mark.root);
    } else if (answer->kind == ENT_WIRE_UNWRAP) {
        ent_buf_put(buf, ent_bytes_of(answer->key.bytes, sizeof answer->key.bytes));
    } else if (answer->kind == ENT_WIRE_KEY) {
        ent_buf_put(buf, ent_bytes_of(answer->value, sizeof answer->value));
    }
    return ent_buf_check(buf, err);
}

ent_rc ent_wire_answer_parse(ent_bytes bytes, ent_wire_answer *answer, ent_err *err)
{
    ent_cursor cursor = ent_cursor_of(bytes);
    if (ent_cursor_u8(&cursor) != (uint8_t)answer->kind)
        return malformed(err, "an answer to another request");
    take_outcome(&cursor, &answer->outcome);
    bool done = !cursor.failed && answer->outcome.code == ENT_OK;
    if (done && answer->kind == ENT_WIRE_PUBLICS) {
        take_into(&cursor, answer->publics.log.bytes, sizeof answer->publics.log.bytes);
        take_into(&cursor, answer->publics.receipt.bytes, sizeof answer->publics.receipt.bytes);
        take_into(&cursor, answer->publics.age.bytes, sizeof answer->publics.age.bytes);
    } else if (done && answer->kind == ENT_WIRE_SIGN) {
        take_signatures(&cursor, answer);
    } else if (done && answer->kind == ENT_WIRE_MARK) {
        answer->mark.size = ent_cursor_u64be(&cursor);
        take_into(&cursor, answer->mark.root.bytes, sizeof answer->mark.root.bytes);
    } else if (done && answer->kind == ENT_WIRE_UNWRAP) {
        take_into(&cursor, answer->key.bytes, sizeof answer->key.bytes);
    } else if (done && answer->kind == ENT_WIRE_KEY) {
        take_into(&cursor, answer->value, sizeof answer->value);
    }
    return ent_cursor_finished(&cursor) ? ENT_DONE : malformed(err, "an answer is cut, or longer than it says");
}
