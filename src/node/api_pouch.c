#include "node/api.h"

#include "base/cursor.h"
#include "node/channel.h"
#include "node/courier.h"
#include "node/pack.h"
#include "node/receive.h"
#include "node/sequencer.h"

ent_rc ent_api_pouch_export(ent_api_call *call, ent_err *err)
{
    ent_channel *channel = NULL;
    ent_packed packed;
    ent_text to = ent_http_query(call->request, "to");
    ent_text of = ent_http_query(call->request, "of");
    ENT_TRY(ent_channel_named(call->node, ent_http_query(call->request, "channel"), &channel, err));
    int member = ent_genesis_member(&channel->genesis, to);
    if (member < 0 || (uint32_t)member == channel->self)
        return ent_fail(err, ENT_USAGE, "design 10", "--to %.*s: not another member of channel %.8s",
                        (int)(to.size > 64 ? 64 : to.size), to.data == NULL ? "" : to.data, channel->id_text);
    int writer = of.size == 0 ? (int)channel->self : ent_genesis_member(&channel->genesis, of);
    if (writer < 0 || writer == member)
        return ent_fail(err, ENT_USAGE, "docs/api.md", "of=%.*s: not a member of channel %.8s besides the receiver",
                        (int)(of.size > 64 ? 64 : of.size), of.data == NULL ? "" : of.data, channel->id_text);
    uint64_t from = 0;
    ent_text old = ent_http_query(call->request, "old");
    if (old.data != NULL && !ent_decimal_parse(old, ENT_LOG_MAX_SIZE, &from))
        return ent_fail(err, ENT_USAGE, "docs/api.md", "old= is a number of entries");
    ENT_TRY(ent_sequencer_flush(call->node, err)); /* so that our newest receipt goes along */
    ENT_TRY(ent_pack_part(call->node, channel, (uint32_t)writer, (uint32_t)member, from, 0, &packed, err));
    call->response->status = 200;
    call->response->content_type = "application/x-tar";
    call->response->body = packed.bytes;
    return ENT_DONE;
}

static const char *state_word(ent_received_state state)
{
    switch (state) {
    case ENT_RECEIVED_RECEIPTED:
        return "receipted";
    case ENT_RECEIVED_INVITED:
        return "invited";
    case ENT_RECEIVED_CARRIED:
        return "carried";
    }
    return "unknown";
}

ent_rc ent_api_pouch_import(ent_api_call *call, ent_err *err)
{
    ENT_CLEANUP(ent_received_release) ent_received received = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf body = {0};
    ent_json_writer writer = ent_json_writer_of(&body);
    ENT_TRY(ent_receive(call->node, ent_http_body(call->request), NULL, NULL, &received, err));
    ent_courier_wake(call->node->courier);
    ent_json_object_begin(&writer);
    ent_json_member_string(&writer, "state", state_word(received.state));
    ent_json_member_string(&writer, "channel", received.channel->id_text);
    ent_json_member_text(&writer, "from", received.channel->genesis.members[received.writer].name);
    ent_json_member_unsigned(&writer, "size", received.size);
    ent_json_member_unsigned(&writer, "new", received.new_count);
    ent_json_object_end(&writer);
    return ent_api_answer(call, &body, err);
}
