/* The audit of what was signed: heads, receipts, the keeper's marks; and of what the log's row says. */
#include "node/audit_internal.h"

#include "log/checkpoint.h"

static bool is_own(const ent_audit *audit)
{
    return audit->log->member == audit->channel->self;
}

static ent_text member_name(const ent_audit *audit, uint32_t member)
{
    return audit->channel->genesis.members[member].name;
}

/* --- the next of each --- */

static ent_rc next_head(ent_audit *audit, uint64_t from, ent_err *err)
{
    ent_audit_log *log = audit->log;
    ent_store *store = audit->source.store;
    ent_err why = {0};
    bool read_it = false;
    ent_buf_clear(&log->head_note);
    log->has_head = false;
    ent_rc rc = store->engine->head_from(store, log->row.number, from, &log->head, &log->head_note, &why);
    if (rc.code == ENT_ABSENT)
        return ENT_DONE;
    ENT_TRY(ent_audit_read(audit, rc, &why, "head", from, &read_it, err));
    log->has_head = read_it;
    return ENT_DONE;
}

static ent_rc next_receipt(ent_audit *audit, uint32_t receiver, uint64_t from, ent_err *err)
{
    ent_audit_log *log = audit->log;
    ent_store *store = audit->source.store;
    ent_audit_receipt *next = &log->receipts[receiver];
    ent_err why = {0};
    next->has = false;
    ent_rc rc = store->engine->receipt_covering(store, log->row.number, receiver, from, &next->receipt, &why);
    if (rc.code == ENT_ABSENT)
        return ENT_DONE;
    return ent_audit_read(audit, rc, &why, "receipt", from, &next->has, err);
}

static void find_next(ent_audit *audit)
{
    ent_audit_log *log = audit->log;
    uint64_t size = UINT64_MAX;
    if (log->has_head)
        size = log->head.size;
    if (log->has_mark && log->mark.size < size)
        size = log->mark.size;
    for (size_t m = 0; m < audit->channel->genesis.member_count; m++) {
        if (log->receipts[m].has && log->receipts[m].receipt.head.size < size)
            size = log->receipts[m].receipt.head.size;
    }
    log->next_evidence = size;
}

ent_rc ent_audit_evidence_begin(ent_audit *audit, ent_err *err)
{
    ent_audit_log *log = audit->log;
    ent_err why = {0};
    ENT_TRY(next_head(audit, 0, err));
    for (uint32_t m = 0; m < audit->channel->genesis.member_count; m++)
        ENT_TRY(next_receipt(audit, m, 0, err));
    ent_rc rc = audit->source.mark(audit->source.context, is_own(audit) ? ENT_KEEPER_HEAD : ENT_KEEPER_RECEIPT,
                                   ent_text_of(log->origin), &log->mark, &why);
    if (rc.code != ENT_ABSENT)
        ENT_TRY(ent_audit_read(audit, rc, &why, "mark", UINT64_MAX, &log->has_mark, err));
    find_next(audit);
    return ENT_DONE;
}

/* --- checking one --- */

/* Whether a root is that of the log at the present size. */
static bool is_ours(ent_audit *audit, const ent_tree_head *head, const char *by)
{
    ent_hash root;
    if (audit->log->unsure_count > 0)
        return ent_audit_log_decide(audit, head, by);
    ent_tree_root(&audit->log->tree, &root);
    return ent_hash_equal(&root, &head->root);
}

static ent_rc check_head_signature(ent_audit *audit, ent_err *err)
{
    ent_audit_log *log = audit->log;
    ENT_CLEANUP(ent_note_release) ent_note note = {0};
    ent_checkpoint checkpoint;
    ent_err why = {0};
    log->heads++;
    ent_rc rc = ent_keys_open_old_head(&audit->channel->keys[log->member], ent_buf_bytes(&log->head_note),
                                       ent_text_of(log->origin), &note, &checkpoint, &why);
    if (rc.code == ENT_NOMEM)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    if (rc.code != ENT_OK)
        ent_audit_find(audit, "head", log->head.size, "the signed head of size %llu does not verify: %s",
                       (unsigned long long)log->head.size, why.text);
    else if (checkpoint.head.size != log->head.size || !ent_hash_equal(&checkpoint.head.root, &log->head.root))
        ent_audit_find(audit, "head", log->head.size,
                       "the signed head kept for size %llu is of another size or root than its row says",
                       (unsigned long long)log->head.size);
    return ENT_DONE;
}

