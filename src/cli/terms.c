#include "cli/terms.h"

#include "cli/terminal.h"

enum { AMENDMENTS_MOST = 4096 };

void ent_cli_terms_release(ent_cli_terms *terms)
{
    ent_free(terms->message);
    ent_buf_wipe(&terms->bytes);
    ent_agreement_free(terms->agreement);
}

ent_rc ent_cli_terms_of(const ent_cli *cli, const char *message, ent_cli_terms *ret, ent_hash *ret_replaces,
                        ent_err *err)
{
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("GET", "/bodies");
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer body = {0};
    ENT_CLEANUP(ent_cli_terms_release) ent_cli_terms terms = {0};
    uint8_t salt[ENT_TERMS_SALT_SIZE];
    ent_hash replaces = {{0}};
    ent_cli_request_message(&request, message);
    ENT_TRY(ent_cli_ask_parsed(cli, &request, &body, err));
    ent_json_value fields = ent_json_get(body.root, "fields");
    ent_text old = ent_cli_text(fields, "replaces");
    if (ent_hex_decode(ent_cli_text(fields, "salt"), salt, sizeof salt, NULL).code != ENT_OK ||
        ent_cli_text(fields, "terms").size == 0 ||
        (old.size > 0 && ent_hex_decode(old, replaces.bytes, sizeof replaces.bytes, NULL).code != ENT_OK))
        return ent_fail(err, ENT_PEER_INVALID, "design 2, Genesis",
                        "%s gives no terms: it is neither a genesis nor an amendment", message);
    ENT_TRY(
        ent_fail_in(err, ent_base64_decode(ent_cli_text(fields, "terms"), &terms.bytes, err), "terms of %s", message));
    ent_terms_commitment(salt, ent_buf_bytes(&terms.bytes), &terms.commitment);
    (void)ent_agreement_parse(ent_buf_bytes(&terms.bytes), &terms.agreement, &terms.problem).code;
    terms.message = ent_text_copy(ent_text_of(message));
    if (terms.message == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    *ret = terms;
    terms = (ent_cli_terms){0};
    if (ret_replaces != NULL)
        *ret_replaces = replaces;
    return ENT_DONE;
}

/* Take the terms of a message when they are those that are looked for. */
static ent_rc try_message(const ent_cli *cli, const char *message, const ent_hash *wanted, ent_cli_terms *ret,
                          bool *ret_found, ent_err *err)
{
    ENT_CLEANUP(ent_cli_terms_release) ent_cli_terms terms = {0};
    ENT_TRY(ent_cli_check_message(message, err));
    ent_rc rc = ent_cli_terms_of(cli, message, &terms, NULL, err);
    if (rc.code == ENT_PEER_INVALID)
        return ENT_DONE;
    ENT_TRY(rc);
    if (memcmp(&terms.commitment, wanted, sizeof *wanted) != 0)
        return ENT_DONE;
    *ret = terms;
    terms = (ent_cli_terms){0};
    *ret_found = true;
    return ENT_DONE;
}

static ent_rc ask_channel(const ent_cli *cli, const char *path, const char *channel, bool as_query, ent_cli_answer *ret,
                          ent_err *err)
{
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("GET", path);
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    if (as_query)
        ent_cli_request_query(&request, "channel", channel);
    else
        ent_cli_request_segment(&request, ent_text_of(channel));
    ENT_TRY(ent_cli_ask(cli, &request, &text, err));
    return ent_fail_in(err, ent_cli_answer_of(ent_buf_text(&text), AMENDMENTS_MOST, ret, err), "the node's answer");
}

/* MSG of our own entry 0, whose body gives the terms that the channel was founded on. */
static ent_rc genesis_of(const ent_cli *cli, const char *channel, ent_buf *ret, ent_err *err)
{
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer answer = {0};
    ENT_TRY(ask_channel(cli, "/channels", channel, false, &answer, err));
    for (ent_json_iter i = ent_json_iterate(ent_json_get(answer.root, "members")); ent_json_next(&i);) {
        if (!ent_json_true(ent_json_get(i.value, "self")))
            continue;
        ent_text name = ent_cli_text(i.value, "name");
        ent_buf_put_format(ret, "%s/%.*s/0", channel, ENT_TEXT_ARG(name));
        (void)ent_buf_string(ret);
        return ent_buf_check(ret, err);
    }
    return ent_fail(err, ENT_PEER_MALFORMED, "docs/api.md", "the node does not say which member we are");
}

ent_rc ent_cli_terms_in_force(const ent_cli *cli, const char *channel, ent_cli_terms *ret, ent_err *err)
{
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer ledger = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf genesis = {0};
    ent_hash wanted;
    bool found = false;
    ENT_TRY(ask_channel(cli, "/ledger", channel, true, &ledger, err));
    ent_json_value agreement = ent_json_get(ledger.root, "agreement");
    ENT_TRY(ent_fail_in(err,
                        ent_hex_decode(ent_cli_text(agreement, "commitment"), wanted.bytes, sizeof wanted.bytes, err),
                        "the commitment in the node's answer"));
    ENT_TRY(genesis_of(cli, channel, &genesis, err));
    ENT_TRY(try_message(cli, (const char *)genesis.data, &wanted, ret, &found, err));
    for (ent_json_iter i = ent_json_iterate(ent_json_get(agreement, "amendments")); !found && ent_json_next(&i);) {
        ENT_CLEANUP(ent_free_pointer) char *message = ent_text_copy(ent_cli_text(i.value, "message"));
        if (message == NULL)
            return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
        ENT_TRY(try_message(cli, message, &wanted, ret, &found, err));
    }
    if (!found)
        return ent_fail(err, ENT_ABSENT, "design 5", "no message that is held here gives the terms in force in %s",
                        channel);
    return ENT_DONE;
}

static bool is_member(ent_json_value members, ent_text name)
{
    for (ent_json_iter i = ent_json_iterate(members); ent_json_next(&i);) {
        if (ent_text_equal(ent_cli_text(i.value, "name"), name))
            return true;
    }
    return false;
}

ent_rc ent_cli_put_terms_problem(ent_buf *buf, ent_bytes terms, ent_json_value members, ent_err *err)
{
    ENT_CLEANUP(ent_agreement_release) ent_agreement *agreement = NULL;
    ent_err problem = {0};
    ent_rc rc = ent_agreement_parse(terms, &agreement, &problem);
    if (rc.code == ENT_NOMEM)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory for an agreement");
    if (rc.code != ENT_OK) {
        ent_buf_put_string(buf,
                           "the terms are no agreement that this version can read, so no deadline follows from them: ");
        ent_cli_put_line(buf, ent_text_of(problem.text));
        return ent_buf_check(buf, err);
    }
    bool same = agreement->party_count == ent_json_count(members);
    for (size_t i = 0; i < agreement->party_count; i++)
        same = same && is_member(members, agreement->parties[i]);
    if (!same)
        ent_buf_put_string(buf, "the terms name other parties than the channel has members");
    return ent_buf_check(buf, err);
}
