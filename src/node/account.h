/* What a channel's ledger says at a moment, copied out under its lock, so that bodies can be read and answers written
 * without it; and the pieces of JSON that several endpoints share (docs/api.md). */
#ifndef ENT_NODE_ACCOUNT_H
#define ENT_NODE_ACCOUNT_H

#include "ledger/ledger.h"
#include "node/api.h"

/** What an account is asked for. */
typedef struct {
    bool has_at; /* everything at this time; else rows as of now, digests at the latest evidence */
    int64_t at_unix_s;
    bool digests_dated; /* digests at the latest evidence also when it is earlier than `at` */
    ent_thread_fn also; /* nullable: gets every thread too, with the ledger locked */
    void *also_context;
} ent_account_time;

typedef struct {
    ent_duty duty;
    ent_ledger_ref thread;
} ent_account_duty;

typedef struct {
    ent_ledger_ref message;
    ent_severity severity;
    uint64_t weight;
    int64_t time_unix_s; /* first evidence */
} ent_account_incident;

typedef struct {
    ent_ledger_ref message;
    ent_state state; /* of the first track; claims, pledges */
    bool supported;
    size_t evidence_first; /* in evidence */
    size_t evidence_count;
} ent_account_matter;

typedef struct {
    ent_ledger_ref thread;
    ent_ledger_ref accepted;
    ent_hash digest;
} ent_account_binding;

typedef struct {
    ent_ledger_ref message;
    ent_text text; /* why; in the arena */
} ent_account_refusal;

/** A message that a figure of reciprocity counts. */
typedef struct {
    size_t class_at;
    uint32_t from;
    uint32_t to;
    ent_ledger_ref message;
} ent_account_cited;

typedef struct {
    ent_text name;
    uint32_t hold_back_at_balance;
} ent_account_class;

/** A growing array of rows. */
typedef struct {
    void *rows;
    size_t count;
    size_t capacity;
} ent_account_list;

typedef struct {
    ent_arena arena;
    ent_channel *channel;
    ent_moment moment;      /* of the rows */
    int64_t evidence_until; /* of the digests */
    ent_hash evidence_digest;
    ent_hash state_digest;
    ent_ledger_sums sums; /* its agreement and texts are in the arena, or NULL */
    ent_text title;
    int64_t from_unix_s;
    int64_t until_unix_s;
    bool has_threat_level;
    uint32_t window_s;
    ent_account_list classes;   /* ent_account_class */
    ent_account_list duties;    /* ent_account_duty: open ones */
    ent_account_list incidents; /* ent_account_incident: those that count for the threat level */
    ent_account_list claims;    /* ent_account_matter */
    ent_account_list pledges;   /* ent_account_matter */
    ent_account_list evidence;  /* ent_ledger_ref: of claims */
    ent_account_list bindings;  /* ent_account_binding */
    ent_account_list refused;   /* ent_account_refusal */
    ent_account_list contested; /* ent_ledger_ref */
    ent_account_list unknown;   /* ent_ledger_ref */
    ent_account_list cited;     /* ent_account_cited, by class, from, to, message */
} ent_account;

/** Read `channel` and `at` of a request.  Errors: USAGE, ABSENT. */
ENT_RC ent_account_asked(const ent_api_call *call, ent_channel **ret_channel, ent_account_time *ret, ent_err *err);
/** The moment for rows, with the ledger locked. */
ent_moment ent_account_moment(const ent_channel *channel, const ent_ledger *ledger, ent_account_time time);
/** Both digests, with the ledger locked.  Errors: those of the lines; RETRY while an entry is being stored. */
ENT_RC ent_account_digests(ent_node *node, ent_channel *channel, const ent_ledger *ledger, int64_t until_unix_s,
                           ent_hash *ret_evidence, ent_hash *ret_state, ent_err *err);
/** Copy everything out.  Owns: caller releases with ent_account_release. */
ENT_RC ent_account_read(ent_node *node, ent_channel *channel, ent_account_time time, ent_account *ret, ent_err *err);
void ent_account_release(ent_account *account);
/** Room for one more row; NULL without memory. */
void *ent_account_add(ent_account_list *list, size_t size, ent_err *err);

/** Whether a message may be named; NULL = every message. */
typedef struct {
    bool (*may)(void *context, ent_ledger_ref message);
    void *context;
} ent_account_filter;

/** Write "members": their names. */
void ent_account_put_members(const ent_channel *channel, ent_json_writer *writer);
/** "CHANNEL/party/index", as an element or as a member. */
void ent_account_put_message(ent_channel *channel, ent_json_writer *writer, const char *key, ent_ledger_ref message);
/** Key and time; null for 0 and for never. */
void ent_account_put_time(ent_json_writer *writer, const char *key, bool has, int64_t unix_s);
/** Members of one obligation; the object is the caller's.
 *  @in   subject   NULL data = null */
void ent_account_put_duty(ent_channel *channel, ent_json_writer *writer, const ent_account_duty *row, int64_t now,
                          ent_text subject);
/** "balances": [...] */
void ent_account_put_balances(const ent_account *account, ent_json_writer *writer, const ent_account_filter *filter);
/** "threat_level": {...}|null */
void ent_account_put_threat(const ent_account *account, ent_json_writer *writer, const ent_account_filter *filter);
/** fields.title of a stored message, cut. */
void ent_account_subject(ent_node *node, ent_channel *channel, ent_ledger_ref message, ent_buf *ret);

#endif
