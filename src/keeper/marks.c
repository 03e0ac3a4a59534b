#include "keeper/marks.h"

#include "base/cursor.h"
#include "base/file.h"
#include "crypto/crypto.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

/* The file is a journal of lines, each with a checksum, over a region of zeros that was written beforehand: overwriting
 * blocks that exist needs no change of the file's size, so that fdatasync has one thing to write. Each sync writes one
 * batch, which ends with a line that says so. When the region is full the file is written anew: one line per mark, as
 * the first batch. */
enum { REGION_BYTES = 256 * 1024, CHECK_DIGITS = 16, LINE_MAX_BYTES = 512, END_MAX_BYTES = 64 };

/* The keeper of a node that was killed may live a moment longer than the node. */
enum { LOCK_TRIES = 100, LOCK_WAIT_US = 20000 };

struct ent_marks {
    char *path;
    int fd;
    int lock;        /* of "lock" in the same folder: two keepers would write over each other's marks */
    size_t used;     /* bytes of the region that hold lines */
    size_t region;   /* bytes of the file */
    uint64_t batch;  /* number of the sync that will write the pending lines */
    ent_buf pending; /* lines not written yet */
    ent_mark *rows;  /* sorted by (what, origin) */
    size_t count;
    size_t capacity;
};

static int compare(ent_keeper_what what, ent_text origin, const ent_mark *row)
{
    if (what != row->what)
        return what < row->what ? -1 : 1;
    return ent_text_compare(origin, ent_text_of(row->origin));
}

