/* What the files of the card implementation share; not for other stages. */
#ifndef ENT_SEAL_CARD_INTERNAL_H
#define ENT_SEAL_CARD_INTERNAL_H

#include "base/json.h"
#include "seal/card.h"

/** Largest integer every JSON reader keeps exactly. */
#define ENT_CARD_MAX_NUMBER ((1ULL << 53) - 1)

/** Check every field against the rules of a card.
 *  @in   own   our own card, being made: its faults are USAGE, those of another's are PEER_MALFORMED or PEER_MISMATCH
 *  Errors: as told; the text names the field. */
ENT_RC ent_card_check(const ent_card *card, bool own, ent_err *err);

/** Check that each of the roots commits to the next one, and that the last is the card's.  Errors: as ent_card_check;
 *  PEER_SIGNATURE. */
ENT_RC ent_card_check_roots(const ent_card *card, bool own, ent_err *err);
/** Whether the root key that this hash commits to is the card's, or leads to it. */
bool ent_card_root_committed(const ent_card *card, const ent_hash *commitment);

/** Append the one line of JSON, without a newline. */
void ent_card_json_put(ent_buf *buf, const ent_card *card);
/** Read the public root key alone: with it the signature is checked before anything else is looked at. */
ENT_RC ent_card_json_root(ent_json_value object, ent_public_key *ret, ent_err *err);
/** Read all fields; members that are not known are ignored.
 *  @in   arena   what the texts are copied to
 *  @out  ret     undefined on failure
 *  Errors: PEER_MALFORMED naming the field, NOMEM. */
ENT_RC ent_card_json_read(ent_json_value object, ent_arena *arena, ent_card *ret, ent_err *err);

#endif
