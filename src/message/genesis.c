#include "message/genesis.h"

#include <inttypes.h>

#include "crypto/crypto.h"
#include "log/policy.h"
#include "message/plain.h"

static const char rule[] = "design.md, section 2 \"Genesis\"";

enum {
    MAX_PREDECESSOR_HEADS = ENT_ENTRY_MAX_MEMBERS + 1, /* the neutral keeps a log too */
    LEAST_MEMBERS = 2,
    KEYS_A_PARTY = 3, /* root, log, and receipt or witness */
};

void ent_channel_id(ent_bytes genesis, ent_hash *ret)
{
    ent_sha256(genesis, ret);
}

int ent_genesis_member(const ent_genesis *genesis, ent_text name)
{
    for (size_t i = 0; i < genesis->member_count; i++) {
        if (ent_text_equal(genesis->members[i].name, name))
            return (int)i;
    }
    return -1;
}

void ent_terms_commitment(const uint8_t salt[ENT_TERMS_SALT_SIZE], ent_bytes terms, ent_hash *ret)
{
    ent_sha256_state state;
    ent_sha256_start(&state);
    ent_sha256_update(&state, ent_bytes_of(salt, ENT_TERMS_SALT_SIZE));
    ent_sha256_update(&state, terms);
    ent_sha256_finish(&state, ret);
}

/* ---- origin ------------------------------------------------------------------------------------------------------ */

static const ent_text origin_middle = {"/entente/", 9};

ent_text ent_origin_write(ent_text party, const ent_hash *channel, char out[ENT_ORIGIN_TEXT_MAX + 1])
{
    size_t size = party.size > ENT_NAME_MAX_BYTES ? ENT_NAME_MAX_BYTES : party.size;
    if (size > 0)
        memcpy(out, party.data, size);
    memcpy(out + size, origin_middle.data, origin_middle.size);
    size += origin_middle.size;
    ent_hex_encode(ent_hash_bytes(channel), out + size);
    return (ent_text){out, size + ENT_CHANNEL_TEXT_SIZE};
}

void ent_origin_put(ent_buf *buf, ent_text party, const ent_hash *channel)
{
    char origin[ENT_ORIGIN_TEXT_MAX + 1];
    ent_buf_put_text(buf, ent_origin_write(party, channel, origin));
}

ent_rc ent_origin_parse(ent_text origin, ent_text *ret_party, ent_hash *ret_channel, ent_err *err)
{
    const char *slash = origin.size == 0 ? NULL : memchr(origin.data, '/', origin.size);
    size_t at = slash == NULL ? 0 : (size_t)(slash - origin.data);
    ent_text party = {origin.data, at};
    ent_text rest = origin;
    if (at > 0) /* an empty text may point nowhere */
        rest = (ent_text){origin.data + at, origin.size - at};
    if (slash == NULL || !ent_name_valid(party) || !ent_text_starts(rest, origin_middle))
        return ent_fail(err, ENT_PEER_MALFORMED, "design.md, section 2 \"Origin\"",
                        "an origin is <party>/entente/<channel id>");
    ent_text id = {rest.data + origin_middle.size, rest.size - origin_middle.size};
    ent_rc rc = ent_hex_decode(id, ret_channel->bytes, sizeof ret_channel->bytes, err);
    if (rc.code != ENT_OK)
        return ent_fail_in(err, rc, "the channel id of an origin");
    *ret_party = party;
    return ENT_DONE;
}

/* ---- what holds of a genesis, whichever way it came here ------------------------------------------------------------
 */

