/* What is read as an agreement says the same when it is read again, and keeps the promises that the ledger relies on:
 * sorted rows, a deadline for every urgency of a kind that has one, an end not before the one agreed. */
#include "ledger/agreement.h"

#include "check.h"

static void check_hours(const ent_service_hours *hours)
{
    uint32_t before = 0;
    uint32_t total = 0;
    for (size_t i = 0; i < hours->count; i++) {
        const ent_week_interval *one = &hours->intervals[i];
        CHECK(i == 0 || one->from_s > before);
        CHECK(one->from_s < one->until_s && one->until_s <= ENT_WEEK_S);
        before = one->until_s;
        total += one->until_s - one->from_s;
    }
    CHECK(total == hours->total_s && total > 0);
}

static void check_deadlines(const ent_agreement *a)
{
    for (size_t i = 0; i < a->deadline_count; i++) {
        const ent_deadline_row *row = &a->deadlines[i];
        ent_deadlines found = ent_agreement_deadlines(a, row->kind, row->urgency);
        CHECK(found.found && found.answer_s == row->deadlines.answer_s);
        CHECK(found.answer_s == 0 || found.acknowledge_s <= found.answer_s);
        for (int urgency = 0; urgency < ENT_URGENCY_COUNT; urgency++)
            CHECK(ent_agreement_deadlines(a, row->kind, (ent_urgency)urgency).found);
        for (size_t k = 0; k < a->service_hours_count; k++) {
            const ent_service_hours *hours = &a->service_hours[k].hours;
            uint32_t seconds = row->deadlines.answer_s;
            int64_t due = ent_calendar_advance(a->from_unix_s, seconds, hours, NULL, 0);
            CHECK(due == ENT_TIME_MAX_UNIX_S || ent_calendar_elapsed(a->from_unix_s, due, hours, NULL, 0) == seconds);
        }
    }
}

static void check_rest(const ent_agreement *a)
{
    CHECK(a->party_count >= 2 && a->from_unix_s < a->until_unix_s);
    CHECK(ent_agreement_end(a, INT64_MIN, INT64_MAX) == a->until_unix_s);
    CHECK(ent_agreement_end(a, a->until_unix_s, INT64_MAX) >= a->until_unix_s);
    CHECK(ent_agreement_end(a, INT64_MAX, INT64_MIN) == a->until_unix_s);
    for (size_t i = 0; i < a->service_hours_count; i++) {
        CHECK(ent_agreement_has_party(a, a->service_hours[i].party));
        CHECK(ent_agreement_service_hours(a, a->service_hours[i].party) == &a->service_hours[i].hours);
        check_hours(&a->service_hours[i].hours);
    }
    for (size_t i = 0; i < a->class_count; i++) {
        for (size_t k = 0; k < a->classes[i].kind_count; k++)
            CHECK(ent_agreement_class(a, a->classes[i].kinds[k]) == (int)i);
    }
    for (size_t i = 0; i < a->protected_count; i++)
        CHECK(ent_agreement_protected(a, a->protected_systems[i].id, NULL));
    for (size_t i = 0; i < a->two_officer_count; i++)
        CHECK(ent_agreement_two_officers(a, a->two_officers[i]));
    CHECK((ent_agreement_level(a, 0).data != NULL) == a->has_threat_level);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ent_agreement *one = NULL;
    ent_agreement *two = NULL;
    ent_buf lines = {0};
    ent_err err = {0};
    ent_rc rc = ent_agreement_parse(ent_bytes_of(data, size), &one, &err);
    if (rc.code == ENT_OK) {
        check_deadlines(one);
        check_rest(one);
        CHECK(ent_agreement_parse(ent_bytes_of(data, size), &two, NULL).code == ENT_OK);
        CHECK(ent_agreement_diff(one, two, &lines, NULL).code == ENT_OK && lines.size == 0);
        CHECK(ent_agreement_diff(NULL, one, &lines, NULL).code == ENT_OK && lines.size > 0);
        for (size_t i = 0; i < lines.size; i++)
            CHECK(lines.data[i] == '\n' || lines.data[i] >= 0x20);
    } else {
        CHECK(one == NULL && err.code == rc.code && err.text[0] != 0);
        CHECK(ent_code_class(rc.code) == ENT_CLASS_PEER);
    }
    ent_buf_release(&lines);
    ent_agreement_free(one);
    ent_agreement_free(two);
    return 0;
}
