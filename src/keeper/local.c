#include "base/file.h"
#include "crypto/crypto.h"
#include "keeper/internal.h"
#include "keeper/key_file.h"
#include "keeper/marks.h"
#include "seal/bech32.h"

#include <inttypes.h>
#include <pthread.h>
#include <sys/mman.h>

/* The keeper in this process. */
typedef struct {
    ent_keeper base;
    pthread_mutex_t lock; /* over the marks */
    ent_marks *marks;
    bool broken; /* a mark could not be made durable: nothing is signed any more */
    ent_secret_key log;
    ent_secret_key receipt;
    ent_identity age;
    ent_buf tls_key_pem;
} local_keeper;

static ent_rc read_part(const char *folder, const char *name, const char *role, ent_key_lock *lock, ent_buf *ret,
                        ent_err *err)
{
    ENT_CLEANUP(ent_free_pointer) char *path = ent_file_join(folder, name);
    if (path == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    return ent_key_file_read(path, role, lock, ret, err);
}

static ent_rc read_signing_key(const char *folder, const char *name, const char *role, ent_key_lock *lock,
                               ent_public_key *ret_public, ent_secret_key *ret_secret, ent_err *err)
{
    ENT_CLEANUP(ent_buf_wipe) ent_buf seed = {0};
    ENT_TRY(read_part(folder, name, role, lock, &seed, err));
    if (seed.size != 32)
        return ent_fail(err, ENT_PEER_MALFORMED, NULL, "%s/%s does not hold a 32-byte Ed25519 seed", folder, name);
    ent_ed25519_from_seed(seed.data, ret_public, ret_secret);
    return ENT_DONE;
}

/* A stock age identity file, or the same identity in a sealed key file. */
static ent_rc read_age_identity(const char *folder, ent_key_lock *lock, ent_identity *ret, ent_err *err)
{
    ENT_CLEANUP(ent_free_pointer) char *path = ent_file_join(folder, "age.key");
    ENT_CLEANUP(ent_buf_wipe) ent_buf text = {0};
    ENT_CLEANUP(ent_buf_wipe) ent_buf secret = {0};
    if (path == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    ENT_TRY(ent_key_file_load(path, &text, err));
    ent_text left = ent_buf_text(&text);
    if (ent_text_starts(left, ENT_TEXT("entente.key/"))) {
        ENT_TRY(ent_fail_in(err, ent_key_file_parse(ent_buf_bytes(&text), "age", lock, &secret, err), "%s", path));
        left = ent_buf_text(&secret);
    }
    while (left.size > 0) {
        const char *newline = memchr(left.data, '\n', left.size);
        size_t size = newline == NULL ? left.size : (size_t)(newline - left.data);
        ent_text line = {left.data, size};
        if (line.size > 0 && line.data[0] != '#')
            return ent_fail_in(err, ent_identity_parse(line, ret, err), "%s", path);
        size_t taken = newline == NULL ? size : size + 1;
        left.data += taken;
        left.size -= taken;
    }
    return ent_fail(err, ENT_PEER_MALFORMED, NULL, "%s holds no age identity", path);
}

static ent_rc open_keys(local_keeper *keeper, const char *folder, ent_key_lock *lock, ent_err *err)
{
    ent_keeper_publics *publics = &keeper->base.publics;
    ENT_TRY(read_signing_key(folder, "log.key", "log", lock, &publics->log, &keeper->log, err));
    ENT_TRY(read_signing_key(folder, "receipt.key", "receipt", lock, &publics->receipt, &keeper->receipt, err));
    ENT_TRY(read_age_identity(folder, lock, &keeper->age, err));
    ent_x25519_recipient(&keeper->age, &publics->age);
    return read_part(folder, "tls.key", "tls", lock, &keeper->tls_key_pem, err);
}

static void local_free(ent_keeper *base)
{
    local_keeper *keeper = (local_keeper *)base;
    ent_marks_free(keeper->marks);
    ent_buf_wipe(&keeper->tls_key_pem);
    (void)pthread_mutex_destroy(&keeper->lock);
    ent_wipe(keeper, sizeof *keeper);
    (void)munlock(keeper, sizeof *keeper);
    ent_free(keeper);
}

static ent_rc local_tls_key(ent_keeper *base, ent_buf *ret_pem, ent_err *err)
{
    const local_keeper *keeper = (local_keeper *)base;
    ent_buf_put(ret_pem, ent_buf_bytes(&keeper->tls_key_pem));
    return ent_buf_check(ret_pem, err);
}

/* A larger head must extend the one that was signed: two signed heads that do not agree are a fork, and the proof of it
 * is valid for ever. */
static ent_rc judge_larger(const ent_mark *mark, const ent_keeper_request *request, ent_err *err)
{
    static const ent_tree_proof none;
    const ent_tree_proof *proof = request->extends == NULL ? &none : request->extends;
    if (ent_consistency_verify(&mark->head, &request->head, proof) == ENT_PROOF_VALID)
        return ENT_DONE;
    return ent_fail(err, ENT_REFUSED_KEEPER, "design 3, rollback guard",
                    "the keeper signed %.*s at size %" PRIu64 " before, and size %" PRIu64
                    " is not shown to extend it: signing this one could be a fork",
                    ENT_TEXT_ARG(request->origin), mark->head.size, request->head.size);
}

/* Whether a request may follow what was signed before for the same log. */
static ent_rc judge(const ent_mark *mark, const ent_keeper_request *request, ent_err *err)
{
    if (mark == NULL)
        return ENT_DONE;
    if (request->head.size > mark->head.size)
        return judge_larger(mark, request, err);
    if (request->head.size < mark->head.size)
        return ent_fail(err, ENT_REFUSED_KEEPER, "design 3, rollback guard",
                        "the keeper signed %.*s at size %" PRIu64 " before and will not sign size %" PRIu64
                        ": this store is older than the keys' marks (a restored backup?)",
                        ENT_TEXT_ARG(request->origin), mark->head.size, request->head.size);
    if (!ent_hash_equal(&mark->head.root, &request->head.root))
        return ent_fail(err, ENT_REFUSED_KEEPER, "design 3, rollback guard",
                        "the keeper signed %.*s at size %" PRIu64
                        " with another root: signing this one would be a fork",
                        ENT_TEXT_ARG(request->origin), request->head.size);
    if (request->what == ENT_KEEPER_RECEIPT && mark->timestamp_unix_s != request->timestamp_unix_s)
        return ent_fail(err, ENT_REFUSED_KEEPER, "design 3, signing order",
                        "the receipt of %.*s at size %" PRIu64 " was signed with another time",
                        ENT_TEXT_ARG(request->origin), request->head.size);
    return ENT_DONE;
}

static ent_rc mark_request(local_keeper *keeper, ent_keeper_request *request, ent_err *err)
{
    const ent_mark *known = ent_marks_find(keeper->marks, request->what, request->origin);
    if (request->origin.size > ENT_ORIGIN_MAX_BYTES)
        request->rc = ent_fail(err, ENT_REFUSED_KEEPER, NULL, "an origin is at most %d bytes", ENT_ORIGIN_MAX_BYTES);
    else
        request->rc = judge(known, request, err);
    if (request->rc.code != ENT_OK || (known != NULL && known->head.size == request->head.size))
        return ENT_DONE;
    ent_mark mark = {.what = request->what, .head = request->head, .timestamp_unix_s = request->timestamp_unix_s};
    memcpy(mark.origin, request->origin.data, request->origin.size);
    return ent_marks_put(keeper->marks, &mark, err);
}

static ent_rc sign_request(const local_keeper *keeper, ent_keeper_request *request, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    ent_checkpoint_put(&text, request->origin, &request->head);
    ENT_TRY(ent_buf_check(&text, err));
    if (request->what == ENT_KEEPER_HEAD) {
        ent_ed25519_sign(&keeper->log, ent_buf_bytes(&text), &request->signature);
        return ENT_DONE;
    }
    ent_cosignature cosignature;
    ENT_TRY(ent_cosignature_sign(ent_buf_text(&text), request->timestamp_unix_s, &keeper->receipt, &cosignature, err));
    request->signature = cosignature.signature;
    return ENT_DONE;
}

static ent_rc sign_all(local_keeper *keeper, ent_keeper_request *requests, size_t count, ent_err *err)
{
    if (keeper->broken)
        return ent_fail(err, ENT_IO, "design 8",
                        "the keeper could not make a mark durable and signs nothing until restarted");
    for (size_t i = 0; i < count; i++)
        ENT_TRY(mark_request(keeper, &requests[i], err));
    ent_rc rc = ent_marks_sync(keeper->marks, err);
    if (rc.code != ENT_OK) {
        keeper->broken = true; /* after a failed sync the file's state is unknown: never go on */
        return rc;
    }
    for (size_t i = 0; i < count; i++) {
        if (requests[i].rc.code == ENT_OK)
            ENT_TRY(sign_request(keeper, &requests[i], err));
    }
    return ENT_DONE;
}

static ent_rc local_sign(ent_keeper *base, ent_keeper_request *requests, size_t count, ent_err *err)
{
    local_keeper *keeper = (local_keeper *)base;
    (void)pthread_mutex_lock(&keeper->lock);
    ent_rc rc = sign_all(keeper, requests, count, err);
    (void)pthread_mutex_unlock(&keeper->lock);
    return rc;
}

static ent_rc local_mark(ent_keeper *base, ent_keeper_what what, ent_text origin, ent_tree_head *ret, ent_err *err)
{
    local_keeper *keeper = (local_keeper *)base;
    (void)pthread_mutex_lock(&keeper->lock);
    const ent_mark *mark = ent_marks_find(keeper->marks, what, origin);
    if (mark != NULL)
        *ret = mark->head;
    (void)pthread_mutex_unlock(&keeper->lock);
    return mark != NULL ? ENT_DONE
                        : ent_fail(err, ENT_ABSENT, NULL, "nothing was signed yet for %.*s", ENT_TEXT_ARG(origin));
}

static ent_rc local_unwrap(ent_keeper *base, const ent_age_header *header, ent_file_key *ret, ent_err *err)
{
    return ent_age_unwrap(header, &((const local_keeper *)base)->age, ret, err);
}

ent_rc ent_keeper_open(const char *keys_folder, const char *marks_folder, ent_bytes passphrase, ent_keeper **ret,
                       ent_err *err)
{
    static const ent_keeper_way way = {local_free, local_tls_key, local_sign, local_mark, local_unwrap};
    local_keeper *keeper = ent_alloc(sizeof *keeper);
    if (keeper == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    keeper->base.way = &way;
    (void)mlock(keeper, sizeof *keeper); /* where the system allows it: keys that are never in a swap file */
    (void)pthread_mutex_init(&keeper->lock, NULL);
    ENT_CLEANUP(ent_key_lock_release) ent_key_lock lock = {.passphrase = passphrase};
    ent_rc rc = open_keys(keeper, keys_folder, &lock, err);
    if (rc.code == ENT_OK)
        rc = ent_marks_open(marks_folder, &keeper->marks, err);
    if (rc.code != ENT_OK) {
        local_free(&keeper->base);
        return rc;
    }
    *ret = &keeper->base;
    return ENT_DONE;
}
