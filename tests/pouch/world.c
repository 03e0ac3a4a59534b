#include "world.h"

#include "seal/card.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static const char *const names[PARTIES] = {"aurora.example", "boreal.example", "cobalt.example", "stranger.example"};

static void must(ent_rc rc, const ent_err *err)
{
    if (rc.code != ENT_OK)
        fail_msg("%s: %s", ent_code_word(rc.code), err->text);
}

ent_text world_name(size_t party)
{
    return ent_text_of(names[party]);
}

world *world_new(void)
{
    world *w = ent_alloc(sizeof *w);
    ent_err err = {0};
    assert_non_null(w);
    for (size_t i = 0; i < PARTIES; i++) {
        ent_member scratch = {0};
        ent_member *member = i < MEMBERS ? &w->members[i] : &scratch;
        ent_secret_key root;
        uint8_t seed[32] = {(uint8_t)(i + 1)};
        member->name = world_name(i);
        ent_ed25519_from_seed(seed, &member->log, &w->log_keys[i]);
        seed[1] = 1;
        ent_ed25519_from_seed(seed, &member->receipt, &w->receipt_keys[i]);
        seed[1] = 2;
        ent_ed25519_from_seed(seed, &member->root, &root);
        member->age.bytes[0] = (uint8_t)(i + 1);
        member->tls.bytes[0] = (uint8_t)(i + 1);
    }
    w->genesis =
        (ent_genesis){.rules = ENT_GENESIS_RULES, .members = w->members, .member_count = MEMBERS, .delta_s = 60};
    ent_buf genesis = {0};
    must(ent_genesis_encode(&w->genesis, &genesis, &err), &err);
    ent_channel_id(ent_buf_bytes(&genesis), &w->channel);
    ent_buf_release(&genesis);
    return w;
}

static void log_release(world_log *log)
{
    for (size_t i = 0; i < log->size; i++) {
        ent_buf_release(&log->entries[i]);
        ent_buf_release(&log->bodies[i]);
    }
    log->size = 0;
}

void world_free(world *w)
{
    for (size_t i = 0; i < MEMBERS; i++)
        log_release(&w->logs[i]);
    ent_free(w);
}

ent_text world_origin(const world *w, size_t party, char memory[ENT_ORIGIN_TEXT_MAX + 1])
{
    return ent_origin_write(world_name(party), &w->channel, memory);
}

ent_entry world_entry(const world *w, size_t member)
{
    const size_t index = w->logs[member].size;
    return (ent_entry){
        .channel = w->channel,
        .writer = world_name(member),
        .index = index,
        .time = ENT_TEXT("2025-06-01T12:00:00Z"),
        .kind = index == 0 ? ENT_TEXT("channel.genesis") : ENT_TEXT("incident.notification"),
        .nonce = {(uint8_t)member, (uint8_t)(index >> 8), (uint8_t)index},
    };
}

static void log_put(world_log *log, ent_bytes entry, ent_bytes body)
{
    assert_true(log->size < MOST_SAID);
    const size_t at = log->size++;
    ent_buf_put(&log->entries[at], entry);
    ent_buf_put(&log->bodies[at], body);
    ent_leaf_hash(entry, &log->leaves[at]);
}

void world_log_raw(world *w, size_t member, ent_bytes entry, ent_bytes body)
{
    log_put(&w->logs[member], entry, body);
}

void world_log_entry(world *w, size_t member, ent_entry *entry, ent_bytes body)
{
    ent_buf bytes = {0};
    ent_err err = {0};
    entry->has_body = body.size > 0;
    entry->body.size = body.size;
    entry->body.type = ENT_TEXT("application/octet-stream");
    ent_sha256(body, &entry->body.digest);
    must(ent_entry_encode(entry, &bytes, &err), &err);
    world_log_raw(w, member, ent_buf_bytes(&bytes), body);
    ent_buf_release(&bytes);
}

