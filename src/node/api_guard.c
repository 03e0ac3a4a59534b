#include "node/api.h"
#include "node/channel.h"
#include "node/guard.h"
#include "node/recover_more.h"

ent_rc ent_api_channel_release(ent_api_call *call, ent_err *err)
{
    ENT_CLEANUP(ent_json_release) ent_json *json = NULL;
    ENT_CLEANUP(ent_buf_release) ent_buf body = {0};
    ent_json_writer writer = ent_json_writer_of(&body);
    ent_channel *channel = NULL;
    ENT_TRY(ent_channel_named(call->node, call->parts[1], &channel, err));
    ENT_TRY(ent_api_body(call, &json, err));
    if (!ent_json_true(ent_json_get(ent_json_root(json), "accept_fork_risk")))
        return ent_fail(err, ENT_USAGE, "design 3, Rollback guard",
                        "\"accept_fork_risk\" must be true: what is signed now may contradict what was signed before");
    ENT_TRY(ent_guard_release(call->node, channel, err));
    ent_json_object_begin(&writer);
    ent_json_member_string(&writer, "channel", channel->id_text);
    ent_json_member_unsigned(&writer, "signed_size", ent_channel_signed_size(channel));
    ent_json_object_end(&writer);
    return ent_api_answer(call, &body, err);
}

/* --- recovering --- */

static void put_recovered(ent_json_writer *writer, ent_channel *channel, bool found, const ent_recovered *done,
                          const ent_err *err)
{
    char alias[ENT_NAME_MAX_BYTES + 1];
    ent_channel_alias(channel, alias);
    ent_json_object_begin(writer);
    ent_json_member_string(writer, "channel", channel->id_text);
    ent_json_member_string(writer, "alias", alias[0] == 0 ? NULL : alias);
    ent_json_member_bool(writer, "found", found);
    ent_json_member_string(writer, "failed", err == NULL ? NULL : err->text);
    ent_json_member_unsigned(writer, "size_before", done->size_before);
    ent_json_member_unsigned(writer, "size", done->size);
    ent_json_member_unsigned(writer, "others", done->others);
    ent_json_member_unsigned(writer, "set_aside", done->set_aside);
    ent_json_member_string(writer, "set_aside_folder", done->set_aside == 0 ? NULL : done->set_aside_folder);
    ent_json_member_unsigned(writer, "attachments", done->attachments);
    ent_json_member_unsigned(writer, "attachments_missing", done->attachments_missing);
    ent_json_member_string(writer, "trouble", done->trouble[0] == 0 ? NULL : done->trouble);
    ent_json_member_string(writer, "hold", done->hold == ENT_HOLD_NONE ? NULL : ent_hold_word(done->hold));
    ent_json_member_string(writer, "hold_reason", done->hold == ENT_HOLD_NONE ? NULL : done->hold_reason);
    ent_json_object_end(writer);
}

/* One channel's trouble does not keep the others from being recovered. */
static ent_rc recover_one(ent_node *node, ent_channel *channel, uint32_t from, bool found, ent_json_writer *writer,
                          ent_err *err)
{
    ent_recovered done = {.size = 0};
    ent_err failed = {0};
    ent_rc rc = ent_recover(node, channel, from, &done, &failed);
    ent_class error_class = ent_code_class(rc.code);
    if (error_class == ENT_CLASS_IO || error_class == ENT_CLASS_NOMEM) {
        *err = failed;
        return rc;
    }
    put_recovered(writer, channel, found, &done, rc.code == ENT_OK ? NULL : &failed);
    return ENT_DONE;
}

/* Which channel is meant; NULL = every one. One that is not known here is named by its whole id, and asked for. */
static ent_rc read_only(ent_node *node, ent_text name, ent_hash *ret_id, bool *ret_unknown, ent_channel **ret,
                        ent_err *err)
{
    *ret_unknown = false;
    if (name.size == 0)
        return ENT_DONE;
    ent_rc rc = ent_channel_named(node, name, ret, err);
    *ret_unknown =
        rc.code == ENT_ABSENT && ent_hex_decode(name, ret_id->bytes, sizeof ret_id->bytes, NULL).code == ENT_OK;
    return *ret_unknown ? ENT_DONE : rc;
}

/* Every channel that is shared with the party, or the one that is meant. */
static ent_rc recover_known(ent_node *node, ent_text from, const ent_channel *only, const ent_recovered_channels *found,
                            ent_json_writer *writer, size_t *ret_count, ent_err *err)
{
    ent_channel *channel;
    for (size_t i = 0; (channel = ent_channel_at(node, i)) != NULL; i++) {
        int member = ent_genesis_member(&channel->genesis, from);
        bool is_meant = member >= 0 && (uint32_t)member != channel->self && (only == NULL || only == channel) &&
                        ent_channel_state_now(channel) != ENT_CHANNEL_REFUSED;
        if (!is_meant)
            continue;
        bool is_found = ent_recovered_channels_has(found, &channel->id);
        ENT_TRY(recover_one(node, channel, (uint32_t)member, is_found, writer, err));
        (*ret_count)++;
    }
    return ENT_DONE;
}

/* A list that does not come keeps nothing from being recovered that is known here. */
static ent_rc recover_all(ent_node *node, ent_text from, ent_text name, ent_json_writer *writer, ent_err *err)
{
    ENT_CLEANUP(ent_recovered_channels_release) ent_recovered_channels found = {.count = 0};
    ent_channel *only = NULL;
    ent_hash id;
    bool unknown = false;
    size_t count = 0;
    ent_err list_err = {0};
    ENT_TRY(read_only(node, name, &id, &unknown, &only, err));
    ent_rc rc = only == NULL ? ent_recover_channels(node, from, unknown ? &id : NULL, &found, &list_err) : ENT_DONE;
    if (unknown && found.count > 0)
        only = ent_channel_find(node, &id);
    bool not_found = unknown && only == NULL;
    ent_json_key(writer, "channels");
    ent_json_array_begin(writer);
    if (!not_found)
        ENT_TRY(recover_known(node, from, only, &found, writer, &count, err));
    ent_json_array_end(writer);
    const char *trouble = rc.code == ENT_OK || rc.code == ENT_ABSENT ? found.trouble : list_err.text;
    ent_json_member_string(writer, "channels_trouble", trouble[0] == 0 ? NULL : trouble);
    if (count > 0)
        return ENT_DONE;
    if (trouble[0] != 0)
        return ent_fail(err, rc.code == ENT_OK || rc.code == ENT_ABSENT ? ENT_REFUSED : rc.code,
                        "design 3, Rollback guard", "no channel came back: %s", trouble);
    return ent_fail(err, ENT_ABSENT, "design 3, Rollback guard", "%.*s is no other member of %s", ENT_TEXT_ARG(from),
                    name.size == 0 ? "any channel here, and knows of none that we were in" : "that channel");
}

ent_rc ent_api_recover(ent_api_call *call, ent_err *err)
{
    ENT_CLEANUP(ent_json_release) ent_json *json = NULL;
    ENT_CLEANUP(ent_buf_release) ent_buf body = {0};
    ent_json_writer writer = ent_json_writer_of(&body);
    ent_text from = {0};
    ent_text name = {0};
    ENT_TRY(ent_api_body(call, &json, err));
    ENT_TRY(ent_api_text(ent_json_root(json), "from", &from, err));
    ENT_TRY(ent_api_text(ent_json_root(json), "channel", &name, err));
    ent_json_object_begin(&writer);
    ENT_TRY(recover_all(call->node, from, name, &writer, err));
    ent_json_object_end(&writer);
    return ent_api_answer(call, &body, err);
}
