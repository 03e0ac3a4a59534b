#include "seal/card_internal.h"

#include "seal/bech32.h"

#include <stdio.h>

static const char rule[] = "design.md section 2, Card";

/* --- writing --- */

static void put_key(ent_json_writer *writer, const char *name, const void *bytes)
{
    ent_json_key(writer, name);
    ent_json_put_hex(writer, ent_bytes_of(bytes, 32));
}

/* A field that was left zero is an empty string; the writer would make it null. */
static ent_text not_null(ent_text text)
{
    return text.data == NULL ? ENT_TEXT("") : text;
}

static void put_text(ent_json_writer *writer, const char *name, ent_text text)
{
    ent_json_member_text(writer, name, not_null(text));
}

static void put_contact(ent_json_writer *writer, const ent_card_contact *contact)
{
    ent_json_object_begin(writer);
    put_text(writer, "role", contact->role);
    put_text(writer, "name", contact->name);
    put_text(writer, "position", contact->position);
    put_text(writer, "phone", contact->phone);
    put_text(writer, "email", contact->email);
    ent_json_key(writer, "languages");
    ent_json_array_begin(writer);
    for (size_t i = 0; i < contact->language_count; i++)
        ent_json_put_text(writer, not_null(contact->languages[i]));
    ent_json_array_end(writer);
    put_text(writer, "hours", contact->hours);
    ent_json_object_end(writer);
}

static void put_age(ent_json_writer *writer, const ent_recipient *recipient)
{
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    ent_recipient_put(&text, recipient);
    if (text.failed != ENT_OK && writer->buf->failed == ENT_OK)
        writer->buf->failed = text.failed;
    ent_json_member_text(writer, "age", ent_buf_text(&text));
}

static void put_keys(ent_json_writer *writer, const ent_card *card)
{
    put_key(writer, "root", card->root.bytes);
    put_key(writer, "next_root", card->next_root.bytes);
    put_key(writer, "log", card->log.bytes);
    put_key(writer, "receipt", card->receipt.bytes);
    put_age(writer, &card->age);
    put_key(writer, "tls", card->tls.bytes);
}

static void put_former(ent_json_writer *writer, const ent_card *card)
{
    ent_json_key(writer, "former");
    ent_json_array_begin(writer);
    for (size_t i = 0; i < card->former_count; i++) {
        const ent_card_former *former = &card->former[i];
        ent_json_object_begin(writer);
        ent_json_member_string(writer, "key", ent_key_role_word(former->role));
        put_key(writer, "value", former->value);
        ent_json_member_unsigned(writer, "last", former->last);
        ent_json_member_bool(writer, "revoked", former->revoked);
        ent_json_object_end(writer);
    }
    ent_json_array_end(writer);
}

static void put_roots(ent_json_writer *writer, const ent_card *card)
{
    ent_json_key(writer, "roots");
    ent_json_array_begin(writer);
    for (size_t i = 0; i < card->root_count; i++) {
        const ent_card_root *row = &card->roots[i];
        ent_json_object_begin(writer);
        put_key(writer, "root", row->root.bytes);
        put_key(writer, "next_root", row->next.bytes);
        ent_json_key(writer, "signature");
        ent_json_put_hex(writer, ent_bytes_of(row->signature.bytes, sizeof row->signature.bytes));
        ent_json_object_end(writer);
    }
    ent_json_array_end(writer);
}

void ent_card_json_put(ent_buf *buf, const ent_card *card)
{
    ent_json_writer writer = ent_json_writer_of(buf);
    ent_json_object_begin(&writer);
    put_text(&writer, "name", card->name);
    ent_json_member_unsigned(&writer, "serial", card->serial);
    if (card->has_previous) {
        put_key(&writer, "previous", card->previous.bytes);
    } else {
        ent_json_key(&writer, "previous");
        ent_json_put_null(&writer);
    }
    put_text(&writer, "issued", card->issued);
    put_keys(&writer, card);
    put_text(&writer, "url", card->url);
    ent_json_key(&writer, "quotas");
    ent_json_object_begin(&writer);
    ent_json_member_unsigned(&writer, "entries_a_day", card->quotas.entries_a_day);
    ent_json_member_unsigned(&writer, "bytes_a_day", card->quotas.bytes_a_day);
    ent_json_member_unsigned(&writer, "attachment_bytes", card->quotas.attachment_bytes);
    ent_json_object_end(&writer);
    ent_json_key(&writer, "contacts");
    ent_json_array_begin(&writer);
    for (size_t i = 0; i < card->contact_count; i++)
        put_contact(&writer, &card->contacts[i]);
    ent_json_array_end(&writer);
    if (card->former_count > 0)
        put_former(&writer, card);
    if (card->root_count > 0)
        put_roots(&writer, card);
    ent_json_object_end(&writer);
}

/* --- reading --- */

/* An object and where it stands, so that errors can name the field. */
typedef struct {
    ent_json_value object;
    ent_arena *arena;
    char path[32];
} scope;

