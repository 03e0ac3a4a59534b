/* The entry: header of a message, one line of canonical JSON in its writer's log.  Source: design.md section 2 "Entry".
 */
#ifndef ENT_MESSAGE_ENTRY_H
#define ENT_MESSAGE_ENTRY_H

#include "base/alloc.h"
#include "base/name.h"
#include "log/checkpoint.h"

enum {
    ENT_ENTRY_VERSION = 1,
    ENT_ENTRY_LIMIT_BYTES = 16 * 1024,
    ENT_ENTRY_MAX_ATTACHMENTS = 16,
    ENT_ENTRY_MAX_MEMBERS = 32, /* addressees, and acks of other logs */
    ENT_ENTRY_NONCE_SIZE = 16,
    ENT_MEDIA_TYPE_MAX_BYTES = 64,
    ENT_KIND_MAX_BYTES = 64,
    ENT_BODY_MAX_BYTES = 8 << 20 /* sealed */
};

/** TLP 2.0 markings, from the loosest to the strictest; NONE is written null and read as AMBER. */
typedef enum {
    ENT_MARKING_NONE = 0,
    ENT_MARKING_CLEAR,
    ENT_MARKING_GREEN,
    ENT_MARKING_AMBER,
    ENT_MARKING_AMBER_STRICT,
    ENT_MARKING_RED,
    ENT_MARKING_COUNT
} ent_marking;
/** "TLP:CLEAR" … "TLP:RED"; NULL for NONE. */
const char *ent_marking_word(ent_marking marking);
/** Parse "TLP:AMBER+STRICT" or "amber+strict" (any case, prefix optional); false when it is none. For what people type.
 */
bool ent_marking_from_person(ent_text text, ent_marking *ret);
/** The stricter of two, NONE counting as AMBER. */
ent_marking ent_marking_strictest(ent_marking a, ent_marking b);

/** Message precedence; ROUTINE is written null. */
typedef enum {
    ENT_URGENCY_ROUTINE = 0,
    ENT_URGENCY_PRIORITY,
    ENT_URGENCY_IMMEDIATE,
    ENT_URGENCY_FLASH,
    ENT_URGENCY_COUNT
} ent_urgency;
/** "routine", "priority", "immediate", "flash". */
const char *ent_urgency_word(ent_urgency urgency);
bool ent_urgency_from_text(ent_text text, ent_urgency *ret);

/** Names a message inside a channel: "party/index". */
typedef struct {
    ent_text party;
    uint64_t index;
} ent_message_ref;
bool ent_message_ref_parse(ent_text text, ent_message_ref *ret);

/** Digest, size and media type of a sealed blob. */
typedef struct {
    ent_hash digest;
    uint64_t size;
    ent_text type;
} ent_blob_ref;

/** A head of another member's log that the writer has receipted. */
typedef struct {
    ent_text origin;
    ent_tree_head head;
} ent_ack;

/** One entry. Texts borrow: from the arena of a decoded entry, or from the caller's memory when encoding. */
typedef struct {
    ent_hash channel;
    ent_text writer;
    uint64_t index;
    ent_text time; /* YYYY-MM-DDThh:mm:ssZ */
    ent_text kind; /* "family.kind" */
    uint8_t nonce[ENT_ENTRY_NONCE_SIZE];
    bool has_thread; /* false in the first message of a thread */
    ent_message_ref thread;
    bool has_reply_to;
    ent_message_ref reply_to;
    ent_text *to; /* addressees, sorted, no duplicates; none = all members */
    size_t to_count;
    ent_ack *acks; /* sorted by origin, one per origin */
    size_t ack_count;
    ent_hash agreement; /* terms commitment in force */
    ent_marking marking;
    ent_urgency urgency;
    bool exercise;
    bool has_body;
    ent_blob_ref body;
    ent_blob_ref *attachments;
    size_t attachment_count;
} ent_entry;

/** Append the one line (no newline at its end).
 *  Errors: USAGE naming the field that is not allowed, PEER_TOO_LARGE over 16 KiB, NOMEM. */
ENT_RC ent_entry_encode(const ent_entry *entry, ent_buf *ret, ent_err *err);
/** Decode exactly what the encoder would write, and nothing else.
 *  @in   bytes   borrowed for the call only
 *  @out  ret     its memory is in arena
 *  Errors: PEER_MALFORMED, PEER_NOT_CANONICAL, PEER_TOO_LARGE, NOMEM; the text names the field and offset. */
ENT_RC ent_entry_decode(ent_bytes bytes, ent_arena *arena, ent_entry *ret, ent_err *err);

/** Whether a text may stand in an entry or genesis: bytes 20–7E without '"' and '\'. */
bool ent_plain_valid(ent_text text);
/** Whether a text is a media type as we take it: token "/" token, lower case, at most 64 bytes. */
bool ent_media_type_valid(ent_text text);
/** Whether a text is "family.kind": lower-case letters, digits and hyphens around one dot, at most 64 bytes. */
bool ent_kind_name_valid(ent_text text);

#endif
