#include "log/fork.h"

#include "base/cursor.h"

static const char form_rule[] = "docs/formats.md, Fork proof";

#define HEADER ENT_TEXT("entente.fork/v1 ")
#define KEY ENT_TEXT("key ")

/* ---- the path ---------------------------------------------------------------------- */

ent_rc ent_fork_path_prove(uint64_t old_size, uint64_t size, const ent_tile_reader *tiles, ent_fork_path *ret,
                           ent_err *err)
{
    ent_fork_path path = {.count = 0};
    ent_tree_proof proof;
    if (old_size == 0 || old_size >= size)
        return ent_fail(err, ENT_USAGE, "design 3, Fork", "no path from %llu entries to %llu",
                        (unsigned long long)old_size, (unsigned long long)size);
    ENT_TRY(ent_consistency_prove(old_size, size, tiles, &proof, err));
    if ((old_size & (old_size - 1)) == 0) /* "for 2^k leaves their node is given explicitly" */
        ENT_TRY(ent_tree_root_at(old_size, tiles, &path.hashes[path.count++], err));
    memcpy(&path.hashes[path.count], proof.hashes, proof.count * sizeof *proof.hashes);
    path.count += proof.count;
    *ret = path;
    return ENT_DONE;
}

static ent_rc read_beyond(void *context, uint8_t level, uint64_t index, uint16_t width, ent_hash *ret_hashes,
                          ent_err *err)
{
    const ent_leaves_beyond *beyond = context;
    const uint64_t stored = level > 6 ? 0 : beyond->first >> (8 * level); /* hashes of this level in the store */
    const uint64_t begin = index * ENT_TILE_WIDTH;
    uint16_t at = 0;
    if (stored > begin) {
        at = stored - begin < width ? (uint16_t)(stored - begin) : width;
        ENT_TRY(beyond->stored.read(beyond->stored.context, level, index, at, ret_hashes, err));
    }
    for (; at < width; at++) {
        const uint64_t place = begin + at;
        if (level > 0) {
            ent_hash below[ENT_TILE_WIDTH];
            ENT_TRY(read_beyond(context, (uint8_t)(level - 1), place, ENT_TILE_WIDTH, below, err));
            ent_tile_hash(below, &ret_hashes[at]);
        } else if (place - beyond->first < beyond->count) {
            ret_hashes[at] = beyond->leaves[place - beyond->first];
        } else {
            return ent_fail(err, ENT_BUG, NULL, "leaf %llu is neither stored nor at hand", (unsigned long long)place);
        }
    }
    return ENT_DONE;
}

ent_tile_reader ent_leaves_beyond_reader(ent_leaves_beyond *beyond)
{
    return (ent_tile_reader){.read = read_beyond, .context = beyond};
}

/* ---- reading ------------------------------------------------------------------------ */

static ent_rc parse_keys(ent_cursor *cursor, ent_fork_proof *proof, ent_err *err)
{
    while (ent_cursor_accept(cursor, KEY)) {
        ent_vkey *vkey = &proof->keys[proof->key_count];
        if (proof->key_count == ENT_FORK_MAX_KEYS)
            return ent_fail(err, ENT_PEER_MALFORMED, form_rule, "more than %d keys", ENT_FORK_MAX_KEYS);
        ENT_TRY(ent_fail_in(err, ent_vkey_parse(ent_cursor_line(cursor), vkey, err), "key %zu", proof->key_count + 1));
        if (vkey->type != ENT_KEY_ED25519 || !ent_text_equal(vkey->name, proof->origin))
            return ent_fail(err, ENT_PEER_MALFORMED, form_rule, "key %zu is not one of the log %.*s",
                            proof->key_count + 1, ENT_TEXT_ARG(proof->origin));
        proof->key_count++;
    }
    if (proof->key_count == 0)
        return ent_fail(err, ENT_PEER_MALFORMED, form_rule, "the second line is no key of the log");
    return ENT_DONE;
}

static ent_rc parse_path(ent_cursor *cursor, ent_fork_path *path, ent_err *err)
{
    for (;;) {
        ent_text line = ent_cursor_line(cursor);
        if (cursor->failed)
            return ent_fail(err, ENT_PEER_MALFORMED, form_rule, "no empty line before the heads");
        if (line.size == 0)
            return ENT_DONE;
        if (path->count == ENT_FORK_MAX_HASHES)
            return ent_fail(err, ENT_PEER_TOO_LARGE, form_rule, "a path of more than %d hashes", ENT_FORK_MAX_HASHES);
        ent_rc rc = ent_base64_decode_fixed(line, true, path->hashes[path->count].bytes, ENT_HASH_SIZE, err);
        if (rc.code != ENT_OK)
            return ent_fail_in(err, rc, "hash %zu of the path", path->count + 1);
        path->count++;
    }
}

