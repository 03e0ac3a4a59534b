#include "store/sqlite/internal.h"

#include "base/alloc.h"
#include "crypto/crypto.h"
#include "base/file.h"
#include "store/blob_file.h"
#include "store/blobs.h"

#include <errno.h>
#include <unistd.h>

static ent_rc remember_file(ent_sqlite *store, const ent_hash *digest, ent_err *err)
{
    if (store->new_body_count == store->new_body_capacity) {
        size_t capacity = store->new_body_capacity == 0 ? 16 : 2 * store->new_body_capacity;
        ent_hash *larger = ent_realloc(store->new_bodies, capacity * sizeof *larger);
        if (larger == NULL)
            return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
        store->new_bodies = larger;
        store->new_body_capacity = capacity;
    }
    store->new_bodies[store->new_body_count++] = *digest;
    return ENT_DONE;
}

static ent_rc write_file(ent_sqlite *store, ent_bytes body, const ent_hash *digest, ent_err *err)
{
    ent_blob_writer *writer = NULL;
    if (ent_fault_hit(&store->fault))
        return ent_fail(err, ENT_IO, NULL, "cannot write the body's file: injected fault");
    ENT_TRY(ent_blob_writer_new(store->bodies, ENT_BODY_MAX_BYTES, &writer, err));
    ent_hash written;
    uint64_t size = 0;
    ent_rc rc = ent_blob_writer_push(writer, body, err);
    if (rc.code == ENT_OK && ent_fault_hit(&store->fault))
        rc = ent_fail(err, ENT_IO, NULL, "cannot sync the body's file: injected fault");
    if (rc.code == ENT_OK)
        rc = ent_blob_writer_commit(writer, digest, &written, &size, err);
    ent_blob_writer_free(writer);
    return rc;
}

/* A file that was there before is whole and durable (blobs.h) and may belong to another row: a rollback leaves it. */
static ent_rc add_file(ent_sqlite *store, ent_bytes body, const ent_hash *digest, ent_err *err)
{
    ENT_CLEANUP(ent_free_pointer) char *path = ent_blob_path(store->bodies, digest);
    if (path == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    if (access(path, F_OK) != 0 && errno == ENOENT) /* when it cannot be told, the file stays */
        ENT_TRY(remember_file(store, digest, err));
    ent_rc rc = write_file(store, body, digest, err);
    if (rc.code == ENT_IO)
        atomic_store(&store->stopped, true); /* a sync may have failed: whether the name is durable is not known */
    return rc;
}

ent_rc ent_bodies_add(ent_store *base, int64_t log, const ent_store_append *append, ent_err *err)
{
    ent_sqlite *store = ent_sqlite_of(base);
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(
        ent_sql_write(base, ENT_SQL_BODY_ADD, "INSERT INTO bodies (id, sealed, file) VALUES (?1, ?2, ?3)", &sql, err));
    for (size_t at = 0; at < append->count; at++) {
        ent_bytes body = append->bodies[at];
        int64_t key = 0;
        if (body.size == 0)
            continue;
        if (body.size > ENT_BODY_MAX_BYTES || !ent_store_entry_key(log, append->first + at, &key))
            return ent_fail(err, ENT_USAGE, "design.md section 11", "a body of %zu bytes; at most %d are kept",
                            body.size, ENT_BODY_MAX_BYTES);
        bool file = body.size > ENT_STORE_BODY_ROW_BYTES && store->folder != NULL;
        if (file)
            ENT_TRY(add_file(store, body, &append->body_digests[at], err));
        ent_sql_bind_int(&sql, key);
        if (file) {
            ent_sql_bind_null(&sql);
            ent_sql_bind_hash(&sql, &append->body_digests[at]);
        } else {
            ent_sql_bind_bytes(&sql, body);
            ent_sql_bind_null(&sql);
        }
        ENT_TRY(ent_sql_run(&sql, err));
    }
    return ENT_DONE;
}

void ent_bodies_keep(ent_sqlite *store)
{
    store->new_body_count = 0;
}

/* A file that cannot be removed is harmless: no row names it, and the same bytes adopt it when they come again. The
 * same is true of those that a crash leaves behind. */
void ent_bodies_undo(ent_sqlite *store)
{
    while (store->new_body_count > 0) {
        ENT_CLEANUP(ent_free_pointer)
        char *path = ent_blob_path(store->bodies, &store->new_bodies[--store->new_body_count]);
        if (path != NULL)
            (void)unlink(path);
    }
}

static ent_rc read_file(const ent_sqlite *store, const ent_hash *digest, ent_buf *ret_sealed, ent_err *err)
{
    ENT_CLEANUP(ent_free_pointer) char *path = ent_blob_path(store->bodies, digest);
    if (path == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    size_t before = ret_sealed->size;
    ent_rc rc = ent_file_read(path, ENT_BODY_MAX_BYTES, ret_sealed, err);
    if (rc.code == ENT_ABSENT || rc.code == ENT_PEER_TOO_LARGE)
        rc = ent_fail(err, ENT_IO, NULL,
                      "the body's file %s is missing or damaged; restore a backup or recover from the peers", path);
    if (rc.code == ENT_OK) {
        ent_hash found;
        ent_sha256(ent_bytes_of(ret_sealed->data + before, ret_sealed->size - before), &found);
        if (!ent_hash_equal(&found, digest))
            rc = ent_fail(err, ENT_IO, NULL,
                          "the body's file %s is damaged; restore a backup or recover from the peers", path);
    }
    if (rc.code != ENT_OK)
        ret_sealed->size = before;
    return rc;
}

ent_rc ent_sqlite_body_read(ent_store *base, int64_t log, uint64_t index, ent_buf *ret_sealed, ent_err *err)
{
    int64_t key = 0;
    if (!ent_store_entry_key(log, index, &key))
        return ent_fail(err, ENT_ABSENT, NULL, "the body is not in the store");
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_read(base, ENT_SQL_BODY_READ, "SELECT sealed, file FROM bodies WHERE id = ?1", &sql, err));
    ent_sql_bind_int(&sql, key);
    ENT_TRY(ent_sql_row(&sql, "the body", err));
    if (ent_sql_is_null(&sql, 1)) {
        ent_buf_put(ret_sealed, ent_sql_bytes(&sql, 0));
        return ent_buf_check(ret_sealed, err);
    }
    ent_hash digest;
    ent_sql_fixed(&sql, 1, digest.bytes, sizeof digest.bytes);
    ENT_TRY(ent_sql_check(&sql, err));
    ent_sql_finish(&sql);
    return read_file(ent_sqlite_of(base), &digest, ret_sealed, err);
}
