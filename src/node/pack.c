#include "node/pack_internal.h"

#include "node/channel.h"
#include "node/keys.h"
#include "node/own_head.h"

enum {
    ENTRIES_BYTES = 16 << 20,
    BODIES_BYTES = 40 << 20, /* with the entries, heads and receipts this fits 64 MiB */
    ENTRIES_COUNT = ENT_PACK_ENTRIES_MOST
};

void ent_packed_release(ent_packed *packed)
{
    ent_buf_release(&packed->bytes);
}

static void release(ent_packing *work)
{
    for (size_t i = 0; i < work->entry_count && work->bodies != NULL; i++)
        ent_buf_release(&work->bodies[i]);
    ent_free(work->bodies);
    ent_buf_release(&work->entries);
    ent_buf_release(&work->checkpoint);
    for (size_t i = 0; i < ENT_ENTRY_MAX_MEMBERS; i++)
        ent_buf_release(&work->head_notes[i]);
    ent_arena_release(&work->arena);
}

ent_rc ent_packing_no_memory(ent_err *err)
{
    return ent_fail(err, ENT_NOMEM, NULL, "out of memory while packing");
}

ent_rc ent_packing_keep(ent_packing *work, const ent_buf *bytes, ent_bytes *ret, ent_err *err)
{
    ent_text copy = ent_arena_text(&work->arena, ent_buf_text(bytes));
    if (copy.data == NULL)
        return ent_packing_no_memory(err);
    *ret = ent_text_bytes(copy);
    return ENT_DONE;
}

static ent_rc read_head(ent_packing *work, uint64_t at_most, ent_tree_head *ret, ent_err *err)
{
    ent_buf_clear(&work->checkpoint);
    return work->node->store->engine->head_get(work->node->store, work->channel->members[work->of].log.number, at_most,
                                               ret, &work->checkpoint, err);
}

/* The same, or a head of size 0 when there is none so small. */
static ent_rc read_head_or_none(ent_packing *work, uint64_t at_most, ent_tree_head *ret, ent_err *err)
{
    ent_rc rc = read_head(work, at_most, ret, err);
    if (rc.code == ENT_ABSENT)
        *ret = (ent_tree_head){.size = 0};
    return rc.code == ENT_ABSENT ? ENT_DONE : rc;
}

static ent_rc read_next_head(ent_packing *work, uint64_t from, ent_tree_head *ret, ent_err *err)
{
    ent_buf_clear(&work->checkpoint);
    return work->node->store->engine->head_from(work->node->store, work->channel->members[work->of].log.number,
                                                from + 1, ret, &work->checkpoint, err);
}

/* Our newest signed head, if it is no larger than `most`; its size in any case. */
static ent_rc take_newest(ent_packing *work, uint64_t most, ent_tree_head *ret, uint64_t *ret_newest, ent_err *err)
{
    ent_channel *channel = work->channel;
    ent_buf_clear(&work->checkpoint);
    (void)pthread_mutex_lock(&channel->lock);
    bool held = ent_hold_stops_all(channel->hold);
    uint64_t newest = channel->head.size;
    if (newest > 0 && newest <= most) {
        *ret = channel->head;
        ent_buf_put(&work->checkpoint, ent_buf_bytes(&channel->head_note));
    }
    (void)pthread_mutex_unlock(&channel->lock);
    if (held)
        return ent_fail(err, ENT_REFUSED_KEEPER, "design 3, Rollback guard", "our head in channel %.8s is held",
                        channel->id_text);
    if (newest == 0)
        return ent_fail(err, ENT_REFUSED_NOT_OPEN, "design 2, Genesis", "we have said nothing in channel %.8s",
                        channel->id_text);
    *ret_newest = newest;
    return ent_buf_check(&work->checkpoint, err);
}