static ent_rc check_head(ent_audit *audit, ent_err *err)
{
    ent_audit_log *log = audit->log;
    ENT_TRY(check_head_signature(audit, err));
    if (!is_ours(audit, &log->head, "the signed head"))
        ent_audit_find(audit, "head", log->head.size,
                       "the signed head of size %llu has another root than the %llu entries here give",
                       (unsigned long long)log->head.size, (unsigned long long)log->head.size);
    return next_head(audit, log->head.size + 1, err);
}

/* A receipt of ours that is not signed yet is signed at the latest when the node starts. */
static ent_rc check_receipt_signature(ent_audit *audit, const ent_store_receipt *receipt, ent_err *err)
{
    static const ent_signature unsigned_yet;
    const ent_keys *keys = &audit->channel->keys[receipt->receiver];
    const ent_key *candidates = keys->roles[ENT_KEY_ROLE_RECEIPT];
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    bool verified = false;
    audit->log->receipt_count++;
    bool is_unsigned = memcmp(&receipt->cosignature.signature, &unsigned_yet, sizeof unsigned_yet) == 0;
    if (is_unsigned && receipt->receiver == audit->channel->self)
        return ENT_DONE;
    ent_checkpoint_put(&text, ent_text_of(audit->log->origin), &receipt->head);
    ENT_TRY(ent_buf_check(&text, err));
    for (size_t i = keys->role_count[ENT_KEY_ROLE_RECEIPT]; i > 0 && !verified; i--) {
        ent_public_key key;
        memcpy(key.bytes, candidates[i - 1].value, sizeof key.bytes);
        verified = ent_cosignature_verify(ent_buf_text(&text), &receipt->cosignature, &key);
    }
    if (!verified)
        ent_audit_find(audit, "receipt", receipt->head.size, "the receipt of %.*s for size %llu does not verify",
                       ENT_TEXT_ARG(member_name(audit, receipt->receiver)), (unsigned long long)receipt->head.size);
    return ENT_DONE;
}

static ent_rc check_receipt(ent_audit *audit, uint32_t receiver, ent_err *err)
{
    const ent_store_receipt receipt = audit->log->receipts[receiver].receipt;
    ENT_TRY(check_receipt_signature(audit, &receipt, err));
    if (!is_ours(audit, &receipt.head, "a receipt"))
        ent_audit_find(audit, "receipt", receipt.head.size,
                       "the receipt of %.*s for size %llu is for another root than the entries here give",
                       ENT_TEXT_ARG(member_name(audit, receiver)), (unsigned long long)receipt.head.size);
    return next_receipt(audit, receiver, receipt.head.size + 1, err);
}

ent_rc ent_audit_evidence_at(ent_audit *audit, ent_err *err)
{
    ent_audit_log *log = audit->log;
    uint64_t size = log->tree.size;
    if (size < log->next_evidence)
        return ENT_DONE;
    while (log->has_head && log->head.size <= size)
        ENT_TRY(check_head(audit, err));
    for (uint32_t m = 0; m < audit->channel->genesis.member_count; m++) {
        while (log->receipts[m].has && log->receipts[m].receipt.head.size <= size)
            ENT_TRY(check_receipt(audit, m, err));
    }
    if (log->has_mark && log->mark.size <= size) {
        log->has_mark = false;
        if (!is_ours(audit, &log->mark, "the keeper's mark"))
            ent_audit_find(audit, "mark", log->mark.size,
                           "the keeper signed another root at size %llu than the entries here give: this store is not "
                           "the one that was signed from%s",
                           (unsigned long long)log->mark.size,
                           is_own(audit) && log->has_head
                               ? "; heads of this one are signed too, so our key signed two histories. The node keeps "
                                 "the proof when it starts (`entente fork list`); find the other copy of this folder"
                               : "");
    }
    find_next(audit);
    return ENT_DONE;
}

