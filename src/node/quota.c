#include "node/quota.h"

#include "base/clock.h"
#include "node/channel.h"
#include "store/blob_parts.h"
#include "store/blobs.h"

#include <stdio.h>

enum {
    DAY_S = 86400,
    /* What a pouch holds besides entries and bodies, at most as good as always: what is refused by its announced size
     * must not be taken by its real one. */
    POUCH_BESIDE_BYTES = 4 << 20,
    POUCH_ENTRY_BYTES = 2048 /* framing of one entry and its body */
};

static uint64_t spare(uint64_t quota, uint64_t spare_before, uint64_t used, uint64_t days)
{
    uint64_t most = quota * ENT_QUOTA_SPARE_DAYS; /* quota is below 2^53 */
    if (days > ENT_QUOTA_SPARE_DAYS)
        return most;
    uint64_t given = spare_before + quota * days;
    uint64_t left = used > given ? 0 : given - used;
    return left > most ? most : left;
}

void ent_quota_turn(const ent_quotas *quotas, int64_t now_unix_s, ent_store_usage *usage)
{
    int64_t today = now_unix_s / DAY_S;
    if (usage->day != 0 && today > usage->day) {
        uint64_t days = (uint64_t)(today - usage->day);
        usage->spare_entries = spare(quotas->entries_a_day, usage->spare_entries, usage->entries, days);
        usage->spare_bytes = spare(quotas->bytes_a_day, usage->spare_bytes, usage->bytes, days);
        usage->entries = 0;
        usage->bytes = 0;
    }
    usage->day = today;
}

static uint64_t left(uint64_t quota, uint64_t spare_left, uint64_t used)
{
    if (quota == 0)
        return UINT64_MAX;
    return used > quota + spare_left ? 0 : quota + spare_left - used;
}

void ent_quota_left(const ent_quotas *quotas, const ent_store_usage *usage, bool with_spare, ent_quota_room *ret)
{
    ret->entries = left(quotas->entries_a_day, with_spare ? usage->spare_entries : 0, usage->entries);
    ret->bytes = left(quotas->bytes_a_day, with_spare ? usage->spare_bytes : 0, usage->bytes);
}

/* --- refusing --- */

static ent_rc refuse_until_tomorrow(const ent_channel *channel, uint32_t writer, const ent_quota_room *room,
                                    int64_t now_unix_s, ent_err *err)
{
    const ent_quotas *quotas = &channel->genesis.quotas;
    char until[ENT_TIME_TEXT_SIZE + 1];
    char entries[64] = "any number of";
    char bytes[64] = "any number of";
    ent_time_format((now_unix_s / DAY_S + 1) * DAY_S, until);
    if (room->entries != UINT64_MAX)
        (void)snprintf(entries, sizeof entries, "%llu of %llu", (unsigned long long)room->entries,
                       (unsigned long long)quotas->entries_a_day);
    if (room->bytes != UINT64_MAX)
        (void)snprintf(bytes, sizeof bytes, "%llu of %llu", (unsigned long long)room->bytes,
                       (unsigned long long)quotas->bytes_a_day);
    (void)ent_fail(err, ENT_PEER_QUOTA, "design 2, Genesis: quotas",
                   "the quota of %.*s in channel %.8s leaves %s entries and %s bytes until %s, and this is more; from "
                   "then on there is room again",
                   ENT_TEXT_ARG(channel->genesis.members[writer].name), channel->id_text, entries, bytes, until)
        .code;
    if (err != NULL)
        err->retry_after_s = (unsigned)(DAY_S - now_unix_s % DAY_S);
    return ent_rc_of(ENT_PEER_QUOTA);
}

static bool has_daily(const ent_quotas *quotas)
{
    return quotas->entries_a_day > 0 || quotas->bytes_a_day > 0;
}

/* --- what others say --- */

ent_rc ent_quota_pouch(ent_channel *channel, uint32_t writer, uint64_t size, uint64_t length, ent_err *err)
{
    const ent_quotas *quotas = &channel->genesis.quotas;
    int64_t now = ent_clock_unix_s();
    ent_store_log log;
    ent_quota_room room;
    if (!has_daily(quotas) || writer == channel->self)
        return ENT_DONE;
    ent_channel_log(channel, writer, &log);
    if (size <= log.tree.size)
        return ENT_DONE;
    uint64_t entries = size - log.tree.size;
    uint64_t beside = POUCH_BESIDE_BYTES +
                      (entries > ENT_POUCH_MAX_BYTES ? ENT_POUCH_MAX_BYTES : entries) * (uint64_t)POUCH_ENTRY_BYTES;
    uint64_t bytes = length > beside ? length - beside : 0;
    ent_quota_turn(quotas, now, &log.usage);
    ent_quota_left(quotas, &log.usage, true, &room);
    if (entries > room.entries || bytes > room.bytes || room.bytes == 0)
        return refuse_until_tomorrow(channel, writer, &room, now, err);
    return ENT_DONE;
}

static void count(ent_store_usage *usage, uint64_t entries, uint64_t bytes)
{
    usage->entries += entries;
    usage->bytes += bytes;
}

