#include "pouch/members.h"

#include "base/cursor.h"

static const char rule[] = "design 2, Pouch";

/* What is known while the file goes by. */
typedef struct {
    ent_arena *arena;
    ent_pouch_index index;
    ent_bytes *data; /* of each listed member */
    size_t member;   /* members begun so far, pouch.json among them */
    uint64_t size;   /* of the member that was begun last */
} reading;

static ent_rc member_begins(void *context, ent_text name, uint64_t size, ent_err *err)
{
    reading *r = context;
    const size_t at = r->member++;
    r->size = size;
    if (at == 0) {
        if (!ent_text_equal(name, ENT_POUCH_INDEX_NAME))
            return ent_fail(err, ENT_PEER_MALFORMED, rule, "the first member is %.*s, not pouch.json",
                            ENT_TEXT_ARG(name));
        if (size == 0)
            return ent_fail(err, ENT_PEER_MALFORMED, rule, "pouch.json is empty");
        if (size > ENT_POUCH_MAX_INDEX_BYTES)
            return ent_fail(err, ENT_PEER_TOO_LARGE, rule, "pouch.json has %llu bytes, at most %d are allowed",
                            (unsigned long long)size, ENT_POUCH_MAX_INDEX_BYTES);
        return ENT_DONE;
    }
    if (at > r->index.member_count)
        return ent_fail(err, ENT_PEER_MALFORMED, rule, "%.*s is not listed in pouch.json", ENT_TEXT_ARG(name));
    const struct ent_pouch_listed *listed = &r->index.members[at - 1];
    if (!ent_text_equal(name, listed->name))
        return ent_fail(err, ENT_PEER_MALFORMED, rule, "%.*s stands where pouch.json lists %.*s", ENT_TEXT_ARG(name),
                        ENT_TEXT_ARG(listed->name));
    if (size != listed->size)
        return ent_fail(err, ENT_PEER_MALFORMED, rule, "%.*s has %llu bytes, pouch.json lists %llu", ENT_TEXT_ARG(name),
                        (unsigned long long)size, (unsigned long long)listed->size);
    return ENT_DONE;
}