/* What is in work->checkpoint may be by a key that was revoked since. */
static ent_rc take_accepted(ent_packing *work, ent_tree_head *ret, ent_err *err)
{
    if (ent_head_is_accepted(work->channel, work->of, ent_buf_bytes(&work->checkpoint)))
        return ENT_DONE;
    ent_buf_clear(&work->checkpoint);
    return ent_own_head(work->node, work->channel, ret->size, ret, &work->checkpoint, err);
}

/* Our newest signed head, or an older one that `most` entries reach. Where none lies between `from` and there, for all
 * was signed at once, or by a key that was revoked since, one is made. When that key is gone: the next one, though it
 * may be more than fits. */
static ent_rc choose_own_head(ent_packing *work, uint64_t from, uint64_t most, ent_tree_head *ret, ent_err *err)
{
    uint64_t newest = 0;
    ENT_TRY(take_newest(work, most, ret, &newest, err));
    if (newest <= most)
        return take_accepted(work, ret, err);
    ENT_TRY(read_head_or_none(work, most, ret, err));
    if (ret->size > from && ent_head_is_accepted(work->channel, work->of, ent_buf_bytes(&work->checkpoint)))
        return ENT_DONE;
    ent_buf_clear(&work->checkpoint);
    ent_rc rc = ent_own_head(work->node, work->channel, most, ret, &work->checkpoint, err);
    if (rc.code != ENT_REFUSED_KEEPER)
        return rc;
    rc = read_next_head(work, from, ret, err);
    return rc.code == ENT_ABSENT ? take_newest(work, UINT64_MAX, ret, &newest, err) : rc; /* it is not stored yet */
}

/* The next head beyond `from`, passing over those of a key that was revoked since. Where there are no others, one of
 * these, which is refused: its writer alone can sign there anew. */
static ent_rc read_next_accepted(ent_packing *work, uint64_t from, ent_tree_head *ret, ent_err *err)
{
    ENT_TRY(read_next_head(work, from, ret, err));
    while (!ent_head_is_accepted(work->channel, work->of, ent_buf_bytes(&work->checkpoint)) &&
           ret->size < from + ENT_POUCH_MAX_ENTRIES) {
        ent_rc rc = read_next_head(work, ret->size, ret, err);
        if (rc.code == ENT_ABSENT)
            return read_head(work, ret->size, ret, err);
        ENT_TRY(rc);
    }
    return ENT_DONE;
}

/* Another member's head that `most` entries reach. Where none lies between `from` and there, the next one: its writer
 * brought it in one pouch, so it fits one. */
static ent_rc choose_head(ent_packing *work, uint64_t from, uint64_t most, uint64_t held, ent_tree_head *ret,
                          ent_err *err)
{
    if (work->of == work->channel->self)
        return choose_own_head(work, from, most, ret, err);
    if (held == 0)
        return ent_fail(err, ENT_REFUSED_NOT_OPEN, "design 2, Genesis", "nothing of %.*s is held in channel %.8s",
                        ENT_TEXT_ARG(work->channel->genesis.members[work->of].name), work->channel->id_text);
    ENT_TRY(read_head_or_none(work, most, ret, err));
    bool of_use = ret->size > from && ent_head_is_accepted(work->channel, work->of, ent_buf_bytes(&work->checkpoint));
    return of_use || from == held ? ENT_DONE : read_next_accepted(work, from, ret, err);
}

/* How many of the read entries one pouch can take, by the sizes of their bodies. */
static ent_rc count_fitting(ent_packing *work, uint64_t read, uint64_t *ret_count, ent_err *err)
{
    ent_bundle_reader reader = ent_bundle_read(ent_buf_bytes(&work->entries));
    uint64_t bytes = 0;
    uint64_t count = 0;
    for (; count < read; count++) {
        ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
        ent_bytes bytes_of_entry = {0};
        ent_entry entry;
        bool more = false;
        ENT_TRY(ent_bundle_next(&reader, &bytes_of_entry, &more, err));
        ENT_TRY(ent_entry_decode(bytes_of_entry, &arena, &entry, err));
        bytes += entry.has_body ? entry.body.size : 0;
        if (bytes > BODIES_BYTES && count > 0)
            break;
    }
    *ret_count = count;
    return ENT_DONE;
}

