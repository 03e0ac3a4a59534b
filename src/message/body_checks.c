/* What a kind asks of its fields and no schema can say. */
#include "message/kind_internal.h"

#include <stdio.h>

#include "crypto/crypto.h"

static const char rule[] = "design.md, section 4 \"What parties say\"";

static ent_rc invalid(ent_err *err, const char *text)
{
    return ent_fail(err, ENT_PEER_INVALID, rule, "%s", text);
}

static bool has(const ent_body *body, const char *field)
{
    return ent_json_present(ent_json_get(body->fields, field));
}

static ent_text text_of(const ent_body *body, const char *field)
{
    return ent_json_string(ent_json_get(body->fields, field));
}

/* Both are RFC 3339 in UTC, where the order of the bytes up to the second is that of the times. */
static bool is_before(ent_text time, ent_text other)
{
    enum { TO_THE_SECOND = 19 };
    return time.size >= TO_THE_SECOND && other.size >= TO_THE_SECOND &&
           memcmp(time.data, other.data, TO_THE_SECOND) < 0;
}

static ent_rc check_period(ent_json_value from, ent_json_value until, const char *place, ent_err *err)
{
    ent_text first = ent_json_string(from);
    ent_text last = ent_json_string(until);
    if (is_before(last, first))
        return ent_fail(err, ENT_PEER_INVALID, rule, "%suntil: %.*s is before from, %.*s", place, ENT_TEXT_ARG(last),
                        ENT_TEXT_ARG(first));
    return ENT_DONE;
}

/* "response (granted, partial, refused, postponed, impossible, needs-clarification; reasons)"; ledger: "FOLLOW-UP
 * (postponed until)". */
static ent_rc check_response(const ent_body *body, ent_err *err)
{
    ent_text outcome = text_of(body, "outcome");
    if (!ent_text_is(outcome, "granted") && !has(body, "reasons"))
        return invalid(err, "fields.reasons: is required unless the outcome is granted");
    if (ent_text_is(outcome, "postponed") && !has(body, "until"))
        return invalid(err, "fields.until: is required when the outcome is postponed: when the answer will be given");
    return ENT_DONE;
}

static ent_rc check_status(const ent_body *body, ent_err *err)
{
    if (ent_text_is(text_of(body, "state"), "clarification") && !has(body, "note") && ent_json_count(body->text) == 0)
        return invalid(err, "fields.note: a clarification says something, in note or in the text");
    return ENT_DONE;
}

/* "check (comm check: nonce, reply-by)"; what answers one repeats its nonce. */
static ent_rc check_contact_check(const ent_body *body, ent_err *err)
{
    bool nonce = has(body, "nonce");
    bool echo = has(body, "echo");
    if (nonce != has(body, "reply_by") || (!nonce && !echo))
        return invalid(err, "fields: a check gives nonce and reply_by, the answer to one gives echo");
    if (has(body, "scheduled") && !nonce)
        return invalid(err, "fields.scheduled: stands in a check, which gives nonce and reply_by");
    if (has(body, "answered_by") && !echo)
        return invalid(err, "fields.answered_by: stands in the answer to a check, which gives echo");
    return ENT_DONE;
}

static ent_rc check_nomination(const ent_body *body, ent_err *err)
{
    size_t at = 0;
    for (ent_json_iter i = ent_json_iterate(ent_json_get(body->fields, "contacts")); ent_json_next(&i); at++) {
        if (!ent_json_present(ent_json_get(i.value, "phone")) && !ent_json_present(ent_json_get(i.value, "email")))
            return ent_fail(err, ENT_PEER_INVALID, rule,
                            "fields.contacts[%zu]: a contact that can be reached has a phone or an email", at);
    }
    return check_period(ent_json_get(body->fields, "from"), ent_json_get(body->fields, "until"), "fields.", err);
}

