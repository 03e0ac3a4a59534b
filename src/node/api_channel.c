#include "node/api.h"
#include "node/channel.h"
#include "node/invite.h"
#include "node/quota.h"

/* How much of a log a member has receipted, as far as is known here. */
static ent_rc receipted_by(ent_node *node, const ent_channel *channel, uint32_t of, uint32_t member, uint64_t *ret,
                           ent_err *err)
{
    ent_store_receipt receipt;
    int64_t log = channel->members[of].log.number;
    *ret = 0;
    ent_rc rc = node->store->engine->receipt_newest(node->store, log, member, &receipt, err);
    if (rc.code == ENT_OK)
        *ret = receipt.head.size;
    return rc.code == ENT_ABSENT ? ENT_DONE : rc;
}

/* Limits as a number, none as null. */
static void put_limit(ent_json_writer *writer, const char *key, uint64_t limit, uint64_t none)
{
    ent_json_key(writer, key);
    if (limit == none)
        ent_json_put_null(writer);
    else
        ent_json_put_unsigned(writer, limit);
}

static void put_quotas(ent_json_writer *writer, const ent_quotas *quotas)
{
    ent_json_key(writer, "quotas");
    ent_json_object_begin(writer);
    put_limit(writer, "entries_a_day", quotas->entries_a_day, 0);
    put_limit(writer, "bytes_a_day", quotas->bytes_a_day, 0);
    put_limit(writer, "attachment_bytes", quotas->attachment_bytes, 0);
    ent_json_object_end(writer);
}

/* What a member has used of its quotas today. */
static ent_rc put_usage(ent_node *node, ent_json_writer *writer, ent_channel *channel, uint32_t i, ent_err *err)
{
    ent_quota_state state;
    ENT_TRY(ent_quota_show(node, channel, i, &state, err));
    ent_json_key(writer, "used");
    ent_json_object_begin(writer);
    ent_json_member_unsigned(writer, "entries_today", state.usage.entries);
    ent_json_member_unsigned(writer, "bytes_today", state.usage.bytes);
    ent_json_member_unsigned(writer, "attachment_bytes", state.attachment_bytes);
    put_limit(writer, "entries_left", state.left.entries, UINT64_MAX);
    put_limit(writer, "bytes_left", state.left.bytes, UINT64_MAX);
    ent_json_object_end(writer);
    return ENT_DONE;
}

static ent_rc put_receipted_by(ent_node *node, ent_json_writer *writer, const ent_channel *channel, uint32_t of,
                               ent_err *err)
{
    ent_json_key(writer, "receipted_by");
    ent_json_array_begin(writer);
    for (uint32_t m = 0; m < channel->genesis.member_count; m++) {
        uint64_t size = 0;
        if (m == of)
            continue;
        ENT_TRY(receipted_by(node, channel, of, m, &size, err));
        ent_json_object_begin(writer);
        ent_json_member_text(writer, "by", channel->genesis.members[m].name);
        ent_json_member_unsigned(writer, "size", size);
        ent_json_object_end(writer);
    }
    ent_json_array_end(writer);
    return ENT_DONE;
}

static ent_rc put_member(ent_node *node, ent_json_writer *writer, ent_channel *channel, uint32_t i, ent_err *err)
{
    ent_store_log log;
    uint64_t receipted_by_them = 0;
    ent_channel_log(channel, i, &log);
    (void)pthread_mutex_lock(&channel->lock);
    uint64_t receipted_by_us = channel->members[i].receipted.size;
    (void)pthread_mutex_unlock(&channel->lock);
    if (i != channel->self)
        ENT_TRY(receipted_by(node, channel, channel->self, i, &receipted_by_them, err));
    ent_json_object_begin(writer);
    ent_json_member_text(writer, "name", channel->genesis.members[i].name);
    ent_json_member_bool(writer, "self", i == channel->self);
    ent_json_member_unsigned(writer, "size", log.tree.size);
    ent_json_member_bool(writer, "frozen", log.frozen);
    ent_json_member_unsigned(writer, "receipted_by_us", receipted_by_us);
    ent_json_member_unsigned(writer, "receipted_by_them", receipted_by_them);
    ENT_TRY(put_receipted_by(node, writer, channel, i, err));
    ENT_TRY(put_usage(node, writer, channel, i, err));
    ent_json_object_end(writer);
    return ENT_DONE;
}

