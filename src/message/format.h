/* Formats that schemas assert of strings. Private to this stage. */
#ifndef ENT_MESSAGE_FORMAT_H
#define ENT_MESSAGE_FORMAT_H

#include "base/bytes.h"

typedef bool ent_format_check(ent_text text);

typedef struct {
    const char *name;
    const char *words; /* what a person is told: "expected <words>" */
    ent_format_check *check;
} ent_format;

/** A format by its name in a schema; NULL when it is none of ours. */
const ent_format *ent_format_find(ent_text name);

/** Whether a text is a STIX identifier: type, "--", UUID.  Source: STIX 2.1, section 2.9.
 *  @out  ret_type   nullable; borrows from text */
bool ent_stix_id_valid(ent_text text, ent_text *ret_type);

#endif
