#include "seal/keys.h"

#include <inttypes.h>

static const char rule[] = "design.md section 2, Rotation";

static const uint8_t *first_key(const ent_first_keys *first, ent_key_role role)
{
    return role == ENT_KEY_ROLE_LOG       ? first->log.bytes
           : role == ENT_KEY_ROLE_RECEIPT ? first->receipt.bytes
           : role == ENT_KEY_ROLE_AGE     ? first->age.bytes
                                          : first->tls.bytes;
}

static bool same(const uint8_t *a, const uint8_t *b)
{
    return memcmp(a, b, 32) == 0;
}

/* Where the key that the channel began with stands in the card: among the former ones, or, at former_count, as the
 * present one. What was before it never counted here. */
static ent_rc find_first(const ent_first_keys *first, const ent_card *card, ent_key_role role, size_t *ret,
                         ent_err *err)
{
    const uint8_t *value = first_key(first, role);
    for (size_t i = 0; i < card->former_count; i++) {
        if (card->former[i].role == role && same(card->former[i].value, value)) {
            *ret = i;
            return ENT_DONE;
        }
    }
    *ret = card->former_count;
    if (same(ent_card_key(card, role), value))
        return ENT_DONE;
    return ent_fail(err, ENT_PEER_MISMATCH, rule,
                    "card %" PRIu64 " of %.*s does not lead on from its %s key in this channel", card->serial,
                    ENT_TEXT_ARG(first->name), ent_key_role_word(role));
}

/* What is carved from one piece of memory: most channels never see a rotation, and then it is small. */
typedef struct {
    ent_key *next; /* where the next role's keys go */
} space;