static size_t position(const ent_marks *marks, ent_keeper_what what, ent_text origin, bool *ret_found)
{
    size_t low = 0;
    size_t high = marks->count;
    *ret_found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare(what, origin, &marks->rows[middle]);
        if (order == 0) {
            *ret_found = true;
            return middle;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

const ent_mark *ent_marks_find(const ent_marks *marks, ent_keeper_what what, ent_text origin)
{
    bool found = false;
    size_t at = position(marks, what, origin, &found);
    return found ? &marks->rows[at] : NULL;
}

static ent_rc remember(ent_marks *marks, const ent_mark *mark, ent_err *err)
{
    bool found = false;
    size_t at = position(marks, mark->what, ent_text_of(mark->origin), &found);
    if (found) {
        marks->rows[at] = *mark;
        return ENT_DONE;
    }
    if (marks->count == marks->capacity) {
        size_t capacity = marks->capacity == 0 ? 16 : marks->capacity * 2;
        ent_mark *rows = ent_realloc(marks->rows, capacity * sizeof *rows);
        if (rows == NULL)
            return ent_fail(err, ENT_NOMEM, NULL, "out of memory for %zu high-water marks", capacity);
        marks->rows = rows;
        marks->capacity = capacity;
    }
    memmove(marks->rows + at + 1, marks->rows + at, (marks->count - at) * sizeof *marks->rows);
    marks->rows[at] = *mark;
    marks->count++;
    return ENT_DONE;
}

static void checksum(ent_text line, char ret[CHECK_DIGITS + 1])
{
    ent_hash hash;
    ent_sha256(ent_text_bytes(line), &hash);
    ent_hex_encode(ent_bytes_of(hash.bytes, CHECK_DIGITS / 2), ret);
}

/* "<16 hex check> <batch> <H|R> <size> <root hex> <time> <origin>\n"; the check covers what stands behind it. */
static void put_line(ent_buf *buf, uint64_t batch, const ent_mark *mark)
{
    char check[CHECK_DIGITS + 1];
    ENT_CLEANUP(ent_buf_release) ent_buf line = {0};
    ent_buf_put_decimal(&line, batch);
    ent_buf_put_format(&line, " %c ", (char)mark->what);
    ent_buf_put_decimal(&line, mark->head.size);
    ent_buf_put_u8(&line, ' ');
    ent_buf_put_hex(&line, ent_hash_bytes(&mark->head.root));
    ent_buf_put_u8(&line, ' ');
    ent_buf_put_decimal(&line, mark->timestamp_unix_s);
    ent_buf_put_u8(&line, ' ');
    ent_buf_put_string(&line, mark->origin);
    if (line.failed != ENT_OK) {
        buf->failed = line.failed;
        return;
    }
    checksum(ent_buf_text(&line), check);
    ent_buf_put_string(buf, check);
    ent_buf_put_u8(buf, ' ');
    ent_buf_put(buf, ent_buf_bytes(&line));
    ent_buf_put_u8(buf, '\n');
}

/* "<16 hex check> <batch> .\n": all of the batch stands before. Needs END_MAX_BYTES and no memory besides. */
static void put_end(ent_buf *buf, uint64_t batch)
{
    char line[END_MAX_BYTES];
    char check[CHECK_DIGITS + 1];
    int size = snprintf(line, sizeof line, "%" PRIu64 " .", batch);
    checksum((ent_text){line, (size_t)size}, check);
    ent_buf_put_string(buf, check);
    ent_buf_put_u8(buf, ' ');
    ent_buf_put_text(buf, (ent_text){line, (size_t)size});
    ent_buf_put_u8(buf, '\n');
}

/* A line as read. */
typedef struct {
    uint64_t batch;
    bool is_end; /* else it holds a mark */
    ent_mark mark;
} journal_line;

static bool parse_mark(ent_cursor *cursor, ent_mark *ret)
{
    uint8_t what = ent_cursor_u8(cursor);
    ent_cursor_literal(cursor, ENT_TEXT(" "));
    ret->what = what == ENT_KEEPER_HEAD ? ENT_KEEPER_HEAD : ENT_KEEPER_RECEIPT;
    ret->head.size = ent_cursor_decimal(cursor, ENT_LOG_MAX_SIZE);
    ent_cursor_literal(cursor, ENT_TEXT(" "));
    ent_text root = ent_cursor_until(cursor, ' ');
    ret->timestamp_unix_s = ent_cursor_decimal(cursor, INT64_MAX);
    ent_cursor_literal(cursor, ENT_TEXT(" "));
    ent_bytes origin = ent_cursor_take(cursor, ent_cursor_left(cursor));
    if (cursor->failed || (what != ENT_KEEPER_HEAD && what != ENT_KEEPER_RECEIPT) || origin.size == 0 ||
        origin.size >= sizeof ret->origin)
        return false;
    if (ent_hex_decode(root, ret->head.root.bytes, sizeof ret->head.root.bytes, NULL).code != ENT_OK)
        return false;
    memset(ret->origin, 0, sizeof ret->origin);
    memcpy(ret->origin, origin.data, origin.size);
    return true;
}

static bool parse_line(ent_text line, journal_line *ret)
{
    char check[CHECK_DIGITS + 1];
    if (line.size <= CHECK_DIGITS + 1 || line.size > LINE_MAX_BYTES)
        return false;
    ent_text covered = {line.data + CHECK_DIGITS + 1, line.size - CHECK_DIGITS - 1};
    checksum(covered, check);
    if (memcmp(check, line.data, CHECK_DIGITS) != 0 || line.data[CHECK_DIGITS] != ' ')
        return false;
    ent_cursor cursor = ent_cursor_of(ent_text_bytes(covered));
    ret->batch = ent_cursor_decimal(&cursor, INT64_MAX);
    ent_cursor_literal(&cursor, ENT_TEXT(" "));
    ret->is_end = ent_cursor_accept(&cursor, ENT_TEXT("."));
    return ret->is_end ? ent_cursor_finished(&cursor) : parse_mark(&cursor, &ret->mark);
}

static ent_rc fail_damaged(const ent_marks *marks, size_t at, ent_err *err)
{
    return ent_fail(
        err, ENT_PEER_MALFORMED, "design 3, rollback guard",
        "%s is damaged at byte %zu: restore it from a backup, or recover this node's logs from a peer; without "
        "it a head could be signed twice",
        marks->path, at);
}

/* Behind the last good line only the write that a crash tore may have left something: parts of one batch, in any order
 * of sectors. It was never synced, so nothing was signed on it. A good line of a later batch means that lines before it
 * were synced and are gone, and that must not be overlooked.
 * @in   torn   the batch that may be torn */
static ent_rc check_rest(const ent_marks *marks, ent_bytes rest, uint64_t torn, size_t at, ent_err *err)
{
    size_t start = 0;
    for (size_t i = 0; i < rest.size; i++) {
        journal_line line = {0};
        if (rest.data[i] == 0)
            start = i + 1;
        if (rest.data[i] != '\n')
            continue;
        if (parse_line((ent_text){(const char *)rest.data + start, i - start}, &line) && line.batch > torn)
            return fail_damaged(marks, at, err);
        start = i + 1;
    }
    return ENT_DONE;
}

/* Read the lines; afterwards marks->batch is that of the last one. */
static ent_rc load(ent_marks *marks, ent_bytes bytes, ent_err *err)
{
    ent_cursor cursor = ent_cursor_of(bytes);
    size_t batches = 0;   /* whole ones */
    bool at_start = true; /* of a batch */
    while (ent_cursor_left(&cursor) > 0 && *cursor.next != 0) {
        ent_cursor before = cursor;
        journal_line line = {0};
        ent_text text = ent_cursor_line(&cursor);
        if (cursor.failed || !parse_line(text, &line)) {
            cursor = before;
            break;
        }
        uint64_t expected = at_start ? marks->batch + 1 : marks->batch;
        bool is_first = batches == 0 && at_start;
        if (!is_first && line.batch != expected)
            return fail_damaged(marks, ent_cursor_offset(&before), err);
        if (!line.is_end)
            ENT_TRY(remember(marks, &line.mark, err));
        marks->batch = line.batch;
        at_start = line.is_end;
        batches += line.is_end;
    }
    size_t at = ent_cursor_offset(&cursor);
    if (batches == 0) /* the first one came with the file's name, whole */
        return fail_damaged(marks, at, err);
    uint64_t torn = at_start ? marks->batch + 1 : marks->batch;
    return check_rest(marks, ent_bytes_of(cursor.next, ent_cursor_left(&cursor)), torn, at, err);
}

/* Write the file anew: one line per mark, the rest of the region zeros. */
static ent_rc rewrite(ent_marks *marks, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf file = {0};
    for (size_t i = 0; i < marks->count; i++)
        put_line(&file, marks->batch, &marks->rows[i]);
    put_end(&file, marks->batch);
    size_t used = file.size;
    size_t region = used + REGION_BYTES;
    uint8_t *room = ent_buf_reserve(&file, REGION_BYTES);
    ENT_TRY(ent_buf_check(&file, err));
    memset(room, 0, REGION_BYTES);
    file.size = region;
    ENT_TRY(ent_file_write(marks->path, 0600, ent_buf_bytes(&file), err));
    ent_file_close(&marks->fd);
    marks->fd = open(marks->path, O_WRONLY | O_CLOEXEC);
    if (marks->fd < 0)
        return ent_fail(err, ENT_IO, NULL, "cannot open %s again", marks->path);
    marks->used = used;
    marks->region = region;
    marks->batch++;
    ent_buf_clear(&marks->pending);
    return ENT_DONE;
}

static ent_rc lock_folder(ent_marks *marks, const char *folder, ent_err *err)
{
    ENT_CLEANUP(ent_free_pointer) char *path = ent_file_join(folder, "lock");
    char reason[128];
    if (path == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    marks->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (marks->lock < 0)
        return ent_fail(err, ENT_IO, NULL, "cannot open %s: %s", path, strerror_r(errno, reason, sizeof reason));
    for (int i = 0; flock(marks->lock, LOCK_EX | LOCK_NB) != 0; i++) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return ent_fail(err, ENT_IO, NULL, "cannot lock %s: %s", path, strerror_r(errno, reason, sizeof reason));
        if (i == LOCK_TRIES)
            return ent_fail(err, ENT_REFUSED, "design 8, keeper",
                            "the marks in %s are open already, in a node that runs; stop it first", folder);
        (void)usleep(LOCK_WAIT_US);
    }
    return ENT_DONE;
}

ent_rc ent_marks_open(const char *folder, ent_marks **ret, ent_err *err)
{
    ent_marks *marks = ent_alloc(sizeof *marks);
    if (marks == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    marks->fd = -1;
    marks->lock = -1;
    marks->path = ent_file_join(folder, "marks");
    ENT_CLEANUP(ent_buf_release) ent_buf bytes = {0};
    ent_rc rc = marks->path == NULL ? ent_fail(err, ENT_NOMEM, NULL, "out of memory") : ENT_DONE;
    if (rc.code == ENT_OK)
        rc = ent_file_make_folder(folder, 0700, err);
    if (rc.code == ENT_OK)
        rc = lock_folder(marks, folder, err);
    if (rc.code == ENT_OK) {
        rc = ent_file_read(marks->path, (size_t)1 << 30, &bytes, err);
        if (rc.code == ENT_OK)
            rc = load(marks, ent_buf_bytes(&bytes), err);
        else if (rc.code == ENT_ABSENT) /* and nothing else: marks that cannot be read are not begun anew */
            rc = ENT_DONE;
    }
    if (rc.code == ENT_OK)
        rc = rewrite(marks, err);
    if (rc.code != ENT_OK) {
        ent_marks_free(marks);
        return rc;
    }
    *ret = marks;
    return ENT_DONE;
}

void ent_marks_free(ent_marks *marks)
{
    if (marks == NULL)
        return;
    ent_file_close(&marks->fd);
    ent_file_close(&marks->lock);
    ent_buf_release(&marks->pending);
    ent_free(marks->rows);
    ent_free(marks->path);
    ent_free(marks);
}

ent_rc ent_marks_put(ent_marks *marks, const ent_mark *mark, ent_err *err)
{
    size_t before = marks->pending.size;
    put_line(&marks->pending, marks->batch, mark);
    (void)ent_buf_reserve(&marks->pending, END_MAX_BYTES); /* so that ent_marks_sync needs no memory */
    ent_rc rc = ent_buf_check(&marks->pending, err);
    if (rc.code == ENT_OK)
        rc = remember(marks, mark, err);
    if (rc.code != ENT_OK) {
        marks->pending.size = before; /* half a line must never reach the file */
        marks->pending.failed = ENT_OK;
    }
    return rc;
}

ent_rc ent_marks_sync(ent_marks *marks, ent_err *err)
{
    if (marks->pending.size == 0)
        return ENT_DONE;
    put_end(&marks->pending, marks->batch);
    if (marks->pending.size > marks->region - marks->used)
        return rewrite(marks, err);
    ent_bytes left = ent_buf_bytes(&marks->pending);
    size_t at = marks->used;
    while (left.size > 0) {
        ssize_t written = pwrite(marks->fd, left.data, left.size, (off_t)at);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return ent_fail(err, errno == ENOSPC ? ENT_IO_FULL : ENT_IO, NULL, "cannot write %s", marks->path);
        at += (size_t)written;
        left.data += written;
        left.size -= (size_t)written;
    }
    if (fdatasync(marks->fd) != 0)
        return ent_fail(err, ENT_IO, NULL, "cannot sync %s", marks->path);
    marks->used = at;
    marks->batch++;
    ent_buf_clear(&marks->pending);
    return ENT_DONE;
}