static ent_rc check_members(const ent_genesis *genesis, ent_code code, ent_err *err)
{
    if (genesis->member_count < LEAST_MEMBERS || genesis->member_count > ENT_ENTRY_MAX_MEMBERS)
        return ent_fail(err, code, rule, "field members: %zu of them; a channel has 2 to %d", genesis->member_count,
                        ENT_ENTRY_MAX_MEMBERS);
    for (size_t i = 0; i < genesis->member_count; i++) {
        if (!ent_name_valid(genesis->members[i].name))
            return ent_fail(err, code, rule, "field members: name %zu is no party name", i + 1);
        if (i > 0 && ent_text_compare(genesis->members[i - 1].name, genesis->members[i].name) >= 0)
            return ent_fail(err, code, rule, "field members: not sorted by name, or one stands twice");
    }
    if (genesis->has_neutral) {
        if (!ent_name_valid(genesis->neutral.name))
            return ent_fail(err, code, rule, "field neutral: its name is no party name");
        if (ent_genesis_member(genesis, genesis->neutral.name) >= 0)
            return ent_fail(err, code, rule, "field neutral: it is a member too");
    }
    return ENT_DONE;
}

static bool any_equal(const uint8_t *const keys[], size_t count)
{
    for (size_t i = 1; i < count; i++) {
        for (size_t k = 0; k < i; k++) {
            if (memcmp(keys[i], keys[k], 32) == 0)
                return true;
        }
    }
    return false;
}

/* "A public key that appears under two cosigner names is refused" (section 2 "Keys"); nor may one key have two roles.
 */
static ent_rc check_keys(const ent_genesis *genesis, ent_code code, ent_err *err)
{
    const uint8_t *signing[(ENT_ENTRY_MAX_MEMBERS + 1) * KEYS_A_PARTY];
    const uint8_t *sealing[ENT_ENTRY_MAX_MEMBERS + 1];
    const uint8_t *tls[ENT_ENTRY_MAX_MEMBERS + 1];
    size_t signers = 0;
    size_t parties = 0;
    for (size_t i = 0; i < genesis->member_count; i++) {
        const ent_member *member = &genesis->members[i];
        signing[signers++] = member->root.bytes;
        signing[signers++] = member->log.bytes;
        signing[signers++] = member->receipt.bytes;
        sealing[parties] = member->age.bytes;
        tls[parties++] = member->tls.bytes;
    }
    if (genesis->has_neutral) {
        signing[signers++] = genesis->neutral.root.bytes;
        signing[signers++] = genesis->neutral.log.bytes;
        signing[signers++] = genesis->neutral.witness.bytes;
        sealing[parties] = genesis->neutral.age.bytes;
        tls[parties++] = genesis->neutral.tls.bytes;
    }
    if (any_equal(signing, signers))
        return ent_fail(err, code, rule, "field members: one signing key stands under two names or in two roles");
    if (any_equal(sealing, parties))
        return ent_fail(err, code, rule, "field members: one age recipient stands under two names");
    if (any_equal(tls, parties))
        return ent_fail(err, code, rule, "field members: one TLS pin stands under two names");
    return ENT_DONE;
}

static ent_rc check_policy(const ent_genesis *genesis, ent_code code, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf text = {.limit = ENT_POLICY_MAX_BYTES};
    ENT_CLEANUP(ent_policy_release) ent_policy *policy = NULL;
    ent_err reason = {0};
    if (genesis->witness_policy_count == 0)
        return ENT_DONE;
    if (genesis->witness_policy_count > ENT_GENESIS_MAX_POLICY_LINES)
        return ent_fail(err, code, rule, "field witness_policy: %zu lines, at most %d", genesis->witness_policy_count,
                        ENT_GENESIS_MAX_POLICY_LINES);
    for (size_t i = 0; i < genesis->witness_policy_count; i++) {
        if (genesis->witness_policy[i].size == 0 || !ent_plain_valid(genesis->witness_policy[i]))
            return ent_fail(err, code, rule,
                            "field witness_policy: line %zu is empty, or has other bytes than 20-7E "
                            "without quote and backslash",
                            i + 1);
        ent_buf_put_text(&text, genesis->witness_policy[i]);
        ent_buf_put_u8(&text, '\n');
    }
    ENT_TRY(ent_buf_check(&text, err));
    ent_rc rc = ent_policy_parse(ent_buf_bytes(&text), &policy, &reason);
    if (rc.code == ENT_NOMEM)
        return ent_fail(err, ENT_NOMEM, NULL, "%s", reason.text);
    if (rc.code != ENT_OK)
        return ent_fail(err, code, rule, "field witness_policy: %s", reason.text);
    if (ent_policy_log_count(policy) != 0)
        return ent_fail(err, code, rule, "field witness_policy: it names logs; the channel's logs are its members'");
    return ENT_DONE;
}

