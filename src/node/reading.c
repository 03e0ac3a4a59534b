#include "node/reading.h"

#include "base/clock.h"
#include "node/blob_worker.h"
#include "node/channel.h"
#include "node/checks.h"
#include "node/courier.h"
#include "node/events.h"
#include "node/examine.h"
#include "node/ledgers.h"
#include "node/message_row.h"
#include "node/opener.h"
#include "node/report.h"
#include "node/reveal.h"
#include "node/say.h"

enum {
    OPEN_BATCH = 256,
    NOTICES_AT_A_TIME = 4, /* each costs a transaction */
    BATCH_BYTES = 1 << 20,
    MOST_REMARKS = 2048, /* of one log: then nothing more is opened before some are said */
    PATIENCE_MS = 15000  /* a notice waits so long for a head that it can ack */
};

/* Something that is wrong with a message, and is to be said in one notice. */
typedef struct {
    uint64_t index;
    int64_t since_ms;
    char code[ENT_KIND_MAX_BYTES + 1];
    char *text;
} remark;

struct ent_reading {
    uint64_t told; /* entries below this index were told of */
    remark *remarks;
    size_t count;
    size_t capacity;
};

/* One look at a log. */
typedef struct {
    ent_node *node;
    ent_channel *channel;
    uint32_t member;
    ent_reading *reading;
    uint64_t at;  /* the next entry that the ledger takes */
    uint64_t end; /* entries that are stored */
    bool blocked; /* it acks what the ledger lacks */
    bool again;   /* the ledger was made anew meanwhile */
} look;

void ent_reading_free(ent_reading *reading)
{
    if (reading == NULL)
        return;
    for (size_t i = 0; i < reading->count; i++)
        ent_free(reading->remarks[i].text);
    ent_free(reading->remarks);
    ent_free(reading);
}

/* --- remarks --- */