/* The whole file is pushed at once, so that a piece is a member's data, or the last thing before a cut. */
static ent_rc member_data(void *context, ent_bytes piece, ent_err *err)
{
    reading *r = context;
    if (piece.size != r->size)
        return ENT_DONE; /* cut: the reader tells at the end */
    if (r->member > 1) {
        r->data[r->member - 2] = piece;
        return ENT_DONE;
    }
    ENT_TRY(ent_pouch_index_parse(piece, r->arena, &r->index, err));
    r->data = ent_arena_alloc(r->arena, r->index.member_count * sizeof *r->data);
    if (r->data == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory for %zu members of a pouch", r->index.member_count);
    return ENT_DONE;
}

/* One folder of members: where to put them, how many there are. */
typedef struct {
    ent_text prefix;
    size_t most;
    size_t count;
} folder;

enum { CARDS, CUTOFFS, HEADS, FORKS, RECEIPTS, BODIES, FOLDERS };

static int folder_of(const folder folders[FOLDERS], ent_text name)
{
    for (int i = 0; i < FOLDERS; i++) {
        if (ent_text_starts(name, folders[i].prefix))
            return i;
    }
    return -1;
}

static ent_text after(ent_text text, size_t size)
{
    return text.size < size ? (ent_text){text.data, 0} : (ent_text){text.data + size, text.size - size};
}

static ent_rc take_single(ent_pouch *pouch, ent_text name, ent_bytes data, ent_err *err)
{
    if (ent_text_is(name, "genesis"))
        pouch->genesis = data;
    else if (ent_text_is(name, "checkpoint"))
        pouch->checkpoint = data;
    else if (ent_text_is(name, "entries"))
        pouch->entries = data;
    else
        return ent_fail(err, ENT_PEER_MALFORMED, rule, "%.*s is no member of a pouch", ENT_TEXT_ARG(name));
    return ENT_DONE;
}

static ent_rc take_body(ent_pouch *pouch, ent_text name, ent_bytes data, ent_err *err)
{
    const ent_text prefix = ENT_TEXT("bodies/");
    const ent_text suffix = ENT_TEXT(".age");
    ent_text digits = after(name, prefix.size);
    uint64_t index = 0;
    if (digits.size < suffix.size || !ent_text_equal(after(digits, digits.size - suffix.size), suffix))
        return ent_fail(err, ENT_PEER_MALFORMED, rule, "%.*s is not bodies/<index>.age", ENT_TEXT_ARG(name));
    digits.size -= suffix.size;
    if (!ent_decimal_parse(digits, ENT_LOG_MAX_SIZE, &index))
        return ent_fail(err, ENT_PEER_MALFORMED, rule, "%.*s is not bodies/<index>.age", ENT_TEXT_ARG(name));
    pouch->bodies[pouch->body_count++] = (ent_pouch_body){index, data};
    return ENT_DONE;
}

static void take_item(ent_pouch_item *items, size_t *count, ent_text party, ent_bytes data)
{
    items[(*count)++] = (ent_pouch_item){party, data};
}

static ent_rc take_member(ent_pouch *pouch, int in_folder, ent_text prefix, ent_text name, ent_bytes data, ent_err *err)
{
    enum { NUMBER_AND_HYPHEN = 5 }; /* of receipts/<nnnn>-<receiver> */
    const ent_text party = after(name, prefix.size);
    switch (in_folder) {
    case CARDS:
        take_item(pouch->cards, &pouch->card_count, party, data);
        return ENT_DONE;
    case CUTOFFS:
        take_item(pouch->cutoffs, &pouch->cutoff_count, party, data);
        return ENT_DONE;
    case HEADS:
        take_item(pouch->heads, &pouch->head_count, party, data);
        return ENT_DONE;
    case FORKS:
        take_item(pouch->forks, &pouch->fork_count, party, data);
        return ENT_DONE;
    case RECEIPTS:
        take_item(pouch->receipts, &pouch->receipt_count, after(party, NUMBER_AND_HYPHEN), data);
        return ENT_DONE;
    case BODIES:
        return take_body(pouch, name, data, err);
    default:
        return take_single(pouch, name, data, err);
    }
}

static ent_rc make_room(ent_pouch *pouch, folder folders[FOLDERS], const ent_pouch_index *index, ent_err *err)
{
    for (size_t i = 0; i < index->member_count; i++) {
        int at = folder_of(folders, index->members[i].name);
        if (at >= 0 && folders[at].count++ == folders[at].most)
            return ent_fail(err, ENT_PEER_TOO_LARGE, rule, "%.*s: at most %zu members are allowed",
                            ENT_TEXT_ARG(folders[at].prefix), folders[at].most);
    }
    pouch->cards = ent_arena_alloc(&pouch->arena, folders[CARDS].count * sizeof *pouch->cards);
    pouch->cutoffs = ent_arena_alloc(&pouch->arena, folders[CUTOFFS].count * sizeof *pouch->cutoffs);
    pouch->heads = ent_arena_alloc(&pouch->arena, folders[HEADS].count * sizeof *pouch->heads);
    pouch->forks = ent_arena_alloc(&pouch->arena, folders[FORKS].count * sizeof *pouch->forks);
    pouch->receipts = ent_arena_alloc(&pouch->arena, folders[RECEIPTS].count * sizeof *pouch->receipts);
    pouch->bodies = ent_arena_alloc(&pouch->arena, folders[BODIES].count * sizeof *pouch->bodies);
    if (pouch->cards == NULL || pouch->cutoffs == NULL || pouch->heads == NULL || pouch->forks == NULL ||
        pouch->receipts == NULL || pouch->bodies == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory for %zu members of a pouch", index->member_count);
    return ENT_DONE;
}

/* The parts from the listing, then the listing from the parts: whatever is out of order, doubled or spelled otherwise
 * differs. */
static ent_rc take_parts(ent_pouch *pouch, const reading *r, ent_err *err)
{
    folder folders[FOLDERS] = {
        [CARDS] = {ENT_TEXT("cards/"), ENT_POUCH_MAX_PARTIES, 0},
        [CUTOFFS] = {ENT_TEXT("cutoffs/"), ENT_POUCH_MAX_PARTIES, 0},
        [HEADS] = {ENT_TEXT("heads/"), ENT_POUCH_MAX_PARTIES, 0},
        [FORKS] = {ENT_TEXT("forks/"), ENT_POUCH_MAX_PARTIES, 0},
        [RECEIPTS] = {ENT_TEXT("receipts/"), ENT_POUCH_MAX_RECEIPTS, 0},
        [BODIES] = {ENT_TEXT("bodies/"), ENT_POUCH_MAX_ENTRIES, 0},
    };
    ENT_TRY(make_room(pouch, folders, &r->index, err));
    for (size_t i = 0; i < r->index.member_count; i++) {
        ent_text name = r->index.members[i].name;
        int at = folder_of(folders, name);
        if (r->data[i].size == 0)
            return ent_fail(err, ENT_PEER_MALFORMED, rule, "%.*s is empty", ENT_TEXT_ARG(name));
        ENT_TRY(take_member(pouch, at, at < 0 ? (ent_text){NULL, 0} : folders[at].prefix, name, r->data[i], err));
    }
    ENT_TRY(ent_pouch_parts_check(pouch, ENT_PEER_MALFORMED, err));

    for (size_t i = 0; i < r->index.member_count; i++) {
        char name_memory[ENT_USTAR_NAME_MAX + 1];
        ent_text name = {NULL, 0};
        ent_bytes data = {NULL, 0};
        const ent_text listed = r->index.members[i].name;
        if (i >= ent_pouch_member_count(pouch))
            return ent_fail(err, ENT_PEER_MALFORMED, rule, "%.*s comes twice", ENT_TEXT_ARG(listed));
        ent_pouch_member_at(pouch, i, name_memory, &name, &data);
        if (!ent_text_equal(name, listed))
            return ent_fail(err, ENT_PEER_MALFORMED, rule, "%.*s stands where %.*s belongs", ENT_TEXT_ARG(listed),
                            ENT_TEXT_ARG(name));
    }
    return ENT_DONE;
}

static ent_rc parse(ent_bytes bytes, ent_pouch *pouch, ent_err *err)
{
    reading r = {.arena = &pouch->arena};
    ent_ustar_reader reader;
    ent_ustar_reader_init(&reader, ENT_POUCH_MAX_BYTES, (ent_ustar_events){member_begins, member_data, &r});
    ENT_TRY(ent_ustar_reader_push(&reader, bytes, err));
    ENT_TRY(ent_ustar_reader_finish(&reader, err));
    if (r.member == 0)
        return ent_fail(err, ENT_PEER_MALFORMED, rule, "there is no pouch.json");
    if (r.member - 1 != r.index.member_count)
        return ent_fail(err, ENT_PEER_MALFORMED, rule, "%.*s is listed in pouch.json, but missing",
                        ENT_TEXT_ARG(r.index.members[r.member - 1].name));
    pouch->origin = r.index.origin;
    pouch->old_size = r.index.old_size;
    pouch->size = r.index.size;
    return take_parts(pouch, &r, err);
}

ent_rc ent_pouch_parse(ent_bytes bytes, ent_pouch *ret, ent_err *err)
{
    ent_pouch pouch = {0};
    ent_rc rc = parse(bytes, &pouch, err);
    if (rc.code != ENT_OK) {
        ent_pouch_release(&pouch);
        return rc;
    }
    *ret = pouch;
    return ENT_DONE;
}
