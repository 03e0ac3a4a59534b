/* Terms that fit the schema and contradict themselves. */
#include "ledger/agreement_internal.h"

#include <inttypes.h>
#include <stdio.h>

#include "message/kind.h"

ent_rc agreement_check_kind(ent_text kind, const char *where, ent_err *err)
{
    char shown[AGREEMENT_SHOWN_SIZE];
    if (ent_kind_find(kind) == NULL)
        return agreement_refuse(err, "%s: \"%s\" given, expected a kind that this version knows (`entente kinds`)",
                                where, agreement_show(kind, shown));
    return ENT_DONE;
}

static ent_rc check_validity(const ent_agreement *agreement, ent_err *err)
{
    char from[ENT_TIME_TEXT_SIZE + 1];
    char until[ENT_TIME_TEXT_SIZE + 1];
    int64_t length = agreement->until_unix_s - agreement->from_unix_s;
    ent_time_format(agreement->from_unix_s, from);
    ent_time_format(agreement->until_unix_s, until);
    if (length <= 0)
        return agreement_refuse(err, "validity.until: \"%s\" given, expected a time after validity.from, \"%s\"", until,
                                from);
    if (agreement->has_extension && (int64_t)agreement->decline_days * ENT_DAY_S >= length)
        return agreement_refuse(err,
                                "validity.extension.unless_declined_days_before: %" PRIu32
                                " given, expected less than the whole validity (%s to %s): nobody could ever decline",
                                agreement->decline_days, from, until);
    return ENT_DONE;
}

static ent_rc check_parties(const ent_agreement *agreement, ent_err *err)
{
    for (size_t i = 1; i < agreement->party_count; i++) {
        if (ent_text_equal(agreement->parties[i - 1], agreement->parties[i]))
            return agreement_refuse(err, "parties: \"%.*s\" stands twice; each party stands once",
                                    ENT_TEXT_ARG(agreement->parties[i]));
    }
    return ENT_DONE;
}

typedef struct {
    const char *name;
    size_t offset;
} column;

static const column columns[] = {
    {"acknowledge_s", offsetof(ent_deadlines, acknowledge_s)},
    {"answer_s", offsetof(ent_deadlines, answer_s)},
    {"notification_s", offsetof(ent_deadlines, notification_s)},
    {"final_s", offsetof(ent_deadlines, final_s)},
};

static uint32_t value_of(const ent_deadline_row *row, const column *which)
{
    uint32_t value = 0;
    memcpy(&value, (const uint8_t *)&row->deadlines + which->offset, sizeof value);
    return value;
}

static void name_row(const ent_deadline_row *row, char out[128])
{
    (void)snprintf(out, 128, "deadlines: %.*s, %s", ENT_TEXT_ARG(row->kind), ent_urgency_word(row->urgency));
}

/* What is contradictory within one row. */
static ent_rc check_row(const ent_agreement *agreement, const ent_deadline_row *row, ent_err *err)
{
    char where[128];
    const ent_deadlines *d = &row->deadlines;
    name_row(row, where);
    if (d->answer_s != 0 && d->answer_s < d->acknowledge_s)
        return agreement_refuse(err,
                                "%s: answer_s: %" PRIu32 " given, expected at least acknowledge_s, %" PRIu32
                                ": the answer cannot be due before the acknowledgement",
                                where, d->answer_s, d->acknowledge_s);
    if (d->final_s != 0 && d->final_s < d->notification_s)
        return agreement_refuse(err,
                                "%s: final_s: %" PRIu32 " given, expected at least notification_s, %" PRIu32
                                ": the final report cannot be due before the notification",
                                where, d->final_s, d->notification_s);
    if (d->notification_s != 0 && !ent_text_is(row->kind, "incident.early-warning"))
        return agreement_refuse(err,
                                "%s: notification_s: %" PRIu32
                                " given, expected null: only incident.early-warning is followed by a notification",
                                where, d->notification_s);
    if (d->final_s != 0 && !ent_text_starts(row->kind, ENT_TEXT("incident.")))
        return agreement_refuse(err,
                                "%s: final_s: %" PRIu32 " given, expected null: only incidents have a final report",
                                where, d->final_s);
    if (d->in_service_hours && agreement->service_hours_count == 0)
        return agreement_refuse(err, "%s: in_service_hours: true given, but no party has service_hours", where);
    return ENT_DONE;
}

/* "The stricter, the sooner", column by column, where the two numbers can be compared: hours of service are longer
 * than hours of the clock, so a milder row in service hours says nothing about a stricter one by the clock. */
static ent_rc check_pair(const ent_deadline_row *milder, const ent_deadline_row *stricter, ent_err *err)
{
    char where[128];
    if (milder->deadlines.in_service_hours && !stricter->deadlines.in_service_hours)
        return ENT_DONE;
    name_row(stricter, where);
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        uint32_t most = value_of(milder, &columns[i]);
        uint32_t given = value_of(stricter, &columns[i]);
        if (most == 0 || (given != 0 && given <= most))
            continue;
        char number[16] = "null";
        if (given != 0)
            (void)snprintf(number, sizeof number, "%" PRIu32, given);
        return agreement_refuse(err,
                                "%s: %s: %s given, expected at most %" PRIu32 ", which %s has: a stricter urgency "
                                "cannot have longer",
                                where, columns[i].name, number, most, ent_urgency_word(milder->urgency));
    }
    return ENT_DONE;
}

