/* What `entente send` hands to the node. */
#ifndef ENT_CLI_DRAFT_H
#define ENT_CLI_DRAFT_H

#include "base/json.h"
#include "cli/cli.h"

/** Media type by a file name's extension; "application/octet-stream" when it is not in the table. */
const char *ent_cli_media_type(const char *path);

/** Append the body's JSON: what was given when it is a JSON object with a member of the envelope (fields, text, stix,
 *  files), else {"fields":{},"text":{LANGUAGE:content},"authentic":LANGUAGE}; {"fields":{}} when nothing was given.
 *  @in   content    nullable: NULL when there is no --body
 *  @in   names      base names of the attachments; rows for those that files[] lacks are added
 *  @out  ret_text   whether the content was taken as plain text
 *  Errors: PEER_MALFORMED when the content starts like a JSON object and is none, or is no UTF-8; USAGE when files[]
 * names more than is attached; NOMEM. */
ENT_RC ent_cli_body_make(const ent_buf *content, const char *language, const char *const *names, size_t name_count,
                         ent_buf *ret, bool *ret_text, ent_err *err);
/** Set a field of a body to a text.  Errors: PEER_MALFORMED, NOMEM; the body is unchanged on failure. */
ENT_RC ent_cli_body_field(ent_buf *body, const char *name, const char *value, ent_err *err);

#endif
