#include "node/api.h"
#include "node/channel.h"
#include "node/courier.h"
#include "node/fork.h"
#include "node/passed.h"

typedef struct {
    ent_node *node;
    ent_json_writer *writer;
    ent_channel *channel;
    uint32_t member;
} fork_row;

/* The sizes of the two heads; null when there is no proof for strangers. */
static ent_rc put_sizes(const fork_row *row, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf bytes = {0};
    ENT_CLEANUP(ent_fork_proof_release) ent_fork_proof proof = {0};
    ent_json_key(row->writer, "sizes");
    ent_rc rc = ent_fork_proof_of(row->node, row->channel, row->member, &bytes, err);
    if (rc.code == ENT_REFUSED) {
        ent_json_put_null(row->writer);
        return ENT_DONE;
    }
    ENT_TRY(rc);
    ENT_TRY(ent_fork_proof_parse(ent_buf_bytes(&bytes), &proof, err));
    ent_json_array_begin(row->writer);
    ent_json_put_unsigned(row->writer, proof.heads[0].size);
    ent_json_put_unsigned(row->writer, proof.heads[1].size);
    ent_json_array_end(row->writer);
    return ENT_DONE;
}

static ent_rc put_fork(void *context, const ent_store_fork *fork, ent_err *err)
{
    const fork_row *row = context;
    char alias[ENT_NAME_MAX_BYTES + 1];
    ent_store_log log;
    ent_channel_alias(row->channel, alias);
    ent_channel_log(row->channel, row->member, &log);
    ent_json_object_begin(row->writer);
    ent_json_member_string(row->writer, "channel", row->channel->id_text);
    ent_json_member_string(row->writer, "alias", alias[0] == 0 ? NULL : alias);
    ent_json_member_text(row->writer, "party", row->channel->genesis.members[row->member].name);
    ent_json_member_bool(row->writer, "own", row->member == row->channel->self);
    ent_json_member_unsigned(row->writer, "frozen_at", log.tree.size);
    ent_api_time(row->writer, "seen", fork->seen_unix_s);
    ENT_TRY(put_sizes(row, err));
    ent_json_object_end(row->writer);
    return ENT_DONE;
}

ent_rc ent_api_put_forks(ent_node *node, ent_json_writer *writer, const ent_channel *only, ent_err *err)
{
    ent_channel *channel;
    ent_json_key(writer, "forks");
    ent_json_array_begin(writer);
    for (size_t i = 0; (channel = ent_channel_at(node, i)) != NULL; i++) {
        uint32_t frozen = only == NULL || only == channel ? ent_fork_frozen(channel) : 0;
        for (uint32_t m = 0; frozen >> m != 0; m++) {
            fork_row row = {node, writer, channel, m};
            if ((frozen >> m & 1) != 0)
                ENT_TRY(
                    node->store->engine->fork_walk(node->store, channel->members[m].log.number, put_fork, &row, err));
        }
    }
    ent_json_array_end(writer);
    return ENT_DONE;
}

ent_rc ent_api_fork_list(ent_api_call *call, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf body = {0};
    ent_json_writer writer = ent_json_writer_of(&body);
    ent_channel *channel = NULL;
    ent_text name = ent_http_query(call->request, "channel");
    if (name.size > 0)
        ENT_TRY(ent_channel_named(call->node, name, &channel, err));
    ent_json_object_begin(&writer);
    ENT_TRY(ent_api_put_forks(call->node, &writer, channel, err));
    ENT_TRY(ent_apart_put(call->node, &writer, channel, err));
    ent_json_object_end(&writer);
    return ent_api_answer(call, &body, err);
}

ent_rc ent_api_fork_export(ent_api_call *call, ent_err *err)
{
    ent_channel *channel = NULL;
    ENT_TRY(ent_channel_named(call->node, call->parts[1], &channel, err));
    int member = ent_genesis_member(&channel->genesis, call->parts[2]);
    if (member < 0)
        return ent_fail(err, ENT_ABSENT, NULL, "%.*s is not a member of that channel",
                        (int)(call->parts[2].size > 64 ? 64 : call->parts[2].size), call->parts[2].data);
    ENT_TRY(ent_fork_proof_of(call->node, channel, (uint32_t)member, &call->response->body, err));
    call->response->status = 200;
    call->response->content_type = "text/plain; charset=utf-8";
    return ENT_DONE;
}

ent_rc ent_api_fork_import(ent_api_call *call, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf body = {0};
    ent_json_writer writer = ent_json_writer_of(&body);
    ent_channel *channel = NULL;
    uint32_t member = 0;
    bool is_new = false;
    ENT_TRY(ent_fork_import(call->node, ent_http_body(call->request), &channel, &member, &is_new, err));
    ent_courier_wake(call->node->courier);
    ent_json_object_begin(&writer);
    ent_json_member_string(&writer, "channel", channel->id_text);
    ent_json_member_text(&writer, "party", channel->genesis.members[member].name);
    ent_json_member_bool(&writer, "new", is_new);
    ent_json_object_end(&writer);
    return ent_api_answer(call, &body, err);
}