void world_log_edited(world *w, size_t member, ent_entry *entry, const char *from, const char *to)
{
    ent_buf bytes = {0};
    ent_buf edited = {0};
    ent_err err = {0};
    must(ent_entry_encode(entry, &bytes, &err), &err);
    const char *whole = ent_buf_string(&bytes);
    const char *found = strstr(whole, from);
    assert_non_null(found);
    ent_buf_put(&edited, ent_bytes_of(whole, (size_t)(found - whole)));
    ent_buf_put_string(&edited, to);
    ent_buf_put_string(&edited, found + strlen(from));
    world_log_raw(w, member, ent_buf_bytes(&edited), (ent_bytes){NULL, 0});
    ent_buf_release(&edited);
    ent_buf_release(&bytes);
}

void world_say(world *w, size_t member, size_t count, const char *word)
{
    for (size_t i = 0; i < count; i++) {
        ent_entry entry = world_entry(w, member);
        char body[64];
        int size = snprintf(body, sizeof body, "%s %s %zu", names[member], word, w->logs[member].size);
        bool has_body = w->logs[member].size % 3 != 2;
        entry.nonce[15] = (uint8_t)word[0];
        world_log_entry(w, member, &entry, ent_bytes_of(body, has_body ? (size_t)size : 0));
    }
}

static ent_tree_head log_head(const world_log *log, uint64_t size)
{
    ent_tree tree = {0};
    ent_err err = {0};
    for (size_t i = 0; i < size; i++)
        must(ent_tree_append(&tree, &log->leaves[i], &err), &err);
    ent_tree_head head = {.size = size};
    ent_tree_root(&tree, &head.root);
    return head;
}

ent_tree_head world_head(const world *w, size_t member, uint64_t size)
{
    assert_true(size <= w->logs[member].size);
    return log_head(&w->logs[member], size);
}

void world_sign_head(const world *w, ent_text origin, const ent_tree_head *head, size_t by, ent_buf *ret)
{
    ent_err err = {0};
    must(ent_checkpoint_sign(origin, head, &w->log_keys[by], ret, &err), &err);
}

void world_sign_receipt(const world *w, ent_text origin, const ent_tree_head *head, size_t by, ent_buf *ret)
{
    ent_err err = {0};
    ent_buf name = {0};
    ent_public_key key;
    ent_vkey vkey;
    ent_cosignature cosignature;
    size_t start = ret->size;
    ent_receipt_key_name_put(&name, world_name(by));
    ent_ed25519_public(&w->receipt_keys[by], &key);
    must(ent_vkey_make(ent_buf_text(&name), ENT_KEY_COSIGNATURE, &key, &vkey, &err), &err);
    ent_checkpoint_put(ret, origin, head);
    ent_text text = {(const char *)ret->data + start, ret->size - start};
    must(ent_cosignature_sign(text, 1750000000, &w->receipt_keys[by], &cosignature, &err), &err);
    ent_buf_put_u8(ret, '\n');
    ent_note_put_cosignature(ret, &vkey, &cosignature);
    must(ent_buf_check(ret, &err), &err);
    ent_buf_release(&name);
}

parcel *parcel_new(const world *w, size_t writer, uint64_t old_size, uint64_t size)
{
    parcel *p = ent_alloc(sizeof *p);
    ent_err err = {0};
    const world_log *log = &w->logs[writer];
    assert_non_null(p);
    p->pouch.origin = world_origin(w, writer, p->origin);
    p->pouch.old_size = old_size;
    p->pouch.size = size;
    ent_tree_head head = world_head(w, writer, size);
    world_sign_head(w, p->pouch.origin, &head, writer, &p->checkpoint);
    p->pouch.checkpoint = ent_buf_bytes(&p->checkpoint);
    for (size_t i = old_size; i < size; i++) {
        must(ent_bundle_put(&p->entries, ent_buf_bytes(&log->entries[i]), &err), &err);
        if (log->bodies[i].size > 0)
            p->bodies[p->pouch.body_count++] = (ent_pouch_body){i, ent_buf_bytes(&log->bodies[i])};
    }
    p->pouch.entries = ent_buf_bytes(&p->entries);
    p->pouch.bodies = p->bodies;
    p->pouch.heads = p->heads;
    p->pouch.receipts = p->receipts;
    return p;
}