/* "An amendment names the hash it replaces": design.md, section 5. */
static ent_rc check_amendment(const ent_body *body, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf terms = {0};
    uint8_t salt[ENT_TERMS_SALT_SIZE];
    ent_hash commitment;
    char hex[2 * ENT_HASH_SIZE + 1];
    ENT_TRY(ent_body_terms(body, salt, &terms, err));
    ent_terms_commitment(salt, ent_buf_bytes(&terms), &commitment);
    ent_hex_encode(ent_hash_bytes(&commitment), hex);
    if (ent_text_is(text_of(body, "replaces"), hex))
        return invalid(err, "fields.replaces: is the commitment of these very terms; an amendment changes something");
    return ENT_DONE;
}

static ent_rc check_final(const ent_body *body, ent_err *err)
{
    if (ent_text_is(text_of(body, "cross_border"), "yes") && !has(body, "cross_border_impact"))
        return invalid(err, "fields.cross_border_impact: is required when cross_border is yes");
    if (is_before(text_of(body, "end_time"), text_of(body, "start_time")))
        return invalid(err, "fields.end_time: is before start_time");
    return ENT_DONE;
}

static ent_rc check_information(const ent_body *body, ent_err *err)
{
    return check_period(ent_json_get(body->fields, "from"), ent_json_get(body->fields, "until"), "fields.", err);
}

static ent_rc check_preservation(const ent_body *body, ent_err *err)
{
    size_t at = 0;
    for (ent_json_iter i = ent_json_iterate(ent_json_get(body->fields, "data")); ent_json_next(&i); at++) {
        char place[48];
        (void)snprintf(place, sizeof place, "fields.data[%zu].", at);
        ENT_TRY(check_period(ent_json_get(i.value, "from"), ent_json_get(i.value, "until"), place, err));
    }
    return ENT_DONE;
}

/* UN Model Treaty on Extradition, article 5(2)(c): a convicted person's sentence is shown by the judgment. */
static ent_rc check_surrender(const ent_body *body, ent_err *err)
{
    if (ent_text_is(text_of(body, "purpose"), "sentence") && !has(body, "judgment"))
        return invalid(err, "fields.judgment: is required when the purpose is sentence");
    return ENT_DONE;
}

/* Bytes that are shown must be those that the digest is of. */
static ent_rc check_digest(const ent_body *body, const char *terms_field, const char *digest_field, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf terms = {0};
    ent_hash digest;
    char hex[2 * ENT_HASH_SIZE + 1];
    if (!has(body, terms_field))
        return ENT_DONE;
    ENT_TRY(ent_base64_decode(text_of(body, terms_field), &terms, err));
    ent_sha256(ent_buf_bytes(&terms), &digest);
    ent_hex_encode(ent_hash_bytes(&digest), hex);
    if (!ent_text_is(text_of(body, digest_field), hex))
        return ent_fail(err, ENT_PEER_INVALID, rule, "fields.%s: their SHA-256 is %s, not the %s", terms_field, hex,
                        digest_field);
    return ENT_DONE;
}

static ent_rc check_pledge(const ent_body *body, ent_err *err)
{
    return check_digest(body, "terms", "terms_digest", err);
}

static ent_rc check_match(const ent_body *body, ent_err *err)
{
    return check_digest(body, "terms", "match_digest", err);
}

/* "feed | indicators: a STIX bundle". */
static ent_rc check_indicators(const ent_body *body, ent_err *err)
{
    if (!ent_json_present(body->stix))
        return invalid(err, "stix: is required; the indicators are a STIX 2.1 bundle");
    return ENT_DONE;
}