static ent_rc allocate(const ent_card *card, const ent_cutoffs *cutoffs, ent_keys *keys, space *ret, ent_err *err)
{
    size_t log_bytes = ((cutoffs == NULL ? 0 : cutoffs->count) + 1) * sizeof *keys->log;
    size_t cutoff_bytes = cutoffs == NULL ? 0 : sizeof *cutoffs;
    size_t most_keys = (card == NULL ? 0 : card->former_count) + ENT_KEY_ROLE_COUNT - 1;
    uint8_t *memory = ent_alloc(log_bytes + cutoff_bytes + most_keys * sizeof(ent_key));
    if (memory == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory for a party's keys");
    keys->memory = memory;
    keys->log = (ent_log_key *)(void *)memory;
    if (cutoffs != NULL) {
        ent_cutoffs *copy = (ent_cutoffs *)(void *)(memory + log_bytes);
        *copy = *cutoffs;
        copy->origin = (ent_text){NULL, 0};
        keys->cutoffs = copy;
    }
    ret->next = (ent_key *)(memory + log_bytes + cutoff_bytes);
    return ENT_DONE;
}

static ent_rc fill_role(const ent_first_keys *first, const ent_card *card, ent_key_role role, ent_keys *keys,
                        space *left, ent_err *err)
{
    size_t from = 0;
    size_t count = 0;
    if (card != NULL)
        ENT_TRY(find_first(first, card, role, &from, err));
    if (role == ENT_KEY_ROLE_LOG) /* only that it leads on: the cutoffs say the rest */
        return ENT_DONE;
    ent_key *rows = left->next;
    for (size_t i = from; card != NULL && i < card->former_count; i++) {
        if (card->former[i].role != role)
            continue;
        memcpy(rows[count].value, card->former[i].value, 32);
        rows[count++].revoked = card->former[i].revoked;
    }
    memcpy(rows[count].value, card == NULL ? first_key(first, role) : ent_card_key(card, role), 32);
    rows[count++].revoked = false;
    left->next += count;
    keys->roles[role] = rows;
    keys->role_count[role] = count;
    return ENT_DONE;
}

/* The log key that a card of this serial named. */
static const uint8_t *log_key_of(const ent_card *card, uint64_t serial)
{
    for (size_t i = 0; i < card->former_count; i++) {
        if (card->former[i].role == ENT_KEY_ROLE_LOG && card->former[i].last >= serial)
            return card->former[i].value;
    }
    return card->log.bytes;
}

static ent_rc fill_log(const ent_first_keys *first, const ent_card *card, const ent_cutoffs *cutoffs, ent_keys *keys,
                       ent_err *err)
{
    size_t count = cutoffs == NULL ? 0 : cutoffs->count;
    keys->log[0] = (ent_log_key){.key = first->log};
    for (size_t i = 0; i < count; i++) {
        const ent_cutoff *row = &cutoffs->rows[i];
        ent_log_key *key = &keys->log[i + 1];
        *key = (ent_log_key){.from = row->head.size, .serial = row->serial, .revokes = row->revoked};
        if (card == NULL || row->serial > card->serial)
            return ent_fail(err, ENT_PEER_MISMATCH, rule,
                            "a cutoff of the log of %.*s names card %" PRIu64 ", which is not here",
                            ENT_TEXT_ARG(first->name), row->serial);
        memcpy(key->key.bytes, log_key_of(card, row->serial), 32);
        if (same(key->key.bytes, keys->log[i].key.bytes))
            return ent_fail(err, ENT_PEER_MISMATCH, rule,
                            "a cutoff of the log of %.*s names card %" PRIu64 ", which brought no new log key",
                            ENT_TEXT_ARG(first->name), row->serial);
    }
    keys->log_count = count + 1;
    return ENT_DONE;
}

static ent_rc fill(const ent_first_keys *first, const ent_card *card, const ent_cutoffs *cutoffs, ent_keys *keys,
                   ent_err *err)
{
    keys->serial = card == NULL ? 0 : card->serial;
    keys->root = card == NULL ? first->root : card->root;
    if (card != NULL && !ent_text_equal(card->name, first->name))
        return ent_fail(err, ENT_PEER_MISMATCH, rule, "the card is of %.*s, not of %.*s", ENT_TEXT_ARG(card->name),
                        ENT_TEXT_ARG(first->name));
    space left = {NULL};
    ENT_TRY(allocate(card, cutoffs, keys, &left, err));
    for (ent_key_role role = 0; role < ENT_KEY_ROLE_COUNT; role++)
        ENT_TRY(fill_role(first, card, role, keys, &left, err));
    return fill_log(first, card, cutoffs, keys, err);
}

ent_rc ent_keys_make(const ent_first_keys *first, const ent_card *card, const ent_cutoffs *cutoffs, ent_keys *ret,
                     ent_err *err)
{
    ent_keys keys = {0};
    ent_rc rc = fill(first, card, cutoffs, &keys, err);
    if (rc.code != ENT_OK) {
        ent_keys_release(&keys);
        return rc;
    }
    *ret = keys;
    return ENT_DONE;
}

void ent_keys_release(ent_keys *keys)
{
    ent_free(keys->memory);
    *keys = (ent_keys){0};
}

const ent_log_key *ent_keys_log(const ent_keys *keys, uint64_t size)
{
    size_t at = keys->log_count - 1;
    while (at > 0 && size <= keys->log[at].from)
        at--;
    return &keys->log[at];
}

static bool same_role(const ent_keys *a, const ent_keys *b, ent_key_role role)
{
    if (a->role_count[role] != b->role_count[role])
        return false;
    for (size_t i = 0; i < a->role_count[role]; i++) {
        if (!same(a->roles[role][i].value, b->roles[role][i].value) ||
            a->roles[role][i].revoked != b->roles[role][i].revoked)
            return false;
    }
    return true;
}

bool ent_keys_equal(const ent_keys *a, const ent_keys *b)
{
    bool equal = a->serial == b->serial && ent_public_key_equal(&a->root, &b->root) && a->log_count == b->log_count;
    for (ent_key_role role = ENT_KEY_ROLE_RECEIPT; equal && role < ENT_KEY_ROLE_COUNT; role++)
        equal = same_role(a, b, role);
    for (size_t i = 0; equal && i < a->log_count; i++)
        equal = a->log[i].from == b->log[i].from && ent_public_key_equal(&a->log[i].key, &b->log[i].key) &&
                a->log[i].serial == b->log[i].serial && a->log[i].revokes == b->log[i].revokes;
    return equal;
}

const ent_key *ent_keys_newest(const ent_keys *keys, ent_key_role role)
{
    return &keys->roles[role][keys->role_count[role] - 1];
}

/* The one before stays good for as long as it takes to go over. */
bool ent_keys_has_pin(const ent_keys *keys, const ent_hash *pin)
{
    size_t count = keys->role_count[ENT_KEY_ROLE_TLS];
    for (size_t i = count > 2 ? count - 2 : 0; i < count; i++) {
        const ent_key *key = &keys->roles[ENT_KEY_ROLE_TLS][i];
        if (!key->revoked && same(key->value, pin->bytes))
            return true;
    }
    return false;
}

/* --- heads --- */

/* Size alone; the signature is looked at afterwards. */
static ent_rc size_of(ent_bytes bytes, uint64_t *ret, ent_err *err)
{
    ENT_CLEANUP(ent_note_release) ent_note note = {0};
    ent_checkpoint checkpoint;
    ENT_TRY(ent_note_parse(bytes, &note, err));
    ENT_TRY(ent_checkpoint_parse(note.text, &checkpoint, err));
    *ret = checkpoint.head.size;
    return ENT_DONE;
}

static ent_rc by_earlier(const ent_keys *keys, const ent_log_key *right, ent_bytes bytes, ent_text origin,
                         ent_note *ret_note, ent_checkpoint *ret, ent_err *err)
{
    for (const ent_log_key *key = right; key > keys->log;) {
        key--;
        ent_rc rc = ent_checkpoint_open(bytes, origin, &key->key, ret_note, ret, err);
        if (rc.code != ENT_PEER_SIGNATURE)
            return rc;
    }
    return ent_rc_of(ENT_PEER_SIGNATURE);
}

ent_rc ent_keys_open_head(const ent_keys *keys, ent_bytes bytes, ent_text origin, ent_note *ret_note,
                          ent_checkpoint *ret, ent_err *err)
{
    ENT_CLEANUP(ent_note_release) ent_note note = {0};
    ent_checkpoint checkpoint;
    uint64_t size = 0;
    if (keys->log_count == 1)
        return ent_checkpoint_open(bytes, origin, &keys->log[0].key, ret_note, ret, err);
    ENT_TRY(size_of(bytes, &size, err));
    const ent_log_key *key = ent_keys_log(keys, size);
    ent_rc rc = ent_checkpoint_open(bytes, origin, &key->key, ret_note, ret, err);
    if (rc.code == ENT_PEER_SIGNATURE && by_earlier(keys, key, bytes, origin, &note, &checkpoint, NULL).code == ENT_OK)
        return ent_fail(err, ENT_PEER_SIGNATURE, rule,
                        "the head of %" PRIu64 " entries is by a log key that card %" PRIu64 " %s at %" PRIu64
                        " entries",
                        size, key->serial, key->revokes ? "revoked" : "replaced", key->from);
    return rc;
}

ent_rc ent_keys_open_old_head(const ent_keys *keys, ent_bytes bytes, ent_text origin, ent_note *ret_note,
                              ent_checkpoint *ret, ent_err *err)
{
    ent_rc rc = ent_keys_open_head(keys, bytes, origin, ret_note, ret, err);
    uint64_t size = 0;
    if (rc.code != ENT_PEER_SIGNATURE || keys->log_count == 1 || size_of(bytes, &size, NULL).code != ENT_OK)
        return rc;
    ent_rc earlier = by_earlier(keys, ent_keys_log(keys, size), bytes, origin, ret_note, ret, NULL);
    return earlier.code == ENT_OK ? earlier : rc;
}

/* --- receipts --- */

ent_rc ent_keys_receipt_vkey(const ent_keys *keys, ent_text party, uint32_t key, ent_buf *ret_name, ent_vkey *ret,
                             ent_err *err)
{
    ent_public_key value;
    if (key >= keys->role_count[ENT_KEY_ROLE_RECEIPT])
        return ent_fail(err, ENT_PEER_MALFORMED, rule, "%.*s has no receipt key number %" PRIu32 " in this channel",
                        ENT_TEXT_ARG(party), key);
    memcpy(value.bytes, keys->roles[ENT_KEY_ROLE_RECEIPT][key].value, sizeof value.bytes);
    ent_buf_clear(ret_name);
    ent_receipt_key_name_put(ret_name, party);
    ENT_TRY(ent_buf_check(ret_name, err));
    return ent_vkey_make(ent_buf_text(ret_name), ENT_KEY_COSIGNATURE, &value, ret, err);
}

ent_rc ent_keys_verify_receipt(const ent_keys *keys, ent_text party, const ent_note *note,
                               ent_cosignature *ret_cosignature, uint32_t *ret_key, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf name = {0};
    for (size_t i = keys->role_count[ENT_KEY_ROLE_RECEIPT]; i > 0; i--) { /* the newest is the likeliest */
        ent_vkey vkey;
        ENT_TRY(ent_keys_receipt_vkey(keys, party, (uint32_t)(i - 1), &name, &vkey, err));
        if (ent_note_verify_cosignature(note, &vkey, ret_cosignature) != ENT_SIGNATURE_VALID)
            continue;
        *ret_key = (uint32_t)(i - 1);
        return ENT_DONE;
    }
    return ent_fail(err, ENT_PEER_SIGNATURE, "tlog-cosignature", "not cosigned by a receipt key of %.*s that is known",
                    ENT_TEXT_ARG(party));
}

bool ent_keys_receipt_revoked(const ent_keys *keys, uint32_t key)
{
    return key < keys->role_count[ENT_KEY_ROLE_RECEIPT] && keys->roles[ENT_KEY_ROLE_RECEIPT][key].revoked;
}
