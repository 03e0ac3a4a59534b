/* The lines whose SHA-256 are the evidence digest and the state digest (docs/ledger.md): the same bytes wherever the
 * same evidence is held. */
#include "ledger/internal.h"

#include "base/clock.h"

/* One line at a time, given on when it ends. */
typedef struct {
    const ent_ledger *ledger;
    ent_moment moment;
    const ent_ledger_sums *sums;
    ent_lines_fn put;
    void *context;
    ent_buf line;
    int failed;
} writing;

static void end_line(writing *w)
{
    ent_buf_put_u8(&w->line, '\n');
    if (w->line.failed != ENT_OK)
        w->failed = w->line.failed;
    else
        w->put(w->context, ent_buf_text(&w->line));
    ent_buf_clear(&w->line);
}

static void put_name(writing *w, uint32_t member)
{
    ent_buf_put_u8(&w->line, ' ');
    if (member == ENT_LEDGER_NOBODY)
        ent_buf_put_u8(&w->line, '*');
    else
        ent_buf_put_text(&w->line, w->ledger->genesis->members[member].name);
}

static void put_ref(writing *w, ent_ledger_ref ref)
{
    put_name(w, ref.member);
    ent_buf_put_u8(&w->line, '/');
    ent_buf_put_decimal(&w->line, ref.index);
}

static void put_word(writing *w, const char *word)
{
    ent_buf_put_u8(&w->line, ' ');
    for (; *word != 0; word++)
        ent_buf_put_u8(&w->line, *word == ' ' ? '-' : (uint8_t)*word);
}

static void put_time(writing *w, bool has, int64_t unix_s)
{
    char text[ENT_TIME_TEXT_SIZE + 1];
    if (!has || unix_s == INT64_MAX) {
        put_word(w, has ? "never" : "-");
        return;
    }
    ent_time_format(unix_s, text);
    put_word(w, text);
}

static void put_number(writing *w, uint64_t number)
{
    ent_buf_put_u8(&w->line, ' ');
    ent_buf_put_decimal(&w->line, number);
}

static void put_hash(writing *w, const ent_hash *hash)
{
    ent_buf_put_u8(&w->line, ' ');
    ent_buf_put_hex(&w->line, ent_bytes_of(hash->bytes, sizeof hash->bytes));
}

/* A name that the parties chose: as a JSON string, so that it cannot be a line of its own. */
static void put_quoted(writing *w, ent_text text)
{
    ent_buf_put_u8(&w->line, ' ');
    ent_json_writer writer = ent_json_writer_of(&w->line);
    ent_json_put_text(&writer, text);
}

static void begin_line(writing *w, const char *word)
{
    ent_buf_put_string(&w->line, word);
}

static void put_heading(writing *w, const char *title)
{
    begin_line(w, title);
    end_line(w);
    begin_line(w, "channel");
    put_hash(w, &w->ledger->channel);
    end_line(w);
    begin_line(w, "rules");
    put_number(w, w->ledger->genesis->rules);
    end_line(w);
}

static ent_rc finish(writing *w, ent_err *err)
{
    ent_buf_release(&w->line);
    if (w->failed != ENT_OK)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory for the ledger's lines");
    return ENT_DONE;
}

/* --- evidence --- */

/* Only what covers some entry earlier than anything else; receipts dated later than the moment do not count. */
static void put_receipts(writing *w, uint32_t member, uint64_t cut)
{
    for (uint32_t r = 0; r < w->ledger->member_count; r++) {
        const ent_frontier *frontier = &w->ledger->logs[member].receipts[r];
        for (size_t i = 0; i < frontier->count && frontier->rows[i].time_unix_s <= w->moment.until_unix_s; i++) {
            uint64_t size = frontier->rows[i].size;
            begin_line(w, "receipt");
            put_name(w, member);
            put_name(w, r);
            put_number(w, size < cut ? size : cut);
            put_time(w, true, frontier->rows[i].time_unix_s);
            end_line(w);
            if (size >= cut)
                break;
        }
    }
}

static ent_rc put_log(writing *w, uint32_t member, uint64_t cut, ent_root_fn root, void *root_context, ent_err *err)
{
    ent_hash hash;
    if (cut == w->ledger->logs[member].size)
        ent_tree_root(&w->ledger->logs[member].tree, &hash);
    else
        ENT_TRY(root(root_context, member, cut, &hash, err));
    begin_line(w, "log");
    put_name(w, member);
    put_number(w, cut);
    put_hash(w, &hash);
    end_line(w);
    put_receipts(w, member, cut);
    for (uint64_t i = 0; i < cut; i++) {
        const ent_message *message = ent_ledger_message(w->ledger, member, i);
        bool bad = message->reason == ENT_REASON_PROVEN_BAD;
        if (!bad && (message->readable || message->kind == NULL))
            continue;
        begin_line(w, bad ? "bad" : "unread");
        put_ref(w, (ent_ledger_ref){member, i});
        end_line(w);
    }
    return ENT_DONE;
}

ent_rc ent_ledger_evidence_lines(const ent_ledger *ledger, ent_moment moment, ent_root_fn root, void *root_context,
                                 ent_lines_fn put, void *context, ent_err *err)
{
    writing w = {.ledger = ledger, .moment = moment, .put = put, .context = context};
    ent_rc rc = ENT_DONE;
    uint64_t cut[ENT_ENTRY_MAX_MEMBERS];
    ent_ledger_cut(ledger, moment.until_unix_s, cut);
    put_heading(&w, "entente ledger evidence v1");
    for (uint32_t m = 0; m < ledger->member_count && rc.code == ENT_OK; m++)
        rc = put_log(&w, m, cut[m], root, root_context, err);
    ent_rc finished = finish(&w, err);
    return rc.code != ENT_OK ? rc : finished;
}