static void put_terms(ent_node *node, ent_json_writer *writer, ent_channel *channel)
{
    ENT_CLEANUP(ent_buf_release) ent_buf terms = {0};
    ENT_CLEANUP(ent_json_release) ent_json *json = NULL;
    ent_json_key(writer, "terms");
    if (ent_channel_terms(node, channel, &terms, NULL).code == ENT_OK &&
        ent_json_parse(ent_buf_bytes(&terms), &json, NULL).code == ENT_OK) {
        ent_json_put_copy(writer, ent_json_root(json));
    } else {
        ent_json_put_null(writer);
    }
}

/* Duties of the channel before, as entry 0 lists them. */
static void put_carried(ent_node *node, ent_json_writer *writer, ent_channel *channel)
{
    ENT_CLEANUP(ent_buf_wipe) ent_buf plain = {0};
    ENT_CLEANUP(ent_json_release) ent_json *json = NULL;
    ent_json_value carried = {0};
    if (channel->genesis.has_predecessor && ent_channel_first_body(node, channel, &plain, NULL).code == ENT_OK &&
        ent_json_parse(ent_buf_bytes(&plain), &json, NULL).code == ENT_OK)
        carried = ent_json_get(ent_json_get(ent_json_root(json), "fields"), "carried");
    ent_json_key(writer, "carried");
    ent_json_array_begin(writer);
    for (ent_json_iter i = ent_json_iterate(carried); ent_json_next(&i);)
        ent_json_put_copy(writer, i.value);
    ent_json_array_end(writer);
}

static bool succeeds(ent_channel *channel, const ent_hash *predecessor)
{
    return channel->genesis.has_predecessor && ent_hash_equal(&channel->genesis.predecessor, predecessor);
}

/* Others that succeed the same channel, ours or another's: what was open there would be owed in each. */
static void put_rivals(ent_node *node, ent_json_writer *writer, const ent_channel *channel)
{
    ent_channel *other;
    ent_json_key(writer, "also_succeeding");
    ent_json_array_begin(writer);
    for (size_t i = 0; channel->genesis.has_predecessor && (other = ent_channel_at(node, i)) != NULL; i++) {
        char alias[ENT_NAME_MAX_BYTES + 1];
        ent_channel_state state = ent_channel_state_now(other);
        if (other == channel || state == ENT_CHANNEL_REFUSED || !succeeds(other, &channel->genesis.predecessor))
            continue;
        ent_channel_alias(other, alias);
        ent_json_object_begin(writer);
        ent_json_member_string(writer, "id", other->id_text);
        ent_json_member_string(writer, "alias", alias[0] == 0 ? NULL : alias);
        ent_json_member_string(writer, "state", ent_channel_state_word(state));
        ent_json_object_end(writer);
    }
    ent_json_array_end(writer);
}

/* The channel that this one succeeds, and the one that succeeds it; of several the last that was opened. */
static void put_succession(ent_node *node, ent_json_writer *writer, const ent_channel *channel)
{
    ent_channel *other;
    const char *successor = NULL;
    char predecessor[ENT_CHANNEL_TEXT_SIZE + 1];
    for (size_t i = 0; (other = ent_channel_at(node, i)) != NULL; i++) {
        if (succeeds(other, &channel->id))
            successor = other->id_text;
    }
    ent_hex_encode(ent_hash_bytes(&channel->genesis.predecessor), predecessor);
    ent_json_member_string(writer, "succeeds", channel->genesis.has_predecessor ? predecessor : NULL);
    ent_json_member_string(writer, "succeeded_by", successor);
    put_rivals(node, writer, channel);
}

static ent_rc put_release(void *context, const ent_store_released *release, ent_err *err)
{
    ent_json_writer *writer = context;
    (void)err;
    ent_json_object_begin(writer);
    ent_api_time(writer, "time", release->released_unix_s);
    ent_json_member_unsigned(writer, "size", release->size);
    ent_json_member_text(writer, "although", release->unanswered);
    ent_json_object_end(writer);
    return ENT_DONE;
}

