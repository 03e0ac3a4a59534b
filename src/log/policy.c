#include "log/policy.h"

#include "base/cursor.h"

/* A name that a quorum or group may refer to: a witness or a group, in the order of their definition. */
typedef struct {
    ent_text name;
    const ent_policy_witness *witness; /* NULL for a group */
    size_t threshold;                  /* 1 for a witness: its own cosignature */
    size_t group;                      /* the one group it is a member of, NO_NODE when none */
} policy_node;

enum { MAX_NODES = ENT_POLICY_MAX_WITNESSES + ENT_POLICY_MAX_GROUPS, NO_NODE = MAX_NODES };

struct ent_policy {
    char *text; /* what the views below borrow from */
    ent_policy_log logs[ENT_POLICY_MAX_LOGS];
    size_t log_count;
    ent_policy_witness witnesses[ENT_POLICY_MAX_WITNESSES];
    size_t witness_count;
    policy_node nodes[MAX_NODES];
    size_t node_count;
    size_t quorum; /* NO_NODE for `quorum none` */
};

typedef struct {
    ent_policy *policy;
    ent_text rest; /* of the current line */
    size_t line;
    bool has_quorum;
    ent_err *err;
} policy_parser;

static const char structure_rule[] = "tlog-policy, Structure";
static const char log_rule[] = "tlog-policy, Defining a log";
static const char witness_rule[] = "tlog-policy, Defining a witness";
static const char group_rule[] = "tlog-policy, Defining a witness group";
static const char quorum_rule[] = "tlog-policy, Defining the quorum";
static const char key_rule[] = "tlog-policy, Public key representation";
static const char limit_rule[] = "tlog-policy, Implementation limits";

static ENT_RC malformed(const policy_parser *parser, const char *rule, const char *what)
{
    return ent_fail(parser->err, ENT_PEER_MALFORMED, rule, "line %zu: %s", parser->line, what);
}

static ENT_RC too_many(const policy_parser *parser, const char *what, int limit)
{
    return ent_fail(parser->err, ENT_PEER_TOO_LARGE, limit_rule, "line %zu: more than %d %s", parser->line, limit,
                    what);
}

static bool is_blank(char character)
{
    return character == ' ' || character == '\t';
}

/* "the items on each line are separated by "whitespace", which in this specification means sequences of ASCII space
 * and tab characters *only*". Empty at the end of the line. */
static ent_text next_item(policy_parser *parser)
{
    ent_text rest = parser->rest;
    size_t begin = 0;
    while (begin < rest.size && is_blank(rest.data[begin]))
        begin++;
    size_t end = begin;
    while (end < rest.size && !is_blank(rest.data[end]))
        end++;
    parser->rest = (ent_text){rest.data + end, rest.size - end};
    return (ent_text){rest.data + begin, end - begin};
}

static size_t find_node(const ent_policy *policy, ent_text name)
{
    for (size_t i = 0; i < policy->node_count; i++) {
        if (ent_text_equal(policy->nodes[i].name, name))
            return i;
    }
    return NO_NODE;
}

/* "Two vkeys are considered *duplicate* if they wrap the same underlying public key, even if they differ by key name
 * and key id." Here also across logs and witnesses: no key plays two roles (design.md section 2). */
static bool has_key(const ent_policy *policy, const ent_public_key *key)
{
    for (size_t i = 0; i < policy->log_count; i++) {
        if (ent_public_key_equal(&policy->logs[i].vkey.key, key))
            return true;
    }
    for (size_t i = 0; i < policy->witness_count; i++) {
        if (ent_public_key_equal(&policy->witnesses[i].vkey.key, key))
            return true;
    }
    return false;
}

