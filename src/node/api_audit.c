/* GET /audit: the audit of a node at work, as a stream. */
#include "node/api.h"
#include "node/audit.h"

static ent_rc mark_of_keeper(void *context, ent_keeper_what what, ent_text origin, ent_tree_head *ret, ent_err *err)
{
    return ent_keeper_mark(((const ent_node *)context)->keeper, what, origin, ret, err);
}

/* Pieces until there is a line to send, but not for long: only between two is it noticed that the reader has gone. */
static ent_rc pull(void *context, ent_buf *ret_piece, bool *ret_end, ent_err *err)
{
    enum { STEPS = 16 };
    for (unsigned i = 0; i < STEPS && ret_piece->size == 0; i++) {
        ENT_TRY(ent_audit_step(context, ret_piece, ret_end, err));
        if (*ret_end)
            break;
    }
    return ENT_DONE;
}

static void free_audit(void *context)
{
    ent_audit_free(context);
}

ent_rc ent_api_audit(ent_api_call *call, ent_err *err)
{
    ent_node *node = call->node;
    ent_audit *audit = NULL;
    ent_audit_source source = {.store = node->store,
                               .name = node->config.name,
                               .blobs = node->paths.blobs,
                               .mark = mark_of_keeper,
                               .context = node};
    ENT_TRY(ent_audit_new(&source, ent_http_query(call->request, "channel"), &audit, err));
    call->response->status = 200;
    call->response->content_type = "application/x-ndjson";
    call->response->pull = pull;
    call->response->pull_context = audit;
    call->response->pull_free = free_audit;
    return ENT_DONE;
}
