#include "node/alert.h"

#include "log/tile.h"
#include "message/kind.h"
#include "node/channel.h"

enum { PAGE_ENTRIES = 4096, PAGE_BYTES = 1 << 20 };

/* As the canonical entry writes it; nothing else in it can read so, for its texts hold no quotation marks. */
static const char flash_member[] = "\"urgency\":\"flash\"";

/* ---- where to begin ---- */

/* After a start, or when alerts are first configured, what is older than ENT_ALERT_LOOK_BACK_S is no news. Times of
 * arrival ascend, but for clocks that were set back. */
static ent_rc first_of_late(ent_node *node, const ent_store_log *log, int64_t since, uint64_t *ret, ent_err *err)
{
    uint64_t low = 0;
    uint64_t high = log->tree.size;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        int64_t arrived = 0;
        ENT_TRY(node->store->engine->entry_arrived(node->store, log->number, middle, &arrived, err));
        if (arrived < since)
            low = middle + 1;
        else
            high = middle;
    }
    *ret = low;
    return ENT_DONE;
}

static ent_rc begin(ent_alert_round *round, ent_err *err)
{
    ent_alert_channel *watched = round->channel;
    ent_channel *channel = watched->channel;
    if (watched->flash == NULL) {
        watched->flash = ent_alloc_array(ENT_ALERT_FLASH_PENDING, sizeof *watched->flash);
        if (watched->flash == NULL)
            return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    }
    watched->flash_count = 0;
    for (uint32_t m = 0; m < channel->genesis.member_count; m++) {
        ent_store_log log;
        ent_channel_log(channel, m, &log);
        ENT_TRY(first_of_late(round->node, &log, round->now_unix_s - ENT_ALERT_LOOK_BACK_S, &watched->scanned[m], err));
    }
    watched->scanning = true;
    return ENT_DONE;
}

/* ---- finding them ---- */

static ent_rc find_flash(ent_alert_round *round, uint32_t member, int64_t log, ent_bytes bytes, ent_err *err)
{
    ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
    ent_alert_channel *watched = round->channel;
    ent_entry entry;
    int64_t arrived = 0;
    if (memmem(bytes.data, bytes.size, flash_member, sizeof flash_member - 1) == NULL)
        return ENT_DONE;
    ENT_TRY(ent_entry_decode(bytes, &arena, &entry, err));
    const ent_kind *kind = ent_kind_find(entry.kind);
    if (entry.urgency != ENT_URGENCY_FLASH || (kind != NULL && kind->by_node))
        return ENT_DONE; /* nobody has to open what a node says to a node */
    ENT_TRY(round->node->store->engine->entry_arrived(round->node->store, log, entry.index, &arrived, err));
    watched->flash[watched->flash_count++] =
        (ent_alert_flash){.member = member, .index = entry.index, .arrived_unix_s = arrived};
    return ENT_DONE;
}

/* Stops where there is no room; the next round goes on there. */
static ent_rc scan(ent_alert_round *round, uint32_t member, ent_err *err)
{
    ent_node *node = round->node;
    ent_alert_channel *watched = round->channel;
    uint64_t *at = &watched->scanned[member];
    ent_store_log log;
    ent_channel_log(watched->channel, member, &log);
    while (*at < log.tree.size && !atomic_load(&node->stopping)) {
        ENT_CLEANUP(ent_buf_release) ent_buf bundle = {0};
        uint64_t count = 0;
        ENT_TRY(node->store->engine->entries_read(node->store, log.number, *at, PAGE_ENTRIES, PAGE_BYTES, &bundle,
                                                  &count, err));
        ent_bundle_reader reader = ent_bundle_read(ent_buf_bytes(&bundle));
        for (uint64_t i = 0; i < count; i++) {
            ent_bytes bytes = {0};
            bool more = false;
            if (watched->flash_count == ENT_ALERT_FLASH_PENDING)
                return ENT_DONE;
            ENT_TRY(ent_bundle_next(&reader, &bytes, &more, err));
            ENT_TRY(find_flash(round, member, log.number, bytes, err));
            (*at)++;
        }
    }
    return ENT_DONE;
}

/* ---- telling of them ---- */

static ent_rc tell(ent_alert_round *round, const ent_alert_flash *flash, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
    ent_channel *channel = round->channel->channel;
    int64_t arrived = flash->arrived_unix_s;
    ent_entry entry;
    ENT_TRY(ent_channel_entry(round->node, channel, flash->member, flash->index, &arena, NULL, &entry, err));
    ent_buf_put_string(&text, entry.exercise ? "EXERCISE: flash message not opened: " : "FLASH message not opened: ");
    ent_alert_put_message(&text, channel, flash->member, flash->index);
    ent_buf_put_format(&text, "\nA message (%.*s) of urgency flash from ", ENT_TEXT_ARG(entry.kind));
    ent_buf_put_text(&text, entry.writer);
    ent_buf_put_string(&text, " in channel ");
    ent_alert_put_channel(&text, channel);
    ent_buf_put_string(&text, ".\nIt arrived at ");
    ent_alert_put_time(&text, arrived);
    ent_buf_put_string(&text, ", ");
    ent_alert_put_span(&text, round->now_unix_s - arrived);
    ent_buf_put_string(&text, " ago;\nno officer has opened it.");
    ent_alert_put_subject(&text, round->node, round->config, channel, flash->member, flash->index);
    ent_buf_put_string(&text, "\nNext: entente open ");
    ent_alert_put_message(&text, channel, flash->member, flash->index);
    ENT_TRY(ent_buf_check(&text, err));
    ent_alert alert = {.what = ENT_ALERT_FLASH_UNREAD,
                       .channel = channel,
                       .has_message = true,
                       .member = flash->member,
                       .index = flash->index,
                       .text = ent_buf_text(&text)};
    return ent_alert_raise(round, &alert, err);
}

ent_rc ent_alert_watch_flash(ent_alert_round *round, ent_err *err)
{
    ent_alert_channel *watched = round->channel;
    ent_channel *channel = watched->channel;
    const ent_store_engine *engine = round->node->store->engine;
    if (round->config->flash_unread_s == 0)
        return ENT_DONE;
    if (!watched->scanning)
        ENT_TRY(begin(round, err));
    for (uint32_t m = 0; m < channel->genesis.member_count; m++) {
        if (m != channel->self)
            ENT_TRY(scan(round, m, err));
    }
    size_t kept = 0;
    bool full = watched->flash_count == ENT_ALERT_FLASH_PENDING;
    for (size_t i = 0; i < watched->flash_count; i++) {
        const ent_alert_flash flash = watched->flash[i];
        int64_t due = flash.arrived_unix_s + round->config->flash_unread_s;
        int64_t read = 0;
        if (due > round->now_unix_s) {
            ent_alert_look_again(round, due);
            watched->flash[kept++] = flash;
            continue;
        }
        ENT_TRY(engine->message_read_get(round->node->store, channel->members[flash.member].log.number, flash.index,
                                         &read, err));
        if (read == 0)
            ENT_TRY(tell(round, &flash, err));
    }
    watched->flash_count = kept;
    if (full && kept < ENT_ALERT_FLASH_PENDING)
        ent_alert_look_again(round, round->now_unix_s + 1); /* there is room again for what was left unread */
    return ENT_DONE;
}
