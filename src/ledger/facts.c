#include "ledger/facts.h"

#include "base/clock.h"

static const char *const outcomes[ENT_OUTCOME_COUNT] = {
    [ENT_OUTCOME_GRANTED] = "granted",       [ENT_OUTCOME_PARTIAL] = "partial",
    [ENT_OUTCOME_REFUSED] = "refused",       [ENT_OUTCOME_POSTPONED] = "postponed",
    [ENT_OUTCOME_IMPOSSIBLE] = "impossible", [ENT_OUTCOME_NEEDS_CLARIFICATION] = "needs-clarification",
};

static const char *const duties[] = {
    [ENT_DUTY_ACKNOWLEDGE] = "acknowledge",   [ENT_DUTY_ANSWER] = "answer", [ENT_DUTY_FOLLOW_UP] = "follow-up",
    [ENT_DUTY_NOTIFICATION] = "notification", [ENT_DUTY_FINAL] = "final",
};

const char *ent_duty_type_word(ent_duty_type type)
{
    return duties[type];
}

const char *ent_outcome_word(ent_outcome outcome)
{
    return outcomes[outcome];
}

static ent_outcome outcome_of(ent_text word)
{
    for (int i = 1; i < ENT_OUTCOME_COUNT; i++) {
        if (ent_text_is(word, outcomes[i]))
            return (ent_outcome)i;
    }
    return ENT_OUTCOME_NONE;
}

static ent_text text_of(const ent_body *body, const char *key)
{
    return ent_json_string(ent_json_get(body->fields, key));
}

/* Whether a member is hex of exactly this many bytes. The schema has checked its form; what is something else all the
 * same is no fact. */
static bool bytes_of(const ent_body *body, const char *key, void *ret, size_t size)
{
    uint8_t bytes[sizeof(ent_hash)];
    ent_rc rc = ent_hex_decode(text_of(body, key), bytes, size, NULL);
    if (rc.code != ENT_OK)
        return false;
    memcpy(ret, bytes, size);
    return true;
}

static void read_systems(const ent_body *body, ent_facts *facts)
{
    for (ent_json_iter i = ent_json_iterate(ent_json_get(body->fields, "protected_systems")); ent_json_next(&i);) {
        ent_text id = ent_json_string(i.value);
        if (id.size > 0 && facts->system_count < ENT_FACTS_MAX_SYSTEMS)
            facts->systems[facts->system_count++] = id;
    }
}

static void read_refs(const ent_body *body, const char *key, ent_facts *facts)
{
    for (ent_json_iter i = ent_json_iterate(ent_json_get(body->fields, key)); ent_json_next(&i);) {
        if (facts->ref_count < ENT_FACTS_MAX_REFS &&
            ent_message_ref_parse(ent_json_string(i.value), &facts->refs[facts->ref_count]))
            facts->ref_count++;
    }
}

static ent_rc read_terms(const ent_body *body, ent_facts *facts, ent_err *err)
{
    uint8_t salt[ENT_TERMS_SALT_SIZE];
    ent_rc rc = ent_body_terms(body, salt, &facts->terms, err);
    if (rc.code != ENT_OK)
        return rc.code == ENT_NOMEM ? rc : ENT_DONE;
    ent_terms_commitment(salt, ent_buf_bytes(&facts->terms), &facts->commitment);
    facts->has_terms = true;
    return ENT_DONE;
}

/* Bodies may give fractions of a second, which the ledger's clock has not. 0 = none. */
static int64_t time_of(ent_text text)
{
    char whole[ENT_TIME_TEXT_SIZE];
    int64_t time = 0;
    if (text.size < sizeof whole)
        return 0;
    memcpy(whole, text.data, sizeof whole - 1);
    whole[sizeof whole - 1] = 'Z';
    return ent_time_parse((ent_text){whole, sizeof whole}, &time) && time > 0 ? time : 0;
}

static void read_until(const ent_body *body, const char *key, ent_facts *facts)
{
    facts->until_unix_s = time_of(text_of(body, key));
}

static ent_duty_type duty_of(ent_text word)
{
    for (int i = ENT_DUTY_ACKNOWLEDGE; i <= ENT_DUTY_FINAL; i++) {
        if (ent_text_is(word, duties[i]))
            return (ent_duty_type)i;
    }
    return 0;
}

