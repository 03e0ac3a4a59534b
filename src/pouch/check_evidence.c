#include "pouch/check_steps.h"

#include "log/fork.h"
#include "seal/card.h"

#include <stdlib.h>

/* Heads and receipts: what others have signed about the logs of the channel. */

/* The log that an origin names.  Errors: PEER_MISMATCH when it is no member's log in this channel. */
static ent_rc log_of_origin(const ent_pouch_checking *checking, ent_text origin, size_t *ret_member, ent_err *err)
{
    ent_text party = {NULL, 0};
    ent_hash channel;
    if (ent_origin_parse(origin, &party, &channel, NULL).code != ENT_OK ||
        !ent_hash_equal(&channel, &checking->known->channel))
        return ent_fail(err, ENT_PEER_MISMATCH, ENT_STEP_ENTRIES, "the checkpoint is of no log of this channel");
    int member = ent_genesis_member(checking->known->genesis, party);
    if (member < 0)
        return ent_fail(err, ENT_PEER_MISMATCH, ENT_STEP_ENTRIES,
                        "the checkpoint is of %.*s, who is no member of this channel", ENT_TEXT_ARG(party));
    *ret_member = (size_t)member;
    return ENT_DONE;
}

static ent_rc head_log(const ent_pouch_checking *checking, const ent_pouch_item *item, size_t *ret_member, ent_err *err)
{
    const ent_pouch_known *known = checking->known;
    int member = ent_genesis_member(known->genesis, item->party);
    if (member < 0)
        return ent_fail(err, ENT_PEER_MISMATCH, ENT_STEP_ENTRIES, "no member of this channel");
    if ((size_t)member == known->writer)
        return ent_fail(err, ENT_PEER_MISMATCH, ENT_STEP_ENTRIES, "the writer's own head is the pouch's checkpoint");
    *ret_member = (size_t)member;
    return ENT_DONE;
}

static ent_rc check_head_note(const ent_pouch_checking *checking, size_t member, ent_bytes bytes, ent_checked_head *ret,
                              bool *ret_replaced, ent_err *err)
{
    char memory[ENT_ORIGIN_TEXT_MAX + 1];
    ent_note note ENT_CLEANUP(ent_note_release) = {0};
    ent_checkpoint checkpoint;
    ent_text origin = ent_origin_write(ent_pouch_checking_name(checking, member), &checking->known->channel, memory);
    ENT_TRY(ent_pouch_checking_open(checking, member, bytes, origin, &note, &checkpoint, ret_replaced, err));
    *ret = (ent_checked_head){.member = member, .head = checkpoint.head, .note = bytes};
    return ENT_DONE;
}

bool ent_pouch_checking_reaches(const ent_checked_head *heads, size_t count, size_t member, uint64_t size)
{
    for (size_t i = 0; i < count; i++) {
        if (heads[i].member == member && heads[i].head.size >= size)
            return true;
    }
    return false;
}

void ent_pouch_checking_fork(ent_pouch_checking *checking, const ent_checked_fork *fork)
{
    checking->forked |= (uint32_t)1 << fork->member;
    checking->out->forks[checking->out->fork_count++] = *fork;
}

/* "signed but inconsistent with what we hold ⇒ that log's fork" */
static ent_rc compare_head(ent_pouch_checking *checking, const ent_checked_head *head, ent_err *err)
{
    const ent_pouch_known *known = checking->known;
    bool is_known = false;
    ent_hash ours;
    ENT_TRY(known->root_at(known->context, head->member, head->head.size, &is_known, &ours, err));
    if (!is_known || ent_hash_equal(&ours, &head->head.root)) {
        checking->out->head_count++;
        return ENT_DONE;
    }
    ent_checked_fork fork = {.member = head->member, .head = head->head, .note = head->note};
    ent_pouch_checking_fork(checking, &fork);
    return ENT_DONE;
}

/* The heads of one log, sizes ascending. */
static ent_rc check_heads_of(ent_pouch_checking *checking, const ent_pouch_item *item, ent_err *err)
{
    ent_pouch_checked *out = checking->out;
    ent_bytes rest = item->data;
    ent_bytes note;
    size_t member = 0;
    ENT_TRY(head_log(checking, item, &member, err));
    uint64_t before = 0;
    for (size_t i = 0; ent_pouch_head_next(&rest, &note); i++) {
        ent_checked_head *head = &out->heads[out->head_count];
        bool replaced = false;
        ENT_TRY(check_head_note(checking, member, note, head, &replaced, err));
        if (i > 0 && head->head.size <= before)
            return ent_fail(err, ENT_PEER_MALFORMED, ENT_STEP_ENTRIES, "size %" PRIu64 " after %" PRIu64,
                            head->head.size, before);
        before = head->head.size;
        /* Whoever handed it on did not know of the cutoff. It counts nothing; the log itself brings what is true. */
        if (replaced) {
            out->passed[out->passed_count++] = *head;
            continue;
        }
        if (!ent_pouch_checking_forked(checking, member)) /* else nothing more is kept of that log */
            ENT_TRY(compare_head(checking, head, err));
    }
    return ENT_DONE;
}

