#include "node/api.h"

#include "node/channel.h"
#include "node/proof.h"
#include "node/sequencer.h"

typedef struct {
    const ent_channel *channel;
    ent_json_writer *writer;
} putting;

static ent_rc put_proof(void *context, const ent_message_proof *proof, ent_err *err)
{
    const putting *work = context;
    (void)err;
    ent_json_object_begin(work->writer);
    ent_json_key(work->writer, "receipts");
    ent_json_array_begin(work->writer);
    for (uint32_t m = 0; m < work->channel->genesis.member_count; m++) {
        if (proof->receipted_by[m])
            ent_json_put_text(work->writer, work->channel->genesis.members[m].name);
    }
    ent_json_array_end(work->writer);
    ent_json_member_text(work->writer, "proof", proof->proof);
    ent_json_member_text(work->writer, "policy", proof->policy);
    ent_json_object_end(work->writer);
    return ENT_DONE;
}

ent_rc ent_api_proofs(ent_api_call *call, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf body = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf bytes = {0};
    ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
    ent_json_writer writer = ent_json_writer_of(&body);
    ent_channel *channel = NULL;
    ent_entry entry;
    uint32_t member = 0;
    uint64_t index = 0;
    ENT_TRY(ent_api_message(call, &channel, &member, &index, err));
    ENT_TRY(ent_channel_entry(call->node, channel, member, index, &arena, &bytes, &entry, err));
    ENT_TRY(ent_sequencer_flush(call->node, err)); /* so that our newest receipt counts */
    putting work = {channel, &writer};
    ent_json_object_begin(&writer);
    ent_json_member_text(&writer, "entry", ent_buf_text(&bytes));
    ent_json_key(&writer, "proofs");
    ent_json_array_begin(&writer);
    ENT_TRY(ent_message_prove(call->node, channel, member, index, put_proof, &work, err));
    ent_json_array_end(&writer);
    ent_json_object_end(&writer);
    return ent_api_answer(call, &body, err);
}