/* Two rows for two different parties, each with a key of its own. */
static ent_rc check_two(const ent_body *body, const char *field, const char *party, const char *key, ent_err *err)
{
    ent_text names[2] = {{0}};
    ent_text keys[2] = {{0}};
    size_t count = 0;
    for (ent_json_iter i = ent_json_iterate(ent_json_get(body->fields, field)); count < 2 && ent_json_next(&i);
         count++) {
        names[count] = ent_json_string(ent_json_get(i.value, party));
        keys[count] = ent_json_string(ent_json_get(i.value, key));
    }
    if (ent_text_compare(names[0], names[1]) >= 0)
        return ent_fail(err, ENT_PEER_INVALID, rule, "fields.%s: two different parties, sorted by name", field);
    if (ent_text_equal(keys[0], keys[1]))
        return ent_fail(err, ENT_PEER_INVALID, rule, "fields.%s[1].%s: is the other side's", field, key);
    return ENT_DONE;
}

static ent_rc check_core(const ent_body *body, ent_err *err)
{
    ENT_TRY(check_two(body, "sides", "party", "recipient", err));
    return check_two(body, "sides", "party", "nonce", err);
}

static ent_rc check_release(const ent_body *body, ent_err *err)
{
    return check_two(body, "keys", "to", "sealed_key", err);
}

static ent_rc check_held(const ent_body *body, ent_err *err)
{
    ent_json_iter i = ent_json_iterate(ent_json_get(body->fields, "manifests"));
    ent_text first = ent_json_next(&i) ? ent_json_string(i.value) : (ent_text){0};
    ent_text second = ent_json_next(&i) ? ent_json_string(i.value) : (ent_text){0};
    if (ent_text_compare(first, second) >= 0)
        return invalid(err, "fields.manifests: two digests, the smaller one first");
    return ENT_DONE;
}

static ent_rc check_open(const ent_body *body, ent_err *err)
{
    if (ent_text_is(text_of(body, "what"), "exchange") != has(body, "escrow_recipient"))
        return invalid(err, "fields.escrow_recipient: stands in the opening of an exchange, and of nothing else");
    return ENT_DONE;
}

/* "DEPOSIT {origin, old, size, root, pouch digest and size, recipient, time, close}": design.md, section 6. */
static ent_rc check_deposit(const ent_body *body, ent_err *err)
{
    uint64_t old_size = 0;
    uint64_t size = 0;
    ent_text party = {0};
    ent_hash channel;
    (void)ent_json_unsigned(ent_json_get(body->fields, "old_size"), UINT64_MAX, &old_size);
    (void)ent_json_unsigned(ent_json_get(body->fields, "size"), UINT64_MAX, &size);
    if (ent_origin_parse(text_of(body, "origin"), &party, &channel, NULL).code != ENT_OK)
        return invalid(err, "fields.origin: expected an origin, <party>/entente/<channel id of 64 hex digits>");
    if (size < old_size)
        return invalid(err, "fields.size: is less than old_size");
    if (is_before(text_of(body, "close"), text_of(body, "time")))
        return invalid(err, "fields.close: is before time");
    return ENT_DONE;
}

static const struct {
    const char *kind;
    ent_rc (*check)(const ent_body *body, ent_err *err);
} further_checks[] = {
    {"answer.response", check_response},
    {"answer.status", check_status},
    {"channel.amendment", check_amendment},
    {"commitment.match", check_match},
    {"commitment.pledge", check_pledge},
    {"contact.check", check_contact_check},
    {"contact.nomination", check_nomination},
    {"exchange.core", check_core},
    {"exchange.held", check_held},
    {"feed.indicators", check_indicators},
    {"incident.final", check_final},
    {"neutral.deposit", check_deposit},
    {"neutral.open", check_open},
    {"neutral.release", check_release},
    {"request.information", check_information},
    {"request.preservation", check_preservation},
    {"request.surrender", check_surrender},
};

ent_rc ent_body_check_further(ent_text kind, const ent_body *body, ent_err *err)
{
    for (size_t i = 0; i < sizeof further_checks / sizeof further_checks[0]; i++) {
        if (ent_text_is(kind, further_checks[i].kind))
            return further_checks[i].check(body, err);
    }
    return ENT_DONE;
}
