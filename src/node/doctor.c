#include "node/doctor.h"

#include "base/clock.h"
#include "node/api.h"
#include "node/channel.h"
#include "node/key_lost.h"
#include "node/peer.h"
#include "node/quota.h"
#include "node/reach.h"
#include "node/receipt.h"
#include "node/rotate.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/statvfs.h>

enum {
    RECEIPT_LATE_S = 600,         /* a message without a receipt for so long … */
    RECEIPT_LATE_HAND_S = 604800, /* … and one that goes by hand */
    ATTACHMENT_LATE_S = 3600,
    ATTACHMENTS_LOOKED_AT = 1024
};
#define DISK_LOW_BYTES ((uint64_t)512 << 20)

/* A kind of finding: what is the same in each. */
typedef struct {
    const char *what;
    bool is_note; /* to know, and nothing is wrong */
    const char *matters;
    const char *todo;
} complaint;

static const complaint clock_off = {
    "clock", false,
    "Times are each side's claim: beyond the difference that the channel allows they are shown as dated ahead or back, "
    "and deadlines are counted from them.",
    "Compare both clocks with a third (`timedatectl` shows whether ours follows one), and set the one that is off."};
static const complaint disk_low = {"disk", false,
                                   "On a full disk nothing more is taken in or said. What was receipted is not lost.",
                                   "Make room on that disk, or stop the node and move its folder to a larger one."};
static const complaint unconfined = {"sandbox", false,
                                     "An error in what reads hostile input could then reach whatever this user may.",
                                     "Start `entented` without --no-sandbox, which is for finding faults alone."};
static const complaint no_landlock = {
    "sandbox", true,
    "The node's own list of system calls holds; files outside its folder are kept from it by their "
    "modes alone.",
    "A kernel from 5.13 on with Landlock switched on."};
static const complaint unreachable = {
    "unreachable", false, "What is said to this party waits here until it is reached.",
    "Ask it by telephone whether its node runs, and whether its address is still that of its card (`entente peer "
    "show`). `entente pouch export` carries what waits by hand."};
static const complaint unreceipted = {
    "unreceipted", false,
    "Without its receipt nothing shows that the message arrived, and no deadline of the other side runs. This version "
    "has no witnesses: the receipt is the only evidence.",
    "See what stands in the way (`entente status`); ask the other side; `entente pouch export` carries it by hand."};
static const complaint refused = {
    "refused", false, "The other side does not take what we say in this channel, nor anything behind it.",
    "The reason is the other side's. It is tried again; if it stays so, talk to the other side."};
static const complaint held = {
    "held", false,
    "What is said in this channel is logged here and leaves only when this is settled: to sign it now could contradict "
    "what was signed before.",
    "Follow what the reason says. Do not copy an older folder over this one."};
static const complaint frozen = {
    "frozen", false,
    "That party signed two histories of one log. Nothing more of that log is taken; other logs go on, and its duties "
    "run on.",
    "Keep the proof, talk to that party, and go on in a channel that succeeds this one (`entente channel open "
    "--succeeds`)."};
static const complaint own_frozen = {
    "frozen", false, "Two histories of our own log are signed: nothing more can be said in this channel.",
    "Find out how it came to be (a second copy of the folder? a stolen key?), then open a channel that succeeds this "
    "one "
    "(`entente channel open --succeeds`)."};
static const complaint apart = {
    "receipt-apart", false,
    "It was told another history of that log than we were, or its receipt is a lie, or a stolen key gave it. It counts "
    "for nothing here.",
    "`entente fork list` shows what it signed for. Ask it for the head of that log that it holds: two signed heads "
    "prove a fork."};
static const complaint file_out = {
    "attachment", false, "The other side cannot read an attachment that has not come to it.",
    "Attachments go behind messages, and go on by themselves where they were cut; see whether the party is reachable, "
    "and whether its quota or disk is full."};
