/* The ledger as a filter: evidence comes in as JSON, its lines go out. tests/outside/ledger.py computes the same lines
 * by itself, and the test beside it compares hundreds of random sets of evidence.
 *
 * One line of input is one set:
 *   {"genesis":base64,"feed":[{"entry":base64,"body":base64|null} | {"receipt":[log,receiver,size,time]} …],
 *    "moments":[unix seconds | null …]}
 * with members as numbers and evidence in an order that causality allows; null is all evidence, as of the latest.
 * For each moment it prints `evidence SIZE` and `state SIZE`, each followed by a newline and so many bytes. */
#include "ledger/ledger.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "log/tree.h"

enum { MOST_MEMBERS = ENT_ENTRY_MAX_MEMBERS };

typedef struct {
    ent_hash *leaves;
    size_t count;
} log_leaves;

typedef struct {
    const ent_kinds *kinds;
    ent_arena arena;
    ent_genesis genesis;
    ent_ledger *ledger;
    log_leaves logs[MOST_MEMBERS];
} evidence;

static ent_rc decode(ent_json_value value, ent_buf *ret, ent_err *err)
{
    return ent_base64_decode(ent_json_string(value), ret, err);
}

static ent_rc keep_leaf(log_leaves *leaves, const ent_hash *leaf, ent_err *err)
{
    ent_hash *more = ent_realloc(leaves->leaves, (leaves->count + 1) * sizeof *more);
    if (more == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory for leaves");
    more[leaves->count++] = *leaf;
    leaves->leaves = more;
    return ENT_DONE;
}

static ent_rc root_of(void *context, uint32_t member, uint64_t size, ent_hash *ret, ent_err *err)
{
    const evidence *e = context;
    ent_tree tree = {0};
    if (member >= e->genesis.member_count || size > e->logs[member].count)
        return ent_fail(err, ENT_USAGE, NULL, "root of entries that are not there");
    for (size_t i = 0; i < size; i++)
        ENT_TRY(ent_tree_append(&tree, &e->logs[member].leaves[i], err));
    ent_tree_root(&tree, ret);
    return ENT_DONE;
}

/* A body that is not valid leaves the facts zeroed, as a node does. */
static ent_rc read_facts(const evidence *e, const ent_entry *entry, ent_bytes json, ent_body *body, ent_facts *facts,
                         ent_err *err)
{
    if (ent_kind_find(entry->kind) == NULL || !entry->has_body)
        return ENT_DONE;
    ent_rc rc = ent_body_parse(e->kinds, entry->kind, json, entry->attachment_count, body, NULL);
    if (rc.code == ENT_OK)
        return ent_facts_read(body, entry->kind, facts, err);
    return rc.code == ENT_NOMEM ? rc : ENT_DONE;
}

static ent_rc feed_entry(evidence *e, ent_json_value item, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf bytes = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf json = {0};
    ENT_CLEANUP(ent_arena_release) ent_arena arena = {0};
    ENT_CLEANUP(ent_body_release) ent_body body = {0};
    ENT_CLEANUP(ent_facts_release) ent_facts facts = {0};
    ent_entry entry;
    ent_hash leaf;
    ENT_TRY(decode(ent_json_get(item, "entry"), &bytes, err));
    ENT_TRY(ent_entry_decode(ent_buf_bytes(&bytes), &arena, &entry, err));
    ent_json_value sealed = ent_json_get(item, "body");
    if (ent_json_type_of(sealed) == ENT_JSON_STRING) {
        ENT_TRY(decode(sealed, &json, err));
        ENT_TRY(read_facts(e, &entry, ent_buf_bytes(&json), &body, &facts, err));
    }
    int member = ent_genesis_member(&e->genesis, entry.writer);
    if (member < 0)
        return ent_fail(err, ENT_USAGE, NULL, "an entry of a stranger");
    ent_leaf_hash(ent_buf_bytes(&bytes), &leaf);
    ENT_TRY(keep_leaf(&e->logs[member], &leaf, err));
    return ent_ledger_entry(e->ledger, (uint32_t)member, &entry, &leaf, &facts, err);
}

static ent_rc feed_receipt(evidence *e, ent_json_value row, ent_err *err)
{
    uint64_t numbers[4] = {0};
    size_t count = 0;
    for (ent_json_iter i = ent_json_iterate(row); count < 4 && ent_json_next(&i); count++) {
        if (!ent_json_unsigned(i.value, INT64_MAX, &numbers[count]))
            return ent_fail(err, ENT_USAGE, NULL, "a receipt is four numbers");
    }
    if (count != 4 || numbers[0] >= e->genesis.member_count || numbers[1] >= e->genesis.member_count)
        return ent_fail(err, ENT_USAGE, NULL, "a receipt is log, receiver, size and time");
    return ent_ledger_receipt(e->ledger, (uint32_t)numbers[0], (uint32_t)numbers[1], numbers[2], (int64_t)numbers[3],
                              err);
}

static void put_piece(void *context, ent_text piece)
{
    ent_buf_put_text(context, piece);
}

static ent_rc print(const char *what, const ent_buf *lines, ent_err *err)
{
    ENT_TRY(ent_buf_check(lines, err));
    (void)printf("%s %zu\n", what, lines->size);
    if (lines->size > 0 && fwrite(lines->data, lines->size, 1, stdout) != 1)
        return ent_fail(err, ENT_IO, NULL, "cannot write");
    return ENT_DONE;
}

static ent_rc print_moment(evidence *e, ent_json_value value, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf lines = {0};
    uint64_t at = 0;
    ent_moment moment = {.until_unix_s = INT64_MAX, .now_unix_s = ent_ledger_latest(e->ledger)};
    if (ent_json_unsigned(value, INT64_MAX, &at))
        moment = (ent_moment){.until_unix_s = (int64_t)at, .now_unix_s = (int64_t)at};
    ENT_TRY(ent_ledger_evidence_lines(e->ledger, moment, root_of, e, put_piece, &lines, err));
    ENT_TRY(print("evidence", &lines, err));
    ent_buf_clear(&lines);
    ENT_TRY(ent_ledger_state_lines(e->ledger, moment, put_piece, &lines, err));
    return print("state", &lines, err);
}

static ent_rc run_parsed(evidence *e, ent_json_value root, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf genesis = {0};
    ent_hash channel;
    ENT_TRY(decode(ent_json_get(root, "genesis"), &genesis, err));
    ENT_TRY(ent_genesis_decode(ent_buf_bytes(&genesis), &e->arena, &e->genesis, err));
    ent_channel_id(ent_buf_bytes(&genesis), &channel);
    ENT_TRY(ent_ledger_new(&channel, &e->genesis, &e->ledger, err));
    for (ent_json_iter i = ent_json_iterate(ent_json_get(root, "feed")); ent_json_next(&i);) {
        ent_json_value receipt = ent_json_get(i.value, "receipt");
        ENT_TRY(ent_json_present(receipt) ? feed_receipt(e, receipt, err) : feed_entry(e, i.value, err));
    }
    for (ent_json_iter i = ent_json_iterate(ent_json_get(root, "moments")); ent_json_next(&i);)
        ENT_TRY(print_moment(e, i.value, err));
    return ENT_DONE;
}

static ent_rc run(const ent_kinds *kinds, ent_text line, ent_err *err)
{
    ENT_CLEANUP(ent_json_release) ent_json *json = NULL;
    evidence e = {.kinds = kinds};
    ENT_TRY(ent_json_parse(ent_text_bytes(line), &json, err));
    ent_rc rc = run_parsed(&e, ent_json_root(json), err);
    ent_ledger_free(e.ledger);
    for (size_t i = 0; i < MOST_MEMBERS; i++)
        ent_free(e.logs[i].leaves);
    ent_arena_release(&e.arena);
    return rc;
}

int main(void)
{
    ent_kinds *kinds = NULL;
    char *line = NULL;
    size_t room = 0;
    ssize_t size = 0;
    ent_err err = {0};
    ent_rc rc = ent_kinds_new(&kinds, &err);
    while (rc.code == ENT_OK && (size = getline(&line, &room, stdin)) > 0) {
        rc = run(kinds, (ent_text){line, (size_t)size}, &err);
        (void)fflush(stdout);
    }
    if (rc.code != ENT_OK)
        (void)fprintf(stderr, "%s\n", err.text);
    free(line);
    ent_kinds_free(kinds);
    return rc.code == ENT_OK ? 0 : 1;
}
