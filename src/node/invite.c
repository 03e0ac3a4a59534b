#include "node/invite.h"

#include "base/clock.h"
#include "crypto/crypto.h"
#include "log/policy.h"
#include "node/channel.h"
#include "node/courier.h"
#include "node/events.h"
#include "node/guard.h"
#include "node/keys.h"
#include "node/opener.h"
#include "node/peer.h"
#include "node/say.h"
#include "node/succession.h"
#include "node/rotate.h"

#include <stdlib.h>

enum {
    DEFAULT_DELTA_S = 300,
    DEFAULT_MAILBOX_WINDOW_S = 86400,
    TERMS_MAX_BYTES = 512 << 10, /* an invitation must hold them */
    ASKING_PATIENCE_MS = 5000
};

/* --- keys in a genesis against cards --- */

static ent_rc other_keys(const ent_member *member, ent_err *err)
{
    return ent_fail(err, ENT_PEER_MISMATCH, "design 2, Genesis",
                    "the keys of %.*s in the genesis are not those of its card", ENT_TEXT_ARG(member->name));
}

/* The keys of the card, or earlier ones of which the card knows. */
static ent_rc check_member(const ent_member *member, const ent_card *card, ent_err *err)
{
    ent_first_keys first = {member->name, member->root, member->log, member->receipt, member->age, member->tls};
    ENT_CLEANUP(ent_keys_release) ent_keys keys = {0};
    ent_rc rc = ent_keys_make(&first, card, NULL, &keys, NULL);
    bool other = rc.code == ENT_PEER_MISMATCH || !ent_public_key_equal(&member->root, &card->root);
    return other ? other_keys(member, err) : rc;
}

/* We sign with no key that is not ours any more. */
static ent_rc check_own(const ent_member *member, const ent_card *card, ent_err *err)
{
    bool same = ent_public_key_equal(&member->root, &card->root) && ent_public_key_equal(&member->log, &card->log) &&
                ent_public_key_equal(&member->receipt, &card->receipt) && ent_hash_equal(&member->tls, &card->tls) &&
                memcmp(member->age.bytes, card->age.bytes, sizeof card->age.bytes) == 0;
    if (!same)
        return ent_fail(err, ENT_PEER_MISMATCH, "design 2, Genesis",
                        "the keys of %.*s in the genesis are not those of its card, which has number %llu now: add "
                        "that card and open the channel again",
                        ENT_TEXT_ARG(member->name), (unsigned long long)card->serial);
    return ENT_DONE;
}

static void member_of(const ent_card *card, ent_member *ret)
{
    *ret = (ent_member){.name = card->name,
                        .root = card->root,
                        .log = card->log,
                        .receipt = card->receipt,
                        .age = card->age,
                        .tls = card->tls};
}

/* --- receiving an invitation --- */

typedef struct {
    ent_job job;
    ent_channel *channel;
    bool known;
    ent_bytes pouch;
    ent_tree_head shown; /* of our own log, in heads/; size 0 = none */
    ent_bytes shown_note;
} invite_job;

static ent_rc apply_invite(ent_job *job, ent_node *node, ent_err *err)
{
    invite_job *work = (invite_job *)job;
    ent_channel *known = ent_channel_find(node, &work->channel->id);
    work->known = known != NULL;
    if (known != NULL && ent_channel_state_now(known) != ENT_CHANNEL_INVITED)
        return ent_fail(err, ENT_RETRY, NULL, "the channel was accepted meanwhile");
    if (known == NULL) {
        ent_store_channel row;
        ENT_CLEANUP(ent_buf_release) ent_buf genesis = {0};
        ent_rc rc = node->store->engine->channel_get(node->store, &work->channel->id, &row, &genesis, err);
        if (rc.code == ENT_OK)
            return ent_fail(err, ENT_RETRY, NULL, "the same invitation came first");
        if (rc.code != ENT_ABSENT)
            return rc;
        ENT_TRY(ent_channel_store(node, work->channel, ENT_CHANNEL_INVITED, NULL, err));
        if (work->shown.size > 0) /* kept, so that the next start knows it too */
            ENT_TRY(node->store->engine->head_put(node->store, work->channel->members[work->channel->self].log.number,
                                                  &work->shown, work->shown_note, err));
    }
    return node->store->engine->invite_put(node->store, known != NULL ? known->row.number : work->channel->row.number,
                                           work->pouch, err);
}

