/* Root keys that took over, one after the other: whoever was away for several finds the one that it knows of. */
#include "seal/card_internal.h"

#include "crypto/crypto.h"

static const char rule[] = "design.md section 2, Rotation";

/* What a root key signs about the next one. No other note begins with this word. */
static void put_statement(ent_buf *buf, ent_text party, const ent_card_root *row)
{
    ent_buf_put_string(buf, "entente.root/v1 ");
    ent_buf_put_text(buf, party);
    ent_buf_put_u8(buf, '\n');
    ent_buf_put_hex(buf, ent_bytes_of(row->root.bytes, sizeof row->root.bytes));
    ent_buf_put_u8(buf, '\n');
    ent_buf_put_hex(buf, ent_hash_bytes(&row->next));
    ent_buf_put_u8(buf, '\n');
}

static bool commits_to(const ent_hash *commitment, const ent_public_key *root)
{
    ent_hash hash;
    ent_sha256(ent_bytes_of(root->bytes, sizeof root->bytes), &hash);
    return ent_hash_equal(&hash, commitment);
}

ent_rc ent_card_add_root(ent_card *card, const ent_secret_key *root, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf statement = {0};
    ent_public_key of_secret;
    ent_ed25519_public(root, &of_secret);
    if (!ent_public_key_equal(&of_secret, &card->root))
        return ent_fail(err, ENT_USAGE, rule, "card field root: is not the public key of the root key that takes over");
    if (card->root_count == ENT_CARD_MAX_ROOTS)
        return ent_fail(err, ENT_USAGE, rule,
                        "a card lists at most %d root keys that took over: a party that has changed so many begins "
                        "anew, with a new name and successor channels",
                        ENT_CARD_MAX_ROOTS);
    ent_card_root row = {.root = card->root, .next = card->next_root};
    put_statement(&statement, card->name, &row);
    ENT_TRY(ent_buf_check(&statement, err));
    ent_ed25519_sign(root, ent_buf_bytes(&statement), &row.signature);
    card->roots[card->root_count++] = row;
    return ENT_DONE;
}

static ent_rc wrong(bool own, ent_code code, size_t at, const char *why, ent_err *err)
{
    return ent_fail(err, own ? ENT_USAGE : code, rule, "card field roots[%zu]: %s", at, why);
}

static ent_rc check_root(const ent_card *card, size_t at, bool own, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf statement = {0};
    const ent_card_root *row = &card->roots[at];
    for (size_t i = 0; i < at; i++) {
        if (ent_public_key_equal(&row->root, &card->roots[i].root))
            return wrong(own, ENT_PEER_MISMATCH, at, "is a root key of before: a key does not come back", err);
    }
    if (at > 0 && !commits_to(&row[-1].next, &row->root))
        return wrong(own, ENT_PEER_MISMATCH, at, "is not the key that the one before commits to", err);
    put_statement(&statement, card->name, row);
    ENT_TRY(ent_buf_check(&statement, err));
    if (!ent_ed25519_verify(&row->root, ent_buf_bytes(&statement), &row->signature))
        return wrong(own, ENT_PEER_SIGNATURE, at, "what it commits to is not signed by it", err);
    return ENT_DONE;
}

ent_rc ent_card_check_roots(const ent_card *card, bool own, ent_err *err)
{
    if (card->root_count == 0)
        return ENT_DONE;
    if (card->root_count > ENT_CARD_MAX_ROOTS)
        return ent_fail(err, own ? ENT_USAGE : ENT_PEER_MALFORMED, rule, "card field roots: has more than %d elements",
                        ENT_CARD_MAX_ROOTS);
    const ent_card_root *last = &card->roots[card->root_count - 1];
    if (!ent_public_key_equal(&last->root, &card->root) || !ent_hash_equal(&last->next, &card->next_root))
        return wrong(own, ENT_PEER_MISMATCH, card->root_count - 1, "is not the card's root with its next_root", err);
    for (size_t i = 0; i < card->root_count; i++)
        ENT_TRY(check_root(card, i, own, err));
    return ENT_DONE;
}

bool ent_card_root_committed(const ent_card *card, const ent_hash *commitment)
{
    bool found = commits_to(commitment, &card->root);
    for (size_t i = 0; i < card->root_count; i++)
        found = found || commits_to(commitment, &card->roots[i].root);
    return found;
}