void parcel_free(parcel *p)
{
    for (size_t i = 0; i < MOST_ITEMS; i++) {
        ent_buf_release(&p->head_notes[i]);
        ent_buf_release(&p->receipt_notes[i]);
    }
    ent_buf_release(&p->checkpoint);
    ent_buf_release(&p->entries);
    ent_free(p);
}

void parcel_add_head_note(parcel *p, size_t party, ent_bytes note)
{
    size_t at = p->pouch.head_count++;
    ent_buf_put(&p->head_notes[at], note);
    p->heads[at] = (ent_pouch_item){world_name(party), ent_buf_bytes(&p->head_notes[at])};
}

void parcel_add_receipt_note(parcel *p, size_t party, ent_bytes note)
{
    size_t at = p->pouch.receipt_count++;
    ent_buf_put(&p->receipt_notes[at], note);
    p->receipts[at] = (ent_pouch_item){world_name(party), ent_buf_bytes(&p->receipt_notes[at])};
}

void parcel_add_head(parcel *p, const world *w, size_t member, uint64_t size)
{
    char memory[ENT_ORIGIN_TEXT_MAX + 1];
    ent_buf note = {0};
    ent_tree_head head = world_head(w, member, size);
    world_sign_head(w, world_origin(w, member, memory), &head, member, &note);
    parcel_add_head_note(p, member, ent_buf_bytes(&note));
    ent_buf_release(&note);
}

void parcel_add_receipt(parcel *p, const world *w, size_t member, size_t receiver, uint64_t size)
{
    char memory[ENT_ORIGIN_TEXT_MAX + 1];
    ent_buf note = {0};
    ent_tree_head head = world_head(w, member, size);
    world_sign_receipt(w, world_origin(w, member, memory), &head, receiver, &note);
    parcel_add_receipt_note(p, receiver, ent_buf_bytes(&note));
    ent_buf_release(&note);
}

holder *holder_new(const world *w, size_t self)
{
    holder *h = ent_alloc(sizeof *h);
    assert_non_null(h);
    h->w = w;
    h->self = self;
    return h;
}

void holder_free(holder *h)
{
    for (size_t i = 0; i < MEMBERS; i++)
        log_release(&h->logs[i]);
    ent_free(h);
}

void holder_copy(holder *h, const world *w, size_t member, size_t size)
{
    const world_log *log = &w->logs[member];
    assert_true(size <= log->size);
    log_release(&h->logs[member]);
    for (size_t i = 0; i < size; i++)
        log_put(&h->logs[member], ent_buf_bytes(&log->entries[i]), ent_buf_bytes(&log->bodies[i]));
}

ent_tree_head holder_head(const holder *h, size_t member)
{
    return log_head(&h->logs[member], h->logs[member].size);
}

static ent_rc root_at(void *context, size_t member, uint64_t size, bool *ret_known, ent_hash *ret_root, ent_err *err)
{
    const holder *h = context;
    if (h->fail != ENT_OK)
        return ent_fail(err, h->fail, NULL, "injected");
    *ret_known = size <= h->logs[member].size;
    if (*ret_known)
        *ret_root = log_head(&h->logs[member], size).root;
    return ENT_DONE;
}

static ent_rc head_held(void *context, size_t member, const ent_tree_head *head, bool *ret_held, ent_err *err)
{
    const holder *h = context;
    if (h->fail != ENT_OK)
        return ent_fail(err, h->fail, NULL, "injected");
    *ret_held = false;
    for (size_t i = 0; i < h->head_count; i++) {
        if (h->head_members[i] == member && h->heads[i].size == head->size &&
            ent_hash_equal(&h->heads[i].root, &head->root))
            *ret_held = true;
    }
    return ENT_DONE;
}