ent_rc ent_quota_receive(ent_channel *channel, uint32_t writer, uint64_t entries, uint64_t bytes, ent_err *err)
{
    const ent_quotas *quotas = &channel->genesis.quotas;
    int64_t now = ent_clock_unix_s();
    ent_store_usage usage = channel->members[writer].next.usage;
    ent_quota_room room;
    ent_quota_turn(quotas, now, &usage);
    ent_quota_left(quotas, &usage, true, &room);
    if (entries > room.entries || bytes > room.bytes)
        return refuse_until_tomorrow(channel, writer, &room, now, err);
    count(&usage, entries, bytes);
    channel->members[writer].next.usage = usage;
    return ENT_DONE;
}

/* --- what we say --- */

ent_rc ent_quota_say(ent_node *node, ent_channel *channel, uint64_t bytes, uint64_t attachment_bytes, ent_err *err)
{
    const ent_quotas *quotas = &channel->genesis.quotas;
    int64_t now = ent_clock_unix_s();
    ent_store_usage usage = channel->members[channel->self].next.usage;
    ent_quota_room room;
    ent_quota_turn(quotas, now, &usage);
    ent_quota_left(quotas, &usage, false, &room);
    if (room.entries == 0 || bytes > room.bytes)
        return refuse_until_tomorrow(channel, channel->self, &room, now, err);
    return attachment_bytes == 0 ? ENT_DONE
                                 : ent_quota_attachment(node, channel, channel->self, NULL, attachment_bytes, err);
}

void ent_quota_said(ent_channel *channel, uint64_t bytes)
{
    ent_store_usage *usage = &channel->members[channel->self].next.usage;
    ent_quota_turn(&channel->genesis.quotas, ent_clock_unix_s(), usage);
    count(usage, 1, bytes);
}

/* --- attachments --- */

/* What a writer has named, has not been settled as held, and takes room all the same. */
typedef struct {
    ent_node *node;
    int64_t log;
    const ent_hash *digest; /* the one that is asked for: it does not count against itself */
    ent_store_blob last;
    size_t seen;
    uint64_t bytes;
    bool found;
    bool ended;
} coming;

static ent_rc count_coming(void *context, const ent_store_blob *blob, ent_err *err)
{
    coming *work = context;
    (void)err;
    work->last = *blob;
    work->ended = work->ended || blob->log != work->log;
    if (work->ended)
        return ENT_DONE;
    work->seen++;
    if (ent_hash_equal(&blob->digest, work->digest))
        work->found = true;
    else if (ent_blob_parts_begun(work->node->parts, &blob->digest) ||
             ent_blob_exists(work->node->paths.blobs, &blob->digest))
        work->bytes += blob->size;
    return ENT_DONE;
}

static ent_rc look_at_coming(coming *work, ent_err *err)
{
    enum { PAGE = 256 };
    ent_store *store = work->node->store;
    work->last = (ent_store_blob){.log = work->log}; /* entry 0 has no attachments */
    while (!work->ended && work->seen < ENT_QUOTA_WANTED_MOST) {
        size_t before = work->seen;
        ENT_TRY(store->engine->blob_wanted_walk(store, &work->last, PAGE, count_coming, work, err));
        work->ended = work->ended || work->seen < before + PAGE;
    }
    return ENT_DONE;
}

ent_rc ent_quota_attachment(ent_node *node, ent_channel *channel, uint32_t writer, const ent_hash *digest,
                            uint64_t bytes, ent_err *err)
{
    uint64_t quota = channel->genesis.quotas.attachment_bytes;
    uint64_t held = 0;
    coming under_way = {.node = node, .log = channel->members[writer].log.number, .digest = digest};
    if (quota == 0)
        return ENT_DONE;
    ENT_TRY(node->store->engine->blob_bytes_held(node->store, under_way.log, &held, err));
    if (digest != NULL)
        ENT_TRY(look_at_coming(&under_way, err));
    if (digest != NULL && !under_way.found && !under_way.ended)
        return ent_fail(err, ENT_PEER_QUOTA, "design 2, Genesis: quotas",
                        "%d attachments that were named before this one have not come: bring those first",
                        (int)ENT_QUOTA_WANTED_MOST);
    held += under_way.bytes;
    if (held <= quota && bytes <= quota - held)
        return ENT_DONE;
    return ent_fail(
        err, ENT_PEER_QUOTA, "design 2, Genesis: quotas",
        "the quota for attachments of %.*s in channel %.8s is %llu bytes, sealed; %llu are held or on their "
        "way, and %llu more are too many: a channel that succeeds this one can give more",
        ENT_TEXT_ARG(channel->genesis.members[writer].name), channel->id_text, (unsigned long long)quota,
        (unsigned long long)held, (unsigned long long)bytes);
}

/* --- showing --- */

ent_rc ent_quota_show(ent_node *node, ent_channel *channel, uint32_t writer, ent_quota_state *ret, ent_err *err)
{
    ent_store_log log;
    ent_quota_state state = {.attachment_bytes = 0};
    ent_channel_log(channel, writer, &log);
    ent_quota_turn(&channel->genesis.quotas, ent_clock_unix_s(), &log.usage);
    state.usage = log.usage;
    ent_quota_left(&channel->genesis.quotas, &log.usage, writer != channel->self, &state.left);
    ENT_TRY(node->store->engine->blob_bytes_held(node->store, log.number, &state.attachment_bytes, err));
    *ret = state;
    return ENT_DONE;
}
