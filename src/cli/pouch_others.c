#include "cli/pouch_others.h"

#include "base/alloc.h"
#include "base/file.h"
#include "cli/api.h"
#include "cli/files.h"
#include "cli/people.h"
#include "cli/pouch_parts.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

void ent_cli_others_release(ent_cli_others *others)
{
    ent_buf_release(&others->text);
    ent_buf_release(&others->json);
}

static ent_json_writer next_row(ent_cli_others *others)
{
    if (others->json.size > 0)
        ent_buf_put_u8(&others->json, ',');
    return ent_json_writer_of(&others->json);
}

/* ---- out --------------------------------------------------------------------- */

void ent_cli_others_add(ent_cli_others *others, const char *file, const char *of, uint64_t bytes)
{
    ent_json_writer writer = next_row(others);
    ent_json_object_begin(&writer);
    ent_json_member_string(&writer, "file", file);
    ent_json_member_string(&writer, "of", of);
    ent_json_member_unsigned(&writer, "bytes", bytes);
    ent_json_object_end(&writer);
}

/* Whose pouches go where. */
typedef struct {
    const ent_cli *cli;
    const char *channel;
    const char *to;
    const char *path;
    ent_cli_others *others;
} exporting;

/* How much of a member's log the receiver is known to have receipted. */
static uint64_t receipted_by(ent_json_value member, const char *by)
{
    for (ent_json_iter i = ent_json_iterate(ent_json_get(member, "receipted_by")); ent_json_next(&i);) {
        if (ent_text_is(ent_cli_text(i.value, "by"), by))
            return ent_cli_count(i.value, "size");
    }
    return UINT64_MAX; /* the receiver's own log, or an older node that does not tell */
}

/* FILE.d/<party>.pouch, and what goes on from there */
static ent_rc export_one(const exporting *work, const char *of, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf folder = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf path = {0};
    ENT_CLEANUP(ent_cli_others_release) ent_cli_others further = {0};
    ent_buf *text = &work->others->text;
    uint64_t size = 0;
    ent_buf_put_format(&folder, "%s.d%c", work->path, 0);
    ent_buf_put_format(&path, "%s.d/%s.pouch%c", work->path, of, 0);
    ENT_TRY(ent_buf_check(&folder, err));
    ENT_TRY(ent_buf_check(&path, err));
    const char *name = (const char *)path.data;
    if (mkdir((const char *)folder.data, 0755) != 0 && errno != EEXIST)
        return ent_fail(err, ENT_IO, NULL, "%s: %s", (const char *)folder.data, strerror(errno));
    ent_cli_parts parts = {work->channel, work->to, of, name, work->path};
    ENT_TRY(ent_cli_parts_export(work->cli, &parts, &size, &further, err));
    ent_cli_others_add(work->others, name, of, size);
    ent_buf_put_format(text, "%s: what %s lacks of the log of %s, ", name, work->to, of);
    ent_cli_put_bytes(text, size);
    ent_buf_put_u8(text, '\n');
    ent_buf_put_text(text, ent_buf_text(&further.text));
    if (further.json.size > 0) {
        ent_buf_put_u8(&work->others->json, ',');
        ent_buf_put(&work->others->json, ent_buf_bytes(&further.json));
    }
    return ent_buf_check(text, err);
}

static ent_rc export_lacking(const exporting *work, ent_json_value members, ent_err *err)
{
    for (ent_json_iter i = ent_json_iterate(members); ent_json_next(&i);) {
        if (ent_json_true(ent_json_get(i.value, "self")) && receipted_by(i.value, work->to) == 0)
            return ENT_DONE; /* it has not accepted, or we do not know of it: an invitation goes alone */
    }
    for (ent_json_iter i = ent_json_iterate(members); ent_json_next(&i);) {
        ENT_CLEANUP(ent_free_pointer) char *of = ent_text_copy(ent_cli_text(i.value, "name"));
        if (of == NULL)
            return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
        if (ent_json_true(ent_json_get(i.value, "self")) || strcmp(of, work->to) == 0 ||
            ent_cli_count(i.value, "size") <= receipted_by(i.value, work->to))
            continue;
        ENT_TRY(ent_cli_check_party(of, err)); /* it names a file */
        ENT_TRY(export_one(work, of, err));
    }
    return ENT_DONE;
}

ent_rc ent_cli_others_export(const ent_cli *cli, const char *channel, const char *to, const char *path,
                             ent_cli_others *ret, ent_err *err)
{
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("GET", "/channels");
    ENT_CLEANUP(ent_buf_release) ent_buf bytes = {0};
    ENT_CLEANUP(ent_json_release) ent_json *json = NULL;
    exporting work = {cli, channel, to, path, ret};
    ent_cli_request_segment(&request, ent_text_of(channel));
    ENT_TRY(ent_cli_ask(cli, &request, &bytes, err));
    ENT_TRY(ent_fail_in(err, ent_json_parse(ent_buf_bytes(&bytes), &json, err), "the node's answer"));
    return export_lacking(&work, ent_json_get(ent_json_root(json), "members"), err);
}

/* ---- in ---------------------------------------------------------------------- */

ent_rc ent_cli_pouch_send(const ent_cli *cli, const char *path, ent_buf *ret, ent_err *err)
{
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("POST", "/pouches");
    ENT_CLEANUP(ent_buf_release) ent_buf pouch = {0};
    ENT_TRY(ent_cli_read(path, (size_t)64 << 20, &pouch, err));
    request.body = ent_buf_bytes(&pouch);
    request.content_type = "application/x-tar";
    return ent_cli_ask(cli, &request, ret, err);
}

