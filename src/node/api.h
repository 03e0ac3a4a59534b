/* The node's API on its Unix socket (docs/api.md): routing and what its handlers share. */
#ifndef ENT_NODE_API_H
#define ENT_NODE_API_H

#include "node/node.h"

enum { ENT_API_MAX_PARTS = 6 };

/** One request: its path below /api/v1/ in parts. */
typedef struct {
    ent_node *node;
    ent_http_request *request;
    ent_http_response *response;
    ent_text parts[ENT_API_MAX_PARTS];
    size_t part_count;
} ent_api_call;

typedef ENT_RC (*ent_api_handler)(ent_api_call *call, ent_err *err);

/** The handler to give to ent_http_server_unix. */
ent_http_handler ent_api_http_handler(ent_node *node);

/** Answer 200 with JSON that was written into buf; takes it over.  Errors: NOMEM. */
ENT_RC ent_api_answer(ent_api_call *call, ent_buf *buf, ent_err *err);
/** Parse the request's body as a JSON object.  Errors: USAGE. */
ENT_RC ent_api_body(ent_api_call *call, ent_json **ret, ent_err *err);
/** A member as text; empty when null or missing.  Errors: USAGE when it is something else. */
ENT_RC ent_api_text(ent_json_value object, const char *key, ent_text *ret, ent_err *err);
/** Key and time, or null for 0. */
void ent_api_time(ent_json_writer *writer, const char *key, int64_t unix_s);

/** The message that the path's parts 1 to 3 name: CHANNEL/PARTY/INDEX.  Errors: USAGE, ABSENT. */
ENT_RC ent_api_message(ent_api_call *call, ent_channel **ret_channel, uint32_t *ret_member, uint64_t *ret_index,
                       ent_err *err);

/** Write key "forks": the proven forks of one channel, or of all (NULL). */
ENT_RC ent_api_put_forks(ent_node *node, ent_json_writer *writer, const ent_channel *only, ent_err *err);

/* one file each */
ENT_RC ent_api_status(ent_api_call *call, ent_err *err);
ENT_RC ent_api_doctor(ent_api_call *call, ent_err *err);
ENT_RC ent_api_card(ent_api_call *call, ent_err *err);
ENT_RC ent_api_alert_list(ent_api_call *call, ent_err *err);
ENT_RC ent_api_alert_test(ent_api_call *call, ent_err *err);
ENT_RC ent_api_events(ent_api_call *call, ent_err *err);

ENT_RC ent_api_key_show(ent_api_call *call, ent_err *err);
ENT_RC ent_api_key_rotate(ent_api_call *call, ent_err *err);

ENT_RC ent_api_peer_list(ent_api_call *call, ent_err *err);
ENT_RC ent_api_peer_add(ent_api_call *call, ent_err *err);
ENT_RC ent_api_peer_show(ent_api_call *call, ent_err *err);
ENT_RC ent_api_peer_card(ent_api_call *call, ent_err *err);
ENT_RC ent_api_peer_remove(ent_api_call *call, ent_err *err);

ENT_RC ent_api_channel_open(ent_api_call *call, ent_err *err);
ENT_RC ent_api_channel_list(ent_api_call *call, ent_err *err);
ENT_RC ent_api_channel_show(ent_api_call *call, ent_err *err);
ENT_RC ent_api_channel_accept(ent_api_call *call, ent_err *err);
ENT_RC ent_api_backup(ent_api_call *call, ent_err *err);
ENT_RC ent_api_recover(ent_api_call *call, ent_err *err);
ENT_RC ent_api_channel_release(ent_api_call *call, ent_err *err);
ENT_RC ent_api_channel_refuse(ent_api_call *call, ent_err *err);

ENT_RC ent_api_attachment_admit(ent_node *node, ent_http_request *request, ent_http_intake *ret_intake, ent_err *err);
ENT_RC ent_api_attachment_seal(ent_api_call *call, ent_err *err);
ENT_RC ent_api_attachment_open(ent_api_call *call, ent_err *err);

ENT_RC ent_api_blob_list(ent_api_call *call, ent_err *err);
ENT_RC ent_api_blob_read(ent_api_call *call, ent_err *err);
ENT_RC ent_api_blob_take(ent_api_call *call, ent_err *err);

ENT_RC ent_api_message_send(ent_api_call *call, ent_err *err);
ENT_RC ent_api_message_list(ent_api_call *call, ent_err *err);
ENT_RC ent_api_message_show(ent_api_call *call, ent_err *err);
ENT_RC ent_api_body_open(ent_api_call *call, ent_err *err);
ENT_RC ent_api_body_sealed(ent_api_call *call, ent_err *err);
ENT_RC ent_api_fork_list(ent_api_call *call, ent_err *err);
ENT_RC ent_api_fork_export(ent_api_call *call, ent_err *err);
ENT_RC ent_api_fork_import(ent_api_call *call, ent_err *err);
ENT_RC ent_api_reveal(ent_api_call *call, ent_err *err);
ENT_RC ent_api_proofs(ent_api_call *call, ent_err *err);

ENT_RC ent_api_ledger(ent_api_call *call, ent_err *err);
ENT_RC ent_api_ledger_lines(ent_api_call *call, ent_err *err);
ENT_RC ent_api_thread(ent_api_call *call, ent_err *err);
ENT_RC ent_api_report(ent_api_call *call, ent_err *err);
ENT_RC ent_api_audit(ent_api_call *call, ent_err *err);

ENT_RC ent_api_pouch_export(ent_api_call *call, ent_err *err);
ENT_RC ent_api_pouch_import(ent_api_call *call, ent_err *err);

#endif