/* --- state --- */

static void put_duty(writing *w, const ent_duty *duty)
{
    begin_line(w, " duty");
    put_word(w, ent_duty_type_word(duty->type));
    put_name(w, duty->debtor);
    put_name(w, duty->creditor);
    put_ref(w, duty->message);
    put_word(w, ent_duty_state_word(duty->state));
    put_word(w, ent_urgency_word(duty->urgency));
    put_time(w, duty->has_start, duty->start_unix_s);
    put_time(w, duty->has_due, duty->due_unix_s);
    if (duty->has_act)
        put_ref(w, duty->act);
    else
        put_word(w, "-");
    bool done = duty->state == ENT_DUTY_DONE || duty->state == ENT_DUTY_DONE_LATE;
    put_time(w, done, duty->done_unix_s);
    if (done && duty->claimed)
        put_word(w, "claimed");
    if (duty->contested)
        put_word(w, "contested");
    end_line(w);
}

static void put_tracks(writing *w, const ent_thread_view *thread)
{
    for (size_t i = 0; i < thread->track_count; i++) {
        const ent_track *track = &thread->tracks[i];
        begin_line(w, " track");
        put_name(w, track->member);
        put_word(w, ent_state_word(track->state));
        if (track->outcome != ENT_OUTCOME_NONE)
            put_word(w, ent_outcome_word(track->outcome));
        if (track->crossed)
            put_word(w, "crossed");
        end_line(w);
    }
}

static ent_rc put_thread(void *context, const ent_thread_view *thread, ent_err *err)
{
    writing *w = context;
    (void)err;
    begin_line(w, "thread");
    put_ref(w, thread->first);
    put_word(w, thread->kind == NULL ? "unknown" : thread->kind);
    put_hash(w, &thread->commitment);
    if (thread->exercise)
        put_word(w, "exercise");
    end_line(w);
    put_tracks(w, thread);
    for (size_t i = 0; i < thread->message_count; i++) {
        if (thread->messages[i].reason == ENT_ALLOWED)
            continue;
        begin_line(w, " refused");
        put_ref(w, thread->messages[i].message);
        put_word(w, ent_reason_word(thread->messages[i].reason));
        end_line(w);
    }
    for (size_t i = 0; i < thread->duty_count; i++)
        put_duty(w, &thread->duties[i]);
    if (thread->bound) {
        begin_line(w, " bound");
        put_ref(w, thread->accepted);
        put_hash(w, &thread->accepted_digest);
        end_line(w);
    }
    if (thread->kind != NULL && strcmp(thread->kind, "attribution.claim") == 0) {
        begin_line(w, thread->supported ? " supported" : " unsupported");
        for (size_t i = 0; i < thread->evidence_count; i++)
            put_ref(w, thread->evidence[i]);
        end_line(w);
    }
    return ENT_DONE;
}

static void put_agreement(writing *w)
{
    const ent_ledger_sums *sums = w->sums;
    begin_line(w, "agreement");
    put_hash(w, &sums->commitment);
    put_word(w, sums->agreement == NULL ? "unreadable" : sums->in_force ? "in-force" : "not-in-force");
    put_time(w, sums->agreement != NULL, sums->end_unix_s);
    end_line(w);
    for (size_t i = 0; i < sums->amendment_count; i++) {
        begin_line(w, "amendment");
        put_ref(w, sums->amendments[i].message);
        put_hash(w, &sums->amendments[i].replaces);
        put_hash(w, &sums->amendments[i].commitment);
        put_word(w, ent_state_word(sums->amendments[i].state));
        end_line(w);
    }
    for (size_t i = 0; i < sums->suspension_count; i++) {
        begin_line(w, "suspended");
        put_ref(w, sums->suspensions[i].message);
        put_time(w, true, sums->suspensions[i].since_unix_s);
        end_line(w);
    }
}

static void put_sums(writing *w)
{
    const ent_ledger_sums *sums = w->sums;
    for (size_t i = 0; i < sums->balance_count; i++) {
        const ent_balance *row = &sums->balances[i];
        const uint64_t numbers[] = {row->asked,   row->acknowledged, row->answered, row->answered_in_time, row->granted,
                                    row->refused, row->overdue,      row->given,    row->received};
        begin_line(w, "balance");
        put_quoted(w, sums->agreement->classes[row->class_at].name);
        put_name(w, row->from);
        put_name(w, row->to);
        for (size_t k = 0; k < sizeof numbers / sizeof numbers[0]; k++)
            put_number(w, numbers[k]);
        put_word(w, row->may_hold_back ? "may-hold-back" : "-");
        end_line(w);
    }
    begin_line(w, "threat");
    put_number(w, sums->threat_sum);
    if (sums->threat_level.data == NULL)
        put_word(w, "-");
    else
        put_quoted(w, sums->threat_level);
    end_line(w);
}

ent_rc ent_ledger_state_lines(const ent_ledger *ledger, ent_moment moment, ent_lines_fn put, void *context,
                              ent_err *err)
{
    ENT_CLEANUP(ent_ledger_sums_release) ent_ledger_sums sums = {0};
    writing w = {.ledger = ledger, .moment = moment, .sums = &sums, .put = put, .context = context};
    ENT_TRY(ent_ledger_sum(ledger, moment, &sums, err));
    put_heading(&w, "entente ledger state v1");
    begin_line(&w, "at");
    put_time(&w, true, moment.now_unix_s);
    end_line(&w);
    put_agreement(&w);
    ent_rc rc = ent_ledger_walk(ledger, moment, put_thread, &w, err);
    put_sums(&w);
    ent_rc finished = finish(&w, err);
    return rc.code != ENT_OK ? rc : finished;
}
