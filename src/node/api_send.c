#include "node/api.h"

#include "base/clock.h"
#include "base/cursor.h"
#include "base/file.h"
#include "node/blob_range.h"
#include "node/channel.h"
#include "node/courier.h"
#include "node/events.h"
#include "node/message_row.h"
#include "node/say.h"
#include "store/blobs.h"

#include <stdlib.h>

enum { DEFAULT_TIMEOUT_S = 30, MAX_TIMEOUT_S = 86400, WAIT_SLICE_MS = 2000 };

typedef enum { WAIT_NOT, WAIT_RECEIPT, WAIT_ANSWER } wait_for;

/* A draft as it was asked for, and the memory it lives in. */
typedef struct {
    ent_json *json;
    ent_saying saying;
    char kind[ENT_KIND_MAX_BYTES + 1];
    ent_text to[ENT_ENTRY_MAX_MEMBERS];
    ent_blob_ref attachments[ENT_ENTRY_MAX_ATTACHMENTS];
    ent_arena arena;
    ent_buf body;
    ent_body parsed;
    ent_facts facts;
    ent_buf sealed;
    ent_urgency urgency; /* as logged */
    wait_for wait;
    uint64_t timeout_s;
    ent_answer_search search;
} drafting;

static void release(drafting *draft)
{
    ent_json_free(draft->json);
    ent_arena_release(&draft->arena);
    ent_facts_release(&draft->facts);
    ent_body_release(&draft->parsed);
    ent_buf_wipe(&draft->body);
    ent_buf_release(&draft->sealed);
}

/* All sixty names do not fit an error: those of the family that was meant, or the families. */
static void put_known_kinds(ent_buf *buf, ent_text name)
{
    ENT_CLEANUP(ent_buf_release) ent_buf families = {0};
    const char *dot = name.size == 0 ? NULL : memchr(name.data, '.', name.size);
    ent_text meant = {name.data, dot == NULL ? name.size : (size_t)(dot - name.data)};
    ent_text last = {0};
    for (size_t i = 0; i < ent_kind_count(); i++) {
        const ent_kind *kind = ent_kind_at(i);
        ent_text own = {kind->name, strcspn(kind->name, ".")};
        if (kind->by_node || kind->by_neutral)
            continue;
        if (ent_text_equal(own, meant))
            ent_buf_put_format(buf, "%s%s", buf->size == 0 ? "there are " : ", ", kind->name);
        if (!ent_text_equal(own, last))
            ent_buf_put_format(&families, "%s%.*s", families.size == 0 ? "" : ", ", ENT_TEXT_ARG(own));
        last = own;
    }
    if (buf->size == 0)
        ent_buf_put_format(buf, "a kind is FAMILY.KIND with the family one of %.*s: see `entente kinds`",
                           ENT_TEXT_ARG(ent_buf_text(&families)));
}

static ent_rc read_kind(ent_json_value root, drafting *draft, const ent_kind **ret, ent_err *err)
{
    ent_text name = {0};
    ENT_TRY(ent_api_text(root, "kind", &name, err));
    const ent_kind *kind = ent_kind_find(name);
    if (kind == NULL) {
        ENT_CLEANUP(ent_buf_release) ent_buf known = {0};
        put_known_kinds(&known, name);
        return ent_fail(err, ENT_USAGE, "design 4", "there is no kind \"%.*s\"; %.*s",
                        (int)(name.size > 64 ? 64 : name.size), name.data, ENT_TEXT_ARG(ent_buf_text(&known)));
    }
    if (kind->by_node)
        return ent_fail(err, ENT_USAGE, "design 4", "%s is said by the node itself, not by people", kind->name);
    if (kind->by_neutral)
        return ent_fail(err, ENT_USAGE, "design 4",
                        "%s is said by the channel's neutral in its own log, not by a member", kind->name);
    if (kind->needs_neutral && !draft->saying.channel->genesis.has_neutral)
        return ent_fail(
            err, ENT_REFUSED, "design 7",
            "%s needs a neutral, and the genesis of channel %.8s names none: a channel keeps the neutral that it was "
            "opened with",
            kind->name, draft->saying.channel->id_text);
    memcpy(draft->kind, kind->name, strlen(kind->name));
    draft->saying.kind = draft->kind;
    *ret = kind;
    return ENT_DONE;
}

static int by_bytes(const void *a, const void *b)
{
    return ent_text_compare(*(const ent_text *)a, *(const ent_text *)b);
}

