/* The agreement: the machine-readable terms of a channel.  Source: design.md section 5; schemas/agreement.json.
 * Every function below takes NULL for the empty agreement, which is what a channel has whose terms cannot be read as
 * an agreement: no deadlines, nothing protected, no classes, no end. */
#ifndef ENT_LEDGER_AGREEMENT_H
#define ENT_LEDGER_AGREEMENT_H

#include "base/alloc.h"
#include "crypto/types.h"
#include "ledger/calendar.h"
#include "message/entry.h"

enum { ENT_AGREEMENT_MAX_UNKNOWN = 256 };

/** How grave an incident is; NONE when the message does not say. */
typedef enum {
    ENT_SEVERITY_NONE = 0,
    ENT_SEVERITY_LOW,
    ENT_SEVERITY_MEDIUM,
    ENT_SEVERITY_HIGH,
    ENT_SEVERITY_CRITICAL,
    ENT_SEVERITY_COUNT
} ent_severity;
/** "low", "medium", "high", "critical"; NULL for NONE. */
const char *ent_severity_word(ent_severity severity);
/** NONE for any other text. */
ent_severity ent_severity_from_text(ent_text text);

/** What is due after a message of some kind and urgency; 0 = no such deadline. */
typedef struct {
    uint32_t acknowledge_s;
    uint32_t answer_s;
    uint32_t notification_s; /* by the writer of an early warning */
    uint32_t final_s;        /* by the writer of an incident: the final report */
    bool in_service_hours;   /* only the debtor's service hours count */
    bool found;              /* the agreement has a row for this kind */
} ent_deadlines;

typedef struct {
    ent_text kind;
    ent_urgency urgency;
    ent_deadlines deadlines;
} ent_deadline_row;

typedef struct {
    ent_text id;
    ent_text name;
    ent_urgency urgency_floor;
} ent_protected_system;

/** A reciprocal class: what one side does for the other is counted against the same from the other side. */
typedef struct {
    ent_text name;
    const ent_text *kinds; /* sorted */
    size_t kind_count;
    uint32_t hold_back_at_balance; /* 0 = neither side may ever hold back */
} ent_reciprocal_class;

typedef struct {
    ent_text name;
    uint64_t from; /* least sum of weights at which this level holds */
} ent_threat_level;

typedef struct {
    ent_text party;
    ent_service_hours hours;
} ent_party_hours;

/** A member of the terms that this version does not know. */
typedef struct {
    ent_text path;   /* "deadlines[3].tone", shortened and without control characters */
    ent_hash digest; /* of its full name and value, so that a change of it shows */
} ent_unknown_member;

/** Terms as read. Immutable; may be read by several threads. Arrays are sorted by what names their rows; a NUL follows
 * every text. */
typedef struct ent_agreement {
    ent_arena arena; /* holds everything below */
    ent_text title;
    const ent_text *parties;
    size_t party_count;
    int64_t from_unix_s;
    int64_t until_unix_s;
    bool has_extension;
    uint32_t extension_days;           /* by how much each extension moves the end */
    uint32_t decline_days;             /* how long before the end it can last be declined */
    const ent_deadline_row *deadlines; /* by kind, then urgency */
    size_t deadline_count;
    const ent_protected_system *protected_systems;
    size_t protected_count;
    const ent_reciprocal_class *classes; /* in the order of the terms */
    size_t class_count;
    bool has_threat_level;
    uint32_t window_s;
    uint32_t severity_weights[ENT_SEVERITY_COUNT]; /* [NONE] = 0 */
    const ent_threat_level *levels;                /* ascending; the first is from 0 */
    size_t level_count;
    const ent_text *two_officers;
    size_t two_officer_count;
    bool has_retention;
    uint32_t entries_days;
    uint32_t bodies_days;
    uint32_t attachments_days;
    const ent_party_hours *service_hours;
    size_t service_hours_count;
    bool freezes_deadlines; /* a suspension does; true unless the terms say otherwise */
    uint32_t check_every_s; /* comm checks; 0 = none agreed */
    uint32_t check_reply_within_s;
    const ent_text *languages;
    size_t language_count;
    const ent_unknown_member *unknown; /* kept and ignored; at most ENT_AGREEMENT_MAX_UNKNOWN */
    size_t unknown_count;
} ent_agreement;

/** Read terms: JSON of the embedded schema that does not contradict itself.
 *  @in   terms   borrowed for the call only, at most ENT_JSON_MAX_BYTES
 *  Owns: caller frees with ent_agreement_free.
 *  Errors: PEER_MALFORMED (no JSON, a key twice), PEER_INVALID (names the field, what was given and what is allowed),
 *  PEER_TOO_LARGE, NOMEM.  Threads: safe. */
ENT_RC ent_agreement_parse(ent_bytes terms, ent_agreement **ret, ent_err *err);
void ent_agreement_free(ent_agreement *agreement);
/** For ENT_CLEANUP. */
void ent_agreement_release(ent_agreement **agreement);
/** The embedded JSON Schema, for docs and `agreement new`. */
const char *ent_agreement_schema(void);

/** Deadlines of a message: the row of its kind with the highest urgency not above its own, else that of the lowest
 *  urgency; not found when its kind has none. */
ent_deadlines ent_agreement_deadlines(const ent_agreement *agreement, ent_text kind, ent_urgency effective);
/** Whether an id names a protected system, and the least urgency of a message about it (nullable). */
bool ent_agreement_protected(const ent_agreement *agreement, ent_text id, ent_urgency *ret_floor);
/** Index in classes of the reciprocal class that counts this kind, or -1. */
int ent_agreement_class(const ent_agreement *agreement, ent_text kind);
uint32_t ent_agreement_weight(const ent_agreement *agreement, ent_severity severity);
/** Name of the threat level at a sum of weights; NULL data when no levels are agreed. */
ent_text ent_agreement_level(const ent_agreement *agreement, uint64_t sum);
/** Whether a message of this kind needs a second officer before it is said. */
bool ent_agreement_two_officers(const ent_agreement *agreement, ent_text kind);
bool ent_agreement_freezes_deadlines(const ent_agreement *agreement);
bool ent_agreement_has_party(const ent_agreement *agreement, ent_text party);
/** A party's service hours; NULL when it has none, which is round the clock. */
const ent_service_hours *ent_agreement_service_hours(const ent_agreement *agreement, ent_text party);
/** The end as it stands at a moment: `until`, moved by extension_days each time that (end - decline_days) has been
 *  reached with no decline seen before; one decline ends all extension. ENT_TIME_MAX_UNIX_S for the empty agreement.
 *  @in   first_decline_unix_s   when the first decline was seen; INT64_MAX = none */
int64_t ent_agreement_end(const ent_agreement *agreement, int64_t at_unix_s, int64_t first_decline_unix_s);

/** Append what changes from one agreement to another, a line each for a person to read, such as
 *  `deadline of request.information, immediate: answer 86400 s (24 h) -> 43200 s (12 h)`; nothing when they say the
 *  same. Order of rows does not matter. Names stand as JSON strings, so a line is one line.
 *  Errors: NOMEM (ret then holds what had been appended). */
ENT_RC ent_agreement_diff(const ent_agreement *before, const ent_agreement *after, ent_buf *ret, ent_err *err);

#endif
