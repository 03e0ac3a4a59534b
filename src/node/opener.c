#include "node/opener.h"

#include "node/channel.h"
#include "node/courier.h"
#include "node/events.h"
#include "node/message_row.h"
#include "node/report.h"
#include "node/say.h"

#include <time.h>

enum { OPEN_BATCH = 256, RETRY_S = 5 };

struct ent_opener {
    ent_node *node;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t woken;
    bool work;
    bool stopping;
};

ent_rc ent_open_body(ent_node *node, ent_channel *channel, uint32_t member, uint64_t index, ent_buf *ret_plain,
                     ent_seal_verdict *ret_seal, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf sealed = {0};
    ent_recipient recipients[ENT_ENTRY_MAX_MEMBERS];
    ent_file_key key = {{0}};
    ENT_TRY(node->store->engine->body_read(node->store, channel->members[member].log.number, index, &sealed, err));
    ent_rc rc = ent_age_open(ent_buf_bytes(&sealed), ent_keeper_unwrapper(node->keeper), ret_plain, &key, err);
    if (rc.code == ENT_OK && ret_seal != NULL) {
        ent_channel_recipients(channel, recipients);
        rc = ent_seal_check(ent_buf_bytes(&sealed), &key, recipients, channel->genesis.member_count, ret_seal, err);
    }
    explicit_bzero(&key, sizeof key);
    return rc;
}

/* --- what is wrong with a message --- */

static bool is_our_trouble(ent_rc rc)
{
    ent_class error_class = ent_code_class(rc.code);
    return error_class == ENT_CLASS_IO || error_class == ENT_CLASS_NOMEM || error_class == ENT_CLASS_BUG ||
           error_class == ENT_CLASS_RETRY;
}

