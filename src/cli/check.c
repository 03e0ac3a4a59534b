#include "cli/say.h"

#include "base/clock.h"
#include "cli/draft.h"
#include "cli/terms.h"
#include "crypto/crypto.h"

/* What an officer says by hand must not need a file: a comm check is a nonce and a time, its answer that nonce. */

enum { REPLY_WITHIN_S = 3600, NONCE_BYTES = 16 };

/* As the terms in force have it; a check may also be sent where there are none, and before the channel is open. */
static ent_rc reply_within(const ent_cli *cli, const char *channel, uint32_t *ret, ent_err *err)
{
    ENT_CLEANUP(ent_cli_terms_release) ent_cli_terms terms = {0};
    ent_err reason = {0};
    ent_rc rc = ent_cli_terms_in_force(cli, channel, &terms, &reason);
    if (ent_code_class(rc.code) == ENT_CLASS_NOMEM) {
        if (err != NULL)
            *err = reason;
        return rc;
    }
    bool agreed = rc.code == ENT_OK && terms.agreement != NULL && terms.agreement->check_reply_within_s > 0;
    *ret = agreed ? terms.agreement->check_reply_within_s : REPLY_WITHIN_S;
    return ENT_DONE;
}

static ent_rc fill_question(const ent_cli *cli, ent_cli_saying *saying, bool has_reply_by, ent_err *err)
{
    uint8_t nonce[NONCE_BYTES];
    char hex[2 * NONCE_BYTES + 1];
    char time[ENT_TIME_TEXT_SIZE + 1];
    uint32_t within_s = 0;
    ent_random(nonce, sizeof nonce);
    ent_hex_encode(ent_bytes_of(nonce, sizeof nonce), hex);
    if (!has_reply_by) {
        ENT_TRY(reply_within(cli, saying->channel, &within_s, err));
        ent_time_format(ent_clock_unix_s() + within_s, time);
        ENT_TRY(ent_cli_body_field(&saying->body, "reply_by", time, err));
    }
    return ent_cli_body_field(&saying->body, "nonce", hex, err);
}

static ent_rc fill_answer(const ent_cli *cli, ent_cli_saying *saying, bool has_answered_by, ent_err *err)
{
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("GET", "/bodies");
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer check = {0};
    ENT_CLEANUP(ent_free_pointer) char *nonce = NULL;
    ent_cli_request_message(&request, saying->reply_to);
    ENT_TRY(ent_cli_ask_parsed(cli, &request, &check, err));
    ent_text given = ent_cli_text(ent_json_get(check.root, "fields"), "nonce");
    if (given.size == 0)
        return ent_fail(err, ENT_PEER_INVALID, "design 4",
                        "%s gives no nonce, so it is no comm check that could be answered", saying->reply_to);
    nonce = ent_text_copy(given);
    if (nonce == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    ENT_TRY(ent_cli_body_field(&saying->body, "echo", nonce, err));
    return has_answered_by ? ENT_DONE : ent_cli_body_field(&saying->body, "answered_by", "officer", err);
}

ent_rc ent_cli_check_fill(const ent_cli *cli, ent_cli_saying *saying, ent_err *err)
{
    ENT_CLEANUP(ent_json_release) ent_json *json = NULL;
    ENT_TRY(ent_json_parse(ent_buf_bytes(&saying->body), &json, err));
    ent_json_value fields = ent_json_get(ent_json_root(json), "fields");
    bool is_told = ent_json_present(ent_json_get(fields, "nonce")) || ent_json_present(ent_json_get(fields, "echo"));
    if (is_told || (ent_json_present(fields) && ent_json_type_of(fields) != ENT_JSON_OBJECT))
        return ENT_DONE;
    return saying->reply_to == NULL
               ? fill_question(cli, saying, ent_json_present(ent_json_get(fields, "reply_by")), err)
               : fill_answer(cli, saying, ent_json_present(ent_json_get(fields, "answered_by")), err);
}
