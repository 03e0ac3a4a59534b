/* Signatures: marks and signatures after the commit, then what readers see; stored with the next transaction. */
#include "node/sequencer_internal.h"

#include "node/alerts.h"
#include "node/channel.h"
#include "node/checks.h"
#include "node/events.h"
#include "node/extend.h"
#include "node/keys.h"
#include "node/own_head.h"
#include "node/report.h"

static ent_rc put_head_note(const ent_signed *item, ent_buf *ret, ent_err *err)
{
    return ent_own_head_put(item->channel, &item->head, &item->log_key, &item->signature, ret, err);
}

ent_rc ent_sequencer_store_signed(ent_node *node, const ent_signed_list *list, ent_err *err)
{
    const ent_store_engine *engine = node->store->engine;
    for (size_t i = 0; i < list->count; i++) {
        const ent_signed *item = &list->items[i];
        if (item->is_head) {
            ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
            ENT_TRY(put_head_note(item, &note, err));
            ENT_TRY(engine->head_put(node->store, item->channel->members[item->channel->self].log.number, &item->head,
                                     ent_buf_bytes(&note), err));
        } else {
            ENT_TRY(engine->receipt_sign(node->store, item->receipt, &item->signature, err));
        }
    }
    return ENT_DONE;
}

static ent_rc request_signature(ent_node *node, const ent_signed *item, ent_keeper_request *ret, ent_tree_proof *proof,
                                ent_err *err)
{
    ret->what = item->is_head ? ENT_KEEPER_HEAD : ENT_KEEPER_RECEIPT;
    ret->origin = ent_text_of(item->channel->members[item->member].origin);
    ret->head = item->head;
    ret->timestamp_unix_s = item->timestamp_unix_s;
    ret->extends = proof;
    ret->key = item->is_head ? item->log_key : ent_channel_receipt_public(item->channel, item->receipt_key);
    ent_extension extension = {ret->what, item->member, item->head, item->leaves, item->leaf_count};
    return ent_extend_prove(node, item->channel, &extension, proof, err);
}

void ent_sequencer_sign(ent_sequencer *sequencer)
{
    ent_node *node = sequencer->node;
    ent_signed_list *list = &sequencer->to_sign;
    ent_err err = {0};
    if (list->count == 0)
        return;
    ent_keeper_request *requests = ent_alloc_array(list->count, sizeof *requests);
    ent_tree_proof *proofs = ent_alloc_array(list->count, sizeof *proofs);
    if (requests == NULL || proofs == NULL) {
        (void)ent_fail(&err, ENT_NOMEM, NULL, "out of memory for %zu signatures", list->count).code;
        ent_report_stop("what is stored cannot be signed", &err);
    }
    for (size_t i = 0; i < list->count; i++) {
        ent_signed *item = &list->items[i];
        if (item->is_head)
            item->log_key = *ent_channel_log_key(item->channel, item->head.size);
        if (request_signature(node, item, &requests[i], &proofs[i], &err).code != ENT_OK)
            ent_report_stop("what is stored cannot be signed", &err);
    }
    ent_rc rc = ent_keeper_sign(node->keeper, requests, list->count, &err);
    if (rc.code != ENT_OK)
        ent_report_stop("the keeper cannot sign", &err);
    for (size_t i = 0; i < list->count; i++) {
        list->items[i].signature = requests[i].signature;
        list->items[i].refused = requests[i].rc.code != ENT_OK;
        list->items[i].leaves = NULL; /* those of the batch, which is done */
        if (!list->items[i].refused)
            ent_extend_marked(list->items[i].channel, requests[i].what, list->items[i].member, requests[i].head.size);
    }
    ent_free(proofs);
    ent_free(requests);
}

static void publish_signed(const ent_sequencer *sequencer, const ent_signed *item)
{
    ent_channel *channel = item->channel;
    if (item->refused) {
        if (item->is_head)
            ent_hold_by_keeper(sequencer->node, channel);
        return;
    }
    ent_err err = {0};
    ent_buf note = {0};
    if (item->is_head && put_head_note(item, &note, &err).code != ENT_OK) {
        ent_buf_release(&note);
        ent_report_stop("a signed head cannot be kept", &err);
        return;
    }
    (void)pthread_mutex_lock(&channel->lock);
    if (item->is_head) {
        ent_buf_release(&channel->head_note);
        channel->head_note = note;
        channel->head = item->head;
        channel->signed_size = item->head.size;
    } else {
        ent_channel_receipt_signed(channel, item->member, &item->head);
    }
    (void)pthread_mutex_unlock(&channel->lock);
}

/* The numbers of channel and logs are read without the lock: they are never written again. */
static void publish_log(ent_channel_member *member)
{
    const ent_store_log *next = &member->next;
    member->log.frozen = next->frozen;
    member->log.tree = next->tree;
    member->log.opened = next->opened;
    member->log.bytes = next->bytes;
    member->log.usage = next->usage;
    memcpy(member->log.acked, next->acked, sizeof next->acked);
}

static void publish_channel(ent_node *node, ent_channel *channel)
{
    (void)pthread_mutex_lock(&channel->lock);
    bool state_changed = channel->row.state != channel->next_row.state;
    channel->row.state = channel->next_row.state;
    memcpy(channel->row.alias, channel->next_row.alias, sizeof channel->row.alias);
    for (size_t i = 0; i < channel->genesis.member_count; i++)
        publish_log(&channel->members[i]);
    (void)pthread_mutex_unlock(&channel->lock);
    if (state_changed) {
        ent_tell_channel(node, channel);
        ent_checks_wake(node->checks);
    }
    ent_alerts_wake(node->alerts, channel);
}

/* Last of all: a courier that looked in between would have seen the old head, and not look again. */
static void mark_unsent(const ent_signed_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        atomic_store(&list->items[i].channel->unsent, true);
}

void ent_sequencer_publish(ent_sequencer *sequencer)
{
    for (size_t i = 0; i < sequencer->dirty_count; i++)
        publish_channel(sequencer->node, sequencer->dirty[i]);
    for (size_t i = 0; i < sequencer->to_sign.count; i++)
        publish_signed(sequencer, &sequencer->to_sign.items[i]);
    for (size_t i = 0; i < sequencer->given.count; i++)
        publish_signed(sequencer, &sequencer->given.items[i]);
    for (size_t i = 0; i < sequencer->dirty_count; i++)
        atomic_store(&sequencer->dirty[i]->unsent, true);
    mark_unsent(&sequencer->to_sign);
    mark_unsent(&sequencer->unstored); /* stored by this batch: its receipts can be packed now */
    /* What was refused is not stored as signed. */
    size_t kept = 0;
    for (size_t i = 0; i < sequencer->to_sign.count; i++) {
        if (!sequencer->to_sign.items[i].refused)
            sequencer->to_sign.items[kept++] = sequencer->to_sign.items[i];
    }
    sequencer->to_sign.count = kept;
    ent_signed_list stored = sequencer->unstored;
    sequencer->unstored = sequencer->to_sign;
    stored.count = 0;
    sequencer->to_sign = stored;
}