static ent_rc read_to(ent_json_value root, drafting *draft, ent_err *err)
{
    const ent_channel *channel = draft->saying.channel;
    size_t count = 0;
    for (ent_json_iter i = ent_json_iterate(ent_json_get(root, "to")); ent_json_next(&i);) {
        ent_text name = ent_json_string(i.value);
        int member = ent_genesis_member(&channel->genesis, name);
        if (member < 0 || (uint32_t)member == channel->self || count == ENT_ENTRY_MAX_MEMBERS)
            return ent_fail(err, ENT_USAGE, NULL, "--to %.*s: an addressee is another member of the channel",
                            (int)(name.size > 64 ? 64 : name.size), name.data);
        draft->to[count++] = channel->genesis.members[member].name;
    }
    qsort(draft->to, count, sizeof *draft->to, by_bytes);
    for (size_t i = 1; i < count; i++) {
        if (ent_text_equal(draft->to[i - 1], draft->to[i]))
            return ent_fail(err, ENT_USAGE, NULL, "--to names %.*s twice", ENT_TEXT_ARG(draft->to[i]));
    }
    draft->saying.to = draft->to;
    draft->saying.to_count = count;
    return ENT_DONE;
}

static ent_rc read_reply_to(ent_node *node, ent_json_value root, drafting *draft, const ent_kind *kind, ent_err *err)
{
    ent_text name = {0};
    ent_channel *channel = NULL;
    ent_entry entry;
    uint32_t member = 0;
    uint64_t index = 0;
    ENT_TRY(ent_api_text(root, "reply_to", &name, err));
    if (name.data == NULL && kind->needs_reply_to)
        return ent_fail(err, ENT_USAGE, "design 4", "%s answers a message: name it with --reply-to", kind->name);
    if (name.data == NULL)
        return ENT_DONE;
    ENT_TRY(ent_message_named(node, name, &channel, &member, &index, err));
    if (channel != draft->saying.channel)
        return ent_fail(err, ENT_USAGE, NULL, "%.*s is a message of another channel", ENT_TEXT_ARG(name));
    ENT_TRY(ent_channel_entry(node, channel, member, index, &draft->arena, NULL, &entry, err));
    if (member == draft->saying.channel->self && kind->needs_reply_to && !kind->answers_own)
        return ent_fail(err, ENT_USAGE, "design 4", "%.*s is our own message: %s answers another party's",
                        ENT_TEXT_ARG(name), kind->name);
    draft->saying.has_reply_to = true;
    draft->saying.reply_to = (ent_message_ref){channel->genesis.members[member].name, index};
    draft->saying.has_thread = true;
    draft->saying.thread = entry.has_thread ? entry.thread : draft->saying.reply_to;
    return ENT_DONE;
}

/* The size is the file's own, whatever was asked. */
static ent_rc measure(const ent_node *node, ent_blob_ref *blob, size_t at, ent_err *err)
{
    ENT_CLEANUP(ent_file_close) int fd = -1;
    ent_rc rc = ent_blob_open(node->paths.blobs, &blob->digest, &fd, &blob->size, err);
    if (rc.code == ENT_ABSENT)
        return ent_fail(err, ENT_ABSENT, "docs/api.md",
                        "attachments[%zu] is not held here: POST it to /api/v1/attachments first", at);
    ENT_TRY(rc);
    if (blob->size > ENT_ATTACHMENT_MAX_SEALED_BYTES)
        return ent_fail(err, ENT_USAGE, "docs/formats.md",
                        "attachments[%zu] has %llu bytes once sealed; %llu is the most that peers take", at,
                        (unsigned long long)blob->size, (unsigned long long)ENT_ATTACHMENT_MAX_SEALED_BYTES);
    return ENT_DONE;
}

static ent_rc read_attachments(const ent_node *node, ent_json_value root, drafting *draft, ent_err *err)
{
    size_t count = 0;
    for (ent_json_iter i = ent_json_iterate(ent_json_get(root, "attachments")); ent_json_next(&i);) {
        if (count == ENT_ENTRY_MAX_ATTACHMENTS)
            return ent_fail(err, ENT_USAGE, "design 2, Entry", "a message has at most %d attachments",
                            ENT_ENTRY_MAX_ATTACHMENTS);
        ent_blob_ref *blob = &draft->attachments[count++];
        ENT_TRY(ent_fail_in(
            err, ent_hex_decode(ent_json_string(ent_json_get(i.value, "digest")), blob->digest.bytes, 32, err),
            "attachments[%zu].digest", count - 1));
        ENT_TRY(ent_api_text(i.value, "type", &blob->type, err));
        if (!ent_media_type_valid(blob->type))
            return ent_fail(err, ENT_USAGE, "design 2, Entry", "attachments[%zu].type must be a media type", count - 1);
        ENT_TRY(measure(node, blob, count - 1, err));
    }
    draft->saying.attachments = draft->attachments;
    draft->saying.attachment_count = count;
    return ENT_DONE;
}