/* A head has three lines, an empty one, and signatures; the empty line behind these is not its own. */
static ent_rc take_first_note(ent_cursor *cursor, ent_bytes *ret, ent_err *err)
{
    const uint8_t *start = cursor->next;
    size_t empty = 0;
    while (empty < 2 && !cursor->failed) {
        if (ent_cursor_line(cursor).size == 0)
            empty++;
    }
    if (cursor->failed)
        return ent_fail(err, ENT_PEER_MALFORMED, form_rule, "there are not two heads with an empty line between them");
    *ret = ent_bytes_of(start, (size_t)(cursor->next - start) - 1);
    return ENT_DONE;
}

static ent_rc parse_head(ent_fork_proof *proof, size_t at, ent_err *err)
{
    ent_checkpoint checkpoint;
    ENT_TRY(ent_note_parse(proof->note_bytes[at], &proof->notes[at], err));
    ENT_TRY(ent_checkpoint_parse(proof->notes[at].text, &checkpoint, err));
    if (!ent_text_equal(checkpoint.origin, proof->origin))
        return ent_fail(err, ENT_PEER_MALFORMED, form_rule, "it is of another log than %.*s",
                        ENT_TEXT_ARG(proof->origin));
    proof->heads[at] = checkpoint.head;
    return ENT_DONE;
}

/* Below, at or above zero: by size, then by root. */
static int compare_heads(const ent_tree_head *a, const ent_tree_head *b)
{
    if (a->size != b->size)
        return a->size < b->size ? -1 : 1;
    return memcmp(a->root.bytes, b->root.bytes, sizeof a->root.bytes);
}

static ent_rc parse(ent_bytes bytes, ent_fork_proof *proof, ent_err *err)
{
    ent_cursor cursor = ent_cursor_of(bytes);
    ent_cursor_literal(&cursor, HEADER);
    proof->origin = ent_cursor_line(&cursor);
    if (cursor.failed)
        return ent_fail(err, ENT_PEER_MALFORMED, form_rule, "the first line is not entente.fork/v1 and an origin");
    ENT_TRY(parse_keys(&cursor, proof, err));
    ENT_TRY(parse_path(&cursor, &proof->path, err));
    ENT_TRY(take_first_note(&cursor, &proof->note_bytes[0], err));
    proof->note_bytes[1] = ent_cursor_take(&cursor, ent_cursor_left(&cursor));
    for (size_t i = 0; i < 2; i++)
        ENT_TRY(ent_fail_in(err, parse_head(proof, i, err), "head %zu", i + 1));
    if (compare_heads(&proof->heads[0], &proof->heads[1]) > 0)
        return ent_fail(err, ENT_PEER_MALFORMED, form_rule, "the smaller head does not come first");
    if (proof->heads[0].size == proof->heads[1].size && proof->path.count > 0)
        return ent_fail(err, ENT_PEER_MALFORMED, form_rule, "a path between two heads of one size");
    return ENT_DONE;
}

ent_rc ent_fork_proof_parse(ent_bytes bytes, ent_fork_proof *ret, ent_err *err)
{
    ent_fork_proof proof = {0};
    if (bytes.size > ENT_FORK_PROOF_MAX_BYTES)
        return ent_fail(err, ENT_PEER_TOO_LARGE, form_rule, "a proof of %zu bytes; at most %d are accepted", bytes.size,
                        ENT_FORK_PROOF_MAX_BYTES);
    ent_rc rc = parse(bytes, &proof, err);
    if (rc.code == ENT_OK)
        *ret = proof;
    else
        ent_fork_proof_release(&proof);
    return rc;
}

void ent_fork_proof_release(ent_fork_proof *proof)
{
    ent_note_release(&proof->notes[0]);
    ent_note_release(&proof->notes[1]);
    *proof = (ent_fork_proof){0};
}

void ent_fork_proof_put(ent_buf *buf, const ent_fork_proof *proof)
{
    ent_buf_put_text(buf, HEADER);
    ent_buf_put_text(buf, proof->origin);
    ent_buf_put_u8(buf, '\n');
    for (size_t i = 0; i < proof->key_count; i++) {
        ent_buf_put_text(buf, KEY);
        ent_vkey_put(buf, &proof->keys[i]);
        ent_buf_put_u8(buf, '\n');
    }
    for (size_t i = 0; i < proof->path.count; i++) {
        ent_buf_put_base64(buf, ent_hash_bytes(&proof->path.hashes[i]));
        ent_buf_put_u8(buf, '\n');
    }
    ent_buf_put_u8(buf, '\n');
    ent_buf_put(buf, proof->note_bytes[0]);
    ent_buf_put_u8(buf, '\n');
    ent_buf_put(buf, proof->note_bytes[1]);
}

