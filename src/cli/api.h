/* Asking the node on its Unix socket.  Source: docs/api.md. */
#ifndef ENT_CLI_API_H
#define ENT_CLI_API_H

#include "base/json.h"
#include "cli/cli.h"

/** One request. The path is built with the functions below; the rest is zero where it does not apply. */
typedef struct {
    const char *method;
    ent_buf path; /* owned: ent_cli_request_release */
    bool has_query;
    ent_bytes body;
    const char *content_type;
    int body_file; /* > 0: sent instead of body, from its start */
    uint64_t body_file_size;
    void (*sent)(void *context, uint64_t bytes); /* nullable: how much of it has left */
    void *sent_context;
    uint32_t timeout_ms; /* of the whole request; 0 = no limit but the node's own */
    ENT_RC (*sink)(void *context, ent_bytes piece, ent_err *err); /* nullable: takes a good answer piece by piece */
    void *sink_context;
} ent_cli_request;

/** Start a request: "/api/v1" + path, as it is. */
ent_cli_request ent_cli_request_of(const char *method, const char *path);
/** Append "/" and a segment, percent-encoded. */
void ent_cli_request_segment(ent_cli_request *request, ent_text segment);
/** Append "/CHANNEL/PARTY/INDEX". */
void ent_cli_request_message(ent_cli_request *request, const char *message);
/** Append a query argument, percent-encoded; a NULL value appends nothing. */
void ent_cli_request_query(ent_cli_request *request, const char *name, const char *value);
void ent_cli_request_release(ent_cli_request *request);

/** Send it and give the answer's bytes.
 *  @in   ret   appended; stays empty when the request has a sink
 *  Errors: what the node answered; UNREACHABLE when no node answers; NOMEM.  Blocks: yes. */
ENT_RC ent_cli_ask(const ent_cli *cli, const ent_cli_request *request, ent_buf *ret, ent_err *err);

/** An answer in JSON, kept with its bytes. Release with ent_cli_answer_release. */
typedef struct {
    ent_buf bytes;
    ent_json *json;
    ent_json_value root;
} ent_cli_answer;
/** Read an answer of any size, with at most `most` elements in each array.  Errors: PEER_MALFORMED, NOMEM. */
ENT_RC ent_cli_answer_of(ent_text json, size_t most, ent_cli_answer *ret, ent_err *err);
/** Send it and parse the answer. With --json the answer is printed as it is and *ret stays empty: test cli->json. */
ENT_RC ent_cli_ask_json(ent_cli *cli, const ent_cli_request *request, ent_cli_answer *ret, ent_err *err);
void ent_cli_answer_release(ent_cli_answer *answer);
/** Append JSON to the output, safe for a terminal, with a newline at its end. */
void ent_cli_put_answer(ent_cli *cli, ent_text json);

/** Check what a person typed before it is sent.  Errors: USAGE. */
ENT_RC ent_cli_check_message(const char *message, ent_err *err);
ENT_RC ent_cli_check_channel(const char *channel, ent_err *err);
ENT_RC ent_cli_check_party(const char *name, ent_err *err);

/** Member of an object as a text; empty when it is missing or no string. */
ent_text ent_cli_text(ent_json_value object, const char *key);
/** Member as a number; 0 when it is missing or none. */
uint64_t ent_cli_count(ent_json_value object, const char *key);
/** Say which of our keys are missing, and what to do: "keys_missing" of an answer. */
void ent_cli_put_keys_missing(ent_cli *cli, ent_json_value answer);
/** Warn of other channels that succeed the same one: "also_succeeding" of a channel. */
void ent_cli_warn_of_rivals(ent_json_value channel);
/** Alias, or the first 12 digits of the id, of an object with "alias" and "channel" (or "id"). */
ent_text ent_cli_channel_label(ent_json_value object);

#endif
