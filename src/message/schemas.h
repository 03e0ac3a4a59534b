/* The files of schemas/ and the examples of bodies, embedded by embed.py as NUL-terminated JSON. Private to this stage.
 */
#ifndef ENT_MESSAGE_SCHEMAS_H
#define ENT_MESSAGE_SCHEMAS_H

/* Every kind, its name as embed.py spells it in C. */
#define ENT_KIND_WORDS(X)                                                                                              \
    X(answer_acknowledgement)                                                                                          \
    X(answer_response)                                                                                                 \
    X(answer_status)                                                                                                   \
    X(attribution_claim)                                                                                               \
    X(attribution_denial)                                                                                              \
    X(channel_amendment)                                                                                               \
    X(channel_consent)                                                                                                 \
    X(channel_escalation)                                                                                              \
    X(channel_genesis)                                                                                                 \
    X(channel_notice)                                                                                                  \
    X(channel_override)                                                                                                \
    X(channel_resume)                                                                                                  \
    X(channel_reveal)                                                                                                  \
    X(channel_review)                                                                                                  \
    X(channel_rotate)                                                                                                  \
    X(channel_suspend)                                                                                                 \
    X(commitment_breach_claim)                                                                                         \
    X(commitment_fulfilment)                                                                                           \
    X(commitment_match)                                                                                                \
    X(commitment_pledge)                                                                                               \
    X(consultation_agenda)                                                                                             \
    X(consultation_record)                                                                                             \
    X(contact_check)                                                                                                   \
    X(contact_nomination)                                                                                              \
    X(correction_correction)                                                                                           \
    X(correction_recall)                                                                                               \
    X(evidence_held)                                                                                                   \
    X(evidence_item)                                                                                                   \
    X(exchange_abort)                                                                                                  \
    X(exchange_core)                                                                                                   \
    X(exchange_held)                                                                                                   \
    X(exchange_manifest)                                                                                               \
    X(exchange_offer)                                                                                                  \
    X(feed_indicators)                                                                                                 \
    X(incident_early_warning)                                                                                          \
    X(incident_final)                                                                                                  \
    X(incident_notification)                                                                                           \
    X(incident_update)                                                                                                 \
    X(neutral_abort)                                                                                                   \
    X(neutral_close)                                                                                                   \
    X(neutral_deposit)                                                                                                 \
    X(neutral_expired)                                                                                                 \
    X(neutral_handover)                                                                                                \
    X(neutral_lapsed)                                                                                                  \
    X(neutral_match)                                                                                                   \
    X(neutral_open)                                                                                                    \
    X(neutral_reject)                                                                                                  \
    X(neutral_release)                                                                                                 \
    X(neutral_withdraw)                                                                                                \
    X(proposal_accept)                                                                                                 \
    X(proposal_counter)                                                                                                \
    X(proposal_proposal)                                                                                               \
    X(proposal_reject)                                                                                                 \
    X(proposal_withdraw)                                                                                               \
    X(request_assistance)                                                                                              \
    X(request_consultation)                                                                                            \
    X(request_information)                                                                                             \
    X(request_preservation)                                                                                            \
    X(request_surrender)                                                                                               \
    X(request_takedown)

#define ENT_KIND_DECLARE(word)                                                                                         \
    extern const char ent_schema_##word[];                                                                             \
    extern const char ent_example_##word[];
ENT_KIND_WORDS(ENT_KIND_DECLARE)
#undef ENT_KIND_DECLARE

extern const char ent_schema_envelope[];

#endif
