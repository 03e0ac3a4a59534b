#include "node/api.h"
#include "node/backup.h"
#include "node/report.h"

#include <stdio.h>

static ent_rc pull(void *context, ent_buf *ret_piece, bool *ret_end, ent_err *err)
{
    return ent_backup_pull(context, ret_piece, ret_end, err);
}

static void free_backup(void *context)
{
    ent_backup_free(context);
}

ent_rc ent_api_backup(ent_api_call *call, ent_err *err)
{
    ent_backup *backup = NULL;
    uint64_t bytes = 0;
    ENT_TRY(ent_backup_new(call->node, &backup, &bytes, err));
    ent_report report = ent_report_begin("node.backup");
    ent_report_number(&report, "bytes", bytes);
    ent_report_end(&report);
    call->response->status = 200;
    call->response->content_type = "application/x-tar";
    call->response->pull = pull;
    call->response->pull_context = backup;
    call->response->pull_free = free_backup;
    return ENT_DONE;
}
