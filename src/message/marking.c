/* Words of an entry: TLP markings and urgencies.  Source: FIRST, Traffic Light Protocol 2.0; design.md section 4. */
#include "message/entry.h"

#include <strings.h>

static const char *const marking_words[ENT_MARKING_COUNT] = {
    [ENT_MARKING_CLEAR] = "TLP:CLEAR", [ENT_MARKING_GREEN] = "TLP:GREEN",
    [ENT_MARKING_AMBER] = "TLP:AMBER", [ENT_MARKING_AMBER_STRICT] = "TLP:AMBER+STRICT",
    [ENT_MARKING_RED] = "TLP:RED",
};

static const char *const urgency_words[ENT_URGENCY_COUNT] = {
    [ENT_URGENCY_ROUTINE] = "routine",
    [ENT_URGENCY_PRIORITY] = "priority",
    [ENT_URGENCY_IMMEDIATE] = "immediate",
    [ENT_URGENCY_FLASH] = "flash",
};

const char *ent_marking_word(ent_marking marking)
{
    return (unsigned)marking < ENT_MARKING_COUNT ? marking_words[marking] : NULL;
}

bool ent_marking_from_person(ent_text text, ent_marking *ret)
{
    enum { PREFIX_SIZE = 4 };
    for (int i = ENT_MARKING_CLEAR; i < ENT_MARKING_COUNT; i++) {
        const char *word = marking_words[i];
        const char *bare = word + PREFIX_SIZE;
        if ((text.size == strlen(word) && strncasecmp(text.data, word, text.size) == 0) ||
            (text.size == strlen(bare) && strncasecmp(text.data, bare, text.size) == 0)) {
            *ret = (ent_marking)i;
            return true;
        }
    }
    return false;
}

ent_marking ent_marking_strictest(ent_marking a, ent_marking b)
{
    a = a == ENT_MARKING_NONE ? ENT_MARKING_AMBER : a;
    b = b == ENT_MARKING_NONE ? ENT_MARKING_AMBER : b;
    return a > b ? a : b;
}

const char *ent_urgency_word(ent_urgency urgency)
{
    return (unsigned)urgency < ENT_URGENCY_COUNT ? urgency_words[urgency] : NULL;
}

bool ent_urgency_from_text(ent_text text, ent_urgency *ret)
{
    for (int i = 0; i < ENT_URGENCY_COUNT; i++) {
        if (ent_text_is(text, urgency_words[i])) {
            *ret = (ent_urgency)i;
            return true;
        }
    }
    return false;
}
