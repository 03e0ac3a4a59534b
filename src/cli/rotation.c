#include "cli/rotation.h"

#include "base/clock.h"
#include "base/file.h"
#include "crypto/crypto.h"
#include "http/tls.h"
#include "message/genesis.h"

#include <stdio.h>

static const char rule[] = "design 2, Rotation";

const char *ent_cli_reason(ent_text word)
{
    static const char *const words[] = {"scheduled", "personnel", "compromise-suspected", "compromise"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (ent_text_is(word, words[i]))
            return words[i];
    }
    return NULL;
}

ent_rc ent_cli_rotation_begin(ent_cli *cli, ent_cli_rotation *ret, ent_err *err)
{
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("GET", "/keys");
    ENT_CLEANUP(ent_buf_release) ent_buf answer = {0};
    ENT_TRY(ent_cli_ask(cli, &request, &answer, err));
    ENT_TRY(ent_cli_answer_of(ent_buf_text(&answer), SIZE_MAX, &ret->state, err));
    return ent_card_parse(ent_text_bytes(ent_cli_text(ret->state.root, "card")), &ret->current, err);
}

void ent_cli_rotation_release(ent_cli_rotation *rotation)
{
    ent_cli_answer_release(&rotation->state);
    ent_card_release(&rotation->current);
}

/* ---- the card ---------------------------------------------------------------------- */

static ent_rc check_former(const ent_cli_rotation *rotation, ent_err *err)
{
    size_t count = rotation->current.card.former_count;
    for (ent_key_role role = ENT_KEY_ROLE_LOG; role < ENT_KEY_ROLE_COUNT; role++)
        count += rotation->changes[role] ? 1 : 0;
    return count <= ENT_CARD_MAX_FORMER
               ? ENT_DONE
               : ent_fail(
                     err, ENT_REFUSED, rule,
                     "a card lists at most %d keys of before: a party that has changed so many begins anew, with a "
                     "new name or a new root key, and successor channels",
                     ENT_CARD_MAX_FORMER);
}

/* With check_former done. */
static void change_keys(ent_cli_rotation *rotation)
{
    ent_card *next = &rotation->next;
    const ent_card *old = &rotation->current.card;
    uint8_t *places[ENT_KEY_ROLE_COUNT] = {next->log.bytes, next->receipt.bytes, next->age.bytes, next->tls.bytes};
    for (ent_key_role role = ENT_KEY_ROLE_LOG; role < ENT_KEY_ROLE_COUNT; role++) {
        if (!rotation->changes[role])
            continue;
        ent_card_former *row = &next->former[next->former_count++];
        *row = (ent_card_former){.role = role, .last = old->serial, .revoked = rotation->revoke};
        memcpy(row->value, ent_card_key(old, role), sizeof row->value);
        memcpy(places[role], rotation->made[role], sizeof rotation->made[role]);
    }
}

/* The certificate lies beside the first one; the key is the keeper's. A try of before may have left the key alone, so
 * both are made together from what is there. */
