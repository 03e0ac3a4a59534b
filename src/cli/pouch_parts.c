#include "cli/pouch_parts.h"

#include "cli/api.h"
#include "cli/files.h"
#include "cli/people.h"
#include "message/entry.h"
#include "pouch/pouch.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

/* One pouch, as the node gave it. */
typedef struct {
    ent_buf bytes;
    char party[ENT_NAME_MAX_BYTES + 1]; /* whose log it carries */
    uint64_t old_size;
    uint64_t size;
} part;

static void release(part *work)
{
    ent_buf_release(&work->bytes);
}

static ent_rc look_at(part *work, ent_err *err)
{
    ENT_CLEANUP(ent_pouch_release) ent_pouch pouch = {0};
    ent_text party = {0};
    ent_hash channel;
    ENT_TRY(ent_pouch_parse(ent_buf_bytes(&work->bytes), &pouch, err));
    ENT_TRY(ent_origin_parse(pouch.origin, &party, &channel, err));
    memcpy(work->party, party.data, party.size);
    work->party[party.size] = 0;
    work->old_size = pouch.old_size;
    work->size = pouch.size;
    return ENT_DONE;
}

/* @in   from   0 = where the receiver is known to be */
static ent_rc fetch(const ent_cli *cli, const ent_cli_parts *parts, uint64_t from, part *ret, ent_err *err)
{
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("GET", "/pouches");
    char number[24];
    (void)snprintf(number, sizeof number, "%" PRIu64, from);
    ent_cli_request_query(&request, "channel", parts->channel);
    ent_cli_request_query(&request, "to", parts->to);
    ent_cli_request_query(&request, "of", parts->of);
    ent_cli_request_query(&request, "old", from == 0 ? NULL : number);
    ENT_TRY(ent_cli_ask(cli, &request, &ret->bytes, err));
    return ent_fail_in(err, look_at(ret, err), "the node's answer");
}

static ent_rc write_beside(const ent_cli_parts *parts, const part *work, unsigned number, ent_cli_others *others,
                           ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf folder = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf path = {0};
    ent_buf_put_format(&folder, "%s.d%c", parts->beside, 0);
    ent_buf_put_format(&path, "%s.d/%s_%03u.pouch%c", parts->beside, work->party, number, 0);
    ENT_TRY(ent_buf_check(&folder, err));
    ENT_TRY(ent_buf_check(&path, err));
    const char *name = (const char *)path.data;
    if (mkdir((const char *)folder.data, 0755) != 0 && errno != EEXIST)
        return ent_fail(err, ENT_IO, NULL, "%s: %s", (const char *)folder.data, strerror(errno));
    ENT_TRY(ent_cli_write(name, 0644, ent_buf_bytes(&work->bytes), err));
    ent_cli_others_add(others, name, work->party, work->bytes.size);
    ent_buf_put_format(&others->text, "%s: goes on with the log of %s, entries %" PRIu64 " to %" PRIu64 ", ", name,
                       work->party, work->old_size, work->size - 1);
    ent_cli_put_bytes(&others->text, work->bytes.size);
    ent_buf_put_u8(&others->text, '\n');
    return ent_buf_check(&others->text, err);
}

ent_rc ent_cli_parts_export(const ent_cli *cli, const ent_cli_parts *parts, uint64_t *ret_bytes, ent_cli_others *others,
                            ent_err *err)
{
    uint64_t from = 0;
    bool is_stream = strcmp(parts->path, "-") == 0;
    for (unsigned number = 1;; number++) {
        ENT_CLEANUP(release) part work = {.size = 0};
        ENT_TRY(fetch(cli, parts, from, &work, err));
        if (number > 1 && work.size <= from)
            return ENT_DONE;
        if (number > 1 && is_stream) {
            ent_cli_note("this pouch ends with entry %" PRIu64
                         ", and there is more: with -o FILE all of it is written; "
                         "else export again once its receipt has come back",
                         from - 1);
            return ENT_DONE;
        }
        if (number == 1) {
            ENT_TRY(ent_cli_write(parts->path, 0644, ent_buf_bytes(&work.bytes), err));
            *ret_bytes = work.bytes.size;
        } else {
            ENT_TRY(write_beside(parts, &work, number, others, err));
        }
        from = work.size;
    }
}