/* Keep the first `count` entries of the bundle that was read. */
static ent_rc cut_entries(ent_packing *work, uint64_t count, ent_err *err)
{
    ent_bundle_reader reader = ent_bundle_read(ent_buf_bytes(&work->entries));
    for (uint64_t i = 0; i < count; i++) {
        ent_bytes entry = {0};
        bool more = false;
        ENT_TRY(ent_bundle_next(&reader, &entry, &more, err));
    }
    work->entries.size -= reader.left;
    return ENT_DONE;
}

static ent_rc read_bodies(ent_packing *work, uint64_t first, uint64_t count, ent_err *err)
{
    int64_t log = work->channel->members[work->of].log.number;
    work->bodies = ent_alloc_array(count + 1, sizeof *work->bodies);
    work->pouch.bodies = ent_arena_alloc(&work->arena, (count + 1) * sizeof *work->pouch.bodies);
    if (work->bodies == NULL || work->pouch.bodies == NULL)
        return ent_packing_no_memory(err);
    work->entry_count = count;
    for (uint64_t i = 0; i < count; i++) {
        ent_rc rc = work->node->store->engine->body_read(work->node->store, log, first + i, &work->bodies[i], err);
        if (rc.code == ENT_ABSENT)
            continue; /* an entry without a body */
        ENT_TRY(rc);
        work->pouch.bodies[work->pouch.body_count++] = (ent_pouch_body){first + i, ent_buf_bytes(&work->bodies[i])};
    }
    return ENT_DONE;
}

/* Read entries, and tell how many of them one pouch takes. */
static ent_rc read_entries(ent_packing *work, uint64_t from, uint64_t *ret_read, uint64_t *ret_fitting, ent_err *err)
{
    uint64_t count = ENTRIES_COUNT;
    if (work->most > 0 && work->most < count)
        count = work->most;
    if (work->again) /* every receipt of every size goes along, and there is a limit to receipts */
        count = ENT_POUCH_MAX_RECEIPTS / work->channel->genesis.member_count;
    ENT_TRY(work->node->store->engine->entries_read(work->node->store, work->channel->members[work->of].log.number,
                                                    from, count, ENTRIES_BYTES, &work->entries, ret_read, err));
    return count_fitting(work, *ret_read, ret_fitting, err);
}

/* Read on, when the head that was chosen lies beyond what was read. */
static ent_rc read_up_to(ent_packing *work, uint64_t from, uint64_t size, uint64_t *ret_read, ent_err *err)
{
    ent_buf_clear(&work->entries);
    return work->node->store->engine->entries_read(work->node->store, work->channel->members[work->of].log.number, from,
                                                   size - from, ENT_POUCH_MAX_BYTES, &work->entries, ret_read, err);
}

static ent_rc pack_entries(ent_packing *work, uint64_t old_size, ent_err *err)
{
    ent_store_log log;
    ent_tree_head head;
    uint64_t read = 0;
    uint64_t fitting = 0;
    ent_channel_log(work->channel, work->of, &log);
    uint64_t from = old_size > log.tree.size ? log.tree.size : old_size;
    if (from < log.tree.size)
        ENT_TRY(read_entries(work, from, &read, &fitting, err));
    uint64_t most = from + fitting;
    ENT_TRY(ent_packing_limit(work, from, &most, err));
    ENT_TRY(choose_head(work, from, most, log.tree.size, &head, err));
    if (head.size > from + read)
        ENT_TRY(read_up_to(work, from, head.size, &read, err));
    if (head.size < from && work->again)
        return ent_fail(err, ENT_USAGE, "design 3, Rollback guard", "from entry %llu on, and only %llu are signed here",
                        (unsigned long long)from, (unsigned long long)head.size);
    if (head.size < from) /* the sequencer has committed, but not signed yet: offer what is signed */
        from = head.size;
    ENT_TRY(cut_entries(work, head.size - from < read ? head.size - from : read, err));
    work->pouch.old_size = from;
    work->pouch.size = head.size;
    work->pouch.entries = ent_buf_bytes(&work->entries);
    work->pouch.checkpoint = ent_buf_bytes(&work->checkpoint);
    return read_bodies(work, from, head.size - from, err);
}

