/* Recovering what a store has no row of, or no file: channels that were begun after the backup, and attachments. */
#ifndef ENT_NODE_RECOVER_MORE_H
#define ENT_NODE_RECOVER_MORE_H

#include "node/recover.h"

/** What came of asking for channels. */
typedef struct {
    ent_hash *ids; /* known here now, and not before */
    size_t count;
    size_t capacity;
    size_t failures;
    char trouble[512]; /* why the last that failed did not come back; "" = all did */
} ent_recovered_channels;
void ent_recovered_channels_release(ent_recovered_channels *channels);
bool ent_recovered_channels_has(const ent_recovered_channels *channels, const ent_hash *id);

/** Bring back the channels that a party shows us to have spoken in: each by the head of our own log, signed by us. They
 * are held until ent_recover has brought the rest. Those that are known already are passed over.
 *  @in   only   nullable: this channel alone
 *  Errors: those of the party's refusal to list them, UNREACHABLE, RETRY when the node stops, IO, NOMEM.  Blocks: yes.
 *  Owns: release, also after a failure. */
ENT_RC ent_recover_channels(ent_node *node, ent_text from, const ent_hash *only, ent_recovered_channels *ret,
                            ent_err *err);

/** Fetch the attachments of a channel that are not here from a member that may hold them, piece by piece: what came
 * stays, and the next call goes on there.
 *  @out  ret   attachments, attachments_missing, and trouble where none stands yet
 *  Errors: IO, NOMEM, those of the store. */
ENT_RC ent_recover_blobs(ent_node *node, ent_channel *channel, const ent_peer *peer, ent_recovered *ret, ent_err *err);

#endif
