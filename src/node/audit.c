#include "node/audit_internal.h"

#include "base/clock.h"
#include "base/config.h"
#include "base/file.h"
#include "keeper/marks.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

enum { TELL_EVERY_MS = 200, SHORTEST_ID_DIGITS = 8 };

/* --- lines --- */

static void end_line(ent_audit *audit, ent_json_writer *writer)
{
    ent_json_object_end(writer);
    ent_buf_put_u8(audit->lines, '\n');
}

static void put_place(ent_audit *audit, ent_json_writer *writer)
{
    const ent_audit_channel *channel = audit->channel;
    ent_json_member_string(writer, "channel", channel->id_text);
    ent_json_member_string(writer, "alias", channel->row.alias[0] == 0 ? NULL : channel->row.alias);
    if (audit->log != NULL)
        ent_json_member_text(writer, "party", channel->genesis.members[audit->log->member].name);
}

void ent_audit_find(ent_audit *audit, const char *what, uint64_t at, const char *format, ...)
{
    char text[512];
    va_list arguments;
    audit->findings++;
    if (audit->log != NULL && ++audit->log->findings > ENT_AUDIT_LINES_A_LOG)
        return;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    ent_json_writer writer = ent_json_writer_of(audit->lines);
    ent_json_object_begin(&writer);
    ent_json_member_string(&writer, "line", "finding");
    put_place(audit, &writer);
    ent_json_member_string(&writer, "what", what);
    ent_json_key(&writer, "at");
    if (at == UINT64_MAX)
        ent_json_put_null(&writer);
    else
        ent_json_put_unsigned(&writer, at);
    ent_json_member_string(&writer, "text", text);
    end_line(audit, &writer);
}

ent_rc ent_audit_read(ent_audit *audit, ent_rc rc, const ent_err *why, const char *what, uint64_t at, bool *ret_read,
                      ent_err *err)
{
    if (rc.code == ENT_NOMEM)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    *ret_read = rc.code == ENT_OK;
    if (!*ret_read)
        ent_audit_find(audit, what, at, "cannot be read: %s", why->text);
    return ENT_DONE;
}

void ent_audit_count(ent_audit *audit, uint64_t bytes)
{
    audit->done_bytes += bytes;
    audit->log_bytes += bytes;
}

static void tell_progress(ent_audit *audit)
{
    int64_t now_ms = ent_clock_monotonic_ms();
    if (now_ms - audit->told_ms < TELL_EVERY_MS)
        return;
    audit->told_ms = now_ms;
    ent_json_writer writer = ent_json_writer_of(audit->lines);
    ent_json_object_begin(&writer);
    ent_json_member_string(&writer, "line", "progress");
    ent_json_member_unsigned(&writer, "done_bytes", audit->done_bytes);
    ent_json_member_unsigned(&writer, "total_bytes", audit->total_bytes);
    end_line(audit, &writer);
}

static void put_passed(const ent_audit *audit, ent_json_writer *writer)
{
    const ent_audit_log *log = audit->log;
    ent_json_key(writer, "acks_passed");
    ent_json_array_begin(writer);
    for (size_t m = 0; m < audit->channel->genesis.member_count; m++) {
        for (int worth = ENT_ACK_COUNTS + 1; worth < ENT_AUDIT_ACK_WORTHS; worth++) {
            const ent_audit_acks *acks = &log->passed[m][worth];
            if (acks->count == 0)
                continue;
            ent_json_object_begin(writer);
            ent_json_member_text(writer, "party", audit->channel->genesis.members[m].name);
            ent_json_member_string(writer, "why", ent_ack_worth_word((ent_ack_worth)worth));
            ent_json_member_unsigned(writer, "count", acks->count);
            ent_json_member_unsigned(writer, "first", acks->first);
            ent_json_object_end(writer);
        }
    }
    ent_json_array_end(writer);
}

static void tell_log(ent_audit *audit)
{
    const ent_audit_log *log = audit->log;
    ent_json_writer writer = ent_json_writer_of(audit->lines);
    ent_json_object_begin(&writer);
    ent_json_member_string(&writer, "line", "log");
    put_place(audit, &writer);
    ent_json_member_unsigned(&writer, "entries", log->row.tree.size);
    ent_json_member_unsigned(&writer, "bytes", log->bytes);
    ent_json_member_unsigned(&writer, "heads", log->heads);
    ent_json_member_unsigned(&writer, "receipts", log->receipt_count);
    ent_json_member_unsigned(&writer, "attachments", log->attachments);
    ent_json_member_unsigned(&writer, "attachments_to_come", log->wanted);
    ent_json_member_bool(&writer, "frozen", log->row.frozen);
    put_passed(audit, &writer);
    ent_json_member_unsigned(&writer, "findings", log->findings);
    end_line(audit, &writer);
}