static ent_rc wrong(ent_err *err, const scope *in, const char *field, const char *expected)
{
    bool present = ent_json_present(ent_json_get(in->object, field));
    return ent_fail(err, ENT_PEER_MALFORMED, rule, "card field %s%s %s %s", in->path, field,
                    present ? "is not" : "is missing: expected", expected);
}

static ent_rc copy_text(ent_json_value value, ent_arena *arena, ent_text *ret, ent_err *err)
{
    ent_text copy = ent_arena_text(arena, ent_json_string(value));
    if (copy.data == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory while reading a card");
    *ret = copy;
    return ENT_DONE;
}

static ent_rc read_text(const scope *in, const char *field, ent_text *ret, ent_err *err)
{
    ent_json_value value = ent_json_get(in->object, field);
    if (ent_json_type_of(value) != ENT_JSON_STRING)
        return wrong(err, in, field, "a string");
    return copy_text(value, in->arena, ret, err);
}

static ent_rc read_key(const scope *in, const char *field, void *ret, ent_err *err)
{
    ent_json_value value = ent_json_get(in->object, field);
    if (ent_json_type_of(value) != ENT_JSON_STRING ||
        ent_hex_decode(ent_json_string(value), ret, 32, NULL).code != ENT_OK)
        return wrong(err, in, field, "64 lower-case hex digits");
    return ENT_DONE;
}

static ent_rc read_number(const scope *in, const char *field, uint64_t *ret, ent_err *err)
{
    if (!ent_json_unsigned(ent_json_get(in->object, field), ENT_CARD_MAX_NUMBER, ret))
        return wrong(err, in, field, "an integer from 0 to 2^53-1");
    return ENT_DONE;
}

static ent_rc read_previous(const scope *in, ent_card *ret, ent_err *err)
{
    if (ent_json_type_of(ent_json_get(in->object, "previous")) == ENT_JSON_NULL)
        return ENT_DONE;
    ENT_TRY(read_key(in, "previous", ret->previous.bytes, err));
    ret->has_previous = true;
    return ENT_DONE;
}

static ent_rc read_age(const scope *in, ent_recipient *ret, ent_err *err)
{
    ent_json_value value = ent_json_get(in->object, "age");
    if (ent_json_type_of(value) != ENT_JSON_STRING)
        return wrong(err, in, "age", "an age recipient");
    return ent_fail_in(err, ent_recipient_parse(ent_json_string(value), ret, err), "card field age");
}

static ent_rc read_quotas(const scope *in, ent_card_quotas *ret, ent_err *err)
{
    scope quotas = {.object = ent_json_get(in->object, "quotas"), .arena = in->arena, .path = "quotas."};
    if (ent_json_type_of(quotas.object) != ENT_JSON_OBJECT)
        return wrong(err, in, "quotas", "an object");
    ENT_TRY(read_number(&quotas, "entries_a_day", &ret->entries_a_day, err));
    ENT_TRY(read_number(&quotas, "bytes_a_day", &ret->bytes_a_day, err));
    return read_number(&quotas, "attachment_bytes", &ret->attachment_bytes, err);
}

static ent_rc read_languages(const scope *in, ent_card_contact *ret, ent_err *err)
{
    ent_json_value languages = ent_json_get(in->object, "languages");
    if (ent_json_type_of(languages) != ENT_JSON_ARRAY || ent_json_count(languages) > ENT_CARD_MAX_LANGUAGES)
        return wrong(err, in, "languages", "an array of at most 16 strings");
    for (ent_json_iter i = ent_json_iterate(languages); ent_json_next(&i);) {
        if (ent_json_type_of(i.value) != ENT_JSON_STRING || ret->language_count == ENT_CARD_MAX_LANGUAGES)
            return wrong(err, in, "languages", "an array of at most 16 strings");
        ENT_TRY(copy_text(i.value, in->arena, &ret->languages[ret->language_count], err));
        ret->language_count++;
    }
    return ENT_DONE;
}

static ent_rc read_contact(const scope *in, ent_card_contact *ret, ent_err *err)
{
    ENT_TRY(read_text(in, "role", &ret->role, err));
    ENT_TRY(read_text(in, "name", &ret->name, err));
    ENT_TRY(read_text(in, "position", &ret->position, err));
    ENT_TRY(read_text(in, "phone", &ret->phone, err));
    ENT_TRY(read_text(in, "email", &ret->email, err));
    ENT_TRY(read_languages(in, ret, err));
    return read_text(in, "hours", &ret->hours, err);
}

static ent_rc read_contacts(const scope *in, ent_card *ret, ent_err *err)
{
    ent_json_value contacts = ent_json_get(in->object, "contacts");
    if (ent_json_type_of(contacts) != ENT_JSON_ARRAY || ent_json_count(contacts) > ENT_CARD_MAX_CONTACTS)
        return wrong(err, in, "contacts", "an array of at most 16 objects");
    for (ent_json_iter i = ent_json_iterate(contacts); ent_json_next(&i);) {
        if (ent_json_type_of(i.value) != ENT_JSON_OBJECT || ret->contact_count == ENT_CARD_MAX_CONTACTS)
            return wrong(err, in, "contacts", "an array of at most 16 objects");
        scope contact = {.object = i.value, .arena = in->arena};
        (void)snprintf(contact.path, sizeof contact.path, "contacts[%zu].", ret->contact_count);
        ENT_TRY(read_contact(&contact, &ret->contacts[ret->contact_count], err));
        ret->contact_count++;
    }
    return ENT_DONE;
}

static ent_rc read_former(const scope *in, ent_card *ret, ent_err *err)
{
    ent_json_value list = ent_json_get(in->object, "former");
    if (!ent_json_present(list))
        return ENT_DONE;
    if (ent_json_type_of(list) != ENT_JSON_ARRAY || ent_json_count(list) > ENT_CARD_MAX_FORMER)
        return wrong(err, in, "former", "an array of at most 64 objects");
    for (ent_json_iter i = ent_json_iterate(list); ent_json_next(&i);) {
        if (ent_json_type_of(i.value) != ENT_JSON_OBJECT || ret->former_count == ENT_CARD_MAX_FORMER)
            return wrong(err, in, "former", "an array of at most 64 objects");
        scope former = {.object = i.value, .arena = in->arena};
        ent_card_former *row = &ret->former[ret->former_count];
        (void)snprintf(former.path, sizeof former.path, "former[%zu].", ret->former_count);
        if (!ent_key_role_find(ent_json_string(ent_json_get(i.value, "key")), &row->role))
            return wrong(err, &former, "key", "\"log\", \"receipt\", \"age\" or \"tls\"");
        ENT_TRY(read_key(&former, "value", row->value, err));
        ENT_TRY(read_number(&former, "last", &row->last, err));
        ent_json_value revoked = ent_json_get(i.value, "revoked");
        if (ent_json_type_of(revoked) != ENT_JSON_BOOL)
            return wrong(err, &former, "revoked", "true or false");
        row->revoked = ent_json_true(revoked);
        ret->former_count++;
    }
    return ENT_DONE;
}

static ent_rc read_roots(const scope *in, ent_card *ret, ent_err *err)
{
    ent_json_value list = ent_json_get(in->object, "roots");
    if (!ent_json_present(list))
        return ENT_DONE;
    if (ent_json_type_of(list) != ENT_JSON_ARRAY || ent_json_count(list) > ENT_CARD_MAX_ROOTS)
        return wrong(err, in, "roots", "an array of at most 16 objects");
    for (ent_json_iter i = ent_json_iterate(list); ent_json_next(&i);) {
        if (ent_json_type_of(i.value) != ENT_JSON_OBJECT || ret->root_count == ENT_CARD_MAX_ROOTS)
            return wrong(err, in, "roots", "an array of at most 16 objects");
        scope root = {.object = i.value, .arena = in->arena};
        ent_card_root *row = &ret->roots[ret->root_count];
        (void)snprintf(root.path, sizeof root.path, "roots[%zu].", ret->root_count);
        ENT_TRY(read_key(&root, "root", row->root.bytes, err));
        ENT_TRY(read_key(&root, "next_root", row->next.bytes, err));
        ent_json_value signature = ent_json_get(i.value, "signature");
        if (ent_json_type_of(signature) != ENT_JSON_STRING ||
            ent_hex_decode(ent_json_string(signature), row->signature.bytes, sizeof row->signature.bytes, NULL).code !=
                ENT_OK)
            return wrong(err, &root, "signature", "128 lower-case hex digits");
        ret->root_count++;
    }
    return ENT_DONE;
}

ent_rc ent_card_json_root(ent_json_value object, ent_public_key *ret, ent_err *err)
{
    scope card = {.object = object};
    return read_key(&card, "root", ret->bytes, err);
}

ent_rc ent_card_json_read(ent_json_value object, ent_arena *arena, ent_card *ret, ent_err *err)
{
    scope card = {.object = object, .arena = arena};
    *ret = (ent_card){0};
    ENT_TRY(read_text(&card, "name", &ret->name, err));
    ENT_TRY(read_number(&card, "serial", &ret->serial, err));
    ENT_TRY(read_previous(&card, ret, err));
    ENT_TRY(read_text(&card, "issued", &ret->issued, err));
    ENT_TRY(read_key(&card, "root", ret->root.bytes, err));
    ENT_TRY(read_key(&card, "next_root", ret->next_root.bytes, err));
    ENT_TRY(read_key(&card, "log", ret->log.bytes, err));
    ENT_TRY(read_key(&card, "receipt", ret->receipt.bytes, err));
    ENT_TRY(read_age(&card, &ret->age, err));
    ENT_TRY(read_key(&card, "tls", ret->tls.bytes, err));
    ENT_TRY(read_text(&card, "url", &ret->url, err));
    ENT_TRY(read_quotas(&card, &ret->quotas, err));
    ENT_TRY(read_contacts(&card, ret, err));
    ENT_TRY(read_former(&card, ret, err));
    return read_roots(&card, ret, err);
}