static ent_rc check_deadlines(const ent_agreement *agreement, ent_err *err)
{
    char where[128];
    for (size_t i = 0; i < agreement->deadline_count; i++) {
        const ent_deadline_row *row = &agreement->deadlines[i];
        ENT_TRY(check_row(agreement, row, err));
        for (size_t k = i; k > 0 && ent_text_equal(agreement->deadlines[k - 1].kind, row->kind); k--) {
            const ent_deadline_row *milder = &agreement->deadlines[k - 1];
            name_row(row, where);
            if (milder->urgency == row->urgency)
                return agreement_refuse(err, "%s: stands twice; a kind and an urgency have one row", where);
            ENT_TRY(check_pair(milder, row, err));
        }
    }
    return ENT_DONE;
}

static ent_rc check_protected(const ent_agreement *agreement, ent_err *err)
{
    char shown[AGREEMENT_SHOWN_SIZE];
    for (size_t i = 1; i < agreement->protected_count; i++) {
        ent_text id = agreement->protected_systems[i].id;
        if (ent_text_equal(agreement->protected_systems[i - 1].id, id))
            return agreement_refuse(err, "protected_systems: the id \"%s\" stands twice; each id names one system",
                                    agreement_show(id, shown));
    }
    return ENT_DONE;
}

static ent_rc check_classes(const ent_agreement *agreement, ent_err *err)
{
    char shown[AGREEMENT_SHOWN_SIZE];
    char other[AGREEMENT_SHOWN_SIZE];
    for (size_t i = 0; i < agreement->class_count; i++) {
        const ent_reciprocal_class *one = &agreement->classes[i];
        (void)agreement_show(one->name, shown);
        for (size_t k = 1; k < one->kind_count; k++) {
            if (ent_text_equal(one->kinds[k - 1], one->kinds[k]))
                return agreement_refuse(err, "reciprocity: %.*s stands twice in the class \"%s\"; a kind counts once",
                                        ENT_TEXT_ARG(one->kinds[k]), shown);
        }
        for (size_t k = 0; k < i; k++) {
            const ent_reciprocal_class *two = &agreement->classes[k];
            if (ent_text_equal(one->name, two->name))
                return agreement_refuse(err, "reciprocity: the class \"%s\" stands twice; each class has one row",
                                        shown);
            for (size_t n = 0; n < one->kind_count; n++) {
                if (agreement_find_text(two->kinds, two->kind_count, one->kinds[n]) >= 0)
                    return agreement_refuse(
                        err, "reciprocity: %.*s stands in the classes \"%s\" and \"%s\"; a kind counts in one",
                        ENT_TEXT_ARG(one->kinds[n]), agreement_show(two->name, other), shown);
            }
        }
    }
    return ENT_DONE;
}

static ent_rc check_threat_level(const ent_agreement *agreement, ent_err *err)
{
    char shown[AGREEMENT_SHOWN_SIZE];
    const uint32_t *weights = agreement->severity_weights;
    for (int i = ENT_SEVERITY_MEDIUM; i < ENT_SEVERITY_COUNT; i++) {
        if (weights[i] < weights[i - 1])
            return agreement_refuse(err,
                                    "threat_level.severity_weights.%s: %" PRIu32 " given, expected at least %" PRIu32
                                    ", the weight of %s",
                                    ent_severity_word((ent_severity)i), weights[i], weights[i - 1],
                                    ent_severity_word((ent_severity)(i - 1)));
    }
    for (size_t i = 0; i < agreement->level_count; i++) {
        const ent_threat_level *level = &agreement->levels[i];
        if (i == 0 && level->from != 0)
            return agreement_refuse(err, "threat_level.levels[0].from: %" PRIu64 " given, expected 0", level->from);
        if (i > 0 && level->from <= level[-1].from)
            return agreement_refuse(err,
                                    "threat_level.levels[%zu].from: %" PRIu64 " given, expected more than %" PRIu64
                                    ", where the level before begins",
                                    i, level->from, level[-1].from);
        for (size_t k = 0; k < i; k++) {
            if (ent_text_equal(agreement->levels[k].name, level->name))
                return agreement_refuse(err, "threat_level.levels[%zu].name: \"%s\" given, which is the name of [%zu]",
                                        i, agreement_show(level->name, shown), k);
        }
    }
    return ENT_DONE;
}

static ent_rc check_two_officers(const ent_agreement *agreement, ent_err *err)
{
    for (size_t i = 0; i < agreement->two_officer_count; i++) {
        ent_text name = agreement->two_officers[i];
        const ent_kind *kind = ent_kind_find(name);
        if (i > 0 && ent_text_equal(agreement->two_officers[i - 1], name))
            return agreement_refuse(err, "two_officers: %.*s stands twice; each kind stands once", ENT_TEXT_ARG(name));
        if (kind != NULL && (kind->by_node || kind->by_neutral))
            return agreement_refuse(
                err, "two_officers: \"%.*s\" given, which %s; expected a kind that an officer sends",
                ENT_TEXT_ARG(name), kind->by_node ? "a node says by itself" : "only the neutral says");
    }
    return ENT_DONE;
}

ent_rc agreement_check_rules(const ent_agreement *agreement, ent_err *err)
{
    ENT_TRY(check_parties(agreement, err));
    ENT_TRY(check_validity(agreement, err));
    ENT_TRY(check_deadlines(agreement, err));
    ENT_TRY(check_protected(agreement, err));
    ENT_TRY(check_classes(agreement, err));
    ENT_TRY(check_threat_level(agreement, err));
    return check_two_officers(agreement, err);
}
