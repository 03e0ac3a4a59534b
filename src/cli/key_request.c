#include "cli/key_request.h"

#include "base/cursor.h"

#include <inttypes.h>

static const char rule[] = "docs/formats.md, Key request";

#define FIRST_LINE_START "entente.key-request/v1 "

/* ---- for people ---------------------------------------------------------------------- */

static void put_value(ent_buf *out, const uint8_t *value)
{
    ent_buf_put_hex(out, ent_bytes_of(value, 32));
}

static void put_keys(const ent_cli_rotation *rotation, ent_buf *out)
{
    const ent_card *old = &rotation->current.card;
    ent_buf_put_string(out, "\nKeys\n");
    for (ent_key_role role = ENT_KEY_ROLE_LOG; role < ENT_KEY_ROLE_COUNT; role++) {
        ent_buf_put_format(out, "  %-8s", ent_key_role_word(role));
        put_value(out, ent_card_key(old, role));
        if (!rotation->changes[role]) {
            ent_buf_put_string(out, " stays\n");
            continue;
        }
        ent_buf_put_string(out, rotation->revoke ? " is revoked, and replaced by\n          "
                                                 : " is replaced by\n          ");
        put_value(out, rotation->made[role]);
        ent_buf_put_u8(out, '\n');
    }
    ent_buf_put_string(out, "  root    ");
    put_value(out, old->root.bytes);
    ent_buf_put_string(out, rotation->changes_root ? " is replaced by the one that\n          was committed to; the "
                                                     "one after it is made where this is signed\n"
                                                   : " stays, and signs\n");
}

static ent_rc put_cutoffs(const ent_cli_rotation *rotation, ent_buf *out, ent_err *err)
{
    ent_json_value channels = ent_json_get(rotation->state.root, "channels");
    if (!rotation->changes[ENT_KEY_ROLE_LOG])
        return ENT_DONE;
    ent_buf_put_string(out,
                       rotation->revoke
                           ? "\nWhat stays under the old log key; what it signed beyond shows as contested\n"
                           : "\nWhat stays under the old log key; nothing more may be said before this is installed\n");
    for (ent_json_iter i = ent_json_iterate(channels); ent_json_next(&i);) {
        ent_cutoffs cutoffs;
        ENT_TRY(ent_cli_rotation_cutoffs(rotation, i.value, &cutoffs, err));
        const ent_tree_head *head = &cutoffs.rows[cutoffs.count - 1].head;
        ent_buf_put_format(out, "  channel %.*s: %" PRIu64 " entries, root ", ENT_TEXT_ARG(ent_cli_text(i.value, "id")),
                           head->size);
        put_value(out, head->root.bytes);
        ent_buf_put_u8(out, '\n');
    }
    return ENT_DONE;
}

ent_rc ent_cli_key_request_words(const ent_cli_rotation *rotation, ent_buf *ret, ent_err *err)
{
    const ent_card *old = &rotation->current.card;
    char fingerprint[ENT_FINGERPRINT_TEXT_SIZE + 1];
    ENT_TRY(ent_card_fingerprint(old, fingerprint, err));
    ent_buf_put_format(ret,
                       "The root key of %.*s is asked to sign its card %" PRIu64 ", which follows card %" PRIu64 ".\n"
                       "Fingerprint now: %s\nReason: %s\n",
                       ENT_TEXT_ARG(old->name), old->serial + 1, old->serial, fingerprint, rotation->reason);
    put_keys(rotation, ret);
    ENT_TRY(put_cutoffs(rotation, ret, err));
    return ent_buf_check(ret, err);
}

/* ---- for the program ------------------------------------------------------------------ */

static ent_rc put_head(ent_json_writer *writer, const char *key, ent_json_value head, ent_err *err)
{
    uint64_t size = 0;
    uint8_t root[32];
    if (!ent_json_unsigned(ent_json_get(head, "size"), ENT_LOG_MAX_SIZE, &size))
        return ent_fail(err, ENT_PEER_MALFORMED, rule, "a log without a size");
    ENT_TRY(ent_hex_decode(ent_cli_text(head, "root"), root, sizeof root, err));
    ent_json_key(writer, key);
    ent_json_object_begin(writer);
    ent_json_member_unsigned(writer, "size", size);
    ent_json_key(writer, "root");
    ent_json_put_hex(writer, ent_bytes_of(root, sizeof root));
    ent_json_object_end(writer);
    return ENT_DONE;
}

static ent_rc put_channel(ent_json_writer *writer, ent_json_value channel, ent_err *err)
{
    ent_json_object_begin(writer);
    ent_json_member_text(writer, "id", ent_cli_text(channel, "id"));
    ent_json_member_text(writer, "origin", ent_cli_text(channel, "origin"));
    ENT_TRY(put_head(writer, "head", ent_json_get(channel, "head"), err));
    ENT_TRY(put_head(writer, "receipted", ent_json_get(channel, "receipted"), err));
    ent_json_member_text(writer, "cutoffs", ent_cli_text(channel, "cutoffs"));
    ent_json_object_end(writer);
    return ENT_DONE;
}