static ent_rc check_predecessor(const ent_genesis *genesis, ent_code code, ent_err *err)
{
    if (!genesis->has_predecessor)
        return ENT_DONE;
    if (genesis->predecessor_head_count > MAX_PREDECESSOR_HEADS)
        return ent_fail(err, code, rule, "field predecessor: %zu heads, at most %d", genesis->predecessor_head_count,
                        MAX_PREDECESSOR_HEADS);
    for (size_t i = 0; i < genesis->predecessor_head_count; i++) {
        const ent_predecessor_head *head = &genesis->predecessor_heads[i];
        ent_text party = {NULL, 0};
        ent_hash channel;
        if (ent_origin_parse(head->origin, &party, &channel, NULL).code != ENT_OK ||
            !ent_hash_equal(&channel, &genesis->predecessor))
            return ent_fail(err, code, rule, "field predecessor: head %zu is of no log of that channel", i + 1);
        if (head->head.size > ENT_PLAIN_MAX_INTEGER)
            return ent_fail(err, code, rule, "field predecessor: size of head %zu is over 2^53-1", i + 1);
        if (i > 0 && ent_text_compare(genesis->predecessor_heads[i - 1].origin, head->origin) >= 0)
            return ent_fail(err, code, rule, "field predecessor: heads are not sorted by origin, or one stands twice");
    }
    return ENT_DONE;
}

static ent_rc check(const ent_genesis *genesis, ent_code code, ent_err *err)
{
    const uint64_t numbers[] = {genesis->quotas.entries_a_day, genesis->quotas.bytes_a_day,
                                genesis->quotas.attachment_bytes, genesis->delta_s, genesis->mailbox_window_s};
    static const char *const names[] = {"entries_a_day", "bytes_a_day", "attachment_bytes", "delta_s",
                                        "mailbox_window_s"};
    if (genesis->rules != ENT_GENESIS_RULES)
        return ent_fail(err, code, rule, "field rules: version %" PRIu64 " of the rules is not known here, %d is",
                        genesis->rules, ENT_GENESIS_RULES);
    ENT_TRY(check_members(genesis, code, err));
    ENT_TRY(check_keys(genesis, code, err));
    ENT_TRY(check_policy(genesis, code, err));
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (numbers[i] > ENT_PLAIN_MAX_INTEGER)
            return ent_fail(err, code, rule, "field %s: over 2^53-1", names[i]);
    }
    return check_predecessor(genesis, code, err);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* The members of a party's object; the third key is its receipt key, the neutral's is its witness key. */
typedef struct {
    const char *third;
    ent_text name;
    const ent_public_key *root;
    const ent_public_key *log;
    const ent_public_key *cosigner;
    const ent_recipient *age;
    const ent_hash *tls;
} party_view;

