/* What the ledger takes from an opened body: facts, never prose.  Source: design.md section 5. */
#ifndef ENT_LEDGER_FACTS_H
#define ENT_LEDGER_FACTS_H

#include "ledger/agreement.h"
#include "message/kind.h"

enum { ENT_FACTS_MAX_SYSTEMS = 8, ENT_FACTS_MAX_REFS = 16, ENT_FACTS_NONCE_SIZE = 16, ENT_FACTS_MAX_CARRIED = 256 };

typedef enum {
    ENT_DUTY_ACKNOWLEDGE = 1,
    ENT_DUTY_ANSWER,
    ENT_DUTY_FOLLOW_UP,    /* an answer that was postponed */
    ENT_DUTY_NOTIFICATION, /* after an early warning */
    ENT_DUTY_FINAL         /* after a notification */
} ent_duty_type;
const char *ent_duty_type_word(ent_duty_type type);

/** A duty of the channel that this one succeeds, which was open at the heads that the genesis names. */
typedef struct {
    ent_message_ref message; /* of that channel */
    ent_duty_type duty;
    ent_text debtor;
    int64_t start_unix_s; /* 0 = its clock starts anew */
    int64_t due_unix_s;   /* 0 = no deadline */
} ent_carried;

typedef enum {
    ENT_OUTCOME_NONE = 0,
    ENT_OUTCOME_GRANTED,
    ENT_OUTCOME_PARTIAL,
    ENT_OUTCOME_REFUSED,
    ENT_OUTCOME_POSTPONED,
    ENT_OUTCOME_IMPOSSIBLE,
    ENT_OUTCOME_NEEDS_CLARIFICATION,
    ENT_OUTCOME_COUNT
} ent_outcome;
/** "granted", …; NULL for NONE. */
const char *ent_outcome_word(ent_outcome outcome);

/** Zeroed is a body that was not opened or is not valid: the message is *contested*. Texts borrow from the body. */
typedef struct {
    bool readable;
    ent_outcome outcome;                     /* answer.response */
    bool clarifies;                          /* answer.status, state clarification */
    bool declines_extension;                 /* channel.review */
    ent_severity severity;                   /* incident.* */
    ent_text systems[ENT_FACTS_MAX_SYSTEMS]; /* protected_systems: ids of the agreement */
    size_t system_count;
    int64_t until_unix_s; /* postponed until, or reply_by of a check; 0 = none */
    bool has_digest;
    ent_hash digest; /* proposal.accept: of the sealed body that is accepted */
    bool has_nonce;
    uint8_t nonce[ENT_FACTS_NONCE_SIZE];
    bool has_echo;
    uint8_t echo[ENT_FACTS_NONCE_SIZE];
    bool has_terms; /* channel.genesis, channel.amendment */
    ent_hash replaces;
    ent_hash commitment;
    ent_buf terms;          /* owned */
    bool contests;          /* channel.rotate: the log key was revoked … */
    uint64_t contests_from; /* … and what its log holds from this index up to the message is contested */
    bool reveals;           /* channel.reveal: for the node; what it shows makes a message proven_bad, or not */
    ent_hash revealed;
    ent_file_key file_key;
    bool proven_bad; /* its writer has shown the file key, and the body is not well-formed; then nothing else is set */
    ent_message_ref
        refs[ENT_FACTS_MAX_REFS]; /* evidence of a claim; what an item supports; further ones are not counted */
    size_t ref_count;
    bool has_continues;
    ent_message_ref continues; /* the message of the channel before that this one says again */
    ent_carried *carried;      /* channel.genesis; owned */
    size_t carried_count;
} ent_facts;

/** Take the facts out of a body that was parsed and validated.
 *  Errors: NOMEM.  Owns: release with ent_facts_release; borrows from the body. */
ENT_RC ent_facts_read(const ent_body *body, ent_text kind, ent_facts *ret, ent_err *err);
void ent_facts_release(ent_facts *facts);

#endif