static ent_rc put_json(const ent_cli_rotation *rotation, ent_buf *ret, ent_err *err)
{
    ent_json_writer writer = ent_json_writer_of(ret);
    ent_json_object_begin(&writer);
    ent_json_member_text(&writer, "card", ent_cli_text(rotation->state.root, "card"));
    ent_json_member_bool(&writer, "revoke", rotation->revoke);
    ent_json_member_string(&writer, "reason", rotation->reason);
    ent_json_member_bool(&writer, "root", rotation->changes_root);
    ent_json_key(&writer, "keys");
    ent_json_object_begin(&writer);
    for (ent_key_role role = ENT_KEY_ROLE_LOG; role < ENT_KEY_ROLE_COUNT; role++) {
        if (!rotation->changes[role])
            continue;
        ent_json_key(&writer, ent_key_role_word(role));
        ent_json_put_hex(&writer, ent_bytes_of(rotation->made[role], sizeof rotation->made[role]));
    }
    ent_json_object_end(&writer);
    ent_json_key(&writer, "channels");
    ent_json_array_begin(&writer);
    for (ent_json_iter i = ent_json_iterate(ent_json_get(rotation->state.root, "channels")); ent_json_next(&i);)
        ENT_TRY(put_channel(&writer, i.value, err));
    ent_json_array_end(&writer);
    ent_json_object_end(&writer);
    return ENT_DONE;
}

ent_rc ent_cli_key_request_put(const ent_cli_rotation *rotation, ent_buf *ret, ent_err *err)
{
    ent_buf_put_format(ret, FIRST_LINE_START "%.*s\n\n", ENT_TEXT_ARG(rotation->current.card.name));
    ENT_TRY(ent_cli_key_request_words(rotation, ret, err));
    ent_buf_put_string(ret, "\nFor `entente key sign`, the same once more:\n");
    ENT_TRY(put_json(rotation, ret, err));
    ent_buf_put_u8(ret, '\n');
    return ent_buf_check(ret, err);
}

/* ---- reading -------------------------------------------------------------------------- */

static ent_rc malformed(ent_err *err, const char *why)
{
    return ent_fail(err, ENT_PEER_MALFORMED, rule, "not a key request, or damaged: %s. Prepare it again", why);
}

/* The JSON is the last line, and the only one that begins with a brace. */
static bool find_json(ent_text text, ent_text *ret)
{
    if (text.size < 3 || text.data[text.size - 1] != '\n')
        return false;
    for (size_t i = 1; i < text.size; i++) {
        if (text.data[i - 1] != '\n' || text.data[i] != '{')
            continue;
        *ret = (ent_text){text.data + i, text.size - i - 1};
        return memchr(ret->data, '\n', ret->size) == NULL;
    }
    return false;
}

static ent_rc read_keys(ent_json_value keys, ent_cli_rotation *ret, ent_err *err)
{
    bool any = ret->changes_root;
    for (ent_key_role role = ENT_KEY_ROLE_LOG; role < ENT_KEY_ROLE_COUNT; role++) {
        ent_json_value value = ent_json_get(keys, ent_key_role_word(role));
        if (ent_json_type_of(value) != ENT_JSON_STRING)
            continue;
        ENT_TRY(ent_fail_in(err, ent_hex_decode(ent_json_string(value), ret->made[role], sizeof ret->made[role], err),
                            "the new %s key", ent_key_role_word(role)));
        ret->changes[role] = true;
        any = true;
    }
    return any ? ENT_DONE : malformed(err, "it changes no key");
}

static ent_rc read_json(ent_text json, ent_cli_rotation *ret, ent_err *err)
{
    ENT_TRY(ent_cli_answer_of(json, SIZE_MAX, &ret->state, err));
    ent_json_value root = ret->state.root;
    if (ent_json_type_of(root) != ENT_JSON_OBJECT)
        return malformed(err, "it holds no object");
    ENT_TRY(ent_fail_in(err, ent_card_parse(ent_text_bytes(ent_cli_text(root, "card")), &ret->current, err),
                        "the present card"));
    ret->revoke = ent_json_true(ent_json_get(root, "revoke"));
    ret->changes_root = ent_json_true(ent_json_get(root, "root"));
    ret->reason = ent_cli_reason(ent_cli_text(root, "reason"));
    if (ret->reason == NULL)
        return malformed(err, "its reason is none of the four");
    return read_keys(ent_json_get(root, "keys"), ret, err);
}

static ent_rc parse(ent_bytes bytes, ent_cli_rotation *ret, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf again = {0};
    ent_text text = {(const char *)bytes.data, bytes.size};
    ent_text json = {0};
    if (bytes.size > ENT_CLI_ROTATION_MAX_BYTES)
        return ent_fail(err, ENT_PEER_TOO_LARGE, rule, "a key request has at most %d bytes",
                        ENT_CLI_ROTATION_MAX_BYTES);
    if (!ent_text_starts(text, ENT_TEXT(FIRST_LINE_START)))
        return malformed(err, "its first line is not \"" FIRST_LINE_START "<party>\"");
    if (!find_json(text, &json))
        return malformed(err, "its last line is missing or cut");
    ENT_TRY(read_json(json, ret, err));
    ENT_TRY(ent_cli_key_request_put(ret, &again, err));
    if (!ent_bytes_equal(ent_buf_bytes(&again), bytes))
        return ent_fail(err, ENT_PEER_NOT_CANONICAL, rule,
                        "what the key request shows and what it asks for are not the same: it was damaged or edited on "
                        "its way. Sign nothing of it, and prepare it again");
    return ENT_DONE;
}

ent_rc ent_cli_key_request_parse(ent_bytes bytes, ent_cli_rotation *ret, ent_err *err)
{
    ent_cli_rotation rotation = {.revoke = false};
    ent_rc rc = parse(bytes, &rotation, err);
    if (rc.code != ENT_OK) {
        ent_cli_rotation_release(&rotation);
        return rc;
    }
    *ret = rotation;
    return ENT_DONE;
}