static ent_rc make_tls(ent_cli_rotation *rotation, const char *keys_folder, const char *folder, ent_bytes passphrase,
                       ent_err *err)
{
    ENT_CLEANUP(ent_buf_wipe) ent_buf key = {0};
    ENT_CLEANUP(ent_buf_wipe) ent_buf kept = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf certificate = {0};
    uint8_t unused[32];
    char name[48];
    ent_hash pin;
    ent_text party = rotation->current.card.name;
    uint64_t serial = rotation->current.card.serial + 1;
    (void)snprintf(name, sizeof name, "tls.%llu.crt", (unsigned long long)serial);
    ENT_CLEANUP(ent_free_pointer) char *path = ent_file_join(folder, name);
    if (path == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    ent_rc rc = ent_file_read(path, 65536, &certificate, err);
    if (rc.code == ENT_ABSENT) { /* the certificate first: it holds no secret, and names the key that follows */
        ENT_TRY(ent_tls_generate(party, &key, &certificate, err));
        ENT_TRY(ent_keeper_make_key(keys_folder, party, passphrase, ENT_KEY_ROLE_TLS, serial, ent_buf_bytes(&key),
                                    unused, &kept, err));
        if (!ent_bytes_equal(ent_buf_bytes(&kept), ent_buf_bytes(&key)))
            return ent_fail(err, ENT_REFUSED, rule,
                            "%s/tls.%llu.key is left from a try that did not come to its certificate: remove it and "
                            "try again",
                            keys_folder, (unsigned long long)serial);
        ENT_TRY(ent_file_create(path, 0644, ent_buf_bytes(&certificate), err));
    } else {
        ENT_TRY(rc);
    }
    ENT_TRY(ent_tls_pin(ent_buf_bytes(&certificate), &pin, err));
    memcpy(rotation->made[ENT_KEY_ROLE_TLS], pin.bytes, sizeof pin.bytes);
    return ENT_DONE;
}

ent_rc ent_cli_rotation_keys(ent_cli_rotation *rotation, const char *keys_folder, const char *folder,
                             ent_bytes passphrase, ent_err *err)
{
    const ent_card *old = &rotation->current.card;
    ENT_TRY(ent_crypto_init(err));
    ENT_TRY(check_former(rotation, err));
    for (ent_key_role role = ENT_KEY_ROLE_LOG; role < ENT_KEY_ROLE_TLS; role++) {
        if (rotation->changes[role])
            ENT_TRY(ent_keeper_make_key(keys_folder, old->name, passphrase, role, old->serial + 1, (ent_bytes){NULL, 0},
                                        rotation->made[role], NULL, err));
    }
    return rotation->changes[ENT_KEY_ROLE_TLS] ? make_tls(rotation, keys_folder, folder, passphrase, err) : ENT_DONE;
}

/* ---- the cutoffs ------------------------------------------------------------------- */

static ent_rc read_head(ent_json_value object, ent_tree_head *ret, ent_err *err)
{
    if (!ent_json_unsigned(ent_json_get(object, "size"), ENT_LOG_MAX_SIZE, &ret->size))
        return ent_fail(err, ENT_PEER_MALFORMED, NULL, "the node gave a log without a size");
    return ent_hex_decode(ent_cli_text(object, "root"), ret->root.bytes, sizeof ret->root.bytes, err);
}

static ent_rc check_origin(ent_text party, ent_text id, ent_text origin, ent_err *err)
{
    ent_text of = {0};
    ent_hash channel;
    char digits[65];
    ENT_TRY(ent_origin_parse(origin, &of, &channel, err));
    ent_hex_encode(ent_hash_bytes(&channel), digits);
    return ent_text_equal(of, party) && ent_text_is(id, digits)
               ? ENT_DONE
               : ent_fail(err, ENT_PEER_MISMATCH, rule, "%.*s is not the log of %.*s in channel %.*s",
                          ENT_TEXT_ARG(origin), ENT_TEXT_ARG(party), ENT_TEXT_ARG(id));
}

/* Those that are in force, and the new one. A voluntary cutoff is where the log is now; one of a key that may be in
 * other hands is the last that every other member has receipted. */
ent_rc ent_cli_rotation_cutoffs(const ent_cli_rotation *rotation, ent_json_value channel, ent_cutoffs *ret,
                                ent_err *err)
{
    ent_text origin = ent_cli_text(channel, "origin");
    ent_text note = ent_cli_text(channel, "cutoffs");
    const ent_card *old = &rotation->current.card;
    *ret = (ent_cutoffs){.count = 0};
    if (note.size > 0)
        ENT_TRY(ent_cutoffs_parse(ent_text_bytes(note), old->name, &old->root, ret, err));
    ENT_TRY(check_origin(old->name, ent_cli_text(channel, "id"), origin, err));
    if (note.size > 0 && !ent_text_equal(ret->origin, origin))
        return ent_fail(err, ENT_PEER_MISMATCH, rule, "the cutoffs are of another log than %.*s", ENT_TEXT_ARG(origin));
    ret->origin = origin;
    if (!rotation->changes[ENT_KEY_ROLE_LOG])
        return ENT_DONE;
    if (ret->count == ENT_CUTOFFS_MAX)
        return ent_fail(err, ENT_REFUSED, rule, "a log has at most %d cutoffs: open a successor channel",
                        ENT_CUTOFFS_MAX);
    ent_cutoff *row = &ret->rows[ret->count];
    *row = (ent_cutoff){.serial = old->serial + 1, .revoked = rotation->revoke};
    ENT_TRY(read_head(ent_json_get(channel, rotation->revoke ? "receipted" : "head"), &row->head, err));
    if (ret->count > 0 && row->head.size < ret->rows[ret->count - 1].head.size)
        row->head = ret->rows[ret->count - 1].head; /* not behind an earlier cutoff */
    ret->count++;
    return ENT_DONE;
}

static ent_rc put_cutoffs(const ent_cli_rotation *rotation, const ent_root *root, ent_json_writer *writer, ent_err *err)
{
    ent_json_value channels = ent_json_get(rotation->state.root, "channels");
    ent_json_key(writer, "cutoffs");
    ent_json_object_begin(writer);
    for (ent_json_iter i = ent_json_iterate(channels); ent_json_next(&i);) {
        ENT_CLEANUP(ent_buf_release) ent_buf note = {0};
        ent_cutoffs cutoffs;
        char id[65] = "";
        ent_text name = ent_cli_text(i.value, "id");
        ENT_TRY(ent_cli_rotation_cutoffs(rotation, i.value, &cutoffs, err));
        if (cutoffs.count == 0 || name.size >= sizeof id)
            continue;
        memcpy(id, name.data, name.size);
        ENT_TRY(ent_root_cutoffs(root, rotation->next.name, &cutoffs, &note, err));
        ent_json_member_text(writer, id, ent_buf_text(&note));
    }
    ent_json_object_end(writer);
    return ENT_DONE;
}

/* ---- all of it ---------------------------------------------------------------------- */

ent_rc ent_cli_rotation_root(ent_cli_rotation *rotation, const char *root_folder, ent_bytes passphrase, ent_root **ret,
                             ent_err *err)
{
    const ent_card *old = &rotation->current.card;
    ent_card *next = &rotation->next;
    ENT_TRY(ent_crypto_init(err));
    *next = *old;
    if (!rotation->changes_root)
        return ent_root_open(root_folder, passphrase, &old->root, ret, err);
    return ent_root_open_next(root_folder, passphrase, &old->next_root, old->serial + 1, ret, &next->root,
                              &next->next_root, err);
}

static ent_rc put_bundle(const ent_cli_rotation *rotation, const ent_root *root, ent_buf *ret, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf card = {0};
    ent_json_writer writer = ent_json_writer_of(ret);
    ENT_TRY(ent_root_card(root, &rotation->next, &card, err));
    ent_json_object_begin(&writer);
    ent_json_member_text(&writer, "card", ent_buf_text(&card));
    ent_json_member_string(&writer, "reason", rotation->reason);
    ENT_TRY(put_cutoffs(rotation, root, &writer, err));
    ent_json_object_end(&writer);
    return ent_buf_check(ret, err);
}

ent_rc ent_cli_rotation_sign(ent_cli_rotation *rotation, const ent_root *root, ent_buf *ret_bundle, ent_err *err)
{
    const ent_card *old = &rotation->current.card;
    ent_card *next = &rotation->next;
    char issued[ENT_TIME_TEXT_SIZE + 1];
    next->serial = old->serial + 1;
    next->has_previous = true;
    next->previous = rotation->current.text_hash;
    ENT_TRY(check_former(rotation, err));
    change_keys(rotation);
    if (rotation->changes_root)
        ENT_TRY(ent_root_take_over(root, next, err));
    ent_time_format(ent_clock_unix_s(), issued);
    next->issued = ent_text_of(issued);
    ent_rc rc = put_bundle(rotation, root, ret_bundle, err);
    next->issued = (ent_text){NULL, 0};
    return rc;
}