/* Who has never been in a channel has signed nothing in it. */
static void hold_forgotten(ent_channel *channel, const ent_tree_head *shown)
{
    ent_channel_hold(
        channel, ENT_HOLD_PEER_LARGER,
        "this invitation shows a head of our own log with %llu entries, signed by us: we have been in this "
        "channel, and this store has forgotten it. `entente recover --from PARTY` brings back what a "
        "member holds; when nobody has it all, a successor channel is the way",
        (unsigned long long)shown->size);
}

static void settle_invite(ent_job *job, ent_node *node)
{
    invite_job *work = (invite_job *)job;
    if (work->known)
        return;
    ent_channel *channel = work->channel;
    if (work->shown.size > 0)
        hold_forgotten(channel, &work->shown);
    else if (!node->before.was_clean)
        ent_guard_ask(node, channel);
    job->rc = ent_channel_publish(node, work->channel, &job->err);
    if (job->rc.code == ENT_OK) {
        ent_guard_wake(node->guard);
        ent_tell_channel(node, work->channel);
        work->channel = NULL;
    }
}

static ent_rc nothing_at(void *context, size_t member, uint64_t size, bool *ret_known, ent_hash *ret_root, ent_err *err)
{
    (void)context, (void)member, (void)size, (void)ret_root, (void)err;
    *ret_known = false;
    return ENT_DONE;
}

static ent_rc no_head(void *context, size_t member, const ent_tree_head *head, bool *ret_held, ent_err *err)
{
    (void)context, (void)member, (void)head, (void)err;
    *ret_held = false;
    return ENT_DONE;
}

static ent_rc no_tile(void *context, uint8_t level, uint64_t index, uint16_t width, ent_hash *ret, ent_err *err)
{
    (void)context, (void)level, (void)index, (void)width, (void)ret;
    return ent_fail(err, ENT_ABSENT, NULL, "nothing is held of this log");
}

static ent_rc check_invite(const ent_channel *channel, uint32_t writer, const ent_pouch *pouch,
                           const ent_keys_news *keys, invite_job *work, ent_err *err)
{
    static const ent_tree empty;
    ENT_CLEANUP(ent_pouch_checked_release) ent_pouch_checked checked = {0};
    ent_pouch_known known = {
        .genesis = &channel->genesis,
        .channel = channel->id,
        .self = channel->self,
        .writer = writer,
        .tree = &empty,
        .tiles = {no_tile, NULL},
        .root_at = nothing_at,
        .head_held = no_head,
    };
    ent_keys_with(channel, keys, known.keys);
    ENT_TRY(ent_pouch_check(pouch, &known, &checked, err));
    if (checked.verdict != ENT_POUCH_NEW)
        return ent_fail(err, ENT_PEER_MALFORMED, "design 2, Genesis", "an invitation carries the opener's entry 0");
    for (size_t i = 0; i < checked.head_count; i++) {
        if (checked.heads[i].member != channel->self)
            continue;
        work->shown = checked.heads[i].head;
        work->shown_note = checked.heads[i].note;
    }
    return ENT_DONE;
}

static ent_rc check_opener(ent_node *node, const ent_member *writer, const ent_hash *pin, ent_err *err)
{
    ENT_CLEANUP(ent_card_release) ent_card_opened card = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf bytes = {0};
    ent_rc rc = ent_peer_card(node, writer->name, &bytes, &card, err);
    if (rc.code == ENT_ABSENT)
        return ent_fail(err, ENT_PEER_UNKNOWN, "design 2, Genesis",
                        "%.*s is not a known peer here: exchange cards first", ENT_TEXT_ARG(writer->name));
    ENT_TRY(rc);
    ent_peer peer;
    if (pin != NULL &&
        (ent_peer_by_pin(node, pin, &peer, NULL).code != ENT_OK || !ent_text_is(writer->name, peer.name)))
        return ent_fail(err, ENT_PEER_FORBIDDEN, "design 3, step 2", "an invitation is sent by its opener, %.*s",
                        ENT_TEXT_ARG(writer->name));
    return check_member(writer, &card.card, err);
}

