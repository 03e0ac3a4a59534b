#include "node/account.h"

#include "node/channel.h"
#include "node/custody.h"
#include "node/ledgers.h"

/* A thread, copied out under the ledger's lock. */
typedef struct {
    uint32_t self;
    ent_ledger_ref first;
    const char *machine;
    bool exercise;
    ent_track tracks[ENT_ENTRY_MAX_MEMBERS];
    size_t track_count;
    const char **takes;
    size_t take_count;
    ent_account_list messages; /* ent_thread_message */
    ent_account_list duties;   /* ent_account_duty */
} thread_copy;

static void release(thread_copy *copy)
{
    ent_free(copy->takes);
    ent_free(copy->messages.rows);
    ent_free(copy->duties.rows);
}

static ent_rc copy_thread(void *context, const ent_thread_view *view, ent_err *err)
{
    thread_copy *copy = context;
    copy->first = view->first;
    copy->machine = view->machine == NULL ? NULL : view->machine->name;
    copy->exercise = view->exercise;
    copy->track_count = view->track_count;
    memcpy(copy->tracks, view->tracks, view->track_count * sizeof *view->tracks);
    copy->takes = ent_alloc_array(ent_kind_count(), sizeof *copy->takes);
    if (copy->takes == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    copy->take_count = ent_ledger_takes(view, copy->self, copy->takes, ent_kind_count());
    for (size_t i = 0; i < view->message_count; i++) {
        ent_thread_message *row = ent_account_add(&copy->messages, sizeof *row, err);
        if (row == NULL)
            return ent_rc_of(ENT_NOMEM);
        *row = view->messages[i];
    }
    for (size_t i = 0; i < view->duty_count; i++) {
        ent_account_duty *row = ent_account_add(&copy->duties, sizeof *row, err);
        if (row == NULL)
            return ent_rc_of(ENT_NOMEM);
        *row = (ent_account_duty){view->duties[i], view->first};
    }
    return ENT_DONE;
}

static void put_tracks(const ent_channel *channel, const thread_copy *copy, ent_json_writer *writer)
{
    ent_json_key(writer, "tracks");
    ent_json_array_begin(writer);
    for (size_t i = 0; i < copy->track_count; i++) {
        const ent_track *track = &copy->tracks[i];
        ent_json_object_begin(writer);
        ent_json_member_text(writer, "member", channel->genesis.members[track->member].name);
        ent_json_member_string(writer, "state", ent_state_word(track->state));
        ent_json_member_bool(writer, "closed", ent_state_closed(track->state));
        ent_json_member_bool(writer, "crossed", track->crossed);
        ent_json_member_string(writer, "outcome", ent_outcome_word(track->outcome));
        ent_json_object_end(writer);
    }
    ent_json_array_end(writer);
    ent_json_key(writer, "takes");
    ent_json_array_begin(writer);
    for (size_t i = 0; i < copy->take_count; i++)
        ent_json_put_string(writer, copy->takes[i]);
    ent_json_array_end(writer);
}

static void put_messages(ent_channel *channel, const thread_copy *copy, ent_json_writer *writer)
{
    const ent_thread_message *rows = copy->messages.rows;
    ent_json_key(writer, "messages");
    ent_json_array_begin(writer);
    for (size_t i = 0; i < copy->messages.count; i++) {
        bool allowed = rows[i].reason == ENT_ALLOWED;
        ent_json_object_begin(writer);
        ent_account_put_message(channel, writer, "message", rows[i].message);
        ent_json_member_string(writer, "kind", rows[i].kind);
        ent_json_member_bool(writer, "allowed", allowed);
        ent_json_member_string(writer, "reason", allowed ? NULL : rows[i].text);
        ent_json_object_end(writer);
    }
    ent_json_array_end(writer);
}

static void put_obligations(ent_node *node, ent_channel *channel, const thread_copy *copy, int64_t now,
                            ent_json_writer *writer)
{
    const ent_account_duty *rows = copy->duties.rows;
    ent_json_key(writer, "obligations");
    ent_json_array_begin(writer);
    for (size_t i = 0; i < copy->duties.count; i++) {
        ENT_CLEANUP(ent_buf_release) ent_buf subject = {0};
        const ent_duty *duty = &rows[i].duty;
        bool done = duty->state == ENT_DUTY_DONE || duty->state == ENT_DUTY_DONE_LATE;
        ent_account_subject(node, channel, duty->message, &subject);
        ent_json_object_begin(writer);
        ent_account_put_duty(channel, writer, &rows[i], now,
                             subject.size == 0 ? (ent_text){NULL, 0} : ent_buf_text(&subject));
        ent_account_put_time(writer, "done_at", done, duty->done_unix_s);
        ent_json_member_bool(writer, "claimed", done && duty->claimed);
        if (done) {
            ent_json_member_bool(writer, "in_time", duty->state == ENT_DUTY_DONE);
        } else {
            ent_json_key(writer, "in_time");
            ent_json_put_null(writer);
        }
        ent_json_object_end(writer);
    }
    ent_json_array_end(writer);
}

ent_rc ent_api_thread(ent_api_call *call, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf body = {0};
    ENT_CLEANUP(release) thread_copy copy = {0};
    ent_json_writer writer = ent_json_writer_of(&body);
    ent_channel *channel = NULL;
    ent_ledger *ledger = NULL;
    ent_ledger_ref message = {0};
    ENT_TRY(ent_api_message(call, &channel, &message.member, &message.index, err));
    copy.self = channel->self;
    ENT_TRY(ent_ledgers_lock_evidence(call->node, channel, &ledger, err));
    ent_moment moment = ent_account_moment(channel, ledger, (ent_account_time){0});
    bool opened = message.index < ent_ledger_size(ledger, message.member);
    ent_rc rc = ent_ledger_thread(ledger, message, moment, copy_thread, &copy, err);
    ent_ledgers_unlock(channel);
    if (rc.code == ENT_ABSENT && !opened)
        return ent_fail(err, ENT_ABSENT, "design 5", "this message was not opened yet; try again in a moment");
    ENT_TRY(rc);
    ent_json_object_begin(&writer);
    ent_account_put_message(channel, &writer, "thread", copy.first);
    ent_json_member_string(&writer, "machine", copy.machine);
    ent_json_member_bool(&writer, "exercise", copy.exercise);
    put_tracks(channel, &copy, &writer);
    put_messages(channel, &copy, &writer);
    put_obligations(call->node, channel, &copy, moment.now_unix_s, &writer);
    ENT_TRY(ent_custody_put(call->node, channel, copy.messages.rows, copy.messages.count, &writer, err));
    ent_json_object_end(&writer);
    return ent_api_answer(call, &body, err);
}