static void tell_end(ent_audit *audit)
{
    ent_json_writer writer = ent_json_writer_of(audit->lines);
    ent_json_object_begin(&writer);
    ent_json_member_string(&writer, "line", "end");
    ent_json_member_bool(&writer, "clean", audit->findings == 0);
    ent_json_member_unsigned(&writer, "findings", audit->findings);
    ent_json_member_unsigned(&writer, "channels", audit->channel_count);
    ent_json_member_unsigned(&writer, "entries", audit->entries);
    ent_json_member_unsigned(&writer, "bytes", audit->done_bytes);
    ent_json_member_unsigned(&writer, "milliseconds", (uint64_t)(ent_clock_monotonic_ms() - audit->started_ms));
    end_line(audit, &writer);
}

/* --- a log --- */

static void free_log(ent_audit *audit)
{
    ent_audit_log *log = audit->log;
    if (log == NULL)
        return;
    ent_audit_files_release(&log->files);
    ent_buf_release(&log->bundle);
    ent_buf_release(&log->head_note);
    ent_free(log->levels);
    ent_free(log);
    audit->log = NULL;
}

static ent_rc begin_log(ent_audit *audit, ent_err *err)
{
    const ent_audit_channel *channel = audit->channel;
    ent_audit_log *log = ent_alloc(sizeof *log);
    if (log == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    audit->log = log;
    audit->log_bytes = 0;
    log->files.fd = -1;
    log->member = audit->member_at++;
    log->row = channel->logs[log->member];
    log->levels = ent_alloc_array(ENT_AUDIT_TILE_LEVELS, sizeof *log->levels);
    if (log->levels == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    (void)ent_origin_write(channel->genesis.members[log->member].name, &channel->row.id, log->origin);
    ENT_TRY(ent_audit_evidence_begin(audit, err));
    return ent_audit_evidence_at(audit, err);
}

static ent_rc end_log(ent_audit *audit, ent_err *err)
{
    ENT_TRY(ent_audit_log_tiles_end(audit, err));
    ENT_TRY(ent_audit_evidence_end(audit, err));
    tell_log(audit);
    free_log(audit);
    return ENT_DONE;
}

/* --- a channel --- */

static void free_channel(ent_audit *audit)
{
    ent_audit_channel *channel = audit->channel;
    if (channel == NULL)
        return;
    for (size_t i = 0; i < channel->key_count; i++)
        ent_keys_release(&channel->keys[i]);
    ent_buf_release(&channel->genesis_bytes);
    ent_arena_release(&channel->arena);
    ent_free(channel);
    audit->channel = NULL;
}

/* From the genesis, and from the newest card and cutoff note that are kept. */
static ent_rc make_keys_of(ent_audit *audit, uint32_t i, ent_err *err)
{
    ent_audit_channel *channel = audit->channel;
    const ent_member *member = &channel->genesis.members[i];
    ent_store *store = audit->source.store;
    ent_first_keys first = {.name = member->name,
                            .root = member->root,
                            .log = member->log,
                            .receipt = member->receipt,
                            .age = member->age,
                            .tls = member->tls};
    ENT_CLEANUP(ent_buf_release) ent_buf card_bytes = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf cutoff_bytes = {0};
    ENT_CLEANUP(ent_card_release) ent_card_opened card = {0};
    ent_store_keys row;
    ent_cutoffs cutoffs = {.count = 0};
    ent_rc rc = store->engine->keys_get(store, channel->logs[i].number, &row, &card_bytes, &cutoff_bytes, err);
    if (rc.code == ENT_ABSENT)
        return ent_keys_make(&first, NULL, NULL, &channel->keys[i], err);
    ENT_TRY(rc);
    ENT_TRY(ent_card_parse(ent_buf_bytes(&card_bytes), &card, err));
    if (cutoff_bytes.size > 0)
        ENT_TRY(ent_cutoffs_parse(ent_buf_bytes(&cutoff_bytes), member->name, &card.card.root, &cutoffs, err));
    return ent_keys_make(&first, &card.card, cutoffs.count == 0 ? NULL : &cutoffs, &channel->keys[i], err);
}

static ent_rc make_keys(ent_audit *audit, ent_err *err)
{
    ent_audit_channel *channel = audit->channel;
    for (uint32_t i = 0; i < channel->genesis.member_count; i++) {
        ENT_TRY(ent_fail_in(err, make_keys_of(audit, i, err), "the keys of %.*s",
                            ENT_TEXT_ARG(channel->genesis.members[i].name)));
        channel->key_count++;
    }
    return ENT_DONE;
}

/* What its genesis says must be what its id stands for. */
static ent_rc read_genesis(ent_audit *audit, ent_err *err)
{
    ent_audit_channel *channel = audit->channel;
    ent_store *store = audit->source.store;
    ent_store_channel again;
    ent_hash id;
    ENT_TRY(store->engine->channel_get(store, &channel->row.id, &again, &channel->genesis_bytes, err));
    ent_channel_id(ent_buf_bytes(&channel->genesis_bytes), &id);
    if (!ent_hash_equal(&id, &channel->row.id))
        return ent_fail(err, ENT_PEER_MISMATCH, NULL, "the genesis that is kept does not have the channel's id");
    ENT_TRY(ent_genesis_decode(ent_buf_bytes(&channel->genesis_bytes), &channel->arena, &channel->genesis, err));
    int self = ent_genesis_member(&channel->genesis, ent_text_of(audit->source.name));
    if (self < 0)
        return ent_fail(err, ENT_PEER_MISMATCH, NULL, "%s is not a member of it", audit->source.name);
    channel->self = (uint32_t)self;
    for (uint32_t i = 0; i < channel->genesis.member_count; i++)
        ENT_TRY(store->engine->log_get(store, channel->row.number, i, &channel->logs[i], err));
    return make_keys(audit, err);
}

static ent_rc begin_channel(ent_audit *audit, ent_err *err)
{
    ent_err why = {0};
    bool was_read = false;
    audit->channel = ent_alloc(sizeof *audit->channel);
    if (audit->channel == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    audit->channel->row = audit->channels[audit->channel_at++];
    audit->member_at = 0;
    ent_hex_encode(ent_hash_bytes(&audit->channel->row.id), audit->channel->id_text);
    ent_rc rc = read_genesis(audit, &why);
    ENT_TRY(ent_audit_read(audit, rc, &why, "channel", UINT64_MAX, &was_read, err));
    if (!was_read)
        free_channel(audit);
    return ENT_DONE;
}

/* --- all of it --- */

static ent_rc step(ent_audit *audit, ent_err *err)
{
    bool more = false;
    if (audit->channel == NULL) {
        if (audit->channel_at < audit->channel_count)
            return begin_channel(audit, err);
        tell_end(audit);
        audit->ended = true;
        return ENT_DONE;
    }
    if (audit->log == NULL) {
        if (audit->member_at < audit->channel->genesis.member_count)
            return begin_log(audit, err);
        free_channel(audit);
        return ENT_DONE;
    }
    ENT_TRY(ent_audit_log_step(audit, &more, err));
    return more ? ENT_DONE : end_log(audit, err);
}

ent_rc ent_audit_step(ent_audit *audit, ent_buf *ret_lines, bool *ret_end, ent_err *err)
{
    audit->lines = ret_lines;
    if (!audit->ended) {
        ent_rc rc = step(audit, err);
        if (rc.code == ENT_OK && !audit->ended)
            tell_progress(audit);
        ENT_TRY(rc);
    }
    *ret_end = audit->ended;
    return ent_buf_check(ret_lines, err);
}

uint64_t ent_audit_findings(const ent_audit *audit)
{
    return audit->findings;
}

static ent_rc count_log(ent_audit *audit, const ent_store_channel *row, uint32_t member, ent_err *err)
{
    ent_store *store = audit->source.store;
    ent_store_log log;
    uint64_t held = 0;
    ENT_TRY(store->engine->log_get(store, row->number, member, &log, err));
    ENT_TRY(store->engine->blob_bytes_held(store, log.number, &held, err));
    audit->total_bytes += log.bytes + held;
    return ENT_DONE;
}

typedef struct {
    ent_audit *audit;
    ent_text named;
    bool by_alias;
} choosing;

static ent_rc choose(void *context, const ent_store_channel *row, ent_err *err)
{
    choosing *work = context;
    ent_audit *audit = work->audit;
    char id[ENT_CHANNEL_TEXT_SIZE + 1];
    ent_hex_encode(ent_hash_bytes(&row->id), id);
    bool alias = work->named.size > 0 && ent_text_is(work->named, row->alias);
    bool prefix = work->named.size >= SHORTEST_ID_DIGITS && ent_text_starts(ent_text_of(id), work->named);
    if ((work->named.size > 0 && !alias && !prefix) || (work->by_alias && !alias))
        return ENT_DONE;
    if (alias) { /* before any id that begins like it */
        audit->channel_count = 0;
        audit->total_bytes = 0;
        work->by_alias = true;
    }
    ent_store_channel *more = ent_realloc(audit->channels, (audit->channel_count + 1) * sizeof *more);
    if (more == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    audit->channels = more;
    audit->channels[audit->channel_count++] = *row;
    /* What cannot be counted is told as a finding in its turn. */
    for (uint32_t m = 0; m < ENT_ENTRY_MAX_MEMBERS && count_log(audit, row, m, NULL).code == ENT_OK; m++)
        continue;
    return ENT_DONE;
}

ent_rc ent_audit_new(const ent_audit_source *source, ent_text channel, ent_audit **ret, ent_err *err)
{
    ent_audit *audit = ent_alloc(sizeof *audit);
    if (audit == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    audit->source = *source;
    audit->started_ms = ent_clock_monotonic_ms();
    audit->piece = ent_alloc(ENT_AUDIT_PIECE_BYTES);
    choosing work = {.audit = audit, .named = channel};
    ent_rc rc = audit->piece == NULL ? ent_fail(err, ENT_NOMEM, NULL, "out of memory")
                                     : source->store->engine->channel_walk(source->store, choose, &work, err);
    if (rc.code == ENT_OK && channel.size > 0 && audit->channel_count != 1)
        rc = ent_fail(err, ENT_ABSENT, NULL, "%s channel is called \"%.*s\"; `entente channel list` shows them",
                      audit->channel_count == 0 ? "no" : "more than one", ENT_TEXT_ARG(channel));
    if (rc.code != ENT_OK) {
        ent_audit_free(audit);
        return rc;
    }
    *ret = audit;
    return ENT_DONE;
}

void ent_audit_free(ent_audit *audit)
{
    if (audit == NULL)
        return;
    free_log(audit);
    free_channel(audit);
    ent_free(audit->channels);
    ent_free(audit->piece);
    ent_free(audit);
}

/* --- a stopped node --- */

static ent_rc mark_of_file(void *context, ent_keeper_what what, ent_text origin, ent_tree_head *ret, ent_err *err)
{
    const ent_mark *mark = ent_marks_find(context, what, origin);
    if (mark == NULL)
        return ent_fail(err, ENT_ABSENT, NULL, "there is no mark of this log");
    *ret = mark->head;
    return ENT_DONE;
}

static ent_rc print_all(const ent_audit_source *source, ent_text channel, bool *ret_clean, ent_err *err)
{
    ent_audit *audit = NULL;
    ENT_CLEANUP(ent_buf_release) ent_buf lines = {0};
    bool end = false;
    ENT_TRY(ent_audit_new(source, channel, &audit, err));
    ent_rc rc = ENT_DONE;
    while (rc.code == ENT_OK && !end) {
        rc = ent_audit_step(audit, &lines, &end, err);
        if (rc.code == ENT_OK && lines.size > 0)
            rc = ent_file_write_all(STDOUT_FILENO, ent_buf_bytes(&lines), err);
        ent_buf_clear(&lines);
    }
    *ret_clean = ent_audit_findings(audit) == 0;
    ent_audit_free(audit);
    return rc;
}

static void close_marks(ent_marks **marks)
{
    ent_marks_free(*marks);
}

ent_rc ent_audit_folder(const char *folder, ent_text channel, bool *ret_clean, ent_err *err)
{
    ENT_CLEANUP(ent_paths_release) ent_paths paths = {0};
    ENT_CLEANUP(ent_config_release) ent_config config = {0};
    ENT_CLEANUP(ent_store_release) ent_store *store = NULL;
    ENT_CLEANUP(close_marks) ent_marks *marks = NULL;
    ENT_TRY(ent_crypto_init(err));
    ENT_TRY(ent_paths_make(folder, &paths, err));
    ENT_TRY(ent_config_read(paths.config, &config, err));
    if (!ent_file_exists(paths.store))
        return ent_fail(err, ENT_ABSENT, NULL, "there is no store in %s: its node never ran", folder);
    ENT_TRY(ent_store_sqlite_open(paths.store, &store, err));
    ENT_TRY(ent_marks_open(paths.marks, &marks, err));
    ent_audit_source source = {
        .store = store, .name = config.name, .blobs = paths.blobs, .mark = mark_of_file, .context = marks};
    return print_all(&source, channel, ret_clean, err);
}