static void put_party(ent_buf *buf, const party_view *party)
{
    ent_buf_put_text(buf, ENT_TEXT("{\"name\":"));
    ent_plain_put_text(buf, party->name);
    ent_buf_put_text(buf, ENT_TEXT(",\"root\":"));
    ent_plain_put_hex(buf, party->root->bytes, sizeof party->root->bytes);
    ent_buf_put_text(buf, ENT_TEXT(",\"log\":"));
    ent_plain_put_hex(buf, party->log->bytes, sizeof party->log->bytes);
    ent_buf_put_text(buf, ENT_TEXT(",\""));
    ent_buf_put_string(buf, party->third);
    ent_buf_put_text(buf, ENT_TEXT("\":"));
    ent_plain_put_hex(buf, party->cosigner->bytes, sizeof party->cosigner->bytes);
    ent_buf_put_text(buf, ENT_TEXT(",\"age\":"));
    ent_plain_put_hex(buf, party->age->bytes, sizeof party->age->bytes);
    ent_buf_put_text(buf, ENT_TEXT(",\"tls\":"));
    ent_plain_put_hex(buf, party->tls->bytes, sizeof party->tls->bytes);
    ent_buf_put_u8(buf, '}');
}

static void put_parties(ent_buf *buf, const ent_genesis *genesis)
{
    ent_buf_put_text(buf, ENT_TEXT(",\"members\":["));
    for (size_t i = 0; i < genesis->member_count; i++) {
        const ent_member *m = &genesis->members[i];
        if (i > 0)
            ent_buf_put_u8(buf, ',');
        put_party(buf, &(party_view){"receipt", m->name, &m->root, &m->log, &m->receipt, &m->age, &m->tls});
    }
    ent_buf_put_text(buf, ENT_TEXT("],\"neutral\":"));
    if (genesis->has_neutral) {
        const ent_genesis_neutral *n = &genesis->neutral;
        put_party(buf, &(party_view){"witness", n->name, &n->root, &n->log, &n->witness, &n->age, &n->tls});
    } else {
        ent_buf_put_text(buf, ENT_TEXT("null"));
    }
}

static void put_policy(ent_buf *buf, const ent_genesis *genesis)
{
    ent_buf_put_text(buf, ENT_TEXT(",\"witness_policy\":"));
    if (genesis->witness_policy_count == 0) {
        ent_buf_put_text(buf, ENT_TEXT("null"));
        return;
    }
    ent_buf_put_u8(buf, '[');
    for (size_t i = 0; i < genesis->witness_policy_count; i++) {
        if (i > 0)
            ent_buf_put_u8(buf, ',');
        ent_plain_put_text(buf, genesis->witness_policy[i]);
    }
    ent_buf_put_u8(buf, ']');
}

static void put_numbers(ent_buf *buf, const ent_genesis *genesis)
{
    ent_buf_put_text(buf, ENT_TEXT(",\"quotas\":{\"entries_a_day\":"));
    ent_buf_put_decimal(buf, genesis->quotas.entries_a_day);
    ent_buf_put_text(buf, ENT_TEXT(",\"bytes_a_day\":"));
    ent_buf_put_decimal(buf, genesis->quotas.bytes_a_day);
    ent_buf_put_text(buf, ENT_TEXT(",\"attachment_bytes\":"));
    ent_buf_put_decimal(buf, genesis->quotas.attachment_bytes);
    ent_buf_put_text(buf, ENT_TEXT("},\"delta_s\":"));
    ent_buf_put_decimal(buf, genesis->delta_s);
    ent_buf_put_text(buf, ENT_TEXT(",\"mailbox_window_s\":"));
    ent_buf_put_decimal(buf, genesis->mailbox_window_s);
}