void ent_cli_put_imported(ent_buf *out, ent_json_value answer)
{
    ent_text state = ent_cli_text(answer, "state");
    ent_text id = ent_cli_text(answer, "channel");
    uint64_t size = ent_cli_count(answer, "size");
    uint64_t count = ent_cli_count(answer, "new");
    ent_cli_put_line(out, ent_cli_text(answer, "from"));
    if (ent_text_is(state, "invited")) {
        ent_buf_put_string(out, " invites us to a channel. Read its terms with `entente channel show ");
        ent_cli_put_line(out, id.size > 12 ? (ent_text){id.data, 12} : id);
        ent_buf_put_string(out, "`, then accept or refuse it.\n");
        return;
    }
    if (count == 0)
        ent_buf_put_format(out, ": nothing new; all %" PRIu64 " entries of its log were here already", size);
    else
        ent_buf_put_format(out, ": %" PRIu64 " new entr%s; its log is held here up to %" PRIu64, count,
                           count == 1 ? "y" : "ies", size);
    ent_buf_put_string(out, ent_text_is(state, "receipted") ? ", and receipted\n" : "\n");
}

/* A pouch beside the first. */
typedef struct {
    char *path;
    ent_buf answer;
    ent_rc rc;
    ent_err err;
} beside;

typedef struct {
    beside *items;
    size_t count;
} beside_list;

static void release_beside(beside_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        ent_free(list->items[i].path);
        ent_buf_release(&list->items[i].answer);
    }
    ent_free(list->items);
}

static int is_pouch_name(const struct dirent *entry)
{
    ent_text name = ent_text_of(entry->d_name);
    ent_text end = ENT_TEXT(".pouch");
    return name.size > end.size && name.data[0] != '.' &&
           memcmp(name.data + name.size - end.size, end.data, end.size) == 0;
}

/* The pouches in FILE.d, by name; none when there is no such folder. */
static ent_rc find_beside(const char *path, beside_list *ret, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf folder = {0};
    struct dirent **names = NULL;
    ent_buf_put_format(&folder, "%s.d%c", path, 0);
    ENT_TRY(ent_buf_check(&folder, err));
    int found = scandir((const char *)folder.data, &names, is_pouch_name, alphasort);
    if (found <= 0)
        return found == 0 || errno == ENOENT || errno == ENOTDIR
                   ? ENT_DONE
                   : ent_fail(err, ENT_IO, NULL, "%s: %s", (const char *)folder.data, strerror(errno));
    ent_rc rc = ENT_DONE;
    ret->items = ent_alloc_array((size_t)found, sizeof *ret->items);
    if (ret->items == NULL)
        rc = ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    for (int i = 0; i < found; i++) {
        if (rc.code == ENT_OK) {
            beside *item = &ret->items[ret->count++];
            item->path = ent_file_join((const char *)folder.data, names[i]->d_name);
            item->rc = ent_rc_of(ENT_WAITING);
            if (item->path == NULL)
                rc = ent_fail(err, ENT_NOMEM, NULL, "out of memory");
        }
        free(names[i]); /* NOLINT: scandir's */
    }
    free(names); /* NOLINT: scandir's */
    return rc;
}

/* Take them in, again and again as long as one more is taken: what one acks another may bring. */
static void take_all(const ent_cli *cli, beside_list *list)
{
    for (bool moved = true; moved;) {
        moved = false;
        for (size_t i = 0; i < list->count; i++) {
            beside *item = &list->items[i];
            if (item->rc.code == ENT_OK)
                continue;
            item->err = (ent_err){0};
            ent_buf_clear(&item->answer);
            item->rc = ent_cli_pouch_send(cli, item->path, &item->answer, &item->err);
            moved = moved || item->rc.code == ENT_OK;
        }
    }
}

static ent_rc put_one(ent_cli_others *others, const beside *item, ent_err *err)
{
    ENT_CLEANUP(ent_json_release) ent_json *json = NULL;
    bool taken = item->rc.code == ENT_OK;
    if (taken)
        ENT_TRY(ent_fail_in(err, ent_json_parse(ent_buf_bytes(&item->answer), &json, err), "the node's answer"));
    ent_json_writer writer = next_row(others);
    ent_json_object_begin(&writer);
    ent_json_member_string(&writer, "file", item->path);
    ent_json_key(&writer, "answer");
    if (taken)
        ent_json_put_copy(&writer, ent_json_root(json));
    else
        ent_json_put_null(&writer);
    ent_json_member_string(&writer, "problem", taken ? NULL : item->err.text);
    ent_json_object_end(&writer);
    if (taken) {
        ent_cli_put_imported(&others->text, ent_json_root(json));
    } else {
        ent_cli_put_line(&others->text, ent_text_of(item->path));
        ent_buf_put_string(&others->text, ": not taken: ");
        ent_cli_put_line(&others->text, ent_text_of(item->err.text));
        ent_buf_put_u8(&others->text, '\n');
        others->refused++;
    }
    ENT_TRY(ent_buf_check(&others->json, err));
    return ent_buf_check(&others->text, err);
}

ent_rc ent_cli_others_import(const ent_cli *cli, const char *path, ent_cli_others *ret, ent_err *err)
{
    ENT_CLEANUP(release_beside) beside_list list = {0};
    ENT_TRY(find_beside(path, &list, err));
    take_all(cli, &list);
    for (size_t i = 0; i < list.count; i++)
        ENT_TRY(put_one(ret, &list.items[i], err));
    return ENT_DONE;
}