/* --- at the end of a log --- */

/* How far the log has come by now: what speaks of more than was audited may be younger than the audit. */
static ent_rc size_now(ent_audit *audit, uint64_t *ret, ent_err *err)
{
    ent_store_log now;
    ENT_TRY(audit->source.store->engine->log_get(audit->source.store, audit->channel->row.number, audit->log->member,
                                                 &now, err));
    *ret = now.tree.size;
    return ENT_DONE;
}

static ent_rc check_beyond(ent_audit *audit, ent_err *err)
{
    ent_audit_log *log = audit->log;
    uint64_t size = 0;
    ENT_TRY(size_now(audit, &size, err));
    while (log->has_head) { /* of another's log: seen, and its entries have not come */
        ENT_TRY(check_head_signature(audit, err));
        if (is_own(audit) && log->head.size > size)
            ent_audit_find(audit, "head", log->head.size,
                           "we signed a head of %llu entries and hold %llu: this store is older than what was said",
                           (unsigned long long)log->head.size, (unsigned long long)size);
        ENT_TRY(next_head(audit, log->head.size + 1, err));
    }
    for (uint32_t m = 0; m < audit->channel->genesis.member_count; m++) {
        while (log->receipts[m].has) {
            const ent_store_receipt receipt = log->receipts[m].receipt;
            ENT_TRY(check_receipt_signature(audit, &receipt, err));
            if ((is_own(audit) || m == audit->channel->self) && receipt.head.size > size)
                ent_audit_find(audit, "receipt", receipt.head.size,
                               "%.*s receipted %llu entries, and %llu are here: this store is older than that",
                               ENT_TEXT_ARG(member_name(audit, m)), (unsigned long long)receipt.head.size,
                               (unsigned long long)size);
            ENT_TRY(next_receipt(audit, m, receipt.head.size + 1, err));
        }
    }
    if (log->has_mark && log->mark.size > size)
        ent_audit_find(audit, "mark", log->mark.size,
                       "the keeper signed for %llu entries, and %llu are here: this store is older than its marks",
                       (unsigned long long)log->mark.size, (unsigned long long)size);
    return ENT_DONE;
}

static void check_row(ent_audit *audit)
{
    ent_audit_log *log = audit->log;
    const ent_tree_head head = {.size = log->row.tree.size};
    ent_tree_head row = head;
    ent_tree_root(&log->row.tree, &row.root);
    if (log->row.tree.size > 0 && !is_ours(audit, &row, "the log's row"))
        ent_audit_find(audit, "log", row.size,
                       "the right edge that the log's row keeps is not that of its %llu entries",
                       (unsigned long long)row.size);
    if (log->bytes != log->row.bytes)
        ent_audit_find(audit, "log", row.size, "the log's row counts %llu bytes, and its entries and bodies are %llu",
                       (unsigned long long)log->row.bytes, (unsigned long long)log->bytes);
    if (memcmp(log->acked, log->row.acked, sizeof log->acked) != 0)
        ent_audit_find(audit, "log", row.size, "the log's row says that it acks another size than its entries do");
}

ent_rc ent_audit_evidence_end(ent_audit *audit, ent_err *err)
{
    ent_audit_log *log = audit->log;
    ent_tree_head mark;
    ent_err why = {0};
    bool signed_any = is_own(audit) ? log->heads > 0 : false;
    if (log->findings == 0 || log->unsure_count > 0) /* else the row follows from what was found already */
        check_row(audit);
    ENT_TRY(check_beyond(audit, err));
    if (!signed_any)
        return ENT_DONE;
    ent_rc rc = audit->source.mark(audit->source.context, ENT_KEEPER_HEAD, ent_text_of(log->origin), &mark, &why);
    if (rc.code == ENT_ABSENT)
        ent_audit_find(audit, "mark", UINT64_MAX,
                       "heads of this log were signed, and the keeper has no mark of it: its marks were lost");
    return ENT_DONE;
}