static ent_rc count_heads(const ent_pouch *pouch, size_t *ret, ent_err *err)
{
    size_t count = 0;
    for (size_t i = 0; i < pouch->head_count; i++) {
        ent_bytes rest = pouch->heads[i].data;
        ent_bytes note;
        while (ent_pouch_head_next(&rest, &note))
            count++;
    }
    if (count > ENT_POUCH_MAX_HEADS)
        return ent_fail(err, ENT_PEER_TOO_LARGE, ENT_STEP_ENTRIES, "heads/: %zu notes, at most %d are allowed", count,
                        ENT_POUCH_MAX_HEADS);
    *ret = count;
    return ENT_DONE;
}

static bool is_log_key(const ent_pouch_checking *checking, size_t member, const ent_public_key *key)
{
    const ent_keys *keys = checking->known->keys[member];
    bool found = keys == NULL && ent_public_key_equal(key, &checking->known->genesis->members[member].log);
    for (size_t i = 0; keys != NULL && i < keys->log_count; i++)
        found = found || ent_public_key_equal(key, &keys->log[i].key);
    return found;
}

/* Both heads as any other head is checked: a key that was replaced or revoked proves nothing beyond its cutoff. */
static ent_rc check_fork_signatures(const ent_pouch_checking *checking, size_t member, const ent_fork_proof *proof,
                                    bool *ret_replaced, ent_err *err)
{
    for (size_t i = 0; i < proof->key_count; i++) {
        if (!is_log_key(checking, member, &proof->keys[i].key))
            return ent_fail(err, ENT_PEER_SIGNATURE, ENT_STEP_ENTRIES, "key %zu is not the log key of %.*s", i + 1,
                            ENT_TEXT_ARG(ent_pouch_checking_name(checking, member)));
    }
    for (size_t i = 0; i < 2; i++) {
        ENT_CLEANUP(ent_note_release) ent_note note = {0};
        ent_checkpoint checkpoint;
        ENT_TRY(ent_pouch_checking_open(checking, member, proof->note_bytes[i], proof->origin, &note, &checkpoint,
                                        ret_replaced, err));
    }
    return ENT_DONE;
}

static ent_rc check_fork_item(const ent_pouch_checking *checking, const ent_pouch_item *item, size_t *ret_member,
                              bool *ret_replaced, ent_err *err)
{
    const ent_pouch_known *known = checking->known;
    ENT_CLEANUP(ent_fork_proof_release) ent_fork_proof proof = {0};
    ENT_TRY(ent_fork_proof_parse(item->data, &proof, err));
    ENT_TRY(log_of_origin(checking, proof.origin, ret_member, err));
    const ent_member *member = &known->genesis->members[*ret_member];
    if (!ent_text_equal(member->name, item->party))
        return ent_fail(err, ENT_PEER_MISMATCH, ENT_STEP_ENTRIES, "it is about the log of %.*s",
                        ENT_TEXT_ARG(member->name));
    if (ent_fork_proof_verify(&proof) != ENT_FORK_PROVEN)
        return ent_fail(err, ENT_PEER_INCONSISTENT, ENT_STEP_ENTRIES, "it does not prove that this log forked");
    return check_fork_signatures(checking, *ret_member, &proof, ret_replaced, err);
}

ent_rc ent_pouch_check_forks(ent_pouch_checking *checking, ent_err *err)
{
    const ent_pouch *pouch = checking->pouch;
    void *memory = NULL;
    /* At most one for each member, whether a proof or a head shows it. */
    ENT_TRY(ent_pouch_checking_alloc(checking, checking->known->genesis->member_count, sizeof *checking->out->forks,
                                     &memory, err));
    checking->out->forks = memory;
    for (size_t i = 0; i < pouch->fork_count; i++) {
        const ent_pouch_item *item = &pouch->forks[i];
        ent_checked_fork fork = {.proof = item->data};
        bool replaced = false;
        ent_rc rc = check_fork_item(checking, item, &fork.member, &replaced, err);
        if (rc.code != ENT_OK)
            return ent_pouch_checking_fail_in(err, rc, ENT_STEP_ENTRIES, "forks/%.*s", ENT_TEXT_ARG(item->party));
        /* Whoever hands it on saw the fork before it knew of the cutoff, and brings it with every pouch from then on.
         */
        if (!replaced && !ent_pouch_checking_forked(checking, fork.member))
            ent_pouch_checking_fork(checking, &fork);
    }
    return ENT_DONE;
}

