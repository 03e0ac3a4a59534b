#include "node/api.h"
#include "node/channel.h"
#include "node/reveal.h"

/* The file key of one of our own messages, and only of these, goes to all members: in the log, for good. */
ent_rc ent_api_reveal(ent_api_call *call, ent_err *err)
{
    ENT_CLEANUP(ent_json_release) ent_json *json = NULL;
    ENT_CLEANUP(ent_buf_release) ent_buf body = {0};
    ent_json_writer writer = ent_json_writer_of(&body);
    ent_channel *channel = NULL;
    ent_store_revealed revealed = {.log = 0};
    ent_text reasons = {NULL, 0};
    uint32_t member = 0;
    uint64_t index = 0;
    uint64_t said = 0;
    ENT_TRY(ent_api_message(call, &channel, &member, &index, err));
    ENT_TRY(ent_api_body(call, &json, err));
    ENT_TRY(ent_api_text(ent_json_root(json), "reasons", &reasons, err));
    if (member != channel->self)
        return ent_fail(err, ENT_REFUSED, "design 3",
                        "only its writer shows the file key of a message, and this one is of %.*s",
                        ENT_TEXT_ARG(channel->genesis.members[member].name));
    ENT_TRY(ent_reveal_say(call->node, channel, index, reasons, &said, &revealed, err));
    ent_json_object_begin(&writer);
    ent_channel_member_message(channel, &writer, "message",
                               (ent_message_ref){channel->genesis.members[member].name, said});
    ent_json_member_string(&writer, "shows", revealed.state == ENT_REVEALED_GOOD ? "well-formed" : "bad");
    ent_json_object_end(&writer);
    return ent_api_answer(call, &body, err);
}