/* What keeps our log here, and when an officer had it signed on all the same. */
static ent_rc put_guard(ent_node *node, ent_json_writer *writer, ent_channel *channel, ent_err *err)
{
    ent_held held;
    ent_channel_held(node, channel, &held);
    ent_json_member_string(writer, "hold", held.hold == ENT_HOLD_NONE ? NULL : ent_hold_word(held.hold));
    ent_json_member_string(writer, "hold_reason", held.hold == ENT_HOLD_NONE ? NULL : held.reason);
    ent_json_key(writer, "releases");
    ent_json_array_begin(writer);
    ENT_TRY(node->store->engine->release_walk(node->store, channel->row.number, put_release, writer, err));
    ent_json_array_end(writer);
    return ENT_DONE;
}

static ent_rc put_channel(ent_node *node, ent_json_writer *writer, ent_channel *channel, bool with_terms, ent_err *err)
{
    char alias[ENT_NAME_MAX_BYTES + 1];
    ent_channel_alias(channel, alias);
    ent_json_member_string(writer, "id", channel->id_text);
    ent_json_member_string(writer, "alias", alias[0] == 0 ? NULL : alias);
    ent_json_member_string(writer, "state", ent_channel_state_word(ent_channel_state_now(channel)));
    ent_api_time(writer, "added", channel->added_unix_s);
    ent_json_key(writer, "members");
    ent_json_array_begin(writer);
    for (uint32_t i = 0; i < channel->genesis.member_count; i++)
        ENT_TRY(put_member(node, writer, channel, i, err));
    ent_json_array_end(writer);
    ent_json_key(writer, "terms_commitment");
    ent_json_put_hex(writer, ent_hash_bytes(&channel->genesis.terms));
    if (with_terms) {
        put_terms(node, writer, channel);
        put_carried(node, writer, channel);
    }
    ent_json_member_text(writer, "neutral",
                         channel->genesis.has_neutral ? channel->genesis.neutral.name : (ent_text){NULL, 0});
    put_quotas(writer, &channel->genesis.quotas);
    ent_json_member_unsigned(writer, "delta_s", channel->genesis.delta_s);
    put_succession(node, writer, channel);
    ENT_TRY(put_guard(node, writer, channel, err));
    return ENT_DONE;
}

static ent_rc answer_channel(ent_api_call *call, ent_channel *channel, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf body = {0};
    ent_json_writer writer = ent_json_writer_of(&body);
    ent_json_object_begin(&writer);
    ENT_TRY(put_channel(call->node, &writer, channel, true, err));
    ent_json_object_end(&writer);
    return ent_api_answer(call, &body, err);
}

ent_rc ent_api_channel_list(ent_api_call *call, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf body = {0};
    ent_json_writer writer = ent_json_writer_of(&body);
    ent_channel *channel;
    ent_json_object_begin(&writer);
    ent_json_key(&writer, "channels");
    ent_json_array_begin(&writer);
    for (size_t i = 0; (channel = ent_channel_at(call->node, i)) != NULL; i++) {
        ent_json_object_begin(&writer);
        ENT_TRY(put_channel(call->node, &writer, channel, false, err));
        ent_json_object_end(&writer);
    }
    ent_json_array_end(&writer);
    ent_json_object_end(&writer);
    return ent_api_answer(call, &body, err);
}

ent_rc ent_api_channel_show(ent_api_call *call, ent_err *err)
{
    ent_channel *channel = NULL;
    ENT_TRY(ent_channel_named(call->node, call->parts[1], &channel, err));
    return answer_channel(call, channel, err);
}

/* An array of texts, borrowed from the document.  Errors: USAGE. */
static ent_rc read_texts(ent_json_value array, const char *what, ent_text *ret, size_t room, size_t *ret_count,
                         ent_err *err)
{
    size_t count = 0;
    ent_json_type type = ent_json_type_of(array);
    if (type != ENT_JSON_ARRAY && type != ENT_JSON_ABSENT && type != ENT_JSON_NULL)
        return ent_fail(err, ENT_USAGE, "docs/api.md", "\"%s\" must be an array of texts", what);
    for (ent_json_iter i = ent_json_iterate(array); ent_json_next(&i);) {
        if (ent_json_type_of(i.value) != ENT_JSON_STRING || count == room)
            return ent_fail(err, ENT_USAGE, "docs/api.md", "\"%s\" must be an array of at most %zu texts", what, room);
        ret[count++] = ent_json_string(i.value);
    }
    *ret_count = count;
    return ENT_DONE;
}