ent_rc ent_pouch_check_heads(ent_pouch_checking *checking, ent_err *err)
{
    const ent_pouch *pouch = checking->pouch;
    ent_pouch_checked *out = checking->out;
    size_t count = 0;
    void *memory = NULL;
    ENT_TRY(count_heads(pouch, &count, err));
    ENT_TRY(ent_pouch_checking_alloc(checking, count, sizeof *out->heads, &memory, err));
    out->heads = memory;
    ENT_TRY(ent_pouch_checking_alloc(checking, count, sizeof *out->passed, &memory, err));
    out->passed = memory;
    for (size_t i = 0; i < pouch->head_count; i++) {
        ent_rc rc = check_heads_of(checking, &pouch->heads[i], err);
        if (rc.code != ENT_OK)
            return ent_pouch_checking_fail_in(err, rc, ENT_STEP_ENTRIES, "heads/%.*s",
                                              ENT_TEXT_ARG(pouch->heads[i].party));
    }
    return ENT_DONE;
}

static ent_rc check_receipt_signature(const ent_pouch_checking *checking, const ent_pouch_item *item, ent_buf *key_name,
                                      ent_checked_receipt *ret, ent_err *err)
{
    const ent_pouch_known *known = checking->known;
    int receiver = ent_genesis_member(known->genesis, item->party);
    if (receiver < 0)
        return ent_fail(err, ENT_PEER_MISMATCH, ENT_STEP_ENTRIES, "the receiver is no member of this channel");
    ent_note note ENT_CLEANUP(ent_note_release) = {0};
    ent_checkpoint checkpoint;
    ent_checked_receipt receipt = {.receiver = (size_t)receiver};
    ENT_TRY(ent_note_parse(item->data, &note, err));
    ENT_TRY(ent_checkpoint_parse(note.text, &checkpoint, err));
    ENT_TRY(log_of_origin(checking, checkpoint.origin, &receipt.member, err));
    if (receipt.member == receipt.receiver)
        return ent_fail(err, ENT_PEER_MISMATCH, ENT_STEP_ENTRIES, "a party does not receipt its own log");
    if (note.signature_count != 1)
        return ent_fail(err, ENT_PEER_MALFORMED, ENT_STEP_ENTRIES,
                        "%zu signature lines, where the one cosignature belongs", note.signature_count);

    const ent_keys *keys = known->keys[receiver];
    if (keys != NULL) {
        ENT_TRY(ent_keys_verify_receipt(keys, item->party, &note, &receipt.cosignature, &receipt.key, err));
    } else {
        ent_vkey vkey;
        ent_buf_clear(key_name);
        ent_receipt_key_name_put(key_name, item->party);
        ENT_TRY(ent_buf_check(key_name, err));
        ENT_TRY(ent_vkey_make(ent_buf_text(key_name), ENT_KEY_COSIGNATURE, &known->genesis->members[receiver].receipt,
                              &vkey, err));
        if (ent_note_verify_cosignature(&note, &vkey, &receipt.cosignature) != ENT_SIGNATURE_VALID)
            return ent_fail(err, ENT_PEER_SIGNATURE, ENT_STEP_ENTRIES, "not cosigned by the receipt key of %.*s",
                            ENT_TEXT_ARG(item->party));
    }
    receipt.head = checkpoint.head;
    *ret = receipt;
    return ENT_DONE;
}

/* A receipt of the pouch's own log at a size among the new entries; their order by size lets one walk over the leaves
 * do. */
typedef struct {
    uint64_t size;
    size_t kept; /* index among the checked receipts */
} pending_receipt;

/* The receipts of one pouch while they are looked at. */
typedef struct {
    ent_pouch_checking *checking;
    ent_buf key_name;
    pending_receipt *pending;
    size_t pending_count;
    size_t apart_count;
} receipts_check;

static void release_check(receipts_check *work)
{
    ent_buf_release(&work->key_name);
}

static int compare_pending(const void *a, const void *b)
{
    const pending_receipt *x = a;
    const pending_receipt *y = b;
    return x->size < y->size ? -1 : x->size > y->size;
}

static ent_rc check_pending(receipts_check *work, ent_err *err)
{
    const ent_pouch_checking *checking = work->checking;
    ent_tree tree = *checking->known->tree;
    size_t leaf = checking->overlap;
    if (work->pending_count > 1)
        qsort(work->pending, work->pending_count, sizeof *work->pending, compare_pending);
    for (size_t i = 0; i < work->pending_count; i++) {
        while (tree.size < work->pending[i].size)
            ENT_TRY(ent_tree_append(&tree, &checking->leaves[leaf++], err));
        ent_hash root;
        ent_tree_root(&tree, &root);
        ent_checked_receipt *receipt = &checking->out->receipts[work->pending[i].kept];
        receipt->apart = !ent_hash_equal(&root, &receipt->head.root);
        work->apart_count += receipt->apart ? 1 : 0;
    }
    return ENT_DONE;
}

