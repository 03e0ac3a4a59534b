/* What we ask of STIX 2.1 content before it goes anywhere: that it is a bundle of identified objects, and how it is
 * marked. Private to this stage.  Source: STIX 2.1 (OASIS), sections 3.1, 7.2 and 8. */
#ifndef ENT_MESSAGE_STIX_H
#define ENT_MESSAGE_STIX_H

#include "base/json.h"
#include "message/entry.h"

/** Check a bundle.
 *  @in   path         where it stands, for the error
 *  @out  ret_marking  the strictest TLP marking (2.0, or its 1.0 forebear) that an object refers to, or NONE
 *  Errors: PEER_INVALID naming the object. */
ENT_RC ent_stix_check(ent_json_value bundle, const char *path, ent_marking *ret_marking, ent_err *err);

#endif