static ent_rc read_header(ent_json_value root, drafting *draft, ent_err *err)
{
    ent_text marking = {0};
    ent_text urgency = {0};
    ENT_TRY(ent_api_text(root, "marking", &marking, err));
    ENT_TRY(ent_api_text(root, "urgency", &urgency, err));
    if (marking.data != NULL && !ent_marking_from_person(marking, &draft->saying.marking))
        return ent_fail(err, ENT_USAGE, "TLP 2.0", "--marking %.*s: use clear, green, amber, amber+strict or red",
                        (int)(marking.size > 40 ? 40 : marking.size), marking.data);
    if (urgency.data != NULL && !ent_urgency_from_text(urgency, &draft->saying.urgency))
        return ent_fail(err, ENT_USAGE, "design 2, Entry", "--urgency %.*s: use routine, priority, immediate or flash",
                        (int)(urgency.size > 40 ? 40 : urgency.size), urgency.data);
    draft->saying.exercise = ent_json_true(ent_json_get(root, "exercise"));
    return ENT_DONE;
}

/* "RED … refused unless `to` names every other member" (design 4, Marking). */
static ent_rc check_red(const drafting *draft, ent_marking content, ent_err *err)
{
    ent_marking effective = ent_marking_strictest(draft->saying.marking, content);
    if (effective == ENT_MARKING_RED && draft->saying.to_count + 1 != draft->saying.channel->genesis.member_count)
        return ent_fail(err, ENT_REFUSED, "design 4, Marking",
                        "TLP:RED is for named recipients: name every other member of the channel with --to, or use a "
                        "channel of two");
    return ENT_DONE;
}

/* Who puts an answer off says until when: a time that has passed would be overdue as it is said. Only now is it known,
 * so the body's own rules cannot say it: what comes from others may have been on its way for long. */
static ent_rc check_postponed(const drafting *draft, ent_err *err)
{
    const ent_facts *facts = &draft->facts;
    char until[ENT_TIME_TEXT_SIZE + 1];
    if (strcmp(draft->kind, "answer.response") != 0 || facts->outcome != ENT_OUTCOME_POSTPONED ||
        facts->until_unix_s > ent_clock_unix_s())
        return ENT_DONE;
    ent_time_format(facts->until_unix_s, until);
    return ent_fail(err, ENT_PEER_INVALID, "design 4",
                    "fields.until: %s has passed; a postponed answer is promised for a time to come", until);
}

static ent_rc read_body(ent_node *node, ent_json_value root, drafting *draft, ent_err *err)
{
    ent_text kind = ent_text_of(draft->kind);
    ent_json_value value = ent_json_get(root, "body");
    if (ent_json_type_of(value) != ENT_JSON_OBJECT)
        return ent_fail(err, ENT_USAGE, "design 4", "a message needs a body: {\"fields\":{…},\"text\":{…}}");
    ent_json_put_value(&draft->body, value);
    ENT_TRY(ent_buf_check(&draft->body, err));
    ENT_TRY(ent_body_parse(node->kinds, kind, ent_buf_bytes(&draft->body), draft->saying.attachment_count,
                           &draft->parsed, err));
    ENT_TRY(check_red(draft, draft->parsed.content_marking, err));
    ENT_TRY(ent_facts_read(&draft->parsed, kind, &draft->facts, err));
    ENT_TRY(check_postponed(draft, err));
    ENT_TRY(ent_seal_for_channel(draft->saying.channel, ent_buf_bytes(&draft->body), &draft->sealed, err));
    draft->saying.sealed = ent_buf_bytes(&draft->sealed);
    draft->saying.facts = &draft->facts;
    draft->saying.ret_urgency = &draft->urgency;
    return ENT_DONE;
}

static ent_rc read_wait(const ent_api_call *call, drafting *draft, ent_err *err)
{
    ent_text wait = ent_http_query(call->request, "wait");
    ent_text timeout = ent_http_query(call->request, "timeout");
    draft->timeout_s = DEFAULT_TIMEOUT_S;
    if (timeout.data != NULL && !ent_decimal_parse(timeout, MAX_TIMEOUT_S, &draft->timeout_s))
        return ent_fail(err, ENT_USAGE, "design 10", "--timeout is a number of seconds up to %d", MAX_TIMEOUT_S);
    if (wait.data == NULL)
        draft->wait = WAIT_NOT;
    else if (ent_text_is(wait, "receipt"))
        draft->wait = WAIT_RECEIPT;
    else if (ent_text_is(wait, "answer"))
        draft->wait = WAIT_ANSWER;
    else
        return ent_fail(err, ENT_USAGE, "design 10", "--wait takes receipt or answer");
    return ENT_DONE;
}