/* Take "<vkey> [<url>]" up to the end of the line. */
static ENT_RC take_vkey_and_url(policy_parser *parser, ent_key_type type, const char *rule, ent_vkey *ret_vkey,
                                ent_text *ret_url)
{
    ent_vkey vkey;
    ent_rc rc = ent_vkey_parse(next_item(parser), &vkey, parser->err);
    if (rc.code != ENT_OK)
        return ent_fail_in(parser->err, rc, "line %zu", parser->line);
    if (vkey.type != type)
        return malformed(parser, key_rule,
                         type == ENT_KEY_ED25519 ? "the key of a log is of type 01"
                                                 : "the key of a witness is of type 04");
    if (has_key(parser->policy, &vkey.key))
        return malformed(parser, rule, "this public key is already listed");
    ent_text url = next_item(parser);
    if (next_item(parser).size > 0)
        return malformed(parser, rule, "something follows the URL");
    *ret_vkey = vkey;
    *ret_url = url;
    return ENT_DONE;
}

static ENT_RC parse_log(policy_parser *parser)
{
    ent_policy *policy = parser->policy;
    ent_policy_log log;
    if (policy->log_count == ENT_POLICY_MAX_LOGS)
        return too_many(parser, "logs", ENT_POLICY_MAX_LOGS);
    ENT_TRY(take_vkey_and_url(parser, ENT_KEY_ED25519, log_rule, &log.vkey, &log.url));
    policy->logs[policy->log_count++] = log;
    return ENT_DONE;
}

/* "Witnesses and groups share a single namespace. The special name `none` is predefined". */
static ENT_RC take_new_name(policy_parser *parser, const char *rule, ent_text *ret)
{
    ent_text name = next_item(parser);
    if (name.size == 0)
        return malformed(parser, rule, "no name");
    if (ent_text_is(name, "none"))
        return malformed(parser, rule, "the name `none` is predefined");
    if (find_node(parser->policy, name) != NO_NODE)
        return malformed(parser, rule, "this name is already defined");
    *ret = name;
    return ENT_DONE;
}

static ENT_RC parse_witness(policy_parser *parser)
{
    ent_policy *policy = parser->policy;
    ent_policy_witness witness;
    if (policy->witness_count == ENT_POLICY_MAX_WITNESSES)
        return too_many(parser, "witnesses", ENT_POLICY_MAX_WITNESSES);
    ENT_TRY(take_new_name(parser, witness_rule, &witness.name));
    ENT_TRY(take_vkey_and_url(parser, ENT_KEY_COSIGNATURE, witness_rule, &witness.vkey, &witness.url));
    policy->witnesses[policy->witness_count] = witness;
    policy->nodes[policy->node_count++] =
        (policy_node){witness.name, &policy->witnesses[policy->witness_count++], 1, NO_NODE};
    return ENT_DONE;
}

/* "Each defined name can be listed as a group member at most once." */
static ENT_RC take_members(policy_parser *parser, size_t group, size_t *ret_count)
{
    size_t count = 0;
    for (ent_text name = next_item(parser); name.size > 0; name = next_item(parser)) {
        size_t member = find_node(parser->policy, name);
        if (member == NO_NODE)
            return malformed(parser, group_rule, "a member is not defined on a preceding line");
        if (parser->policy->nodes[member].group != NO_NODE)
            return malformed(parser, group_rule, "a member is listed a second time");
        parser->policy->nodes[member].group = group;
        count++;
    }
    if (count == 0)
        return malformed(parser, group_rule, "a group has at least one member");
    *ret_count = count;
    return ENT_DONE;
}

static ENT_RC parse_group(policy_parser *parser)
{
    ent_policy *policy = parser->policy;
    policy_node node = {.group = NO_NODE};
    if (policy->node_count - policy->witness_count == ENT_POLICY_MAX_GROUPS)
        return too_many(parser, "groups", ENT_POLICY_MAX_GROUPS);
    ENT_TRY(take_new_name(parser, group_rule, &node.name));
    ent_text threshold = next_item(parser);
    size_t member_count = 0;
    ENT_TRY(take_members(parser, policy->node_count, &member_count));

    /* "it must be written in decimal, and it is required that 1 <= k <= n" */
    uint64_t k = 0;
    if (ent_text_is(threshold, "all"))
        k = member_count;
    else if (ent_text_is(threshold, "any"))
        k = 1;
    else if (!ent_decimal_parse(threshold, member_count, &k) || k == 0)
        return malformed(parser, group_rule, "the threshold is `all`, `any` or 1 to the number of members");
    node.threshold = (size_t)k;
    policy->nodes[policy->node_count++] = node;
    return ENT_DONE;
}

