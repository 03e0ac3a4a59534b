/* Messages as people ask for them: rows for lists, what answers what, who has receipted. */
#ifndef ENT_NODE_MESSAGE_ROW_H
#define ENT_NODE_MESSAGE_ROW_H

#include "node/node.h"

enum { ENT_ROWS_WINDOW = 100000 }; /* newest entries of each log that lists and answers look at */

/** One message of a channel. */
typedef struct ent_row {
    uint32_t member;
    ent_entry entry; /* in the set's arena */
    const struct ent_row **answers;
    size_t answer_count;
    const struct ent_row *recall; /* the first correction.recall of it, by its writer */
    const struct ent_row *notice; /* a channel.notice about it: contested, or not allowed where it stands */
} ent_row;

/** The newest messages of a channel, in order of time; release with ent_rows_release. */
typedef struct {
    ent_channel *channel;
    ent_row *rows;
    size_t count;
    ent_row **by_time;
    ent_arena arena;
} ent_rows;

/** Read the rows of a channel: at most `window` of each log. */
ENT_RC ent_rows_read(ent_node *node, ent_channel *channel, uint64_t window, ent_rows *ret, ent_err *err);
void ent_rows_release(ent_rows *rows);

/** How many entries of a log every member but its writer has receipted, as far as we know. */
ENT_RC ent_log_receipted(ent_node *node, ent_channel *channel, uint32_t member, uint64_t *ret, ent_err *err);
/** Waiting for an answer to a message of ours: how much of each log was looked at. */
typedef struct {
    uint64_t seen[ENT_ENTRY_MAX_MEMBERS];
} ent_answer_search;
/** Begin before the message is said: what is held by then cannot answer it. */
void ent_answer_search_begin(ent_channel *channel, ent_answer_search *ret);
/** Look at what came since.
 *  @in   index   of our message
 *  @out  ret     its party borrows from the channel; set when *ret_found */
ENT_RC ent_answer_search_next(ent_node *node, ent_channel *channel, uint64_t index, ent_answer_search *search,
                              bool *ret_found, ent_message_ref *ret, ent_err *err);

/** The opened body of a stored message as JSON; NULL when it has none, does not open or does not parse: the opener has
 * said so. Owns: caller frees with ent_json_free. */
ent_json *ent_message_document(ent_node *node, ent_channel *channel, uint32_t member, const ent_entry *entry);

enum { ENT_SUBJECT_MAX_BYTES = 200 };
/** fields.title of an opened body, cut at a character to ENT_SUBJECT_MAX_BYTES; peers may send any. */
ent_text ent_subject_of(ent_json_value fields);
/** The same for a stored message; nothing when it has none or does not open. */
void ent_message_subject(ent_node *node, ent_channel *channel, uint32_t member, const ent_entry *entry, ent_buf *ret);

#endif