static void put_genesis(ent_buf *buf, const ent_genesis *genesis)
{
    ent_buf_put_text(buf, ENT_TEXT("{\"v\":1,\"rules\":"));
    ent_buf_put_decimal(buf, genesis->rules);
    ent_buf_put_text(buf, ENT_TEXT(",\"nonce\":"));
    ent_plain_put_hex(buf, genesis->nonce, sizeof genesis->nonce);
    put_parties(buf, genesis);
    put_policy(buf, genesis);
    put_numbers(buf, genesis);
    ent_buf_put_text(buf, ENT_TEXT(",\"terms\":"));
    ent_plain_put_hex(buf, genesis->terms.bytes, sizeof genesis->terms.bytes);
    ent_buf_put_text(buf, ENT_TEXT(",\"predecessor\":"));
    if (!genesis->has_predecessor) {
        ent_buf_put_text(buf, ENT_TEXT("null}"));
        return;
    }
    ent_buf_put_text(buf, ENT_TEXT("{\"channel\":"));
    ent_plain_put_hex(buf, genesis->predecessor.bytes, sizeof genesis->predecessor.bytes);
    ent_buf_put_text(buf, ENT_TEXT(",\"heads\":["));
    for (size_t i = 0; i < genesis->predecessor_head_count; i++) {
        if (i > 0)
            ent_buf_put_u8(buf, ',');
        ent_plain_put_head(buf, genesis->predecessor_heads[i].origin, &genesis->predecessor_heads[i].head);
    }
    ent_buf_put_text(buf, ENT_TEXT("]}}"));
}

