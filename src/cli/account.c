#include "cli/account.h"

#include "cli/api.h"
#include "message/entry.h"

enum { REPORT_VERSION = 1 };

static ent_rc read_members(ent_text json, ent_buf *head, ent_cli_account *ret, ent_err *err)
{
    ent_cli_pieces pieces;
    ent_text key;
    ent_text value;
    bool first = true;
    ENT_TRY(ent_cli_pieces_of(json, &pieces, err));
    ent_buf_put_u8(head, '{');
    for (;;) {
        ENT_TRY(ent_cli_pieces_next(&pieces, &key, &value, err));
        if (value.data == NULL)
            break;
        ent_text *list = ent_text_is(key, "lines") ? &ret->lines : ent_text_is(key, "proofs") ? &ret->proofs : NULL;
        if (list != NULL && (list->data != NULL || value.data[0] != '['))
            return ent_fail(err, ENT_PEER_MALFORMED, "docs/api.md", "the report's \"%.*s\" is not one list",
                            ENT_TEXT_ARG(key));
        if (list != NULL) {
            *list = value;
            continue;
        }
        ent_buf_put_string(head, first ? "\"" : ",\"");
        ent_buf_put_text(head, key);
        ent_buf_put_string(head, "\":");
        ent_buf_put_text(head, value);
        first = false;
    }
    ent_buf_put_u8(head, '}');
    return ent_buf_check(head, err);
}

ent_rc ent_cli_account_open(ent_text json, ent_cli_account *ret, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf head = {0};
    ENT_CLEANUP(ent_cli_account_release) ent_cli_account account = {0};
    uint64_t version = 0;
    ENT_TRY(read_members(json, &head, &account, err));
    ENT_TRY(ent_json_parse(ent_buf_bytes(&head), &account.json, err));
    account.head = ent_json_root(account.json);
    if (!ent_json_unsigned(ent_json_get(account.head, "report"), UINT64_MAX, &version))
        return ent_fail(err, ENT_PEER_INVALID, "docs/api.md", "this is no report");
    if (version != REPORT_VERSION)
        return ent_fail(err, ENT_PEER_INVALID, "docs/api.md",
                        "this is a report of version %llu, and only version %d is known here",
                        (unsigned long long)version, REPORT_VERSION);
    if (account.lines.data == NULL || account.proofs.data == NULL)
        return ent_fail(err, ENT_PEER_INVALID, "docs/api.md", "the report lacks its lines or its proofs");
    *ret = account;
    account = (ent_cli_account){0};
    return ENT_DONE;
}

void ent_cli_account_release(ent_cli_account *account)
{
    ent_json_free(account->json);
    *account = (ent_cli_account){0};
}

ent_rc ent_cli_account_each(ent_text array, ent_cli_element_fn fn, void *context, ent_err *err)
{
    ent_cli_pieces pieces;
    ent_text key;
    ent_text value;
    ENT_TRY(ent_cli_pieces_of(array, &pieces, err));
    for (size_t number = 0;; number++) {
        ENT_CLEANUP(ent_json_release) ent_json *json = NULL;
        ENT_TRY(ent_cli_pieces_next(&pieces, &key, &value, err));
        if (value.data == NULL)
            return ENT_DONE;
        ENT_TRY(ent_json_parse(ent_text_bytes(value), &json, err));
        ENT_TRY(fn(context, number, ent_json_root(json), err));
    }
}

ent_text ent_cli_account_ref(ent_text message)
{
    ent_message_ref ref;
    const char *slash = message.size == 0 ? NULL : memchr(message.data, '/', message.size);
    size_t head = slash == NULL ? 0 : (size_t)(slash - message.data) + 1;
    if (slash != NULL && memchr(slash + 1, '/', message.size - head) != NULL)
        message = (ent_text){message.data + head, message.size - head};
    return ent_message_ref_parse(message, &ref) ? message : (ent_text){NULL, 0};
}