static ent_rc reserve_remark(ent_reading *reading, ent_err *err)
{
    if (reading->count < reading->capacity)
        return ENT_DONE;
    size_t capacity = reading->capacity == 0 ? 8 : reading->capacity * 2;
    remark *remarks = ent_realloc(reading->remarks, capacity * sizeof *remarks);
    if (remarks == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    reading->remarks = remarks;
    reading->capacity = capacity;
    return ENT_DONE;
}

static void add_remark(ent_reading *reading, uint64_t index, const char *code, char **text)
{
    remark *added = &reading->remarks[reading->count++];
    *added = (remark){.index = index, .since_ms = ent_clock_monotonic_ms(), .text = ent_take(*text)};
    memcpy(added->code, code, strnlen(code, sizeof added->code - 1));
}

static void drop_remarks(ent_reading *reading, size_t from, size_t count)
{
    if (count == 0)
        return;
    for (size_t i = from; i < from + count; i++)
        ent_free(reading->remarks[i].text);
    memmove(&reading->remarks[from], &reading->remarks[from + count],
            (reading->count - from - count) * sizeof *reading->remarks);
    reading->count -= count;
}

/* --- moving the mark --- */

typedef struct {
    ent_job job;
    ent_channel *channel;
    uint32_t member;
    uint64_t opened;
} mark_job;

static ent_rc move_mark(void *context, ent_node *node, ent_err *err)
{
    const mark_job *work = context;
    ent_store_log *next = &work->channel->members[work->member].next;
    if (work->opened <= next->opened)
        return ENT_DONE;
    next->opened = work->opened;
    return node->store->engine->log_opened(node->store, next->number, work->opened, err);
}

static ent_rc apply_mark(ent_job *job, ent_node *node, ent_err *err)
{
    mark_job *work = (mark_job *)job;
    ENT_TRY(ent_sequencer_touch(node, work->channel, err));
    return move_mark(work, node, err);
}

static ent_rc mark_opened(const look *work, uint64_t opened, ent_err *err)
{
    mark_job job = {.job = {.apply = apply_mark}, .channel = work->channel, .member = work->member, .opened = opened};
    ent_store_log log;
    ent_channel_log(work->channel, work->member, &log);
    return opened <= log.opened ? ENT_DONE : ent_sequencer_run(work->node, &job.job, err);
}

/* --- notices --- */

/* One notice about a message, and the mark moved past it, in one transaction. */
static ent_rc say_notice(const look *work, const remark *said, ent_err *err)
{
    ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf name = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf body = {0};
    ent_entry about;
    uint64_t index = 0;
    ENT_TRY(ent_channel_entry(work->node, work->channel, work->member, said->index, &arena, NULL, &about, err));
    ent_buf_put_text(&name, about.writer);
    ent_buf_put_format(&name, "/%llu", (unsigned long long)about.index);
    ENT_TRY(ent_buf_check(&name, err));
    ent_json_writer writer = ent_json_writer_of(&body);
    ent_json_object_begin(&writer);
    ent_json_key(&writer, "fields");
    ent_json_object_begin(&writer);
    ent_json_member_text(&writer, "about", ent_buf_text(&name));
    ent_json_member_string(&writer, "code", said->code);
    ent_json_member_string(&writer, "reason", said->text);
    ent_json_object_end(&writer);
    ent_json_object_end(&writer);
    ENT_TRY(ent_buf_check(&body, err));
    mark_job mark = {.channel = work->channel, .member = work->member, .opened = said->index + 1};
    ent_saying saying = {
        .channel = work->channel,
        .kind = "channel.notice",
        .has_reply_to = true,
        .reply_to = {about.writer, about.index},
        .has_thread = true,
        .thread = {about.writer, about.index},
        .exercise = about.exercise,
        .also = move_mark,
        .also_context = &mark,
    };
    ENT_TRY(ent_say_body(work->node, &saying, ent_buf_bytes(&body), &index, err));
    ent_courier_wake(work->node->courier);
    return ENT_DONE;
}

/* A notice acks what it is about, so it waits for a head of that log that the ledger holds whole; but not for ever. */
static ent_rc can_be_said(const look *work, const remark *said, bool *ret, ent_err *err)
{
    ent_tree_head head;
    ent_store_log own;
    ENT_TRY(ent_channel_ackable(work->node, work->channel, work->member, work->at, said->index + 1, &head, err));
    ent_channel_log(work->channel, work->channel->self, &own);
    *ret = head.size > said->index || own.acked[work->member] > said->index || ent_channel_is_held(work->channel) ||
           ent_clock_monotonic_ms() - said->since_ms > PATIENCE_MS;
    return ENT_DONE;
}

static ent_rc say_remarks(const look *work, ent_reading_result *ret, ent_err *err)
{
    ent_reading *reading = work->reading;
    for (int i = 0; i < NOTICES_AT_A_TIME && reading->count > 0 && !atomic_load(&work->node->stopping); i++) {
        bool can = false;
        ENT_TRY(can_be_said(work, &reading->remarks[0], &can, err));
        ent_rc rc = can ? say_notice(work, &reading->remarks[0], err) : ent_rc_of(ENT_RETRY);
        if (rc.code == ENT_RETRY) { /* our own log waits for what is opened next, or somebody reads the ledger */
            ret->waiting = true;
            return ENT_DONE;
        }
        bool is_said = rc.code == ENT_OK || rc.code == ENT_REFUSED_KEEPER; /* logged, though perhaps held */
        if (ent_examine_failed(rc))
            return rc;
        if (!is_said) { /* our log is frozen, or not open: the mark moves all the same */
            ent_report report = ent_report_begin("notice.not-said");
            ent_report_error(&report, err);
            ent_report_end(&report);
        }
        drop_remarks(reading, 0, 1);
        ret->moved = true;
    }
    return ENT_DONE;
}

/* --- one entry --- */

static void report_wrong(const look *work, const char *event, const ent_entry *entry, const ent_err *wrong)
{
    ent_report report = ent_report_begin(event);
    ent_report_string(&report, "channel", work->channel->id_text);
    ent_report_text(&report, "party", entry->writer);
    ent_report_number(&report, "index", entry->index);
    ent_report_error(&report, wrong);
    ent_report_end(&report);
}

static void tell(const look *work, const ent_entry *entry, const ent_examined *examined)
{
    if (entry->index < work->reading->told)
        return;
    ent_tell_message(work->node, work->channel, entry, ent_subject_of(examined->body.fields));
    work->reading->told = entry->index + 1;
}

/* Judge an entry as of what the ledger holds before it, and add it: it stays in the ledger also when it does not
 * count. *ret_code: why it is not allowed; NULL when it is. */
static ent_rc add_to_ledger(look *work, ent_bytes bytes, const ent_entry *entry, const ent_facts *facts,
                            const char **ret_code, char ret_text[ENT_REASON_SIZE], ent_err *err)
{
    ent_ledger *ledger = NULL;
    ent_reason reason = ENT_ALLOWED;
    ent_hash leaf;
    ent_leaf_hash(bytes, &leaf);
    ENT_TRY(ent_ledgers_lock(work->node, work->channel, &ledger, err));
    ent_rc rc = ENT_DONE;
    work->again = ent_ledger_size(ledger, work->member) != entry->index;
    work->blocked = !work->again && !ent_ledgers_knows_acked(work->channel, ledger, entry);
    if (!work->again && !work->blocked) {
        if (facts->readable && ent_kind_find(entry->kind) != NULL)
            rc = ent_ledger_judge(ledger, work->member, entry, facts, &reason, ret_text, err);
        if (rc.code == ENT_OK)
            rc = ent_ledger_entry(ledger, work->member, entry, &leaf, facts, err);
        if (rc.code == ENT_NOMEM) /* perhaps half of it was added */
            ent_ledgers_forget(work->channel);
    }
    ent_ledgers_unlock(work->channel);
    *ret_code = reason == ENT_ALLOWED ? NULL : ent_reason_word(reason);
    return rc;
}

/* Attachments that somebody holds need not be sent there any more. When that cannot be noted now, they are offered once
 * more. */
static void note_held(const look *work, const ent_entry *entry, const ent_examined *examined)
{
    ent_err err = {0};
    const ent_channel *channel = work->channel;
    if (!entry->has_reply_to || !ent_text_equal(entry->reply_to.party, channel->genesis.members[channel->self].name))
        return;
    if (ent_blob_said_held(work->node, work->channel, work->member, entry->reply_to.index, examined->body.fields, &err)
            .code != ENT_OK)
        report_wrong(work, "attachment.not-noted", entry, &err);
}

/* A comm check that the clock sent is answered without an officer; what opens a channel or changes its terms may start
 * such checks; and what is attached may have come before. */
static void pass_on(const look *work, const ent_entry *entry, const ent_examined *examined)
{
    if (entry->attachment_count > 0)
        ent_blob_worker_wake(work->node->blob_worker);
    if (ent_text_is(entry->kind, "evidence.held"))
        note_held(work, entry, examined);
    if (ent_text_is(entry->kind, "channel.genesis") || ent_text_is(entry->kind, "proposal.accept"))
        ent_checks_wake(work->node->checks);
    if (ent_text_is(entry->kind, "contact.check") && !entry->has_reply_to &&
        ent_json_true(ent_json_get(examined->body.fields, "scheduled")))
        ent_checks_asked(work->node->checks, work->channel, work->member, entry->index);
}

/* Whether the ledger lacks something that an entry acks, without opening its body. */
static ent_rc look_ahead(look *work, const ent_entry *entry, ent_err *err)
{
    ent_ledger *ledger = NULL;
    if (entry->ack_count == 0)
        return ENT_DONE;
    ENT_TRY(ent_ledgers_lock(work->node, work->channel, &ledger, err));
    work->blocked = !ent_ledgers_knows_acked(work->channel, ledger, entry);
    ent_ledgers_unlock(work->channel);
    return ENT_DONE;
}

static ent_rc open_entry(look *work, ent_bytes bytes, ent_err *err)
{
    ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
    ENT_CLEANUP(ent_examined_release) ent_examined examined = {0};
    ENT_CLEANUP(ent_free_pointer) char *text = NULL;
    ent_entry entry;
    ent_err wrong = {0};
    char reason[ENT_REASON_SIZE] = "";
    const char *code = NULL;
    ENT_TRY(ent_entry_decode(bytes, &arena, &entry, err));
    ENT_TRY(ent_ledgers_drop_foreign(work->node, work->channel, &entry, err));
    ENT_TRY(look_ahead(work, &entry, err));
    if (work->blocked)
        return ENT_DONE;
    ent_rc rc = ent_examine(work->node, work->channel, work->member, &entry, &examined, &wrong);
    if (ent_examine_failed(rc)) {
        if (err != NULL)
            *err = wrong;
        return rc;
    }
    ENT_TRY(ent_reveal_take(work->node, work->channel, work->member, &entry, &examined.facts, err));
    bool is_notice = ent_text_is(entry.kind, "channel.notice"); /* "never a notice about a notice" (design 3) */
    ENT_TRY(reserve_remark(work->reading, err));
    text = ent_alloc(sizeof wrong.text); /* before the ledger moves */
    if (text == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    ENT_TRY(add_to_ledger(work, bytes, &entry, &examined.facts, &code, reason, err));
    if (work->blocked || work->again)
        return ENT_DONE;
    if (rc.code != ENT_OK) {
        report_wrong(work, "message.contested", &entry, &wrong);
        code = ent_code_word(wrong.code);
    } else if (code != NULL) {
        ent_err_set(&wrong, ENT_REFUSED, code, "%s", reason);
        report_wrong(work, "message.not-allowed", &entry, &wrong);
    } else {
        pass_on(work, &entry, &examined);
    }
    if (code != NULL && !is_notice) {
        memcpy(text, wrong.text, sizeof wrong.text);
        add_remark(work->reading, entry.index, code, &text);
    }
    tell(work, &entry, &examined);
    work->at = entry.index + 1;
    return ENT_DONE;
}

/* --- one log --- */

typedef ENT_RC (*entry_fn)(look *work, ent_bytes bytes, ent_err *err);

/* Read a batch of a log and give each entry to a function, until the log is blocked. */
static ent_rc each_entry(look *work, uint64_t from, entry_fn fn, uint64_t *ret_count, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf bundle = {0};
    uint64_t count = 0;
    uint64_t wanted = work->end - from < OPEN_BATCH ? work->end - from : OPEN_BATCH;
    int64_t log = work->channel->members[work->member].log.number;
    ENT_TRY(work->node->store->engine->entries_read(work->node->store, log, from, wanted, BATCH_BYTES, &bundle, &count,
                                                    err));
    ent_bundle_reader reader = ent_bundle_read(ent_buf_bytes(&bundle));
    for (uint64_t i = 0; i < count && !work->blocked && !work->again && !atomic_load(&work->node->stopping); i++) {
        ent_bytes entry = {0};
        bool more = false;
        ENT_TRY(ent_bundle_next(&reader, &entry, &more, err));
        ENT_TRY(fn(work, entry, err));
    }
    *ret_count = count;
    return ENT_DONE;
}

static ent_rc tell_entry(look *work, ent_bytes bytes, ent_err *err)
{
    ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
    ENT_CLEANUP(ent_examined_release) ent_examined examined = {0};
    ent_entry entry;
    ENT_TRY(ent_entry_decode(bytes, &arena, &entry, err));
    ent_rc rc = ent_examine(work->node, work->channel, work->member, &entry, &examined, err);
    if (ent_examine_failed(rc))
        return rc;
    tell(work, &entry, &examined);
    return ENT_DONE;
}

/* The ledger waits for what another member has not sent us; officers do not. */
static ent_rc tell_blocked(look *work, ent_err *err)
{
    uint64_t count = 0;
    uint64_t from = work->reading->told > work->at ? work->reading->told : work->at;
    work->blocked = false;
    while (from < work->end && !atomic_load(&work->node->stopping)) {
        ENT_TRY(each_entry(work, from, tell_entry, &count, err));
        from += count;
    }
    work->blocked = true;
    return ENT_DONE;
}

/* Where the ledger stands in this log, and what was remarked on it since the mark. */
static ent_rc find_place(look *work, const ent_store_log *log, ent_err *err)
{
    ent_channel_member *member = &work->channel->members[work->member];
    ent_ledger *ledger = NULL;
    if (member->reading == NULL) {
        member->reading = ent_alloc(sizeof *member->reading);
        if (member->reading == NULL)
            return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
        member->reading->told = log->opened;
    }
    work->reading = member->reading;
    ENT_TRY(ent_ledgers_lock_step(work->node, work->channel, &ledger, err));
    work->at = ent_ledger_size(ledger, work->member);
    ent_ledgers_unlock(work->channel);
    size_t kept = 0; /* one that was made anew knows nothing of what is beyond the mark: it is judged again */
    while (kept < work->reading->count && work->reading->remarks[kept].index < work->at)
        kept++;
    drop_remarks(work->reading, kept, work->reading->count - kept);
    return ENT_DONE;
}

ent_rc ent_reading_go_on(ent_node *node, ent_channel *channel, uint32_t member, ent_reading_result *ret, ent_err *err)
{
    look work = {.node = node, .channel = channel, .member = member};
    ent_store_log log;
    uint64_t count = 0;
    ent_channel_log(channel, member, &log);
    work.end = log.tree.size;
    if (log.own || log.opened >= log.tree.size)
        return ENT_DONE;
    ent_rc placed = find_place(&work, &log, err);
    ret->more = placed.code == ENT_WAITING; /* after a start: other channels have their turn meanwhile */
    if (ret->more)
        return ENT_DONE;
    ENT_TRY(placed);
    if (work.at < log.opened) { /* opened before, and not in the ledger: what it acks has never come */
        atomic_store(&channel->members[member].blocked, true);
        return ENT_DONE;
    }
    uint64_t began = work.at;
    bool room = work.reading->count < MOST_REMARKS;
    ent_rc rc = work.at < work.end && room ? each_entry(&work, work.at, open_entry, &count, err) : ENT_DONE;
    ret->moved = work.at > began;
    atomic_store(&channel->members[member].blocked, work.blocked);
    if (rc.code == ENT_OK && work.blocked)
        rc = tell_blocked(&work, err);
    if (rc.code == ENT_OK)
        rc = say_remarks(&work, ret, err);
    uint64_t done = work.reading->count > 0 ? work.reading->remarks[0].index : work.at;
    ent_err again = {0};
    ent_rc marked = mark_opened(&work, done, &again);
    if (rc.code == ENT_OK && marked.code != ENT_OK) {
        rc = marked;
        if (err != NULL)
            *err = again;
    }
    ret->more = rc.code == ENT_OK && room && !work.blocked && work.at < work.end;
    return rc;
}
