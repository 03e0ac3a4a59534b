#include "store/sqlite/internal.h"

typedef struct {
    ent_store *store;
    int64_t log;
    ent_sql add;
} growth;

static ent_rc no_such_tile(uint8_t level, uint64_t index, uint16_t width, ent_err *err)
{
    return ent_fail(err, ENT_ABSENT, NULL, "%u hashes of tile %u/%llu are not in the store", width, level,
                    (unsigned long long)index);
}

/* The beginning of a tile that is about to be filled, as this transaction has left it. */
static ent_rc read_beginning(void *context, uint8_t level, uint64_t index, uint16_t width, ent_hash *ret_hashes,
                             ent_err *err)
{
    const growth *grown = context;
    int64_t key = 0;
    if (width > ENT_TILE_WIDTH || !ent_store_tile_key(grown->log, level, index, &key))
        return no_such_tile(level, index, width, err);
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_read(grown->store, ENT_SQL_TILE_BEGINNING, "SELECT hashes FROM tiles WHERE id = ?1", &sql, err));
    ent_sql_bind_int(&sql, key);
    ENT_TRY(ent_sql_row(&sql, "the tile", err));
    ent_bytes hashes = ent_sql_bytes(&sql, 0);
    if (hashes.size != ENT_TILE_BYTES)
        sql.damaged = true;
    ENT_TRY(ent_sql_check(&sql, err));
    memcpy(ret_hashes, hashes.data, (size_t)width * sizeof *ret_hashes);
    return ENT_DONE;
}

static ent_rc add_tile(growth *grown, int64_t key, const ent_hash *hashes, uint16_t count, ent_err *err)
{
    uint8_t padded[ENT_TILE_BYTES];
    const void *bytes = hashes;
    if (count < ENT_TILE_WIDTH) {
        memset(padded, 0, sizeof padded);
        memcpy(padded, hashes, (size_t)count * sizeof *hashes);
        bytes = padded;
    }
    ent_sql_bind_int(&grown->add, key);
    ent_sql_bind_bytes(&grown->add, ent_bytes_of(bytes, ENT_TILE_BYTES));
    return ent_sql_run(&grown->add, err);
}

/* Overwrites in place: one page is written where an UPDATE would write the whole tile. */
static ent_rc extend_tile(growth *grown, int64_t key, uint16_t first, const ent_hash *hashes, uint16_t count,
                          ent_err *err)
{
    ent_sqlite *store = ent_sqlite_of(grown->store);
    if (store->vfs == NULL && ent_fault_hit(&store->fault))
        return ent_sql_fail(NULL, SQLITE_IOERR_WRITE, "cannot extend a tile", err);
    sqlite3 *db = store->writer.db;
    sqlite3_blob *blob = NULL;
    int rc = sqlite3_blob_open(db, "main", "tiles", "hashes", key, 1, &blob);
    if (rc == SQLITE_OK)
        rc = sqlite3_blob_write(blob, hashes, count * (int)sizeof *hashes, first * (int)sizeof *hashes);
    ent_rc result = rc == SQLITE_OK ? ENT_DONE : ent_sql_fail(db, rc, "cannot extend a tile", err);
    int closed = sqlite3_blob_close(blob);
    if (rc == SQLITE_OK && closed != SQLITE_OK)
        result = ent_sql_fail(db, closed, "cannot extend a tile", err);
    return result;
}

static ent_rc write_hashes(void *context, uint8_t level, uint64_t index, uint16_t first, const ent_hash *hashes,
                           uint16_t count, ent_err *err)
{
    growth *grown = context;
    int64_t key = 0;
    if (!ent_store_tile_key(grown->log, level, index, &key))
        return ent_fail(err, ENT_USAGE, NULL, "a log in this store holds at most 2^40 entries");
    return first == 0 ? add_tile(grown, key, hashes, count, err) : extend_tile(grown, key, first, hashes, count, err);
}

ent_rc ent_tiles_add(ent_store *store, int64_t log, const ent_store_append *append, ent_err *err)
{
    growth grown = {.store = store, .log = log};
    ENT_TRY(ent_sql_write(store, ENT_SQL_TILE_ADD, "INSERT INTO tiles (id, hashes) VALUES (?1, ?2)", &grown.add, err));
    ent_tile_reader reader = {.read = read_beginning, .context = &grown};
    ent_tile_writer writer = {.write = write_hashes, .context = &grown};
    ent_rc rc = ent_tiles_append(append->first, append->leaves, append->count, &reader, &writer, err);
    ent_sql_finish(&grown.add);
    return rc;
}

ent_rc ent_sqlite_tile_read(ent_store *store, int64_t log, uint8_t level, uint64_t index, uint16_t width, ent_hash *ret,
                            ent_err *err)
{
    int64_t key = 0;
    if (width > ENT_TILE_WIDTH || !ent_store_tile_key(log, level, index, &key) || 8 * level >= ENT_STORE_INDEX_BITS)
        return no_such_tile(level, index, width, err);
    ENT_CLEANUP(ent_sql_finish) ent_sql sql = {0};
    ENT_TRY(ent_sql_read(store, ENT_SQL_TILE_READ,
                         "SELECT logs.size, tiles.hashes FROM logs JOIN tiles ON tiles.id = ?1 WHERE logs.number = ?2",
                         &sql, err));
    ent_sql_bind_int(&sql, key);
    ent_sql_bind_int(&sql, log);
    bool found = false;
    ENT_TRY(ent_sql_step(&sql, &found, err));
    /* index < 2^36, so the product does not overflow */
    if (!found || index * ENT_TILE_WIDTH + width > ent_sql_size(&sql, 0) >> (8 * level))
        return no_such_tile(level, index, width, err);
    ent_bytes hashes = ent_sql_bytes(&sql, 1);
    if (hashes.size != ENT_TILE_BYTES)
        sql.damaged = true;
    ENT_TRY(ent_sql_check(&sql, err));
    memcpy(ret, hashes.data, (size_t)width * sizeof *ret);
    return ENT_DONE;
}
