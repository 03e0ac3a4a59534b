/* Questions to an agreement. */
#include "ledger/agreement.h"

#include <stdlib.h>

#include "ledger/agreement_internal.h"

static const char *const severity_words[ENT_SEVERITY_COUNT] = {
    [ENT_SEVERITY_LOW] = "low",
    [ENT_SEVERITY_MEDIUM] = "medium",
    [ENT_SEVERITY_HIGH] = "high",
    [ENT_SEVERITY_CRITICAL] = "critical",
};

const char *ent_severity_word(ent_severity severity)
{
    return (unsigned)severity < ENT_SEVERITY_COUNT ? severity_words[severity] : NULL;
}

ent_severity ent_severity_from_text(ent_text text)
{
    for (int i = ENT_SEVERITY_LOW; i < ENT_SEVERITY_COUNT; i++) {
        if (ent_text_is(text, severity_words[i]))
            return (ent_severity)i;
    }
    return ENT_SEVERITY_NONE;
}

void ent_agreement_free(ent_agreement *agreement)
{
    if (agreement == NULL)
        return;
    ent_arena_release(&agreement->arena);
    ent_free(agreement);
}

void ent_agreement_release(ent_agreement **agreement)
{
    ent_agreement_free(ent_take(*agreement));
}

const char *ent_agreement_schema(void)
{
    return ent_schema_agreement;
}

int agreement_find_text(const ent_text *sorted, size_t count, ent_text text)
{
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = ent_text_compare(sorted[middle], text);
        if (order == 0)
            return (int)middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

/* Index of the first row of a kind, or of where it would stand. */
static size_t first_row(const ent_agreement *agreement, ent_text kind)
{
    size_t low = 0;
    size_t high = agreement->deadline_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ent_text_compare(agreement->deadlines[middle].kind, kind) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

ent_deadlines ent_agreement_deadlines(const ent_agreement *agreement, ent_text kind, ent_urgency effective)
{
    ent_deadlines found = {0};
    if (agreement == NULL)
        return found;
    for (size_t i = first_row(agreement, kind); i < agreement->deadline_count; i++) {
        const ent_deadline_row *row = &agreement->deadlines[i];
        if (!ent_text_equal(row->kind, kind) || (found.found && row->urgency > effective))
            break;
        found = row->deadlines;
    }
    return found;
}

bool ent_agreement_protected(const ent_agreement *agreement, ent_text id, ent_urgency *ret_floor)
{
    for (size_t i = 0; agreement != NULL && i < agreement->protected_count; i++) {
        if (!ent_text_equal(agreement->protected_systems[i].id, id))
            continue;
        if (ret_floor != NULL)
            *ret_floor = agreement->protected_systems[i].urgency_floor;
        return true;
    }
    return false;
}

int ent_agreement_class(const ent_agreement *agreement, ent_text kind)
{
    for (size_t i = 0; agreement != NULL && i < agreement->class_count; i++) {
        if (agreement_find_text(agreement->classes[i].kinds, agreement->classes[i].kind_count, kind) >= 0)
            return (int)i;
    }
    return -1;
}

uint32_t ent_agreement_weight(const ent_agreement *agreement, ent_severity severity)
{
    if (agreement == NULL || (unsigned)severity >= ENT_SEVERITY_COUNT)
        return 0;
    return agreement->severity_weights[severity];
}

ent_text ent_agreement_level(const ent_agreement *agreement, uint64_t sum)
{
    ent_text name = {NULL, 0};
    for (size_t i = 0; agreement != NULL && i < agreement->level_count && agreement->levels[i].from <= sum; i++)
        name = agreement->levels[i].name;
    return name;
}

bool ent_agreement_two_officers(const ent_agreement *agreement, ent_text kind)
{
    return agreement != NULL && agreement_find_text(agreement->two_officers, agreement->two_officer_count, kind) >= 0;
}

bool ent_agreement_freezes_deadlines(const ent_agreement *agreement)
{
    return agreement == NULL || agreement->freezes_deadlines;
}

bool ent_agreement_has_party(const ent_agreement *agreement, ent_text party)
{
    return agreement != NULL && agreement_find_text(agreement->parties, agreement->party_count, party) >= 0;
}

const ent_service_hours *ent_agreement_service_hours(const ent_agreement *agreement, ent_text party)
{
    for (size_t i = 0; agreement != NULL && i < agreement->service_hours_count; i++) {
        if (ent_text_equal(agreement->service_hours[i].party, party))
            return &agreement->service_hours[i].hours;
    }
    return NULL;
}

int64_t ent_agreement_end(const ent_agreement *agreement, int64_t at_unix_s, int64_t first_decline_unix_s)
{
    if (agreement == NULL)
        return ENT_TIME_MAX_UNIX_S;
    int64_t end = agreement->until_unix_s;
    int64_t known = at_unix_s < first_decline_unix_s ? at_unix_s : first_decline_unix_s;
    int64_t first_point = end - (int64_t)agreement->decline_days * ENT_DAY_S;
    known = known > ENT_TIME_MAX_UNIX_S ? ENT_TIME_MAX_UNIX_S : known;
    if (!agreement->has_extension || known < first_point)
        return end;
    /* Each extension moves the next point as far as it moves the end. */
    int64_t step = (int64_t)agreement->extension_days * ENT_DAY_S;
    end += ((known - first_point) / step + 1) * step;
    return end > ENT_TIME_MAX_UNIX_S ? ENT_TIME_MAX_UNIX_S : end;
}