static ENT_RC parse_quorum(policy_parser *parser)
{
    if (parser->has_quorum)
        return malformed(parser, quorum_rule, "a second quorum line");
    ent_text name = next_item(parser);
    size_t node = find_node(parser->policy, name);
    if (node == NO_NODE && !ent_text_is(name, "none"))
        return malformed(parser, quorum_rule, "the quorum is not defined on a preceding line");
    if (next_item(parser).size > 0)
        return malformed(parser, quorum_rule, "something follows the name");
    parser->policy->quorum = node;
    parser->has_quorum = true;
    return ENT_DONE;
}

static ENT_RC parse_line(policy_parser *parser)
{
    ent_text keyword = next_item(parser);
    if (keyword.size == 0 || keyword.data[0] == '#')
        return ENT_DONE;
    if (ent_text_is(keyword, "log"))
        return parse_log(parser);
    if (ent_text_is(keyword, "witness"))
        return parse_witness(parser);
    if (ent_text_is(keyword, "group"))
        return parse_group(parser);
    if (ent_text_is(keyword, "quorum"))
        return parse_quorum(parser);
    return malformed(parser, structure_rule, "a line begins with log, witness, group, quorum or #");
}

/* "the allowed octet values are 0x09 (tab), 0x0A (newline), 0x20-0x7E, and 0x80-0xFF" */
static bool has_policy_characters(ent_bytes bytes)
{
    for (size_t i = 0; i < bytes.size; i++) {
        uint8_t octet = bytes.data[i];
        if ((octet < 0x20 && octet != '\t' && octet != '\n') || octet == 0x7f)
            return false;
    }
    return true;
}