/* Open and validate one entry's body.  Errors: what is wrong with it, or our own trouble. */
static ent_rc examine(ent_node *node, ent_channel *channel, uint32_t member, const ent_entry *entry,
                      ent_buf *ret_subject, ent_err *err)
{
    ENT_CLEANUP(ent_buf_wipe) ent_buf plain = {0};
    ENT_CLEANUP(ent_body_release) ent_body body = {0};
    ent_seal_verdict seal = ENT_SEAL_NOT_CHECKED;
    ENT_TRY(ent_kind_check_entry(entry, err));
    if (!entry->has_body)
        return ENT_DONE; /* an unknown kind may do without */
    ENT_TRY(ent_open_body(node, channel, member, entry->index, &plain, &seal, err));
    if (seal != ENT_SEAL_AS_AGREED)
        return ent_fail(err, ENT_PEER_INVALID, "design 2, Body",
                        "the body is not sealed as agreed: some member may be unable to open it");
    ENT_TRY(ent_body_parse(node->kinds, entry->kind, ent_buf_bytes(&plain), entry->attachment_count, &body, err));
    ent_buf_put_text(ret_subject, ent_subject_of(body.fields));
    return ent_buf_check(ret_subject, err);
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

/* One notice about a message, and the mark moved past it, in one transaction. */
static ent_rc notice(ent_node *node, mark_job *mark, const ent_entry *about, const ent_err *wrong, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf name = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf body = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf sealed = {0};
    uint64_t index = 0;
    ent_buf_put_text(&name, about->writer);
    ent_buf_put_format(&name, "/%llu", (unsigned long long)about->index);
    ent_json_writer writer = ent_json_writer_of(&body);
    ent_json_object_begin(&writer);
    ent_json_key(&writer, "fields");
    ent_json_object_begin(&writer);
    ent_json_member_text(&writer, "about", ent_buf_text(&name));
    ent_json_member_string(&writer, "code", ent_code_word(wrong->code));
    ent_json_member_string(&writer, "reason", wrong->text);
    ent_json_object_end(&writer);
    ent_json_object_end(&writer);
    ENT_TRY(ent_buf_check(&name, err));
    ENT_TRY(ent_buf_check(&body, err));
    ENT_TRY(ent_seal_for_channel(mark->channel, ent_buf_bytes(&body), &sealed, err));
    ent_message_ref message = {about->writer, about->index};
    ent_saying saying = {
        .channel = mark->channel,
        .kind = "channel.notice",
        .has_reply_to = true,
        .reply_to = message,
        .has_thread = true,
        .thread = about->has_thread ? about->thread : message,
        .exercise = about->exercise,
        .sealed = ent_buf_bytes(&sealed),
        .also = move_mark,
        .also_context = mark,
    };
    ENT_TRY(ent_say(node, &saying, &index, err));
    ent_courier_wake(node->courier);
    return ENT_DONE;
}

/* --- one log --- */

static ent_rc contest(ent_node *node, mark_job *mark, const ent_entry *entry, const ent_err *wrong, bool *ret_noticed,
                      ent_err *err)
{
    ent_report report = ent_report_begin("message.contested");
    ent_report_string(&report, "channel", mark->channel->id_text);
    ent_report_text(&report, "party", entry->writer);
    ent_report_number(&report, "index", entry->index);
    ent_report_error(&report, wrong);
    ent_report_end(&report);
    /* "never a notice about a notice" (design 3) */
    if (ent_text_is(entry->kind, "channel.notice"))
        return ENT_DONE;
    mark->opened = entry->index + 1;
    ent_rc rc = notice(node, mark, entry, wrong, err);
    *ret_noticed = rc.code == ENT_OK || rc.code == ENT_REFUSED_KEEPER; /* logged, though perhaps held */
    if (*ret_noticed || ent_code_class(rc.code) != ENT_CLASS_REFUSED)
        return *ret_noticed ? ENT_DONE : rc;
    report = ent_report_begin("notice.not-said"); /* our log is frozen, or not open: the mark moves all the same */
    ent_report_error(&report, err);
    ent_report_end(&report);
    return ENT_DONE;
}

static ent_rc open_entry(ent_node *node, mark_job *mark, ent_bytes bytes, bool *ret_noticed, ent_err *err)
{
    ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf subject = {0};
    ent_entry entry;
    ent_err wrong = {0};
    *ret_noticed = false;
    ENT_TRY(ent_entry_decode(bytes, &arena, &entry, err));
    ent_rc rc = examine(node, mark->channel, mark->member, &entry, &subject, &wrong);
    if (is_our_trouble(rc)) {
        *err = wrong;
        return rc;
    }
    ent_text told = subject.size == 0 ? (ent_text){NULL, 0} : ent_buf_text(&subject);
    if (rc.code != ENT_OK)
        ENT_TRY(contest(node, mark, &entry, &wrong, ret_noticed, err));
    ent_tell_message(node, mark->channel, &entry, told);
    return ENT_DONE;
}

/* Open up to OPEN_BATCH entries of a log.  *ret_more: there are more. */
static ent_rc open_log(ent_node *node, ent_channel *channel, uint32_t member, bool *ret_more, ent_err *err)
{
    ent_store_log log;
    uint64_t count = 0;
    bool more = true;
    bool noticed = false;
    ENT_CLEANUP(ent_buf_release) ent_buf bundle = {0};
    ent_channel_log(channel, member, &log);
    *ret_more = false;
    if (log.own || log.opened >= log.tree.size)
        return ENT_DONE;
    uint64_t wanted = log.tree.size - log.opened < OPEN_BATCH ? log.tree.size - log.opened : OPEN_BATCH;
    ENT_TRY(
        node->store->engine->entries_read(node->store, log.number, log.opened, wanted, 1 << 20, &bundle, &count, err));
    ent_bundle_reader reader = ent_bundle_read(ent_buf_bytes(&bundle));
    mark_job mark = {.job = {.apply = apply_mark}, .channel = channel, .member = member, .opened = log.opened};
    uint64_t at = log.opened;
    ent_rc rc = ENT_DONE;
    while (!atomic_load(&node->stopping)) {
        ent_bytes entry = {0};
        ENT_TRY(ent_bundle_next(&reader, &entry, &more, err));
        if (!more)
            break;
        rc = open_entry(node, &mark, entry, &noticed, err);
        if (rc.code != ENT_OK)
            break;
        at++;
    }
    mark.opened = at;
    if (at > log.opened && !noticed) /* a notice about the last one moved the mark with it */
        ENT_TRY(ent_sequencer_run(node, &mark.job, err));
    *ret_more = rc.code == ENT_OK && at < log.tree.size;
    return rc;
}

/* --- the thread --- */

/* True when some log failed for a reason of ours and should be tried again. */
static bool open_all(ent_node *node)
{
    ent_channel *channel;
    bool trouble = false;
    for (size_t i = 0; (channel = ent_channel_at(node, i)) != NULL; i++) {
        ent_channel_state state = ent_channel_state_now(channel);
        if (state != ENT_CHANNEL_OPEN && state != ENT_CHANNEL_OPENING)
            continue;
        for (uint32_t m = 0; m < channel->genesis.member_count; m++) {
            bool more = true;
            ent_err err = {0};
            while (more && !atomic_load(&node->stopping)) {
                if (open_log(node, channel, m, &more, &err).code == ENT_OK)
                    continue;
                more = false;
                trouble = true;
                ent_report report = ent_report_begin("opener.failed");
                ent_report_string(&report, "channel", channel->id_text);
                ent_report_error(&report, &err);
                ent_report_end(&report);
            }
        }
    }
    return trouble;
}

static void *run(void *context)
{
    ent_opener *opener = context;
    (void)pthread_mutex_lock(&opener->lock);
    while (!opener->stopping) {
        opener->work = false;
        (void)pthread_mutex_unlock(&opener->lock);
        bool trouble = open_all(opener->node);
        (void)pthread_mutex_lock(&opener->lock);
        struct timespec deadline;
        (void)clock_gettime(CLOCK_MONOTONIC, &deadline);
        deadline.tv_sec += RETRY_S;
        while (!opener->stopping && !opener->work) {
            if (!trouble)
                (void)pthread_cond_wait(&opener->woken, &opener->lock);
            else if (pthread_cond_timedwait(&opener->woken, &opener->lock, &deadline) != 0)
                break;
        }
    }
    (void)pthread_mutex_unlock(&opener->lock);
    return NULL;
}

ent_rc ent_opener_new(ent_node *node, ent_opener **ret, ent_err *err)
{
    ent_opener *opener = ent_alloc(sizeof *opener);
    if (opener == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    opener->node = node;
    (void)pthread_mutex_init(&opener->lock, NULL);
    (void)pthread_cond_init(&opener->woken, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    opener->started = pthread_create(&opener->thread, NULL, run, opener) == 0;
    if (!opener->started) {
        ent_opener_free(opener);
        return ent_fail(err, ENT_IO, NULL, "cannot start a thread");
    }
    *ret = opener;
    return ENT_DONE;
}

void ent_opener_free(ent_opener *opener)
{
    if (opener == NULL)
        return;
    if (opener->started) {
        (void)pthread_mutex_lock(&opener->lock);
        opener->stopping = true;
        (void)pthread_cond_signal(&opener->woken);
        (void)pthread_mutex_unlock(&opener->lock);
        (void)pthread_join(opener->thread, NULL);
    }
    (void)pthread_cond_destroy(&opener->woken);
    (void)pthread_mutex_destroy(&opener->lock);
    ent_free(opener);
}

void ent_opener_wake(ent_opener *opener)
{
    if (opener == NULL)
        return;
    (void)pthread_mutex_lock(&opener->lock);
    opener->work = true;
    (void)pthread_cond_signal(&opener->woken);
    (void)pthread_mutex_unlock(&opener->lock);
}