/* Tiles of a held log, computed from its leaves; logs here end below 65,536 entries, so that two levels are all. */
static ent_rc read_tile(void *context, uint8_t level, uint64_t index, uint16_t width, ent_hash *ret_hashes,
                        ent_err *err)
{
    const world_log *log = context;
    if (level > 1 || (index * ENT_TILE_WIDTH + width) << (8 * level) > log->size)
        return ent_fail(err, ENT_BUG, NULL, "a tile beyond the log was asked for");
    for (size_t i = 0; i < width; i++) {
        size_t at = (size_t)index * ENT_TILE_WIDTH + i;
        if (level == 0)
            ret_hashes[i] = log->leaves[at];
        else
            ent_tile_hash(&log->leaves[at * ENT_TILE_WIDTH], &ret_hashes[i]);
    }
    return ENT_DONE;
}

int check_parts(holder *h, const ent_pouch *pouch, size_t writer, ent_pouch_checked *ret, ent_err *err)
{
    world_log *log = &h->logs[writer];
    ent_tree tree = {0};
    for (size_t i = 0; i < log->size; i++)
        must(ent_tree_append(&tree, &log->leaves[i], err), err);
    ent_pouch_known known = {
        .genesis = &h->w->genesis,
        .channel = h->w->channel,
        .self = h->self,
        .writer = writer,
        .tree = &tree,
        .tiles = {read_tile, log},
        .root_at = root_at,
        .head_held = head_held,
        .context = h,
    };
    known.forked = h->forked;
    memcpy(known.keys, h->keys, sizeof h->keys);
    memcpy(known.acked, h->acked[writer], sizeof known.acked);
    return ent_pouch_check(pouch, &known, ret, err).code;
}

delivery *deliver_bytes(holder *h, ent_bytes bytes, size_t writer)
{
    delivery *d = ent_alloc(sizeof *d);
    assert_non_null(d);
    ent_buf_put(&d->bytes, bytes);
    d->code = ent_pouch_parse(ent_buf_bytes(&d->bytes), &d->pouch, &d->err).code;
    if (d->code == ENT_OK)
        d->code = check_parts(h, &d->pouch, writer, &d->checked, &d->err);
    return d;
}

delivery *deliver(holder *h, const parcel *p, size_t writer)
{
    ent_buf bytes = {0};
    ent_err err = {0};
    ent_pouch parsed;
    must(ent_pouch_put(&bytes, &p->pouch, &err), &err);
    must(ent_pouch_parse(ent_buf_bytes(&bytes), &parsed, &err), &err);
    ent_pouch_release(&parsed);
    delivery *d = deliver_bytes(h, ent_buf_bytes(&bytes), writer);
    ent_buf_release(&bytes);
    return d;
}

void holder_store(holder *h, size_t writer, const delivery *d)
{
    assert_int_equal(d->code, ENT_OK);
    assert_true(d->checked.verdict == ENT_POUCH_NEW || d->checked.verdict == ENT_POUCH_HELD);
    assert_int_equal(d->checked.first_new, h->logs[writer].size);
    for (size_t i = 0; i < d->checked.new_count; i++)
        log_put(&h->logs[writer], d->checked.entry_bytes[i], d->checked.bodies[i]);
    memcpy(h->acked[writer], d->checked.acked, sizeof h->acked[writer]);
    ent_hash root;
    ent_tree_root(&d->checked.tree, &root);
    assert_int_equal(d->checked.tree.size, h->logs[writer].size);
    const ent_tree_head held = holder_head(h, writer);
    assert_true(ent_hash_equal(&root, &held.root));
}

void delivery_free(delivery *d)
{
    ent_pouch_checked_release(&d->checked);
    ent_pouch_release(&d->pouch);
    ent_buf_release(&d->bytes);
    ent_free(d);
}