/* ---- verifying ------------------------------------------------------------------------ */

static bool is_signed(const ent_fork_proof *proof)
{
    bool head_signed[2] = {false, false};
    for (size_t k = 0; k < proof->key_count; k++) {
        bool key_used = false;
        for (size_t i = 0; i < 2; i++) {
            bool valid = ent_note_verify(&proof->notes[i], &proof->keys[k]) == ENT_SIGNATURE_VALID;
            head_signed[i] = head_signed[i] || valid;
            key_used = key_used || valid;
        }
        if (!key_used)
            return false;
    }
    return head_signed[0] && head_signed[1];
}

/* "two signed heads and a path that reproduces the *larger* root exactly and yields another root for the smaller size":
 * whoever can give another path that ends in the larger root has found a collision. */
ent_fork_verdict ent_fork_proof_verify(const ent_fork_proof *proof)
{
    const ent_tree_head *small = &proof->heads[0];
    const ent_tree_head *large = &proof->heads[1];
    const ent_fork_path *path = &proof->path;
    ent_tree_head begins = {.size = small->size};
    ent_hash root;
    if (!is_signed(proof))
        return ENT_FORK_NOT_SIGNED;
    if (small->size == large->size)
        return ent_hash_equal(&small->root, &large->root) ? ENT_FORK_AGREES : ENT_FORK_PROVEN;
    if (small->size == 0) /* every log begins with nothing */
        return ENT_FORK_AGREES;
    if (path->count == 0 ||
        !ent_consistency_replay(small->size, large->size, path->hashes, path->count, &begins.root, &root))
        return ENT_FORK_MISSES;
    if (!ent_hash_equal(&root, &large->root))
        return ENT_FORK_MISSES;
    return ent_hash_equal(&begins.root, &small->root) ? ENT_FORK_AGREES : ENT_FORK_PROVEN;
}

/* ---- making ---------------------------------------------------------------------------- */

/* Name the keys that signed a head. */
static ent_rc name_keys(ent_fork_proof *proof, const ent_public_key *keys, size_t key_count, ent_err *err)
{
    for (size_t i = 0; i < key_count && proof->key_count < ENT_FORK_MAX_KEYS; i++) {
        ent_vkey vkey;
        ENT_TRY(ent_vkey_make(proof->origin, ENT_KEY_ED25519, &keys[i], &vkey, err));
        if (ent_note_verify(&proof->notes[0], &vkey) == ENT_SIGNATURE_VALID ||
            ent_note_verify(&proof->notes[1], &vkey) == ENT_SIGNATURE_VALID)
            proof->keys[proof->key_count++] = vkey;
    }
    return ENT_DONE;
}

static const char *why_not(ent_fork_verdict verdict)
{
    switch (verdict) {
    case ENT_FORK_NOT_SIGNED:
        return "a head is not signed by a key of that log";
    case ENT_FORK_MISSES:
        return "the path does not lead to the larger root";
    default:
        return "the two heads do not contradict each other";
    }
}

static ent_rc make(ent_fork_proof *proof, const ent_public_key *keys, size_t key_count, ent_buf *ret, ent_err *err)
{
    for (size_t i = 0; i < 2; i++)
        ENT_TRY(ent_fail_in(err, parse_head(proof, i, err), "head %zu", i + 1));
    if (compare_heads(&proof->heads[0], &proof->heads[1]) > 0) {
        const ent_note note = proof->notes[0];
        const ent_tree_head head = proof->heads[0];
        const ent_bytes bytes = proof->note_bytes[0];
        proof->notes[0] = proof->notes[1];
        proof->heads[0] = proof->heads[1];
        proof->note_bytes[0] = proof->note_bytes[1];
        proof->notes[1] = note;
        proof->heads[1] = head;
        proof->note_bytes[1] = bytes;
    }
    ENT_TRY(name_keys(proof, keys, key_count, err));
    ent_fork_verdict verdict = ent_fork_proof_verify(proof);
    if (verdict != ENT_FORK_PROVEN)
        return ent_fail(err, ENT_PEER_INCONSISTENT, "design 3, Fork", "no proof of a fork: %s", why_not(verdict));
    ent_fork_proof_put(ret, proof);
    return ent_buf_check(ret, err);
}

ent_rc ent_fork_proof_make(ent_text origin, const ent_public_key *keys, size_t key_count, const ent_bytes notes[2],
                           const ent_fork_path *path, ent_buf *ret, ent_err *err)
{
    ENT_CLEANUP(ent_fork_proof_release)
    ent_fork_proof proof = {
        .origin = origin,
        .note_bytes = {notes[0], notes[1]},
    };
    if (path != NULL)
        proof.path = *path;
    return make(&proof, keys, key_count, ret, err);
}
