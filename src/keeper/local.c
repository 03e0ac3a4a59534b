#include "base/file.h"
#include "crypto/crypto.h"
#include "keeper/internal.h"
#include "keeper/key_file.h"
#include "keeper/marks.h"

#include <inttypes.h>
#include <pthread.h>
#include <sys/mman.h>

/* A key beside the first ones. */
typedef struct {
    ent_key_role role;
    uint64_t serial;
    uint8_t value[32]; /* public key or recipient */
    ent_secret_key secret;
    ent_identity age;
} later_key;

enum { MOST_LATER = ENT_CARD_MAX_FORMER + ENT_KEY_ROLE_COUNT };

/* The keeper in this process. */
typedef struct {
    ent_keeper base;
    pthread_rwlock_t keys_lock; /* over the later keys and the key lock */
    later_key later[MOST_LATER];
    size_t later_count;
    ent_key_lock key_lock; /* opens files that are sealed like the first ones; knows no passphrase any more */
    char *folder;
    pthread_mutex_t lock; /* over the marks */
    ent_marks *marks;
    bool broken; /* a mark could not be made durable: nothing is signed any more */
    ent_secret_key log;
    ent_secret_key receipt;
    ent_identity age;
    ent_buf tls_key_pem;
    bool lost[ENT_KEY_ROLE_COUNT]; /* the first keys that are not there */
    ent_buf passphrase;            /* kept while no key that is there tells the salt; else empty */
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

static ent_rc read_age_identity(const char *folder, const char *name, ent_key_lock *lock, ent_identity *ret,
                                ent_err *err)
{
    ENT_CLEANUP(ent_free_pointer) char *path = ent_file_join(folder, name);
    if (path == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    return ent_age_file_read(path, lock, ret, err);
}

/* Damage may be mended, and the file may be another's: only its owner can say that a key is lost. */
static ent_rc tell_damaged(ent_key_role role, ent_rc rc, ent_err *err)
{
    char why[sizeof err->text];
    if (rc.code != ENT_PEER_MALFORMED || err == NULL)
        return rc;
    memcpy(why, err->text, sizeof why);
    return ent_fail(err, ENT_PEER_MALFORMED, "design 8, keeper",
                    "%s. The file is damaged: put a copy of it back. If there is none, move it away: the node starts "
                    "without it, and `entente key revoke %s --root-dir DIR` replaces that key",
                    why, ent_key_role_word(role));
}

static ent_rc may_be_lost(local_keeper *keeper, ent_key_role role, ent_rc rc, ent_err *err)
{
    keeper->lost[role] = rc.code == ENT_ABSENT;
    return keeper->lost[role] ? ENT_DONE : tell_damaged(role, rc, err);
}

static ent_rc open_keys(local_keeper *keeper, const char *folder, ent_key_lock *lock, ent_err *err)
{
    ent_keeper_publics *publics = &keeper->base.publics;
    ent_rc rc = read_signing_key(folder, "log.key", "log", lock, &publics->log, &keeper->log, err);
    ENT_TRY(may_be_lost(keeper, ENT_KEY_ROLE_LOG, rc, err));
    rc = read_signing_key(folder, "receipt.key", "receipt", lock, &publics->receipt, &keeper->receipt, err);
    ENT_TRY(may_be_lost(keeper, ENT_KEY_ROLE_RECEIPT, rc, err));
    rc = read_age_identity(folder, "age.key", lock, &keeper->age, err);
    ENT_TRY(may_be_lost(keeper, ENT_KEY_ROLE_AGE, rc, err));
    if (!keeper->lost[ENT_KEY_ROLE_AGE])
        ent_x25519_recipient(&keeper->age, &publics->age);
    rc = read_part(folder, "tls.key", "tls", lock, &keeper->tls_key_pem, err);
    ENT_TRY(may_be_lost(keeper, ENT_KEY_ROLE_TLS, rc, err));
    for (ent_key_role role = ENT_KEY_ROLE_LOG; role < ENT_KEY_ROLE_COUNT; role++) {
        if (!keeper->lost[role])
            return ENT_DONE;
    }
    rc = ent_key_folder_know_lock(folder, lock, err);
    if (rc.code == ENT_ABSENT)
        return ent_fail(
            err, ENT_ABSENT, "design 8, keeper",
            "%s is missing: mount it, or bring it back from a backup that was made --with-keys. If all keys "
            "are lost, make it (mkdir -m 700), start the node and `entente key revoke log receipt age tls "
            "--root-dir DIR`",
            folder);
    ENT_TRY(rc);
    if (!lock->has_key) /* none is there at all: the first that is made tells the salt */
        ent_buf_put(&keeper->passphrase, lock->passphrase);
    return ent_buf_check(&keeper->passphrase, err);
}

static void local_free(ent_keeper *base)
{
    local_keeper *keeper = (local_keeper *)base;
    ent_marks_free(keeper->marks);
    ent_buf_wipe(&keeper->tls_key_pem);
    ent_buf_wipe(&keeper->passphrase);
    ent_free(keeper->folder);
    (void)pthread_rwlock_destroy(&keeper->keys_lock);
    (void)pthread_mutex_destroy(&keeper->lock);
    ent_wipe(keeper, sizeof *keeper);
    (void)munlock(keeper, sizeof *keeper);
    ent_free(keeper);
}

/* --- keys after the first --- */

static const later_key *find_later(const local_keeper *keeper, ent_key_role role, uint64_t serial)
{
    for (size_t i = 0; i < keeper->later_count; i++) {
        if (keeper->later[i].role == role && keeper->later[i].serial == serial)
            return &keeper->later[i];
    }
    return NULL;
}

static ent_rc read_later(local_keeper *keeper, ent_key_role role, uint64_t serial, later_key *ret, ent_err *err)
{
    char name[ENT_KEY_NAME_SIZE];
    ent_public_key public_key;
    ent_recipient recipient;
    ent_key_file_name(role, serial, name);
    ret->role = role;
    ret->serial = serial;
    if (role == ENT_KEY_ROLE_AGE) {
        ENT_TRY(read_age_identity(keeper->folder, name, &keeper->key_lock, &ret->age, err));
        ent_x25519_recipient(&ret->age, &recipient);
        memcpy(ret->value, recipient.bytes, sizeof ret->value);
        return ENT_DONE;
    }
    ENT_TRY(read_signing_key(keeper->folder, name, ent_key_role_word(role), &keeper->key_lock, &public_key,
                             &ret->secret, err));
    memcpy(ret->value, public_key.bytes, sizeof ret->value);
    return ENT_DONE;
}

static ent_rc add_later(local_keeper *keeper, ent_key_role role, uint64_t serial, uint8_t ret_public[32], ent_err *err)
{
    const later_key *found = find_later(keeper, role, serial);
    if (found == NULL && keeper->later_count == MOST_LATER)
        return ent_fail(err, ENT_REFUSED, "design 2, Rotation", "the keeper has %d keys, and a party has no more",
                        MOST_LATER);
    if (found == NULL) {
        ent_rc rc = read_later(keeper, role, serial, &keeper->later[keeper->later_count], err);
        ENT_TRY(tell_damaged(role, rc, err));
        found = &keeper->later[keeper->later_count++];
    }
    memcpy(ret_public, found->value, sizeof found->value);
    return ENT_DONE;
}

static ent_rc fail_lost(ent_key_role role, ent_err *err)
{
    return ent_fail(err, ENT_ABSENT, "design 8, keeper", "%s.key is missing", ent_key_role_word(role));
}

static ent_rc local_key(ent_keeper *base, ent_key_role role, uint64_t serial, uint8_t ret_public[32], ent_err *err)
{
    local_keeper *keeper = (local_keeper *)base;
    const ent_keeper_publics *publics = &base->publics;
    if (role == ENT_KEY_ROLE_TLS)
        return ent_fail(err, ENT_USAGE, NULL, "a TLS key has no public half here");
    if (serial <= 1 && keeper->lost[role])
        return fail_lost(role, err);
    if (serial <= 1) {
        memcpy(ret_public,
               role == ENT_KEY_ROLE_LOG       ? publics->log.bytes
               : role == ENT_KEY_ROLE_RECEIPT ? publics->receipt.bytes
                                              : publics->age.bytes,
               32);
        return ENT_DONE;
    }
    (void)pthread_rwlock_wrlock(&keeper->keys_lock);
    ent_rc rc = add_later(keeper, role, serial, ret_public, err);
    (void)pthread_rwlock_unlock(&keeper->keys_lock);
    return rc;
}

static ent_rc local_tls_key(ent_keeper *base, uint64_t serial, ent_buf *ret_pem, ent_err *err)
{
    local_keeper *keeper = (local_keeper *)base;
    char name[ENT_KEY_NAME_SIZE];
    if (serial <= 1 && keeper->lost[ENT_KEY_ROLE_TLS])
        return fail_lost(ENT_KEY_ROLE_TLS, err);
    if (serial <= 1) {
        ent_buf_put(ret_pem, ent_buf_bytes(&keeper->tls_key_pem));
        return ent_buf_check(ret_pem, err);
    }
    ent_key_file_name(ENT_KEY_ROLE_TLS, serial, name);
    (void)pthread_rwlock_wrlock(&keeper->keys_lock);
    ent_rc rc = read_part(keeper->folder, name, "tls", &keeper->key_lock, ret_pem, err);
    (void)pthread_rwlock_unlock(&keeper->keys_lock);
    return tell_damaged(ENT_KEY_ROLE_TLS, rc, err);
}

/* The secret of a public key; NULL when it is not here. With the keys' lock. */
static const ent_secret_key *secret_of(const local_keeper *keeper, ent_key_role role, const ent_public_key *key)
{
    static const ent_public_key unsaid;
    const ent_public_key *first = role == ENT_KEY_ROLE_LOG ? &keeper->base.publics.log : &keeper->base.publics.receipt;
    if (!keeper->lost[role] && (ent_public_key_equal(key, &unsaid) || ent_public_key_equal(key, first)))
        return role == ENT_KEY_ROLE_LOG ? &keeper->log : &keeper->receipt;
    for (size_t i = 0; i < keeper->later_count; i++) {
        if (keeper->later[i].role == role && memcmp(keeper->later[i].value, key->bytes, sizeof key->bytes) == 0)
            return &keeper->later[i].secret;
    }
    return NULL;
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

/* A smaller head of our own log says nothing new when what was signed last extends it: no two such heads contradict
 * each other (docs/decisions/0024). A store that lost what was signed cannot show this. */
static ent_rc judge_smaller(const ent_mark *mark, const ent_keeper_request *request, ent_err *err)
{
    if (request->what == ENT_KEEPER_HEAD && request->extends != NULL && request->head.size > 0 &&
        ent_consistency_verify(&request->head, &mark->head, request->extends) == ENT_PROOF_VALID)
        return ENT_DONE;
    return ent_fail(err, ENT_REFUSED_KEEPER, "design 3, rollback guard",
                    "the keeper signed %.*s at size %" PRIu64 " before and will not sign size %" PRIu64
                    ": this store is older than the keys' marks (a restored backup?)",
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
        return judge_smaller(mark, request, err);
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

static ent_key_role role_of(const ent_keeper_request *request)
{
    return request->what == ENT_KEEPER_HEAD ? ENT_KEY_ROLE_LOG : ENT_KEY_ROLE_RECEIPT;
}

static ent_rc mark_request(local_keeper *keeper, ent_keeper_request *request, ent_err *err)
{
    const ent_mark *known = ent_marks_find(keeper->marks, request->what, request->origin);
    if (secret_of(keeper, role_of(request), &request->key) == NULL)
        request->rc = ent_fail(err, ENT_REFUSED_KEEPER, "design 2, Rotation",
                               "the keeper does not have the key that is to sign %.*s", ENT_TEXT_ARG(request->origin));
    else if (request->origin.size > ENT_ORIGIN_MAX_BYTES)
        request->rc = ent_fail(err, ENT_REFUSED_KEEPER, NULL, "an origin is at most %d bytes", ENT_ORIGIN_MAX_BYTES);
    else
        request->rc = judge(known, request, err);
    if (request->rc.code != ENT_OK || (known != NULL && known->head.size >= request->head.size))
        return ENT_DONE;
    ent_mark mark = {.what = request->what, .head = request->head, .timestamp_unix_s = request->timestamp_unix_s};
    memcpy(mark.origin, request->origin.data, request->origin.size);
    return ent_marks_put(keeper->marks, &mark, err);
}

static ent_rc sign_request(const local_keeper *keeper, ent_keeper_request *request, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    const ent_secret_key *secret = secret_of(keeper, role_of(request), &request->key);
    ent_checkpoint_put(&text, request->origin, &request->head);
    ENT_TRY(ent_buf_check(&text, err));
    if (request->what == ENT_KEEPER_HEAD) {
        ent_ed25519_sign(secret, ent_buf_bytes(&text), &request->signature);
        return ENT_DONE;
    }
    ent_cosignature cosignature;
    ENT_TRY(ent_cosignature_sign(ent_buf_text(&text), request->timestamp_unix_s, secret, &cosignature, err));
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
    (void)pthread_rwlock_rdlock(&keeper->keys_lock);
    ent_rc rc = sign_all(keeper, requests, count, err);
    (void)pthread_rwlock_unlock(&keeper->keys_lock);
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

/* "Old age identities are kept": the newest is the likeliest. */
static ent_rc local_unwrap(ent_keeper *base, const ent_age_header *header, ent_file_key *ret, ent_err *err)
{
    local_keeper *keeper = (local_keeper *)base;
    ent_rc rc = ent_rc_of(ENT_ABSENT);
    (void)pthread_rwlock_rdlock(&keeper->keys_lock);
    for (size_t i = keeper->later_count; i > 0 && rc.code != ENT_OK; i--) {
        if (keeper->later[i - 1].role == ENT_KEY_ROLE_AGE)
            rc = ent_age_unwrap(header, &keeper->later[i - 1].age, ret, NULL);
    }
    (void)pthread_rwlock_unlock(&keeper->keys_lock);
    if (rc.code == ENT_OK)
        return rc;
    if (keeper->lost[ENT_KEY_ROLE_AGE])
        return ent_fail(err, ENT_ABSENT, "design 2, Rotation",
                        "it is sealed to no age key that is still here: one was lost");
    return ent_age_unwrap(header, &keeper->age, ret, err);
}

ent_rc ent_keeper_open(const char *keys_folder, const char *marks_folder, ent_bytes passphrase, ent_keeper **ret,
                       ent_err *err)
{
    static const ent_keeper_way way = {local_free, local_key, local_tls_key, local_sign, local_mark, local_unwrap};
    local_keeper *keeper = ent_alloc(sizeof *keeper);
    if (keeper == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    keeper->base.way = &way;
    (void)mlock(keeper, sizeof *keeper); /* where the system allows it: keys that are never in a swap file */
    (void)pthread_mutex_init(&keeper->lock, NULL);
    (void)pthread_rwlock_init(&keeper->keys_lock, NULL);
    keeper->key_lock.passphrase = passphrase;
    ent_rc rc = open_keys(keeper, keys_folder, &keeper->key_lock, err);
    keeper->key_lock.passphrase =
        ent_buf_bytes(&keeper->passphrase); /* none: the key made of it serves what is sealed alike */
    size_t size = strlen(keys_folder) + 1;
    if (rc.code == ENT_OK && (keeper->folder = ent_alloc(size)) == NULL)
        rc = ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    if (rc.code == ENT_OK)
        memcpy(keeper->folder, keys_folder, size);
    if (rc.code == ENT_OK)
        rc = ent_marks_open(marks_folder, &keeper->marks, err);
    if (rc.code != ENT_OK) {
        local_free(&keeper->base);
        return rc;
    }
    *ret = &keeper->base;
    return ENT_DONE;
}