static ent_rc count_invites(ent_node *node, ent_text opener, ent_err *err)
{
    ent_channel *channel;
    size_t count = 0;
    size_t by_opener = 0;
    for (size_t i = 0; (channel = ent_channel_at(node, i)) != NULL; i++) {
        if (ent_channel_state_now(channel) != ENT_CHANNEL_INVITED)
            continue;
        count++;
        by_opener += ent_genesis_member(&channel->genesis, opener) >= 0;
    }
    if (count >= ENT_INVITES_MAX || by_opener >= ENT_INVITES_A_PEER)
        return ent_fail(err, ENT_PEER_QUOTA, "design 11, limits",
                        "%zu invitations wait for an answer here, %zu of them with %.*s", count, by_opener,
                        ENT_TEXT_ARG(opener));
    return ENT_DONE;
}

/* Whether the stored invitation stays as it is: it is the same, or another member's (the opener's came first). */
static ent_rc keeps_stored(ent_node *node, const ent_channel *known, const ent_pouch *pouch, ent_bytes bytes, bool *ret,
                           ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf stored = {0};
    ENT_CLEANUP(ent_pouch_release) ent_pouch before = {0};
    *ret = false;
    ent_rc rc = node->store->engine->invite_get(node->store, known->row.number, &stored, err);
    if (rc.code == ENT_ABSENT)
        return ENT_DONE;
    ENT_TRY(rc);
    ENT_TRY(ent_pouch_parse(ent_buf_bytes(&stored), &before, err));
    *ret = ent_bytes_equal(ent_buf_bytes(&stored), bytes) || !ent_text_equal(before.origin, pouch->origin);
    return ENT_DONE;
}

ent_rc ent_invite_receive(ent_node *node, const ent_pouch *pouch, ent_bytes bytes, const ent_hash *pin,
                          ent_received *ret, ent_err *err)
{
    ENT_CLEANUP(ent_channel_release) ent_channel *channel = NULL;
    ent_text party = {0};
    ent_hash id;
    ent_hash real;
    ENT_TRY(ent_origin_parse(pouch->origin, &party, &id, err));
    if (pouch->genesis.size == 0)
        return ent_fail(err, ENT_PEER_FORBIDDEN, "design 3, step 2",
                        "this channel is not known here, and the pouch brings no genesis");
    if (bytes.size > ENT_INVITE_MAX_BYTES)
        return ent_fail(err, ENT_PEER_TOO_LARGE, "design 2, Genesis", "an invitation is at most %d bytes",
                        ENT_INVITE_MAX_BYTES);
    ent_channel_id(pouch->genesis, &real);
    if (!ent_hash_equal(&real, &id))
        return ent_fail(err, ENT_PEER_MISMATCH, "design 2, Genesis", "the channel id is not the digest of the genesis");
    ENT_TRY(ent_channel_new(node, pouch->genesis, &channel, err));
    channel->added_unix_s = ent_clock_unix_s();
    int writer = ent_genesis_member(&channel->genesis, party);
    if (writer < 0 || (uint32_t)writer == channel->self)
        return ent_fail(err, ENT_PEER_FORBIDDEN, "design 3, step 2", "%.*s cannot invite us to this channel",
                        ENT_TEXT_ARG(party));
    ENT_TRY(check_own(&channel->genesis.members[channel->self], &ent_node_card(node)->card.card, err));
    ENT_TRY(check_opener(node, &channel->genesis.members[writer], pin, err));
    ENT_CLEANUP(ent_keys_news_release) ent_keys_news keys = {.any = false};
    ENT_TRY(
        ent_keys_of_pouch(node, channel, pouch, &keys, err)); /* else it could be accepted, and then not be taken in */
    invite_job work = {.job = {.apply = apply_invite, .settle = settle_invite}, .channel = channel, .pouch = bytes};
    ENT_TRY(check_invite(channel, (uint32_t)writer, pouch, &keys, &work, err));
    ent_channel *known = ent_channel_find(node, &id);
    bool keeps = false;
    if (known == NULL)
        ENT_TRY(count_invites(node, party, err));
    else
        ENT_TRY(keeps_stored(node, known, pouch, bytes, &keeps, err));
    if (keeps) {
        *ret = (ent_received){
            .state = ENT_RECEIVED_INVITED, .channel = known, .writer = (uint32_t)writer, .size = pouch->size};
        return ENT_DONE;
    }
    ent_rc rc = ent_sequencer_run(node, &work.job, err);
    if (work.channel == NULL)
        channel = NULL; /* the node's now */
    ENT_TRY(rc);
    *ret = (ent_received){.state = ENT_RECEIVED_INVITED,
                          .new_count = known == NULL ? pouch->size : 0,
                          .channel = ent_channel_find(node, &id),
                          .writer = (uint32_t)writer,
                          .size = pouch->size};
    return ENT_DONE;
}