static ent_rc read_limit(ent_json_value quotas, const char *key, uint64_t *ret, ent_err *err)
{
    ent_json_value value = ent_json_get(quotas, key);
    if (ent_json_present(value) && !ent_json_unsigned(value, ENT_QUOTA_MAX, ret))
        return ent_fail(err, ENT_USAGE, "docs/api.md", "\"quotas\": \"%s\" must be a whole number up to 2^53-1", key);
    return ENT_DONE;
}

static ent_rc read_quotas(ent_json_value quotas, ent_quotas *ret, ent_err *err)
{
    if (ent_json_present(quotas) && ent_json_type_of(quotas) != ENT_JSON_OBJECT)
        return ent_fail(err, ENT_USAGE, "docs/api.md", "\"quotas\" must be an object");
    ENT_TRY(read_limit(quotas, "entries_a_day", &ret->entries_a_day, err));
    ENT_TRY(read_limit(quotas, "bytes_a_day", &ret->bytes_a_day, err));
    return read_limit(quotas, "attachment_bytes", &ret->attachment_bytes, err);
}

ent_rc ent_api_channel_open(ent_api_call *call, ent_err *err)
{
    ENT_CLEANUP(ent_json_release) ent_json *json = NULL;
    ENT_CLEANUP(ent_buf_release) ent_buf terms = {0};
    ent_text with[ENT_ENTRY_MAX_MEMBERS];
    ent_text policy[ENT_GENESIS_MAX_POLICY_LINES];
    ent_opening opening = {.with = with, .policy = policy};
    ent_text encoded = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf body = {0};
    ent_channel *channel = NULL;
    size_t left_out = 0;
    ENT_TRY(ent_api_body(call, &json, err));
    ent_json_value root = ent_json_root(json);
    ENT_TRY(read_texts(ent_json_get(root, "with"), "with", with, ENT_ENTRY_MAX_MEMBERS, &opening.with_count, err));
    ENT_TRY(read_texts(ent_json_get(root, "policy"), "policy", policy, ENT_GENESIS_MAX_POLICY_LINES,
                       &opening.policy_count, err));
    ENT_TRY(read_quotas(ent_json_get(root, "quotas"), &opening.quotas, err));
    ENT_TRY(ent_api_text(root, "terms", &encoded, err));
    ENT_TRY(ent_api_text(root, "alias", &opening.alias, err));
    ENT_TRY(ent_fail_in(err, ent_base64_decode(encoded, &terms, err), "\"terms\""));
    opening.terms = ent_buf_bytes(&terms);
    ENT_TRY(ent_api_text(root, "succeeds", &opening.succeeds, err));
    opening.ret_left_out = &left_out;
    ENT_TRY(ent_channel_open(call->node, &opening, &channel, err));
    ent_json_writer writer = ent_json_writer_of(&body);
    ent_json_object_begin(&writer);
    ENT_TRY(put_channel(call->node, &writer, channel, true, err));
    ent_json_member_unsigned(&writer, "left_out", left_out);
    ent_json_object_end(&writer);
    return ent_api_answer(call, &body, err);
}

ent_rc ent_api_channel_accept(ent_api_call *call, ent_err *err)
{
    ENT_CLEANUP(ent_json_release) ent_json *json = NULL;
    ent_channel *channel = NULL;
    ent_text alias = {0};
    bool unchecked = false;
    ENT_TRY(ent_channel_named(call->node, call->parts[1], &channel, err));
    if (ent_http_body(call->request).size > 0) {
        ENT_TRY(ent_api_body(call, &json, err));
        ENT_TRY(ent_api_text(ent_json_root(json), "alias", &alias, err));
        unchecked = ent_json_true(ent_json_get(ent_json_root(json), "unchecked"));
    }
    if (unchecked)
        ENT_TRY(ent_channel_accept_unchecked(call->node, channel, alias, err));
    else
        ENT_TRY(ent_channel_accept(call->node, channel, alias, err));
    return answer_channel(call, channel, err);
}

ent_rc ent_api_channel_refuse(ent_api_call *call, ent_err *err)
{
    ent_channel *channel = NULL;
    ENT_TRY(ent_channel_named(call->node, call->parts[1], &channel, err));
    ENT_TRY(ent_channel_refuse(call->node, channel, err));
    return answer_channel(call, channel, err);
}
