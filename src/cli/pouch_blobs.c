#include "cli/pouch_blobs.h"

#include "base/file.h"
#include "cli/api.h"
#include "cli/files.h"
#include "cli/people.h"
#include "cli/progress.h"
#include "cli/terminal.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { DIGEST_DIGITS = 64 };

void ent_cli_blobs_release(ent_cli_blobs *blobs)
{
    ent_buf_release(&blobs->json);
    ent_buf_release(&blobs->text);
    *blobs = (ent_cli_blobs){.moved = 0};
}

static char *folder_beside(const char *file)
{
    ENT_CLEANUP(ent_buf_release) ent_buf name = {0};
    ent_buf_put_format(&name, "%s.d", file);
    return ent_text_copy(ent_buf_text(&name));
}

static ent_rc no_memory(ent_err *err)
{
    return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
}

/* One row of what became of them. */
static void put_row(ent_cli_blobs *blobs, const char *path, const char *digest, uint64_t bytes, const char *state,
                    const char *text)
{
    if (blobs->json.size > 0)
        ent_buf_put_u8(&blobs->json, ',');
    ent_json_writer writer = ent_json_writer_of(&blobs->json);
    ent_json_object_begin(&writer);
    ent_json_member_string(&writer, "file", path);
    ent_json_member_string(&writer, "digest", digest);
    ent_json_member_unsigned(&writer, "bytes", bytes);
    ent_json_member_string(&writer, "state", state);
    ent_json_member_string(&writer, "text", text);
    ent_json_object_end(&writer);
}

static void put_sum(ent_cli_blobs *blobs, const char *folder, const char *done)
{
    if (blobs->moved == 0)
        return;
    ent_buf_put_format(&blobs->text, "%s: %zu attachment%s, ", folder, blobs->moved, blobs->moved == 1 ? "" : "s");
    ent_cli_put_bytes(&blobs->text, blobs->bytes);
    ent_buf_put_format(&blobs->text, ", %s\n", done);
}

/* ---- out ------------------------------------------------------------------------- */

typedef struct {
    ent_cli_output output;
    ent_cli_progress progress;
    uint64_t written;
} writing;

static void release_writing(writing *work)
{
    ent_cli_progress_end(&work->progress);
    ent_cli_output_release(&work->output);
}

static ent_rc write_piece(void *context, ent_bytes piece, ent_err *err)
{
    writing *work = context;
    ENT_TRY(ent_cli_output_write(&work->output, piece, err));
    work->written += piece.size;
    ent_cli_progress_to(&work->progress, work->written);
    return ENT_DONE;
}

static ent_rc fetch(const ent_cli *cli, const char *digest, uint64_t size, const char *path, ent_err *err)
{
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("GET", "/blobs");
    ENT_CLEANUP(release_writing) writing work = {.output = {.fd = -1}, .progress = ent_cli_progress_of(path, size)};
    ENT_CLEANUP(ent_buf_release) ent_buf none = {0};
    ent_cli_request_segment(&request, ent_text_of(digest));
    ENT_TRY(ent_cli_output_begin(&work.output, path, 0644, err));
    request.sink = write_piece;
    request.sink_context = &work;
    ENT_TRY(ent_cli_ask(cli, &request, &none, err));
    if (work.written != size)
        return ent_fail(err, ENT_IO, NULL, "%s: the node gave %" PRIu64 " bytes of %" PRIu64, path, work.written, size);
    return ent_cli_output_finish(&work.output, err);
}

static bool is_there(const char *path, uint64_t size)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && (uint64_t)status.st_size == size;
}

static ent_rc export_one(const ent_cli *cli, const char *folder, ent_json_value row, ent_cli_blobs *ret, ent_err *err)
{
    uint64_t size = ent_cli_count(row, "size");
    ENT_CLEANUP(ent_free_pointer) char *digest = ent_text_copy(ent_cli_text(row, "digest"));
    ENT_CLEANUP(ent_free_pointer) char *path = digest == NULL ? NULL : ent_file_join(folder, digest);
    if (path == NULL)
        return no_memory(err);
    if (strlen(digest) != DIGEST_DIGITS || strspn(digest, "0123456789abcdef") != DIGEST_DIGITS)
        return ent_fail(err, ENT_PEER_MALFORMED, "docs/api.md", "the node names an attachment by no digest");
    if (is_there(path, size)) {
        put_row(ret, path, digest, size, "there", NULL);
        return ENT_DONE;
    }
    ENT_TRY(ent_fail_in(err, ent_file_make_folder(folder, 0755, err), "for the attachments"));
    ENT_TRY(fetch(cli, digest, size, path, err));
    put_row(ret, path, digest, size, "written", NULL);
    ret->moved++;
    ret->bytes += size;
    return ENT_DONE;
}

ent_rc ent_cli_blobs_export(const ent_cli *cli, const char *channel, const char *to, const char *file,
                            ent_cli_blobs *ret, ent_err *err)
{
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("GET", "/blobs");
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer answer = {0};
    ENT_CLEANUP(ent_free_pointer) char *folder = folder_beside(file);
    if (folder == NULL)
        return no_memory(err);
    ent_cli_request_query(&request, "channel", channel);
    ent_cli_request_query(&request, "to", to);
    ENT_TRY(ent_cli_ask(cli, &request, &answer.bytes, err));
    ENT_TRY(ent_fail_in(err, ent_json_parse(ent_buf_bytes(&answer.bytes), &answer.json, err), "the node's answer"));
    ent_json_value rows = ent_json_get(ent_json_root(answer.json), "attachments");
    for (ent_json_iter i = ent_json_iterate(rows); ent_json_next(&i);)
        ENT_TRY(export_one(cli, folder, i.value, ret, err));
    put_sum(ret, folder, "carry this folder along");
    ENT_TRY(ent_buf_check(&ret->text, err));
    return ent_buf_check(&ret->json, err);
}

