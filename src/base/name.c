#include "base/name.h"

static bool label_valid(ent_text label)
{
    if (label.size == 0 || label.size > 63 || label.data[0] == '-' || label.data[label.size - 1] == '-')
        return false;
    for (size_t i = 0; i < label.size; i++) {
        char c = label.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
            return false;
    }
    return true;
}

bool ent_name_valid(ent_text name)
{
    if (name.size == 0 || name.size > ENT_NAME_MAX_BYTES)
        return false;
    size_t labels = 0;
    size_t start = 0;
    for (size_t i = 0; i <= name.size; i++) {
        if (i < name.size && name.data[i] != '.')
            continue;
        if (!label_valid((ent_text){name.data + start, i - start}))
            return false;
        labels++;
        start = i + 1;
    }
    return labels >= 2;
}