static const complaint file_in = {
    "attachment", false, "We cannot read an attachment that has not come.",
    "It comes from its writer; ask that party whether its node runs and still has the file."};
static const complaint quota_near = {
    "quota", false,
    "Beyond its quota nothing more of a writer is taken before the next day (UTC), or at all, for "
    "attachments.",
    "Keep what is left for what is urgent. A channel that succeeds this one can have larger quotas."};
static const complaint invited = {"invitation", true, "Until we answer, the channel is not open for anybody.",
                                  "`entente channel show` shows the terms; then `entente channel accept` or `refuse`."};
static const complaint opening = {"opening", true, "Until every member has accepted, only comm checks pass.",
                                  "Remind those who have not accepted yet."};
static const complaint waiting = {
    "waiting", true,
    "What a party says after it has seen what we lack is not counted before we have that too: an answer, or a promise, "
    "may be among it.",
    "It mends by itself when a member that has the missing log passes it on; ask them to, or have it brought by hand."};

static const complaint forwarding = {
    "forwarding", true, "A member that lacks another's log cannot count what is in it.",
    "We pass on what we hold; the two of them should find out why it does not go straight from one to the other."};

static const complaint key_lost = {
    "keys", false, "What needs that key waits, and what it was to sign or open may be owed.",
    "Look for a copy (a backup made --with-keys). If there is none, revoke the key: the root key's holder is needed."};
static const complaint tls_revoked = {"certificate", false,
                                      "Peers that have our new card refuse the revoked certificate: they neither reach "
                                      "us nor let us in.",
                                      "Restart the node now; it goes over to the certificate that the card names."};
static const complaint tls_waits = {"certificate", true, "It stays good until the next one; then it is refused.",
                                    "Restart the node when it suits; it goes over to the certificate that the card "
                                    "names."};
static const complaint tls_none = {"certificate", false, "No peer is reached or let in.",
                                   "Restart the node: its card names another certificate now."};

typedef struct {
    ent_node *node;
    ent_json_writer *writer;
    int64_t now_unix_s;
} doctor;

/* Where a finding is: nothing of it need apply. */
typedef struct {
    ent_channel *channel;
    ent_text party;
    int64_t since_unix_s;
} place;

