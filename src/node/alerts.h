/* Alerts: what an officer must be told at 3 a.m. goes to e-mail, a webhook and a program, each at least once.  Source:
 * design.md section 8 ("a clock for deadlines and alerts"), docs/alerts.md.
 *
 *  events, clock ──► sources (duties, flash, forks, agreement) ──► sequencer ──► store ──► a sender for each sink
 *
 * What a source finds is stored under a key before it is sent, so that it is told once however often it is found, also
 * after a restart; a sender stores that it was delivered after it was. */
#ifndef ENT_NODE_ALERTS_H
#define ENT_NODE_ALERTS_H

#include "node/alert_config.h"
#include "node/node.h"

/** Read DIR/alerts.json, if there is one, and start the threads: without one, only that which notes what officers open.
 *  Errors: those of ent_alert_config_read, IO, NOMEM. */
ENT_RC ent_alerts_new(ent_node *node, ent_alerts **ret, ent_err *err);
/** End the threads, within a second or so; deliveries under way are broken off and made again after the next start. */
void ent_alerts_stop(ent_alerts *alerts);
/** After ent_alerts_stop and the last ent_alerts_wake. NULL is fine. */
void ent_alerts_free(ent_alerts *alerts);

/** Something happened in a channel. Cheap, never blocks for long, NULL is fine. */
void ent_alerts_wake(ent_alerts *alerts, ent_channel *channel);
/** An officer opened a message of another member: noted later, by our thread; reading never waits for it. */
void ent_alerts_opened(ent_alerts *alerts, ent_channel *channel, uint32_t member, uint64_t index);

/** The configuration in force, kept until it is given back; NULL when there is none. */
ent_alert_config *ent_alerts_config_take(ent_alerts *alerts);
/** Read DIR/alerts.json anew and use it from now on.
 *  @out  ret   as ent_alerts_config_take gives it
 *  Errors: ABSENT, and those of ent_alert_config_read: the old one stays in force. */
ENT_RC ent_alerts_config_reload(ent_alerts *alerts, ent_alert_config **ret, ent_err *err);

#endif
