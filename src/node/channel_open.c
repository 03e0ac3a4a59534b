#include "node/invite.h"

#include "base/clock.h"
#include "crypto/crypto.h"
#include "log/policy.h"
#include "node/channel.h"
#include "node/courier.h"
#include "node/events.h"
#include "node/founding.h"
#include "node/key_lost.h"
#include "node/peer.h"
#include "node/rotate.h"
#include "node/say.h"
#include "node/succession.h"

#include <stdlib.h>

enum {
    DEFAULT_DELTA_S = 300,
    DEFAULT_MAILBOX_WINDOW_S = 86400,
    TERMS_MAX_BYTES = 512 << 10 /* an invitation must hold them */
};

static void member_of(const ent_card *card, ent_member *ret)
{
    *ret = (ent_member){.name = card->name,
                        .root = card->root,
                        .log = card->log,
                        .receipt = card->receipt,
                        .age = card->age,
                        .tls = card->tls};
}

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

static ent_rc found(void *context, ent_node *node, ent_err *err)
{
    ent_founding *work = context;
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

ent_rc ent_founding_alias(ent_node *node, ent_text alias, char ret[ENT_NAME_MAX_BYTES + 1], ent_err *err)
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

ent_rc ent_founding_say(ent_node *node, ent_channel *channel, ent_bytes body, ent_founding *work, ent_err *err)
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
    ent_founding work = {.is_new = true};
    ENT_TRY(ent_key_all_there(node, err));
    ENT_TRY(check_terms(opening->terms, err));
    ENT_TRY(check_policy(opening, err));
    ENT_TRY(ent_founding_alias(node, opening->alias, work.alias, err));
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
    ENT_TRY(ent_founding_say(node, channel, ent_buf_bytes(&body), &work, err));
    ent_channel *opened = ent_take(channel); /* the sequencer knows it from now on */
    ENT_TRY(ent_channel_publish(node, opened, err));
    *ret = opened;
    if (opening->ret_left_out != NULL)
        *opening->ret_left_out = left_out;
    ent_tell_channel(node, opened);
    ent_courier_wake(node->courier);
    return ENT_DONE;
}
