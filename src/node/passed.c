#include "node/passed.h"

#include "base/clock.h"
#include "node/api.h"
#include "node/channel.h"
#include "node/keys.h"
#include "node/report.h"

ent_rc ent_passed_load(ent_node *node, ent_channel *channel, ent_err *err)
{
    for (uint32_t m = 0; m < channel->genesis.member_count; m++) {
        bool any = false;
        ENT_TRY(node->store->engine->passed_head_any(node->store, channel->members[m].log.number, &any, err));
        any = any || (m == channel->self && ent_channel_keys(channel, m)->log_count > 1);
        if (any)
            atomic_store(&channel->passed, true);
    }
    return ENT_DONE;
}

bool ent_passed_beyond(const ent_keys *keys, ent_bytes bytes, const char *origin)
{
    ENT_CLEANUP(ent_note_release) ent_note note = {0};
    ent_checkpoint checkpoint;
    return ent_keys_open_head(keys, bytes, ent_text_of(origin), &note, &checkpoint, NULL).code == ENT_PEER_SIGNATURE;
}

const char *ent_ack_worth_word(ent_ack_worth worth)
{
    return worth == ENT_ACK_COUNTS ? NULL : worth == ENT_ACK_OTHER_HISTORY ? "other-history" : "replaced-key";
}

/* Of our own log others ack, once a key of ours was replaced, what we signed or what somebody else did: our entries
 * tell. Of others' logs it was passed over when it is kept so; while a cutoff is committed and not published yet, it
 * was not. */
static ent_rc was_passed(ent_node *node, const ent_channel *channel, uint32_t member, const ent_tree_head *head,
                         bool *ret, ent_err *err)
{
    const ent_channel_member *of = &channel->members[member];
    const ent_keys *keys = ent_channel_keys(channel, member);
    ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
    *ret = member == channel->self && keys->log_count > 1 && head->size > keys->log[1].from;
    if (*ret)
        return ENT_DONE;
    if (!atomic_load(&channel->passed))
        return ENT_DONE;
    ent_rc rc = node->store->engine->passed_head_get(node->store, of->log.number, head, &note, err);
    if (rc.code == ENT_OK)
        *ret = ent_passed_beyond(keys, ent_buf_bytes(&note), of->origin);
    return rc.code == ENT_ABSENT ? ENT_DONE : rc;
}

ent_rc ent_ack_weigh(ent_node *node, ent_channel *channel, uint32_t member, const ent_tree_head *head,
                     ent_ack_worth *ret, ent_err *err)
{
    ent_store_log log;
    bool passed = false;
    bool is_other = true;
    uint64_t serial = 0;
    ent_channel_log(channel, member, &log);
    if (!log.frozen)
        ENT_TRY(was_passed(node, channel, member, head, &passed, err));
    if (!log.frozen && !passed) {
        *ret = ENT_ACK_COUNTS;
        return ENT_DONE;
    }
    if (head->size <= log.tree.size) {
        ent_store_tiles tiles = {node->store, log.number};
        ent_tile_reader reader = ent_store_tile_reader(&tiles);
        ent_hash root;
        ENT_TRY(ent_tree_root_at(head->size, &reader, &root, err));
        is_other = !ent_hash_equal(&root, &head->root);
    } else if (!log.frozen) {
        ENT_TRY(ent_keys_contested(node, channel, member, log.tree.size, &serial, err));
        is_other = serial == 0;
    }
    *ret = !is_other ? ENT_ACK_COUNTS : log.frozen ? ENT_ACK_OTHER_HISTORY : ENT_ACK_REPLACED_KEY;
    return ENT_DONE;
}

/* --- receipts apart --- */

typedef struct {
    const ent_checked_receipt *given;
    size_t of_receiver;
    bool found;
} apart_search;

static ent_rc look_at_apart(void *context, const ent_store_receipt *receipt, ent_err *err)
{
    apart_search *search = context;
    (void)err;
    if (receipt->receiver != search->given->receiver)
        return ENT_DONE;
    search->of_receiver++;
    search->found = search->found || (receipt->head.size == search->given->head.size &&
                                      ent_hash_equal(&receipt->head.root, &search->given->head.root));
    return ENT_DONE;
}

ent_rc ent_apart_is_news(ent_node *node, const ent_channel *channel, const ent_pouch_checked *checked, bool *ret,
                         ent_err *err)
{
    for (size_t i = 0; i < checked->apart_count && !*ret; i++) {
        apart_search search = {.given = &checked->apart[i]};
        ENT_TRY(node->store->engine->apart_receipt_walk(node->store, channel->members[search.given->member].log.number,
                                                        look_at_apart, &search, err));
        *ret = !search.found && search.of_receiver < ENT_APART_MAX;
    }
    return ENT_DONE;
}

static void report_apart(const ent_channel *channel, const ent_checked_receipt *given)
{
    ent_report report = ent_report_begin("receipt.apart");
    ent_report_string(&report, "channel", channel->id_text);
    ent_report_text(&report, "peer", channel->genesis.members[given->receiver].name);
    ent_report_text(&report, "log", channel->genesis.members[given->member].name);
    ent_report_number(&report, "size", given->head.size);
    ent_report_end(&report);
}