static ent_rc read_carried(const ent_body *body, ent_facts *facts, ent_err *err)
{
    ent_json_value rows = ent_json_get(body->fields, "carried");
    size_t count = ent_json_count(rows);
    if (count == 0 || count > ENT_FACTS_MAX_CARRIED)
        return ENT_DONE;
    facts->carried = ent_alloc_array(count, sizeof *facts->carried);
    if (facts->carried == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    for (ent_json_iter i = ent_json_iterate(rows); ent_json_next(&i);) {
        ent_carried *row = &facts->carried[facts->carried_count];
        row->duty = duty_of(ent_json_string(ent_json_get(i.value, "duty")));
        row->debtor = ent_json_string(ent_json_get(i.value, "debtor"));
        row->start_unix_s = time_of(ent_json_string(ent_json_get(i.value, "started")));
        row->due_unix_s = time_of(ent_json_string(ent_json_get(i.value, "due")));
        if (row->duty != 0 && ent_message_ref_parse(ent_json_string(ent_json_get(i.value, "message")), &row->message))
            facts->carried_count++;
    }
    return ENT_DONE;
}

static void read_check(const ent_body *body, ent_facts *facts)
{
    facts->has_nonce = bytes_of(body, "nonce", facts->nonce, sizeof facts->nonce);
    facts->has_echo = bytes_of(body, "echo", facts->echo, sizeof facts->echo);
    read_until(body, "reply_by", facts);
}

ent_rc ent_facts_read(const ent_body *body, ent_text kind, ent_facts *ret, ent_err *err)
{
    ent_facts facts = {.readable = true};
    facts.severity = ent_severity_from_text(text_of(body, "severity"));
    facts.has_continues = ent_message_ref_parse(
        ent_json_string(ent_json_get(ent_json_root(body->document), "continues")), &facts.continues);
    read_systems(body, &facts);
    if (ent_text_is(kind, "answer.response")) {
        facts.outcome = outcome_of(text_of(body, "outcome"));
        if (facts.outcome == ENT_OUTCOME_POSTPONED)
            read_until(body, "until", &facts);
    } else if (ent_text_is(kind, "answer.status")) {
        facts.clarifies = ent_text_is(text_of(body, "state"), "clarification");
    } else if (ent_text_is(kind, "channel.review")) {
        facts.declines_extension = ent_text_is(text_of(body, "purpose"), "decline-extension");
    } else if (ent_text_is(kind, "proposal.accept")) {
        facts.has_digest = bytes_of(body, "digest", &facts.digest, sizeof facts.digest);
    } else if (ent_text_is(kind, "channel.reveal")) {
        facts.reveals = bytes_of(body, "digest", &facts.revealed, sizeof facts.revealed) &&
                        bytes_of(body, "file_key", facts.file_key.bytes, sizeof facts.file_key.bytes);
    } else if (ent_text_is(kind, "channel.rotate")) {
        facts.contests =
            ent_json_unsigned(ent_json_get(body->fields, "contested_from"), ENT_LOG_MAX_SIZE, &facts.contests_from);
    } else if (ent_text_is(kind, "contact.check")) {
        read_check(body, &facts);
    } else if (ent_text_is(kind, "attribution.claim")) {
        read_refs(body, "evidence", &facts);
    } else if (ent_text_is(kind, "evidence.item")) {
        read_refs(body, "supports", &facts);
    } else if (ent_text_is(kind, "channel.genesis") || ent_text_is(kind, "channel.amendment")) {
        (void)bytes_of(body, "replaces", &facts.replaces, sizeof facts.replaces);
        ent_rc rc = read_terms(body, &facts, err);
        if (rc.code == ENT_OK && ent_text_is(kind, "channel.genesis"))
            rc = read_carried(body, &facts, err);
        if (rc.code != ENT_OK) {
            ent_facts_release(&facts);
            return rc;
        }
    }
    *ret = facts;
    return ENT_DONE;
}

void ent_facts_release(ent_facts *facts)
{
    ent_buf_release(&facts->terms);
    ent_free(facts->carried);
    *facts = (ent_facts){0};
}