static ent_rc read_draft(ent_api_call *call, drafting *draft, ent_err *err)
{
    const ent_kind *kind = NULL;
    ent_text channel = {0};
    ENT_TRY(read_wait(call, draft, err));
    ENT_TRY(ent_api_body(call, &draft->json, err));
    ent_json_value root = ent_json_root(draft->json);
    ENT_TRY(ent_api_text(root, "channel", &channel, err));
    ENT_TRY(ent_channel_named(call->node, channel, &draft->saying.channel, err));
    ENT_TRY(read_kind(root, draft, &kind, err));
    ENT_TRY(read_to(root, draft, err));
    ENT_TRY(read_reply_to(call->node, root, draft, kind, err));
    ENT_TRY(read_header(root, draft, err));
    ENT_TRY(read_attachments(call->node, root, draft, err));
    return read_body(call->node, root, draft, err);
}

/* --- waiting for what comes back --- */

static ent_rc look(ent_node *node, drafting *draft, uint64_t index, bool *ret_done, ent_message_ref *ret_answer,
                   ent_err *err)
{
    ent_channel *channel = draft->saying.channel;
    if (draft->wait == WAIT_RECEIPT) {
        uint64_t receipted = 0;
        ENT_TRY(ent_log_receipted(node, channel, channel->self, &receipted, err));
        *ret_done = receipted > index;
        return ENT_DONE;
    }
    return ent_answer_search_next(node, channel, index, &draft->search, ret_done, ret_answer, err);
}

static ent_rc wait_until(const ent_api_call *call, drafting *draft, uint64_t index, bool *ret_done,
                         ent_message_ref *ret_answer, ent_err *err)
{
    ent_node *node = call->node;
    int64_t deadline_ms = ent_clock_monotonic_ms() + (int64_t)draft->timeout_s * 1000;
    for (;;) {
        uint64_t next = ent_events_next(node->events); /* before the look, so that nothing slips between */
        ENT_TRY(look(node, draft, index, ret_done, ret_answer, err));
        int64_t left_ms = deadline_ms - ent_clock_monotonic_ms();
        if (*ret_done || left_ms <= 0 || ent_events_closed(node->events) || ent_http_client_gone(call->request))
            return ENT_DONE;
        (void)ent_events_wait(node->events, next, (uint32_t)(left_ms < WAIT_SLICE_MS ? left_ms : WAIT_SLICE_MS));
    }
}

ent_rc ent_api_message_send(ent_api_call *call, ent_err *err)
{
    ENT_CLEANUP(release) drafting draft = {.wait = WAIT_NOT};
    ENT_CLEANUP(ent_buf_release) ent_buf body = {0};
    ent_node *node = call->node;
    uint64_t index = 0;
    bool is_done = false;
    ent_message_ref answer = {0};
    ENT_TRY(read_draft(call, &draft, err));
    ent_channel *channel = draft.saying.channel;
    ent_answer_search_begin(channel, &draft.search);
    ent_rc said = ent_say(node, &draft.saying, &index, err);
    bool held = said.code == ENT_REFUSED_KEEPER; /* "durable, shown so" (design 3, Rollback guard) */
    if (!held)
        ENT_TRY(said);
    ent_courier_wake(node->courier);
    if (draft.wait != WAIT_NOT && !held)
        ENT_TRY(wait_until(call, &draft, index, &is_done, &answer, err));
    ent_json_writer writer = ent_json_writer_of(&body);
    ent_json_object_begin(&writer);
    ent_channel_member_message(channel, &writer, "message",
                               (ent_message_ref){channel->genesis.members[channel->self].name, index});
    ent_json_member_unsigned(&writer, "index", index);
    ent_json_member_string(&writer, "urgency", ent_urgency_word(draft.urgency));
    ent_json_member_string(&writer, "waited",
                           draft.wait == WAIT_NOT       ? NULL
                           : draft.wait == WAIT_RECEIPT ? "receipt"
                                                        : "answer");
    ent_json_member_bool(&writer, "done", is_done);
    ent_json_member_string(&writer, "held", held ? err->text : NULL);
    if (answer.party.data != NULL) {
        ent_channel_member_message(channel, &writer, "answer", answer);
    } else {
        ent_json_key(&writer, "answer");
        ent_json_put_null(&writer);
    }
    ent_json_object_end(&writer);
    return ent_api_answer(call, &body, err);
}