static ent_rc pack(ent_packing *work, uint64_t old_size, ent_packed *ret, ent_err *err)
{
    ent_packed packed = {.bytes.limit = ENT_POUCH_MAX_BYTES, .of = work->of};
    memcpy(packed.origin, work->channel->members[work->of].origin, sizeof packed.origin);
    work->pouch.origin = ent_text_of(work->channel->members[work->of].origin);
    ENT_TRY(pack_entries(work, old_size, err));
    if (work->pouch.old_size == 0)
        work->pouch.genesis = ent_buf_bytes(&work->channel->genesis_bytes);
    ent_keys_stamps(work->channel, packed.keys); /* before they are read: what comes meanwhile is told again */
    ENT_TRY(ent_keys_pack(work->node, work->channel, work->to, work->pouch.old_size == 0 || work->again, &work->arena,
                          &work->pouch, err));
    packed.forks = atomic_load(&work->channel->forks);
    ENT_TRY(ent_packing_heads(work, err));
    ENT_TRY(ent_packing_forks(work, err));
    ENT_TRY(ent_packing_receipts(work, err));
    ent_rc rc = ent_pouch_put(&packed.bytes, &work->pouch, err);
    if (rc.code != ENT_OK) {
        ent_packed_release(&packed);
        return rc;
    }
    packed.old_size = work->pouch.old_size;
    packed.size = work->pouch.size;
    packed.forgot = work->forgot;
    memcpy(packed.receipts_upto, work->receipts_upto, sizeof packed.receipts_upto);
    *ret = packed;
    return ENT_DONE;
}

ent_rc ent_pack(ent_node *node, ent_channel *channel, uint32_t of, uint32_t to, ent_packed *ret, ent_err *err)
{
    return ent_pack_part(node, channel, of, to, 0, 0, ret, err);
}

static ent_rc check_from(ent_channel *channel, uint32_t of, uint64_t from, ent_err *err)
{
    ent_store_log log;
    ent_channel_log(channel, of, &log);
    uint64_t size = of == channel->self ? ent_channel_signed_size(channel) : log.tree.size;
    if (from > size)
        return ent_fail(err, ENT_USAGE, "design 3, Rollback guard",
                        "from entry %llu on, and only %llu are held or signed here", (unsigned long long)from,
                        (unsigned long long)size);
    return ENT_DONE;
}

ent_rc ent_pack_part(ent_node *node, ent_channel *channel, uint32_t of, uint32_t to, uint64_t from, uint64_t most,
                     ent_packed *ret, ent_err *err)
{
    ENT_CLEANUP(release) ent_packing work = {.node = node, .channel = channel, .of = of, .to = to, .most = most};
    ENT_TRY(check_from(channel, of, from, err));
    ENT_TRY(ent_packing_know(&work, err));
    if (from > work.confirmed[of])
        work.confirmed[of] = from;
    return pack(&work, work.confirmed[of], ret, err);
}

ent_rc ent_pack_again(ent_node *node, ent_channel *channel, uint32_t of, uint32_t to, uint64_t old_size,
                      ent_packed *ret, ent_err *err)
{
    ENT_CLEANUP(release) ent_packing work = {.node = node, .channel = channel, .of = of, .to = to, .again = true};
    ent_store_log log;
    ent_channel_log(channel, of, &log);
    if (old_size > log.tree.size)
        return ent_fail(err, ENT_USAGE, "design 3, Rollback guard", "from entry %llu on, and only %llu are held here",
                        (unsigned long long)old_size, (unsigned long long)log.tree.size);
    return pack(&work, old_size, ret, err);
}