/* A receipt of our log for more than it has. Either the pouch shows that we signed more than we hold: our store is from
 * a backup, and a receipt for what it has forgotten is no lie. Or it is for what another signed with a key of ours
 * that was replaced. *ret_apart false, without a failure: nothing can be done with it here. */
static ent_rc check_unreached(const ent_pouch_checking *checking, const ent_checked_receipt *receipt, size_t at,
                              bool *ret_apart, ent_err *err)
{
    const ent_pouch_known *known = checking->known;
    const ent_pouch_checked *out = checking->out;
    const ent_keys *keys = known->keys[known->self];
    const uint64_t size = receipt->head.size;
    *ret_apart = ent_pouch_checking_reaches(out->passed, out->passed_count, known->self, size) ||
                 (keys != NULL && keys->log_count > 1 && size > keys->log[1].from);
    if (*ret_apart || ent_pouch_checking_reaches(out->heads, out->head_count, known->self, size))
        return ENT_DONE;
    return ent_fail(err, ENT_PEER_INCONSISTENT, ENT_STEP_ENTRIES,
                    "receipts/%04zu: a receipt of our log at size %" PRIu64 ", which it has not reached", at, size);
}

/* "signed but inconsistent with what we hold ⇒ that log's fork": a receipt is not the log's own word. It shows what its
 * giver holds, and no more; a head of that log, which its giver brings too, decides. */
static ent_rc check_receipt(receipts_check *work, size_t at, ent_err *err)
{
    ent_pouch_checking *checking = work->checking;
    const ent_pouch_known *known = checking->known;
    ent_pouch_checked *out = checking->out;
    ent_checked_receipt *receipt = &out->receipts[out->receipt_count];
    ent_rc rc = check_receipt_signature(checking, &checking->pouch->receipts[at], &work->key_name, receipt, err);
    if (rc.code != ENT_OK)
        return ent_pouch_checking_fail_in(err, rc, ENT_STEP_ENTRIES, "receipts/%04zu-%.*s", at,
                                          ENT_TEXT_ARG(checking->pouch->receipts[at].party));
    if (receipt->member == known->writer && receipt->head.size > known->tree->size &&
        receipt->head.size <= out->tree.size) {
        work->pending[work->pending_count++] = (pending_receipt){receipt->head.size, out->receipt_count++};
        return ENT_DONE;
    }
    bool is_known = false;
    ent_hash ours;
    ENT_TRY(known->root_at(known->context, receipt->member, receipt->head.size, &is_known, &ours, err));
    receipt->apart = is_known && !ent_hash_equal(&ours, &receipt->head.root);
    if (!is_known && !ent_pouch_checking_forked(checking, receipt->member) && receipt->member == known->self &&
        known->writer != known->self)
        ENT_TRY(check_unreached(checking, receipt, at, &receipt->apart, err));
    if (is_known ||
        receipt->apart) /* else it cannot be checked yet: the writer of that log brings it with its entries */
        out->receipt_count++;
    work->apart_count += receipt->apart ? 1 : 0;
    return ENT_DONE;
}

static ent_rc set_apart(receipts_check *work, ent_err *err)
{
    ent_pouch_checked *out = work->checking->out;
    size_t kept = 0;
    void *memory = NULL;
    if (work->apart_count == 0)
        return ENT_DONE;
    ENT_TRY(ent_pouch_checking_alloc(work->checking, work->apart_count, sizeof *out->apart, &memory, err));
    out->apart = memory;
    for (size_t i = 0; i < out->receipt_count; i++) {
        if (out->receipts[i].apart)
            out->apart[out->apart_count++] = out->receipts[i];
        else
            out->receipts[kept++] = out->receipts[i];
    }
    out->receipt_count = kept;
    return ENT_DONE;
}

ent_rc ent_pouch_check_receipts(ent_pouch_checking *checking, ent_err *err)
{
    const size_t count = checking->pouch->receipt_count;
    ENT_CLEANUP(release_check) receipts_check work = {.checking = checking};
    void *memory = NULL;
    ENT_TRY(ent_pouch_checking_alloc(checking, count, sizeof *checking->out->receipts, &memory, err));
    checking->out->receipts = memory;
    ENT_TRY(ent_pouch_checking_alloc(checking, count, sizeof *work.pending, &memory, err));
    work.pending = memory;
    for (size_t i = 0; i < count; i++)
        ENT_TRY(check_receipt(&work, i, err));
    ENT_TRY(check_pending(&work, err));
    return set_apart(&work, err);
}