ent_rc ent_genesis_encode(const ent_genesis *genesis, ent_buf *ret, ent_err *err)
{
    ENT_TRY(check(genesis, ENT_USAGE, err));
    size_t start = ret->size;
    put_genesis(ret, genesis);
    ent_rc rc = ent_buf_check(ret, err);
    if (rc.code == ENT_OK && ret->size - start > ENT_GENESIS_MAX_BYTES)
        rc = ent_fail(err, ENT_PEER_TOO_LARGE, rule, "a genesis of %zu bytes, at most %d", ret->size - start,
                      ENT_GENESIS_MAX_BYTES);
    if (rc.code != ENT_OK)
        ret->size = start;
    return rc;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static void read_key(ent_plain_reader *reader, const char *name, void *ret, size_t size)
{
    ent_plain_key(reader, name);
    ent_plain_hex(reader, ret, size);
}

static void read_party(ent_plain_reader *reader, const char *third, ent_member *ret)
{
    ent_plain_expect(reader, "{");
    ent_plain_first(reader, "name");
    ret->name = ent_plain_text(reader);
    read_key(reader, "root", ret->root.bytes, sizeof ret->root.bytes);
    read_key(reader, "log", ret->log.bytes, sizeof ret->log.bytes);
    read_key(reader, third, ret->receipt.bytes, sizeof ret->receipt.bytes);
    read_key(reader, "age", ret->age.bytes, sizeof ret->age.bytes);
    read_key(reader, "tls", ret->tls.bytes, sizeof ret->tls.bytes);
    ent_plain_expect(reader, "}");
}

static void read_parties(ent_plain_reader *reader, ent_genesis *genesis)
{
    size_t count = 0;
    ent_plain_key(reader, "members");
    genesis->members = ent_plain_array(reader, ENT_ENTRY_MAX_MEMBERS, sizeof genesis->members[0]);
    while (genesis->members != NULL && ent_plain_next(reader, count, ENT_ENTRY_MAX_MEMBERS))
        read_party(reader, "receipt", &genesis->members[count++]);
    genesis->member_count = count;
    ent_plain_key(reader, "neutral");
    genesis->has_neutral = !ent_plain_accept(reader, "null");
    if (genesis->has_neutral) {
        ent_member neutral = {0};
        read_party(reader, "witness", &neutral);
        genesis->neutral = (ent_genesis_neutral){.name = neutral.name,
                                                 .root = neutral.root,
                                                 .log = neutral.log,
                                                 .witness = neutral.receipt,
                                                 .age = neutral.age,
                                                 .tls = neutral.tls};
    }
}

static void read_policy(ent_plain_reader *reader, ent_genesis *genesis)
{
    size_t count = 0;
    ent_plain_key(reader, "witness_policy");
    if (ent_plain_accept(reader, "null"))
        return;
    genesis->witness_policy = ent_plain_array(reader, ENT_GENESIS_MAX_POLICY_LINES, sizeof genesis->witness_policy[0]);
    while (genesis->witness_policy != NULL && ent_plain_next(reader, count, ENT_GENESIS_MAX_POLICY_LINES))
        genesis->witness_policy[count++] = ent_plain_text(reader);
    genesis->witness_policy_count = count;
}

static void read_numbers(ent_plain_reader *reader, ent_genesis *genesis)
{
    ent_plain_key(reader, "quotas");
    ent_plain_expect(reader, "{");
    ent_plain_first(reader, "entries_a_day");
    genesis->quotas.entries_a_day = ent_plain_integer(reader);
    ent_plain_key(reader, "bytes_a_day");
    genesis->quotas.bytes_a_day = ent_plain_integer(reader);
    ent_plain_key(reader, "attachment_bytes");
    genesis->quotas.attachment_bytes = ent_plain_integer(reader);
    ent_plain_expect(reader, "}");
    ent_plain_key(reader, "delta_s");
    genesis->delta_s = ent_plain_integer(reader);
    ent_plain_key(reader, "mailbox_window_s");
    genesis->mailbox_window_s = ent_plain_integer(reader);
}

static void read_predecessor(ent_plain_reader *reader, ent_genesis *genesis)
{
    size_t count = 0;
    ent_plain_key(reader, "predecessor");
    genesis->has_predecessor = !ent_plain_accept(reader, "null");
    if (!genesis->has_predecessor)
        return;
    ent_plain_expect(reader, "{");
    ent_plain_first(reader, "channel");
    ent_plain_hex(reader, genesis->predecessor.bytes, sizeof genesis->predecessor.bytes);
    ent_plain_key(reader, "heads");
    genesis->predecessor_heads = ent_plain_array(reader, MAX_PREDECESSOR_HEADS, sizeof genesis->predecessor_heads[0]);
    while (genesis->predecessor_heads != NULL && ent_plain_next(reader, count, MAX_PREDECESSOR_HEADS)) {
        ent_plain_head(reader, &genesis->predecessor_heads[count].origin, &genesis->predecessor_heads[count].head);
        count++;
    }
    genesis->predecessor_head_count = count;
    ent_plain_expect(reader, "}");
}

static void read_genesis(ent_plain_reader *reader, ent_genesis *genesis)
{
    ent_plain_expect(reader, "{");
    ent_plain_first(reader, "v");
    ent_plain_expect(reader, "1");
    ent_plain_key(reader, "rules");
    genesis->rules = ent_plain_integer(reader);
    read_key(reader, "nonce", genesis->nonce, sizeof genesis->nonce);
    read_parties(reader, genesis);
    read_policy(reader, genesis);
    read_numbers(reader, genesis);
    read_key(reader, "terms", genesis->terms.bytes, sizeof genesis->terms.bytes);
    read_predecessor(reader, genesis);
    ent_plain_expect(reader, "}");
}

ent_rc ent_genesis_decode(ent_bytes bytes, ent_arena *arena, ent_genesis *ret, ent_err *err)
{
    if (bytes.size > ENT_GENESIS_MAX_BYTES)
        return ent_fail(err, ENT_PEER_TOO_LARGE, rule, "a genesis of %zu bytes, at most %d", bytes.size,
                        ENT_GENESIS_MAX_BYTES);
    ent_genesis genesis = {0};
    ent_plain_reader reader = ent_plain_reader_of(bytes, arena);
    read_genesis(&reader, &genesis);
    ENT_TRY(ent_plain_finish(&reader, bytes, "genesis", err));
    ENT_TRY(check(&genesis, ENT_PEER_MALFORMED, err));

    ENT_CLEANUP(ent_buf_release) ent_buf again = {0};
    (void)ent_buf_reserve(&again, bytes.size);
    put_genesis(&again, &genesis);
    ENT_TRY(ent_plain_same(bytes, &again, "genesis", err));
    *ret = genesis;
    return ENT_DONE;
}
