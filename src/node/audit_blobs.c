/* The audit of attachments. */
#include "node/audit_internal.h"

#include "base/file.h"
#include "store/blobs.h"

#include <errno.h>
#include <unistd.h>

void ent_audit_files_release(ent_audit_files *files)
{
    ent_file_close(&files->fd);
}

static ent_rc collect(void *context, const ent_store_blob *blob, ent_err *err)
{
    ent_audit_files *files = context;
    (void)err;
    if (files->count < ENT_ENTRY_MAX_ATTACHMENTS)
        files->blobs[files->count++] = *blob;
    return ENT_DONE;
}

static bool is_that(const ent_store_blob *blob, const ent_blob_ref *named, size_t at)
{
    return blob->at == at && blob->size == named->size && ent_hash_equal(&blob->digest, &named->digest);
}

ent_rc ent_audit_blobs_take(ent_audit *audit, const ent_entry *entry, ent_err *err)
{
    ent_audit_log *log = audit->log;
    ent_audit_files *files = &log->files;
    ent_err why = {0};
    bool read_rows = false;
    files->count = 0;
    files->next = 0;
    ent_rc rc = audit->source.store->engine->blob_walk(audit->source.store, log->row.number, entry->index, collect,
                                                       files, &why);
    ENT_TRY(ent_audit_read(audit, rc, &why, "attachment", entry->index, &read_rows, err));
    if (!read_rows)
        return ENT_DONE;
    bool same = files->count == entry->attachment_count;
    for (size_t i = 0; same && i < files->count; i++)
        same = is_that(&files->blobs[i], &entry->attachments[i], i);
    if (same)
        return ENT_DONE;
    ent_audit_find(audit, "attachment", entry->index,
                   "entry %llu names %zu attachments, and the store's list of them is another",
                   (unsigned long long)entry->index, entry->attachment_count);
    files->count = 0;
    return ENT_DONE;
}

static ent_rc open_next(ent_audit *audit, const ent_store_blob *blob, ent_err *err)
{
    ent_audit_files *files = &audit->log->files;
    uint64_t size = 0;
    ent_err why = {0};
    if (blob->state != ENT_BLOB_HELD) {
        audit->log->wanted++;
        files->next++;
        return ENT_DONE;
    }
    audit->log->attachments++;
    ent_rc rc = ent_blob_open(audit->source.blobs, &blob->digest, &files->fd, &size, &why);
    if (rc.code == ENT_NOMEM)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    if (rc.code != ENT_OK) {
        files->fd = -1;
        files->next++;
        ent_audit_find(audit, "attachment", blob->index, "attachment %u of entry %llu cannot be read: %s", blob->at,
                       (unsigned long long)blob->index, why.text);
        return ENT_DONE;
    }
    ent_sha256_start(&files->hash);
    files->left = size;
    return ENT_DONE;
}

static void finish(ent_audit *audit, const ent_store_blob *blob)
{
    ent_audit_files *files = &audit->log->files;
    ent_hash found;
    ent_sha256_finish(&files->hash, &found);
    ent_file_close(&files->fd);
    files->next++;
    if (!ent_hash_equal(&found, &blob->digest))
        ent_audit_find(audit, "attachment", blob->index,
                       "attachment %u of entry %llu does not have the digest that the entry gives: its file is damaged",
                       blob->at, (unsigned long long)blob->index);
}

ent_rc ent_audit_blobs_step(ent_audit *audit, bool *ret_more, ent_err *err)
{
    ent_audit_files *files = &audit->log->files;
    *ret_more = files->next < files->count;
    if (!*ret_more)
        return ENT_DONE;
    const ent_store_blob *blob = &files->blobs[files->next];
    if (files->fd < 0)
        return open_next(audit, blob, err);
    ssize_t got = read(files->fd, audit->piece, ENT_AUDIT_PIECE_BYTES);
    if (got < 0 && errno == EINTR)
        return ENT_DONE;
    if (got < 0) {
        ent_audit_find(audit, "attachment", blob->index, "attachment %u of entry %llu cannot be read", blob->at,
                       (unsigned long long)blob->index);
        ent_file_close(&files->fd);
        files->next++;
        return ENT_DONE;
    }
    if (got == 0) {
        finish(audit, blob);
        return ENT_DONE;
    }
    ent_sha256_update(&files->hash, ent_bytes_of(audit->piece, (size_t)got));
    ent_audit_count(audit, (uint64_t)got);
    return ENT_DONE;
}
