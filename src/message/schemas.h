/* The files of schemas/, embedded by embed.py as minified, NUL-terminated JSON. Private to this stage. */
#ifndef ENT_MESSAGE_SCHEMAS_H
#define ENT_MESSAGE_SCHEMAS_H

extern const char ent_schema_envelope[];

extern const char ent_schema_answer_acknowledgement[];
extern const char ent_schema_answer_response[];
extern const char ent_schema_channel_genesis[];
extern const char ent_schema_channel_notice[];
extern const char ent_schema_contact_check[];
extern const char ent_schema_evidence_held[];
extern const char ent_schema_evidence_item[];
extern const char ent_schema_incident_notification[];

#endif
