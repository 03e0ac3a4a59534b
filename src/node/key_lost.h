/* Keys of ours whose files are not there: what each does is held, the rest goes on, until a copy is put back or the key
 * is revoked.  Source: design.md section 2 "Rotation", section 8 "keeper". */
#ifndef ENT_NODE_KEY_LOST_H
#define ENT_NODE_KEY_LOST_H

#include "node/node.h"

/** Whether the key that our card names is lost. Of TLS: whether this run has no certificate, though it should. */
bool ent_key_is_lost(const ent_node *node, ent_key_role role);
/** Whether one of our keys, now or of before, is lost; one that no card of ours names is not.
 *  @in   value   32 bytes */
bool ent_key_value_is_lost(const ent_node *node, ent_key_role role, const uint8_t *value);
/** Whether the key that signs a head of our log of this size, as the running transaction leaves things, is lost. */
bool ent_key_lost_for_head(const ent_node *node, const ent_channel *channel, uint64_t size);
/** Note in the channel whether the key of its next head is lost, which holds it (ENT_HOLD_KEY). */
void ent_key_look(const ent_node *node, ent_channel *channel);

enum { ENT_KEY_LOST_TEXT_SIZE = 512 };
/** What a lost key holds up, and what to do; for our own people. */
void ent_key_lost_text(const ent_node *node, ent_key_role role, char ret[ENT_KEY_LOST_TEXT_SIZE]);
/** The same as a failure. */
ENT_RC ent_key_fail_lost(const ent_node *node, ent_key_role role, ent_code code, ent_err *err);
/** A channel begins with keys of ours that work.  Errors: REFUSED_KEEPER. */
ENT_RC ent_key_all_there(const ent_node *node, ent_err *err);
/** Why nothing is receipted, for those who brought it too: no path of ours. */
ENT_RC ent_key_fail_receipt(const ent_node *node, ent_err *err);
/** Report each key of our card that is lost. */
void ent_key_report_lost(const ent_node *node);
/** Write "keys_missing": [{"key", "file", "text"}]. */
void ent_key_put_lost(const ent_node *node, ent_json_writer *writer);

#endif