/* ---- in ---------------------------------------------------------------------------- */

static void close_directory(DIR **directory)
{
    if (*directory != NULL)
        (void)closedir(*directory);
}

static int compare_names(const void *a, const void *b)
{
    return memcmp(a, b, DIGEST_DIGITS);
}

/* Names that are digests, one after the other with a zero each; sorted, so that what is told does not depend on the
 * stick. */
static ent_rc list_names(const char *folder, ent_buf *ret, ent_err *err)
{
    ENT_CLEANUP(close_directory) DIR *directory = opendir(folder);
    if (directory == NULL && errno == ENOENT)
        return ENT_DONE;
    errno = directory == NULL ? errno : 0;
    // cppcheck-suppress readdirCalled ; the stream is this function's own
    for (const struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL; errno = 0) {
        if (strlen(entry->d_name) == DIGEST_DIGITS && strspn(entry->d_name, "0123456789abcdef") == DIGEST_DIGITS)
            ent_buf_put(ret, ent_bytes_of(entry->d_name, DIGEST_DIGITS + 1));
    }
    if (errno != 0) {
        char reason[128];
        return ent_fail(err, ENT_IO, NULL, "cannot read the folder %s: %s", folder,
                        strerror_r(errno, reason, sizeof reason));
    }
    ENT_TRY(ent_buf_check(ret, err));
    if (ret->size > 0)
        qsort(ret->data, ret->size / (DIGEST_DIGITS + 1), DIGEST_DIGITS + 1, compare_names);
    return ENT_DONE;
}

static ent_rc hand_over(const ent_cli *cli, const char *path, const char *digest, uint64_t *ret_size, bool *ret_new,
                        ent_err *err)
{
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("PUT", "/blobs");
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer answer = {0};
    ENT_CLEANUP(ent_file_close) int fd = -1;
    ENT_TRY(ent_cli_open_file(path, &fd, &request.body_file_size, err));
    ENT_CLEANUP(ent_cli_progress_end)
    ent_cli_progress progress = ent_cli_progress_of(path, request.body_file_size);
    *ret_size = request.body_file_size;
    request.body_file = fd;
    request.content_type = "application/octet-stream";
    request.sent = ent_cli_progress_to;
    request.sent_context = &progress;
    ent_cli_request_segment(&request, ent_text_of(digest));
    ENT_TRY(ent_cli_ask(cli, &request, &answer.bytes, err));
    ENT_TRY(ent_fail_in(err, ent_json_parse(ent_buf_bytes(&answer.bytes), &answer.json, err), "the node's answer"));
    *ret_new = ent_json_true(ent_json_get(ent_json_root(answer.json), "new"));
    return ENT_DONE;
}

static ent_rc import_one(const ent_cli *cli, const char *folder, const char *digest, size_t *unwanted,
                         ent_cli_blobs *ret, ent_err *err)
{
    ENT_CLEANUP(ent_free_pointer) char *path = ent_file_join(folder, digest);
    uint64_t size = 0;
    bool is_new = false;
    ent_err reason = {0};
    if (path == NULL)
        return no_memory(err);
    ent_rc rc = hand_over(cli, path, digest, &size, &is_new, &reason);
    ent_class error_class = ent_code_class(rc.code);
    if (rc.code == ENT_OK) {
        put_row(ret, path, digest, size, is_new ? "taken" : "held", NULL);
        ret->moved += is_new;
        ret->bytes += is_new ? size : 0;
    } else if (error_class == ENT_CLASS_ABSENT) {
        put_row(ret, path, digest, size, "unwanted", reason.text);
        (*unwanted)++;
    } else if (error_class == ENT_CLASS_PEER || error_class == ENT_CLASS_REFUSED || error_class == ENT_CLASS_USAGE) {
        put_row(ret, path, digest, size, "refused", reason.text);
        ent_cli_put_line(&ret->text, ent_text_of(path));
        ent_buf_put_string(&ret->text, " is not taken: ");
        ent_cli_put_line(&ret->text, ent_text_of(reason.text));
        ent_buf_put_u8(&ret->text, '\n');
        ret->refused++;
    } else {
        if (err != NULL)
            *err = reason;
        return ent_fail_in(err, rc, "%s", path);
    }
    return ENT_DONE;
}

ent_rc ent_cli_blobs_import(const ent_cli *cli, const char *file, ent_cli_blobs *ret, ent_err *err)
{
    ENT_CLEANUP(ent_free_pointer) char *folder = folder_beside(file);
    ENT_CLEANUP(ent_buf_release) ent_buf names = {0};
    size_t unwanted = 0;
    if (folder == NULL)
        return no_memory(err);
    ENT_TRY(list_names(folder, &names, err));
    for (size_t at = 0; at < names.size; at += DIGEST_DIGITS + 1)
        ENT_TRY(import_one(cli, folder, (const char *)names.data + at, &unwanted, ret, err));
    put_sum(ret, folder, "taken in");
    if (unwanted > 0)
        ent_buf_put_format(&ret->text,
                           "%s: %zu file%s that no message here waits for, or not whole; take in the pouch that names "
                           "%s first\n",
                           folder, unwanted, unwanted == 1 ? "" : "s", unwanted == 1 ? "it" : "them");
    ENT_TRY(ent_buf_check(&ret->text, err));
    return ent_buf_check(&ret->json, err);
}
