/* Party names. */
#ifndef ENT_BASE_NAME_H
#define ENT_BASE_NAME_H

#include "base/bytes.h"

enum { ENT_NAME_MAX_BYTES = 64 };

/** Whether a text is a party's name: DNS-like, lower case, at least two labels of [a-z0-9-] that neither start nor end
 *  with a hyphen, at most 64 bytes.  Source: design.md sections 1 and 2. */
bool ent_name_valid(ent_text name);

#endif
