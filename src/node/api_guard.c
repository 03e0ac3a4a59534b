#include "node/api.h"
#include "node/channel.h"
#include "node/guard.h"

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