static ent_rc store_apart(ent_node *node, const ent_channel *channel, const ent_checked_receipt *given, ent_err *err)
{
    const ent_store_receipt receipt = {
        .log = channel->members[given->member].log.number,
        .receiver = (uint32_t)given->receiver,
        .head = given->head,
        .cosignature = given->cosignature,
        .arrived_unix_s = ent_clock_unix_s(),
        .key = given->key,
    };
    bool is_new = false;
    ENT_TRY(node->store->engine->apart_receipt_add(node->store, &receipt, &is_new, err));
    if (is_new)
        report_apart(channel, given);
    return ENT_DONE;
}

typedef struct {
    ent_json_writer *writer;
    ent_channel *channel;
    uint32_t member;
} apart_row;

static ent_rc put_apart(void *context, const ent_store_receipt *receipt, ent_err *err)
{
    const apart_row *row = context;
    ent_json_writer *writer = row->writer;
    char alias[ENT_NAME_MAX_BYTES + 1];
    (void)err;
    ent_channel_alias(row->channel, alias);
    ent_json_object_begin(writer);
    ent_json_member_string(writer, "channel", row->channel->id_text);
    ent_json_member_string(writer, "alias", alias[0] == 0 ? NULL : alias);
    ent_json_member_text(writer, "by", row->channel->genesis.members[receipt->receiver].name);
    ent_json_member_text(writer, "party", row->channel->genesis.members[row->member].name);
    ent_json_member_unsigned(writer, "size", receipt->head.size);
    ent_json_key(writer, "root");
    ent_json_put_hex(writer, ent_hash_bytes(&receipt->head.root));
    ent_api_time(writer, "time", (int64_t)receipt->cosignature.timestamp_unix_s);
    ent_api_time(writer, "seen", receipt->arrived_unix_s);
    ent_json_object_end(writer);
    return ENT_DONE;
}

ent_rc ent_apart_put(ent_node *node, ent_json_writer *writer, const ent_channel *only, ent_err *err)
{
    ent_channel *channel;
    ent_json_key(writer, "apart");
    ent_json_array_begin(writer);
    for (size_t i = 0; (channel = ent_channel_at(node, i)) != NULL; i++) {
        for (uint32_t m = 0; m < channel->genesis.member_count && (only == NULL || only == channel); m++) {
            apart_row row = {writer, channel, m};
            ENT_TRY(node->store->engine->apart_receipt_walk(node->store, channel->members[m].log.number, put_apart,
                                                            &row, err));
        }
    }
    ent_json_array_end(writer);
    return ENT_DONE;
}

/* --- for apply --- */

ent_rc ent_passed_store(ent_node *node, ent_channel *channel, const ent_pouch_checked *checked, ent_err *err)
{
    for (size_t i = 0; i < checked->passed_count; i++) {
        const ent_checked_head *given = &checked->passed[i];
        if (!given->acked) /* of others there could be any number */
            continue;
        ENT_TRY(node->store->engine->passed_head_put(node->store, channel->members[given->member].log.number,
                                                     &given->head, given->note, err));
        atomic_store(&channel->passed, true);
    }
    for (size_t i = 0; i < checked->apart_count; i++)
        ENT_TRY(store_apart(node, channel, &checked->apart[i], err));
    return ENT_DONE;
}

/* Only a revocation says that the old key may be in other hands. When it is only replaced, what it signed beyond what
 * is here tells that this store is old. */
static bool is_revoked_before(const ent_keys *keys, uint64_t size)
{
    bool revoked = false;
    for (size_t i = 1; i < keys->log_count; i++)
        revoked = revoked || (keys->log[i].revokes && size > keys->log[i].from);
    return revoked;
}

ent_rc ent_passed_by_cutoff(ent_node *node, ent_channel *channel, uint32_t member, const ent_keys *keys, ent_err *err)
{
    const ent_channel_member *of = &channel->members[member];
    const ent_store_engine *engine = node->store->engine;
    bool is_own = member == channel->self;
    uint64_t from = is_own ? ent_channel_signed_size(channel) + 1 : of->next.tree.size + 1;
    size_t passed = 0;
    size_t stay = 0;
    if (is_own && keys->log_count > 1)
        atomic_store(&channel->passed, true);
    while (keys->log_count > 1) {
        ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
        ent_tree_head head;
        ent_rc rc = engine->head_from(node->store, of->log.number, from, &head, &note, err);
        if (rc.code == ENT_ABSENT)
            break;
        ENT_TRY(rc);
        from = head.size + 1;
        if (!ent_passed_beyond(keys, ent_buf_bytes(&note), of->origin) ||
            (is_own && !is_revoked_before(keys, head.size))) {
            stay++;
            continue;
        }
        ENT_TRY(engine->head_pass(node->store, of->log.number, head.size, err));
        atomic_store(&channel->passed, true);
        passed++;
    }
    if (is_own && passed > 0 && stay == 0) /* what held us was signed by whoever has the old key */
        (void)ent_channel_unhold(channel, ENT_HOLD_PEER_LARGER);
    return ENT_DONE;
}