/* --- opening --- */

typedef struct {
    ent_card_opened *cards;
    size_t count;
} card_set;

static void release_cards(card_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        ent_card_release(&set->cards[i]);
    ent_free(set->cards);
}

static int by_name(const void *a, const void *b)
{
    return ent_text_compare(((const ent_member *)a)->name, ((const ent_member *)b)->name);
}

static ent_rc collect_members(ent_node *node, const ent_opening *opening, card_set *cards,
                              ent_member members[ENT_ENTRY_MAX_MEMBERS], ent_err *err)
{
    if (opening->with_count == 0 || opening->with_count >= ENT_ENTRY_MAX_MEMBERS)
        return ent_fail(err, ENT_USAGE, "design 11, limits",
                        "a channel has 2 to %d members; name the others with --with", ENT_ENTRY_MAX_MEMBERS);
    cards->cards = ent_alloc_array(opening->with_count, sizeof *cards->cards);
    if (cards->cards == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    member_of(&ent_node_card(node)->card.card, &members[0]);
    for (size_t i = 0; i < opening->with_count; i++) {
        ENT_CLEANUP(ent_buf_release) ent_buf bytes = {0};
        ent_peer peer;
        ENT_TRY(ent_peer_get(node, opening->with[i], &peer, err));
        ENT_TRY(ent_peer_card(node, opening->with[i], &bytes, &cards->cards[i], err));
        cards->count++;
        member_of(&cards->cards[i].card, &members[i + 1]);
    }
    qsort(members, opening->with_count + 1, sizeof *members, by_name);
    for (size_t i = 0; i < opening->with_count; i++) {
        if (ent_text_equal(members[i].name, members[i + 1].name))
            return ent_fail(err, ENT_USAGE, NULL, "%.*s is named twice", ENT_TEXT_ARG(members[i].name));
    }
    return ENT_DONE;
}

static ent_rc check_policy(const ent_opening *opening, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    ENT_CLEANUP(ent_policy_release) ent_policy *policy = NULL;
    if (opening->policy_count == 0)
        return ENT_DONE;
    for (size_t i = 0; i < opening->policy_count; i++) {
        ent_buf_put_text(&text, opening->policy[i]);
        ent_buf_put_u8(&text, '\n');
    }
    ENT_TRY(ent_buf_check(&text, err));
    ENT_TRY(ent_fail_in(err, ent_policy_parse(ent_buf_bytes(&text), &policy, err), "the witness policy"));
    if (ent_policy_log_count(policy) != 0)
        return ent_fail(err, ENT_USAGE, "design 2, Genesis",
                        "a channel's witness policy has no log lines: the logs are the members'");
    return ENT_DONE;
}

static ent_rc check_terms(ent_bytes terms, ent_err *err)
{
    ENT_CLEANUP(ent_json_release) ent_json *json = NULL;
    if (terms.size > TERMS_MAX_BYTES)
        return ent_fail(err, ENT_PEER_TOO_LARGE, NULL, "terms are at most %d bytes", TERMS_MAX_BYTES);
    ENT_TRY(ent_fail_in(err, ent_json_parse(terms, &json, err), "the terms"));
    if (ent_json_type_of(ent_json_root(json)) != ENT_JSON_OBJECT)
        return ent_fail(err, ENT_PEER_INVALID, "design 5",
                        "the terms must be a JSON object; examples/terms.json is one");
    return ENT_DONE;
}

static void put_genesis_body(ent_buf *body, const uint8_t salt[ENT_TERMS_SALT_SIZE], ent_bytes terms,
                             const ent_succession *succession)
{
    ent_json_writer writer = ent_json_writer_of(body);
    ent_json_object_begin(&writer);
    ent_json_key(&writer, "fields");
    ent_json_object_begin(&writer);
    ent_json_key(&writer, "salt");
    ent_json_put_hex(&writer, ent_bytes_of(salt, ENT_TERMS_SALT_SIZE));
    ent_json_key(&writer, "terms");
    ent_json_put_base64(&writer, terms);
    ent_succession_put(&writer, succession);
    ent_json_object_end(&writer);
    ent_json_object_end(&writer);
}

/* What `also` does when our entry 0 is logged. */
typedef struct {
    ent_channel *channel;
    bool is_new;
    char alias[ENT_NAME_MAX_BYTES + 1];
} founding;

static ent_rc found(void *context, ent_node *node, ent_err *err)
{
    founding *work = context;
    if (work->is_new)
        return ent_channel_store(node, work->channel, ENT_CHANNEL_OPENING, work->alias, err);
    ent_store_channel row = work->channel->next_row;
    row.state = ENT_CHANNEL_OPENING;
    memcpy(row.alias, work->alias, sizeof row.alias);
    /* First, for it is refused when another channel took the alias meanwhile. */
    ENT_TRY(node->store->engine->channel_update(node->store, &row, err));
    work->channel->next_row = row;
    return ENT_DONE;
}

static ent_rc set_alias(ent_node *node, ent_text alias, char ret[ENT_NAME_MAX_BYTES + 1], ent_err *err)
{
    ent_channel *other = NULL;
    memset(ret, 0, ENT_NAME_MAX_BYTES + 1);
    if (alias.size == 0)
        return ENT_DONE;
    bool plain = alias.size <= ENT_NAME_MAX_BYTES;
    for (size_t i = 0; plain && i < alias.size; i++) {
        char c = alias.data[i];
        plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
    }
    if (!plain)
        return ent_fail(err, ENT_USAGE, NULL, "an alias is lower-case letters, digits, '-', '.', '_', at most %d",
                        ENT_NAME_MAX_BYTES);
    if (ent_channel_named(node, alias, &other, NULL).code == ENT_OK)
        return ent_fail(err, ENT_USAGE, NULL, "\"%.*s\" names channel %.8s already", ENT_TEXT_ARG(alias),
                        other->id_text);
    memcpy(ret, alias.data, alias.size);
    return ENT_DONE;
}

static ent_rc say_genesis(ent_node *node, ent_channel *channel, ent_bytes body, founding *work, ent_err *err)
{
    uint64_t index = 0;
    ent_saying saying = {.channel = channel, .kind = "channel.genesis", .also = found, .also_context = work};
    return ent_say_body(node, &saying, body, &index, err);
}

/* Members, policy and what passes from the channel before, as a genesis; and the body of our entry 0. */
static ent_rc put_genesis(ent_node *node, const ent_opening *opening, ent_channel *before, ent_buf *ret_genesis,
                          ent_buf *ret_body, size_t *ret_left_out, ent_err *err)
{
    ENT_CLEANUP(release_cards) card_set cards = {0};
    ENT_CLEANUP(ent_succession_release) ent_succession succession = {0};
    ent_member members[ENT_ENTRY_MAX_MEMBERS];
    uint8_t salt[ENT_TERMS_SALT_SIZE];
    ENT_TRY(collect_members(node, opening, &cards, members, err));
    ent_random(salt, sizeof salt);
    ENT_CLEANUP(ent_free_pointer) ent_text *policy = ent_alloc_array(opening->policy_count + 1, sizeof *policy);
    if (policy == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    for (size_t i = 0; i < opening->policy_count; i++)
        policy[i] = opening->policy[i];
    ent_genesis genesis = {
        .rules = ENT_GENESIS_RULES,
        .members = members,
        .member_count = opening->with_count + 1,
        .witness_policy = policy,
        .witness_policy_count = opening->policy_count,
        .quotas = opening->quotas,
        .delta_s = DEFAULT_DELTA_S,
        .mailbox_window_s = DEFAULT_MAILBOX_WINDOW_S,
        .has_predecessor = before != NULL,
    };
    if (before != NULL) {
        ENT_TRY(ent_succession_plan(node, before, members, genesis.member_count, &succession, err));
        genesis.predecessor = before->id;
        genesis.predecessor_heads = succession.heads;
        genesis.predecessor_head_count = succession.head_count;
    }
    ent_random(genesis.nonce, sizeof genesis.nonce);
    ent_terms_commitment(salt, opening->terms, &genesis.terms);
    *ret_left_out = succession.left_out;
    put_genesis_body(ret_body, salt, opening->terms, &succession);
    ENT_TRY(ent_buf_check(ret_body, err));
    return ent_genesis_encode(&genesis, ret_genesis, err);
}

static size_t other_members(const ent_channel *channel, ent_text ret[ENT_ENTRY_MAX_MEMBERS])
{
    size_t count = 0;
    for (uint32_t m = 0; m < channel->genesis.member_count; m++) {
        if (m != channel->self)
            ret[count++] = channel->genesis.members[m].name;
    }
    return count;
}

ent_rc ent_channel_open(ent_node *node, const ent_opening *opening, ent_channel **ret, ent_err *err)
{
    ENT_CLEANUP(ent_channel_release) ent_channel *channel = NULL;
    ENT_CLEANUP(ent_buf_release) ent_buf bytes = {0};
    ENT_CLEANUP(ent_buf_wipe) ent_buf body = {0};
    ent_opening whole = *opening;
    ent_text others[ENT_ENTRY_MAX_MEMBERS];
    ent_channel *before = NULL;
    size_t left_out = 0;
    founding work = {.is_new = true};
    ENT_TRY(check_terms(opening->terms, err));
    ENT_TRY(check_policy(opening, err));
    ENT_TRY(set_alias(node, opening->alias, work.alias, err));
    if (opening->succeeds.size > 0)
        ENT_TRY(ent_channel_named(node, opening->succeeds, &before, err));
    if (before != NULL && opening->with_count == 0) {
        whole.with = others;
        whole.with_count = other_members(before, others);
    }
    ENT_TRY(put_genesis(node, &whole, before, &bytes, &body, &left_out, err));
    ENT_TRY(ent_channel_new(node, ent_buf_bytes(&bytes), &channel, err));
    channel->added_unix_s = ent_clock_unix_s();
    work.channel = channel;
    ENT_TRY(say_genesis(node, channel, ent_buf_bytes(&body), &work, err));
    ent_channel *opened = ent_take(channel); /* the sequencer knows it from now on */
    ENT_TRY(ent_channel_publish(node, opened, err));
    *ret = opened;
    if (opening->ret_left_out != NULL)
        *opening->ret_left_out = left_out;
    ent_tell_channel(node, opened);
    ent_courier_wake(node->courier);
    return ENT_DONE;
}

/* --- accepting --- */

static ent_rc check_committed(const ent_channel *channel, const ent_body *body, ent_buf *ret_terms, ent_err *err)
{
    uint8_t salt[ENT_TERMS_SALT_SIZE];
    ent_hash commitment;
    ENT_TRY(ent_body_terms(body, salt, ret_terms, err));
    ent_terms_commitment(salt, ent_buf_bytes(ret_terms), &commitment);
    if (!ent_hash_equal(&commitment, &channel->genesis.terms))
        return ent_fail(err, ENT_PEER_MISMATCH, "design 2, Genesis",
                        "the terms in entry 0 are not the ones the genesis commits to");
    return ENT_DONE;
}

/* What the opener's first entry carries over must be what is open here. */
static ent_rc check_carried(ent_node *node, const ent_channel *channel, ent_bytes plain, bool unchecked, ent_err *err)
{
    ENT_CLEANUP(ent_body_release) ent_body body = {0};
    ENT_CLEANUP(ent_facts_release) ent_facts facts = {0};
    ent_text kind = ENT_TEXT("channel.genesis");
    ENT_TRY(ent_body_parse(node->kinds, kind, plain, 0, &body, err));
    ENT_TRY(ent_facts_read(&body, kind, &facts, err));
    return ent_succession_check(node, channel, &facts, unchecked, err);
}

static ent_rc open_invited_body(ent_node *node, const ent_channel *channel, const ent_pouch *pouch, ent_buf *ret_plain,
                                ent_err *err)
{
    ENT_CLEANUP(ent_body_release) ent_body body = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf terms = {0};
    if (pouch->body_count == 0 || pouch->bodies[0].index != 0)
        return ent_fail(err, ENT_PEER_MALFORMED, "design 2, Genesis", "the invitation has no terms");
    ENT_TRY(ent_age_open(pouch->bodies[0].sealed, ent_keeper_unwrapper(node->keeper), ret_plain, NULL, err));
    ENT_TRY(ent_body_parse(node->kinds, ENT_TEXT("channel.genesis"), ent_buf_bytes(ret_plain), 0, &body, err));
    return check_committed(channel, &body, &terms, err);
}

/* A card that came with the invitation is only the opener's word: every member's must have come by another way. */
static ent_rc check_members_known(ent_node *node, const ent_channel *channel, ent_err *err)
{
    for (uint32_t i = 0; i < channel->genesis.member_count; i++) {
        const ent_member *member = &channel->genesis.members[i];
        ENT_CLEANUP(ent_card_release) ent_card_opened card = {0};
        ENT_CLEANUP(ent_buf_release) ent_buf bytes = {0};
        if (i == channel->self)
            continue;
        ent_rc rc = ent_peer_card(node, member->name, &bytes, &card, err);
        if (rc.code == ENT_ABSENT)
            return ent_fail(err, ENT_REFUSED, "design 2, Card",
                            "the card of %.*s is not known here: get it from them, compare its fingerprint, and "
                            "`entente peer add` it first",
                            ENT_TEXT_ARG(member->name));
        ENT_TRY(rc);
        ENT_TRY(check_member(member, &card.card, err));
    }
    return ENT_DONE;
}

/* Unlike a message, our entry 0 is not logged while the channel is held: the invitation can wait. Its members are asked
 * since it came, so that the answers are on their way. */
static ent_rc may_sign_first(ent_node *node, ent_channel *channel, ent_err *err)
{
    char reason[sizeof channel->hold_reason];
    int64_t until_ms = ent_clock_monotonic_ms() + ASKING_PATIENCE_MS;
    while (ent_channel_hold_now(channel) == ENT_HOLD_ASKING && ent_clock_monotonic_ms() < until_ms &&
           !atomic_load(&node->stopping))
        ent_guard_pause();
    (void)pthread_mutex_lock(&channel->lock);
    ent_hold hold = channel->hold;
    memcpy(reason, channel->hold_reason, sizeof reason);
    (void)pthread_mutex_unlock(&channel->lock);
    return hold == ENT_HOLD_NONE ? ENT_DONE
                                 : ent_fail(err, ENT_REFUSED_KEEPER, "design 3, Rollback guard",
                                            "channel %.8s cannot be accepted now: %s", channel->id_text, reason);
}

static ent_rc accept_invitation(ent_node *node, ent_channel *channel, ent_text alias, bool unchecked, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf bytes = {0};
    ENT_CLEANUP(ent_pouch_release) ent_pouch pouch = {0};
    ENT_CLEANUP(ent_buf_wipe) ent_buf plain = {0};
    founding work = {.channel = channel};
    if (ent_channel_state_now(channel) != ENT_CHANNEL_INVITED)
        return ent_fail(err, ENT_REFUSED, "design 2, Genesis", "channel %.8s is %s; only an invitation can be accepted",
                        channel->id_text, ent_channel_state_word(ent_channel_state_now(channel)));
    ENT_TRY(may_sign_first(node, channel, err));
    ENT_TRY(set_alias(node, alias, work.alias, err));
    ENT_TRY(node->store->engine->invite_get(node->store, channel->row.number, &bytes, err));
    ENT_TRY(ent_pouch_parse(ent_buf_bytes(&bytes), &pouch, err));
    ENT_TRY(open_invited_body(node, channel, &pouch, &plain, err));
    ENT_TRY(check_members_known(node, channel, err));
    ENT_TRY(check_carried(node, channel, ent_buf_bytes(&plain), unchecked, err));
    ENT_TRY(say_genesis(node, channel, ent_buf_bytes(&plain), &work, err));
    ENT_CLEANUP(ent_received_release) ent_received received = {0};
    ENT_TRY(ent_receive(node, ent_buf_bytes(&bytes), NULL, NULL, &received, err));
    ent_courier_wake(node->courier);
    return ENT_DONE;
}

ent_rc ent_channel_accept(ent_node *node, ent_channel *channel, ent_text alias, ent_err *err)
{
    return accept_invitation(node, channel, alias, false, err);
}

ent_rc ent_channel_accept_unchecked(ent_node *node, ent_channel *channel, ent_text alias, ent_err *err)
{
    return accept_invitation(node, channel, alias, true, err);
}

typedef struct {
    ent_job job;
    ent_channel *channel;
} refuse_job;

static ent_rc apply_refuse(ent_job *job, ent_node *node, ent_err *err)
{
    ent_channel *channel = ((refuse_job *)job)->channel;
    ENT_TRY(ent_sequencer_touch(node, channel, err));
    if (channel->next_row.state != ENT_CHANNEL_INVITED)
        return ent_fail(err, ENT_REFUSED, "design 2, Genesis", "channel %.8s is %s; only an invitation can be refused",
                        channel->id_text, ent_channel_state_word(channel->next_row.state));
    channel->next_row.state = ENT_CHANNEL_REFUSED;
    ENT_TRY(node->store->engine->channel_update(node->store, &channel->next_row, err));
    return node->store->engine->invite_put(node->store, channel->row.number, (ent_bytes){NULL, 0}, err);
}

ent_rc ent_channel_refuse(ent_node *node, ent_channel *channel, ent_err *err)
{
    refuse_job work = {.job = {.apply = apply_refuse}, .channel = channel};
    return ent_sequencer_run(node, &work.job, err);
}

/* --- terms --- */

static ent_rc body_of_invite(ent_node *node, ent_channel *channel, ent_buf *ret_plain, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf bytes = {0};
    ENT_CLEANUP(ent_pouch_release) ent_pouch pouch = {0};
    ENT_TRY(node->store->engine->invite_get(node->store, channel->row.number, &bytes, err));
    ENT_TRY(ent_pouch_parse(ent_buf_bytes(&bytes), &pouch, err));
    return open_invited_body(node, channel, &pouch, ret_plain, err);
}

ent_rc ent_channel_first_body(ent_node *node, ent_channel *channel, ent_buf *ret_plain, ent_err *err)
{
    if (ent_channel_state_now(channel) == ENT_CHANNEL_INVITED)
        return body_of_invite(node, channel, ret_plain, err);
    return ent_open_body(node, channel, channel->self, 0, ret_plain, NULL, err);
}

ent_rc ent_channel_terms(ent_node *node, ent_channel *channel, ent_buf *ret_terms, ent_err *err)
{
    ENT_CLEANUP(ent_buf_wipe) ent_buf plain = {0};
    ENT_CLEANUP(ent_body_release) ent_body body = {0};
    ENT_TRY(ent_channel_first_body(node, channel, &plain, err));
    ENT_TRY(ent_body_parse(node->kinds, ENT_TEXT("channel.genesis"), ent_buf_bytes(&plain), 0, &body, err));
    return check_committed(channel, &body, ret_terms, err);
}