static void find(doctor *work, const complaint *of, place at, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void find(doctor *work, const complaint *of, place at, const char *format, ...)
{
    char text[768];
    char alias[ENT_NAME_MAX_BYTES + 1] = "";
    va_list arguments;
    ent_json_writer *writer = work->writer;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (at.channel != NULL)
        ent_channel_alias(at.channel, alias);
    ent_json_object_begin(writer);
    ent_json_member_string(writer, "level", of->is_note ? "note" : "problem");
    ent_json_member_string(writer, "what", of->what);
    ent_json_member_string(writer, "channel", at.channel == NULL ? NULL : at.channel->id_text);
    ent_json_member_string(writer, "alias", alias[0] == 0 ? NULL : alias);
    ent_json_member_text(writer, "party", at.party);
    ent_api_time(writer, "since", at.since_unix_s);
    ent_json_member_string(writer, "text", text);
    ent_json_member_string(writer, "matters", of->matters);
    ent_json_member_string(writer, "todo", of->todo);
    ent_json_object_end(writer);
}

static place in_channel(ent_channel *channel, uint32_t member)
{
    return (place){.channel = channel, .party = channel->genesis.members[member].name};
}

/* --- this machine --- */

static void look_at_disk(doctor *work, const char *path)
{
    struct statvfs status;
    if (statvfs(path, &status) != 0)
        return;
    uint64_t free_bytes = (uint64_t)status.f_bavail * status.f_frsize;
    if (free_bytes < DISK_LOW_BYTES)
        find(work, &disk_low, (place){.channel = NULL}, "%" PRIu64 " MB are free on the disk of %s",
             free_bytes / 1000000, path);
}

/* --- our keys --- */

static void look_at_keys(doctor *work)
{
    for (ent_key_role role = ENT_KEY_ROLE_LOG; role < ENT_KEY_ROLE_COUNT; role++) {
        char text[ENT_KEY_LOST_TEXT_SIZE];
        if (!ent_key_is_lost(work->node, role))
            continue;
        ent_key_lost_text(work->node, role, text);
        find(work, &key_lost, (place){.since_unix_s = work->node->started_unix_s}, "%s", text);
    }
    switch (ent_own_tls_now(work->node)) {
    case ENT_OWN_TLS_REVOKED:
        find(work, &tls_revoked, (place){.channel = NULL},
             "the node still shows the certificate of card %" PRIu64 ", which is revoked", work->node->tls_serial);
        break;
    case ENT_OWN_TLS_NEW_WAITS:
        find(work, &tls_waits, (place){.channel = NULL},
             "the node still shows the certificate of card %" PRIu64 ", and every member that is reached knows the new "
             "one",
             work->node->tls_serial);
        break;
    case ENT_OWN_TLS_NONE_YET:
        find(work, &tls_none, (place){.channel = NULL}, "the node was started without a certificate");
        break;
    case ENT_OWN_TLS_GOOD:
        break;
    }
}

/* --- peers --- */

static bool shares_channel(ent_node *node, const ent_peer *peer, uint64_t *ret_delta_s)
{
    ent_channel *channel;
    uint64_t delta_s = UINT64_MAX;
    for (size_t i = 0; (channel = ent_channel_at(node, i)) != NULL; i++) {
        if (ent_genesis_member(&channel->genesis, ent_text_of(peer->name)) >= 0 && channel->genesis.delta_s < delta_s)
            delta_s = channel->genesis.delta_s;
    }
    *ret_delta_s = delta_s;
    return delta_s != UINT64_MAX;
}

static void look_at_peer(doctor *work, const ent_peer *peer)
{
    ent_reach reach;
    uint64_t delta_s = 0;
    place at = {.party = ent_text_of(peer->name)};
    if (!shares_channel(work->node, peer, &delta_s) || !ent_reach_of(work->node->reaches, peer->name, &reach))
        return;
    if (reach.failing_since_unix_s != 0) {
        at.since_unix_s = reach.failing_since_unix_s;
        find(work, &unreachable, at, "%s is not reached: %s", peer->name, reach.why);
    }
    uint64_t off_s = (uint64_t)(reach.clock_ahead_s < 0 ? -reach.clock_ahead_s : reach.clock_ahead_s);
    at.since_unix_s = 0;
    if (reach.clock_known && off_s > delta_s)
        find(work, &clock_off, at, "the clock of %s is %" PRIu64 " seconds %s of ours; the channel allows %" PRIu64,
             peer->name, off_s, reach.clock_ahead_s > 0 ? "ahead" : "behind", delta_s);
}

/* --- channels --- */

static void look_at_state(doctor *work, ent_channel *channel)
{
    place at = {.channel = channel, .since_unix_s = channel->added_unix_s};
    ent_held now;
    switch (ent_channel_state_now(channel)) {
    case ENT_CHANNEL_INVITED:
        find(work, &invited, at, "we are invited to channel %.12s and have not answered", channel->id_text);
        break;
    case ENT_CHANNEL_OPENING:
        find(work, &opening, at, "channel %.12s waits until every member has accepted", channel->id_text);
        break;
    case ENT_CHANNEL_OPEN:
    case ENT_CHANNEL_REFUSED:
        break;
    }
    ent_channel_held(work->node, channel, &now);
    at.since_unix_s = now.since_unix_s;
    if (now.hold != ENT_HOLD_NONE && now.hold != ENT_HOLD_KEY) /* that one is a finding of its own, once for all */
        find(work, &held, at, "our log in channel %.12s is held: %s", channel->id_text, now.reason);
}

static bool goes_by_hand(ent_node *node, ent_text name)
{
    ent_peer peer;
    return node->config.air_gapped || ent_peer_get(node, name, &peer, NULL).code != ENT_OK || peer.url[0] == 0;
}

/* What we said and a member has not receipted. */
static ent_rc look_at_receipts(doctor *work, ent_channel *channel, uint32_t member, ent_err *err)
{
    ent_node *node = work->node;
    ent_store_receipt receipt;
    ent_store_delivery delivery;
    int64_t log = channel->members[channel->self].log.number;
    uint64_t size = ent_channel_signed_size(channel);
    uint64_t receipted = 0;
    int64_t said_unix_s = 0;
    ent_text name = channel->genesis.members[member].name;
    place at = in_channel(channel, member);
    ent_rc rc = node->store->engine->receipt_newest(node->store, log, member, &receipt, err);
    if (rc.code == ENT_OK)
        receipted = receipt.head.size;
    else if (rc.code != ENT_ABSENT)
        return rc;
    ENT_TRY(node->store->engine->delivery_get(node->store, log, member, &delivery, err));
    if (delivery.refused)
        find(work, &refused, at, "%.*s refuses what we say: %s", ENT_TEXT_ARG(name), delivery.reason);
    if (receipted >= size)
        return ENT_DONE;
    ENT_TRY(node->store->engine->entry_arrived(node->store, log, receipted, &said_unix_s, err));
    bool by_hand = goes_by_hand(node, name);
    at.since_unix_s = said_unix_s;
    if (work->now_unix_s - said_unix_s > (by_hand ? RECEIPT_LATE_HAND_S : RECEIPT_LATE_S))
        find(work, &unreceipted, at, "%.*s has not receipted %" PRIu64 " of our %" PRIu64 " entries%s%s",
             ENT_TEXT_ARG(name), size - receipted, size, by_hand ? ", which go by hand" : "",
             delivery.reason[0] == 0 || delivery.refused ? "" : ": last time there was a problem");
    return ENT_DONE;
}

/* Nine tenths. */
static bool is_near(uint64_t used, uint64_t most)
{
    return used >= most - most / 10;
}

static ent_rc look_at_quota(doctor *work, ent_channel *channel, uint32_t member, ent_err *err)
{
    const ent_quotas *quotas = &channel->genesis.quotas;
    ent_quota_state state;
    place at = in_channel(channel, member);
    if (quotas->entries_a_day == 0 && quotas->bytes_a_day == 0 && quotas->attachment_bytes == 0)
        return ENT_DONE;
    ENT_TRY(ent_quota_show(work->node, channel, member, &state, err));
    if (state.left.entries != UINT64_MAX && is_near(state.usage.entries, state.usage.entries + state.left.entries))
        find(work, &quota_near, at, "%.*s may say %" PRIu64 " more messages today", ENT_TEXT_ARG(at.party),
             state.left.entries);
    if (state.left.bytes != UINT64_MAX && is_near(state.usage.bytes, state.usage.bytes + state.left.bytes))
        find(work, &quota_near, at, "%.*s may say %" PRIu64 " more bytes today", ENT_TEXT_ARG(at.party),
             state.left.bytes);
    if (quotas->attachment_bytes > 0 && is_near(state.attachment_bytes, quotas->attachment_bytes))
        find(work, &quota_near, at, "attachments of %.*s take %" PRIu64 " of %" PRIu64 " bytes", ENT_TEXT_ARG(at.party),
             state.attachment_bytes, quotas->attachment_bytes);
    return ENT_DONE;
}

/* What another member has not got of this one's log, and gets from us. */
static ent_rc look_at_third(doctor *work, ent_channel *channel, uint32_t member, uint32_t third, ent_err *err)
{
    ent_store *store = work->node->store;
    ent_store_log log;
    ent_store_receipt receipt;
    uint64_t receipted = 0;
    place at = in_channel(channel, third);
    ent_channel_log(channel, member, &log);
    ent_rc rc = store->engine->receipt_newest(store, log.number, third, &receipt, err);
    if (rc.code == ENT_OK)
        receipted = receipt.head.size;
    else if (rc.code != ENT_ABSENT)
        return rc;
    if (receipted >= log.tree.size)
        return ENT_DONE;
    ENT_TRY(store->engine->entry_arrived(store, log.number, receipted, &at.since_unix_s, err));
    if (work->now_unix_s - at.since_unix_s > RECEIPT_LATE_S)
        find(work, &forwarding, at,
             "%.*s has not receipted %" PRIu64 " of the %" PRIu64 " entries of %.*s that we hold",
             ENT_TEXT_ARG(at.party), log.tree.size - receipted, log.tree.size,
             ENT_TEXT_ARG(channel->genesis.members[member].name));
    return ENT_DONE;
}

typedef struct {
    doctor *work;
    ent_channel *channel;
    uint32_t member; /* whose log */
    uint32_t seen;   /* receivers that were told of */
} apart_look;

static ent_rc tell_apart(void *context, const ent_store_receipt *receipt, ent_err *err)
{
    apart_look *look = context;
    (void)err;
    if ((look->seen >> receipt->receiver & 1) != 0)
        return ENT_DONE;
    look->seen |= (uint32_t)1 << receipt->receiver;
    place at = in_channel(look->channel, receipt->receiver);
    at.since_unix_s = receipt->arrived_unix_s;
    find(look->work, &apart, at, "%.*s signed that it holds entries of %.*s that are not those held here",
         ENT_TEXT_ARG(at.party), ENT_TEXT_ARG(look->channel->genesis.members[look->member].name));
    return ENT_DONE;
}

/* Of a log that forked nothing more is to be said. */
static ent_rc look_at_apart(doctor *work, ent_channel *channel, uint32_t member, ent_err *err)
{
    apart_look look = {.work = work, .channel = channel, .member = member};
    return work->node->store->engine->apart_receipt_walk(work->node->store, channel->members[member].log.number,
                                                         tell_apart, &look, err);
}

static ent_rc look_at_member(doctor *work, ent_channel *channel, uint32_t member, ent_err *err)
{
    ent_store_log log;
    place at = in_channel(channel, member);
    bool own = member == channel->self;
    ent_channel_log(channel, member, &log);
    if (log.frozen)
        find(work, own ? &own_frozen : &frozen, at, "the log of %.*s is frozen at %" PRIu64 " entries: it forked",
             ENT_TEXT_ARG(at.party), log.tree.size);
    else
        ENT_TRY(look_at_apart(work, channel, member, err));
    if (!own && !log.frozen && atomic_load(&channel->members[member].blocked))
        find(work, &waiting, at, "what %.*s says after entry %" PRIu64 " follows on messages that are not here",
             ENT_TEXT_ARG(at.party), log.opened);
    ENT_TRY(look_at_quota(work, channel, member, err));
    for (uint32_t third = 0; !own && !log.frozen && third < channel->genesis.member_count; third++) {
        if (third != member && third != channel->self)
            ENT_TRY(look_at_third(work, channel, member, third, err));
    }
    return own || log.frozen ? ENT_DONE : look_at_receipts(work, channel, member, err);
}

static ent_rc look_at_channel(doctor *work, ent_channel *channel, ent_err *err)
{
    look_at_state(work, channel);
    ent_channel_state state = ent_channel_state_now(channel);
    if (state != ENT_CHANNEL_OPEN && state != ENT_CHANNEL_OPENING)
        return ENT_DONE;
    for (uint32_t m = 0; m < channel->genesis.member_count; m++)
        ENT_TRY(look_at_member(work, channel, m, err));
    return ENT_DONE;
}

/* --- attachments --- */

/* Those on their way to or from one party in one channel, the oldest of them. */
typedef struct {
    int64_t log;
    uint32_t member;
    uint64_t count;
    uint64_t bytes;
    int64_t since_unix_s;
} late_files;

typedef struct {
    doctor *work;
    const complaint *of;
    late_files rows[ENT_ENTRY_MAX_MEMBERS * 4]; /* more than that need not be told one by one */
    size_t count;
} files;

static ent_rc add_file(files *all, int64_t log, uint32_t member, uint64_t index, uint64_t size, ent_err *err)
{
    const ent_node *node = all->work->node;
    int64_t since = 0;
    size_t at = 0;
    ENT_TRY(node->store->engine->entry_arrived(node->store, log, index, &since, err));
    if (all->work->now_unix_s - since <= ATTACHMENT_LATE_S)
        return ENT_DONE;
    while (at < all->count && (all->rows[at].log != log || all->rows[at].member != member))
        at++;
    if (at == sizeof all->rows / sizeof *all->rows)
        return ENT_DONE;
    late_files *row = &all->rows[at];
    if (at == all->count) {
        all->count++;
        *row = (late_files){.log = log, .member = member, .since_unix_s = since};
    }
    row->count++;
    row->bytes += size;
    row->since_unix_s = since < row->since_unix_s ? since : row->since_unix_s;
    return ENT_DONE;
}

static ent_rc add_send(void *context, const ent_store_blob_send *send, ent_err *err)
{
    return add_file(context, send->log, send->member, send->index, send->size, err);
}

static ent_rc add_wanted(void *context, const ent_store_blob *blob, ent_err *err)
{
    return add_file(context, blob->log, 0, blob->index, blob->size, err);
}

static void tell_files(files *all)
{
    ent_channel *channel;
    for (size_t i = 0; i < all->count; i++) {
        const late_files *row = &all->rows[i];
        for (size_t c = 0; (channel = ent_channel_at(all->work->node, c)) != NULL; c++) {
            int of = ent_channel_member_of_log(channel, row->log);
            if (of < 0)
                continue;
            place at = in_channel(channel, all->of == &file_out ? row->member : (uint32_t)of);
            at.since_unix_s = row->since_unix_s;
            find(all->work, all->of, at, "%" PRIu64 " attachment%s (%" PRIu64 " bytes) %s %.*s", row->count,
                 row->count == 1 ? " has" : "s have", row->bytes,
                 all->of == &file_out ? "not come to" : "not come from", ENT_TEXT_ARG(at.party));
        }
    }
}

static ent_rc look_at_attachments(doctor *work, ent_err *err)
{
    ent_store *store = work->node->store;
    files out = {.work = work, .of = &file_out};
    files in = {.work = work, .of = &file_in};
    ENT_TRY(store->engine->blob_send_walk(store, 0, ATTACHMENTS_LOOKED_AT, add_send, &out, err));
    ENT_TRY(store->engine->blob_wanted_walk(store, NULL, ATTACHMENTS_LOOKED_AT, add_wanted, &in, err));
    tell_files(&out);
    tell_files(&in);
    return ENT_DONE;
}

/* --- all of it --- */

ent_rc ent_doctor_put(ent_node *node, ent_json_writer *writer, ent_err *err)
{
    doctor work = {.node = node, .writer = writer, .now_unix_s = ent_clock_unix_s()};
    ent_channel *channel;
    ent_peer peer;
    ent_json_array_begin(writer);
    look_at_disk(&work, node->paths.store);
    look_at_disk(&work, node->paths.blobs);
    if (!node->sandbox.is_on)
        find(&work, &unconfined, (place){.channel = NULL}, "the node runs without its sandbox");
    else if (node->sandbox.landlock == 0)
        find(&work, &no_landlock, (place){.channel = NULL}, "this kernel has no Landlock");
    look_at_keys(&work);
    for (size_t i = 0; ent_peer_at(node, i, &peer); i++)
        look_at_peer(&work, &peer);
    for (size_t i = 0; (channel = ent_channel_at(node, i)) != NULL; i++)
        ENT_TRY(look_at_channel(&work, channel, err));
    ENT_TRY(look_at_attachments(&work, err));
    ent_json_array_end(writer);
    return ENT_DONE;
}