ent_rc ent_policy_parse(ent_bytes bytes, ent_policy **ret, ent_err *err)
{
    if (bytes.size > ENT_POLICY_MAX_BYTES)
        return ent_fail(err, ENT_PEER_TOO_LARGE, limit_rule, "a policy of %zu bytes; at most %d are accepted",
                        bytes.size, ENT_POLICY_MAX_BYTES);
    if (!has_policy_characters(bytes))
        return ent_fail(err, ENT_PEER_MALFORMED, "tlog-policy, Character set",
                        "a policy has no control characters other than tab and newline");
    ENT_CLEANUP(ent_policy_release) ent_policy *policy = ent_alloc(sizeof *policy);
    if (policy != NULL)
        policy->text = ent_text_copy(ent_bytes_text(bytes));
    if (policy == NULL || policy->text == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");

    policy_parser parser = {.policy = policy, .err = err};
    ent_cursor lines = ent_cursor_of(ent_bytes_of(policy->text, bytes.size));
    while (ent_cursor_left(&lines) > 0) {
        parser.line++;
        parser.rest = ent_cursor_line(&lines);
        if (lines.failed)
            return malformed(&parser, structure_rule, "the last line does not end in a newline");
        ENT_TRY(parse_line(&parser));
    }
    if (!parser.has_quorum)
        return ent_fail(err, ENT_PEER_MALFORMED, quorum_rule, "a policy has one quorum line; this one has none");
    *ret = ent_take(policy);
    return ENT_DONE;
}

void ent_policy_free(ent_policy *policy)
{
    if (policy == NULL)
        return;
    ent_free(policy->text);
    ent_free(policy);
}

void ent_policy_release(ent_policy **policy)
{
    ent_policy_free(*policy);
    *policy = NULL;
}

size_t ent_policy_log_count(const ent_policy *policy)
{
    return policy->log_count;
}

const ent_policy_log *ent_policy_log_at(const ent_policy *policy, size_t at)
{
    return at < policy->log_count ? &policy->logs[at] : NULL;
}

size_t ent_policy_witness_count(const ent_policy *policy)
{
    return policy->witness_count;
}

const ent_policy_witness *ent_policy_witness_at(const ent_policy *policy, size_t at)
{
    return at < policy->witness_count ? &policy->witnesses[at] : NULL;
}

const char *ent_policy_verdict_words(ent_policy_verdict verdict)
{
    switch (verdict) {
    case ENT_POLICY_NOT_CHECKED:
        return "not checked";
    case ENT_POLICY_SATISFIED:
        return "satisfied";
    case ENT_POLICY_UNKNOWN_LOG:
        return "not a log of the policy";
    case ENT_POLICY_BAD_LOG_SIGNATURE:
        return "no valid signature by the log";
    case ENT_POLICY_BAD_COSIGNATURE:
        return "a cosignature does not verify";
    case ENT_POLICY_NO_QUORUM:
        return "too few cosignatures for the quorum";
    }
    return "not checked";
}

/* The key of a log may change while its origin stays: several listed logs can have this origin, and one valid
 * signature is enough, but none that claims to be by a listed key may fail. */
static ent_policy_verdict check_log(const ent_policy *policy, const ent_note *note, ent_policy_result *result)
{
    bool known = false;
    bool bad = false;
    for (size_t i = 0; i < policy->log_count; i++) {
        const ent_policy_log *log = &policy->logs[i];
        if (!ent_text_equal(log->vkey.name, result->checkpoint.origin))
            continue;
        known = true;
        ent_signature_verdict verdict = ent_note_verify(note, &log->vkey);
        bad = bad || verdict == ENT_SIGNATURE_INVALID;
        if (verdict == ENT_SIGNATURE_VALID && result->log == NULL)
            result->log = log;
    }
    if (!known)
        return ENT_POLICY_UNKNOWN_LOG;
    if (bad || result->log == NULL) {
        result->log = NULL;
        return ENT_POLICY_BAD_LOG_SIGNATURE;
    }
    return ENT_POLICY_SATISFIED;
}

/* Verify every listed witness's lines; `votes` counts them at their nodes. False when one does not verify. */
static bool check_witnesses(const ent_policy *policy, const ent_note *note, ent_policy_result *result,
                            size_t votes[MAX_NODES])
{
    bool good = true;
    for (size_t i = 0; i < policy->node_count; i++) {
        const ent_policy_witness *witness = policy->nodes[i].witness;
        if (witness == NULL)
            continue;
        ent_policy_cosigned *cosigned = &result->cosigned[result->cosigned_count];
        switch (ent_note_verify_cosignature(note, &witness->vkey, &cosigned->cosignature)) {
        case ENT_SIGNATURE_VALID:
            cosigned->witness = witness;
            result->cosigned_count++;
            votes[i] = 1;
            break;
        case ENT_SIGNATURE_ABSENT:
            break;
        case ENT_SIGNATURE_INVALID:
        case ENT_SIGNATURE_NOT_CHECKED:
            good = false;
            break;
        }
    }
    return good;
}

/* Members come before their group, so one pass counts them all. */
static bool has_quorum(const ent_policy *policy, size_t votes[MAX_NODES])
{
    for (size_t i = 0; i < policy->node_count; i++) {
        const policy_node *node = &policy->nodes[i];
        if (node->group != NO_NODE && votes[i] >= node->threshold)
            votes[node->group]++;
    }
    return policy->quorum == NO_NODE || votes[policy->quorum] >= policy->nodes[policy->quorum].threshold;
}

ent_rc ent_policy_check(const ent_policy *policy, const ent_note *note, ent_policy_result *ret, ent_err *err)
{
    ent_policy_result result = {0};
    size_t votes[MAX_NODES] = {0};
    ENT_TRY(ent_checkpoint_parse(note->text, &result.checkpoint, err));
    result.verdict = check_log(policy, note, &result);
    bool good = check_witnesses(policy, note, &result, votes);
    if (result.verdict == ENT_POLICY_SATISFIED && !good)
        result.verdict = ENT_POLICY_BAD_COSIGNATURE;
    if (result.verdict == ENT_POLICY_SATISFIED && !has_quorum(policy, votes))
        result.verdict = ENT_POLICY_NO_QUORUM;
    *ret = result;
    return ENT_DONE;
}
