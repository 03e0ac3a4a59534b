/* Terms as JSON, read into an agreement. The schema has been checked before anything is taken, so that a value here is
 * of its type and within its bounds; what a schema cannot say is said here and in agreement_rules.c. */
#include "ledger/agreement.h"

#include <stdio.h>
#include <stdlib.h>

#include "ledger/agreement_internal.h"
#include "message/schema.h"

typedef struct {
    ent_agreement *agreement;
    ent_err *err;
} reader;

enum { WHERE_SIZE = 64 };

static ent_rc no_memory(ent_err *err)
{
    return ent_fail(err, ENT_NOMEM, NULL, "out of memory for an agreement");
}

const char *agreement_show(ent_text text, char out[AGREEMENT_SHOWN_SIZE])
{
    size_t size = text.size > AGREEMENT_SHOWN_BYTES ? AGREEMENT_SHOWN_BYTES : text.size;
    while (size < text.size && size > 0 && ((uint8_t)text.data[size] & 0xc0) == 0x80)
        size--;
    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)text.data[i] < 0x20 || text.data[i] == 0x7f ? '?' : text.data[i];
    (void)snprintf(out + size, 4, "%s", size < text.size ? "..." : "");
    return out;
}

void *agreement_array(ent_agreement *agreement, size_t count, size_t size)
{
    return ent_arena_alloc(&agreement->arena, (count == 0 ? 1 : count) * size);
}

ent_rc agreement_copy_text(ent_agreement *agreement, ent_json_value value, const char *where, ent_text *ret,
                           ent_err *err)
{
    char shown[AGREEMENT_SHOWN_SIZE];
    ent_text text = ent_json_string(value);
    for (size_t i = 0; i < text.size; i++) {
        if ((uint8_t)text.data[i] < 0x20 || text.data[i] == 0x7f)
            return agreement_refuse(err, "%s: \"%s\" given, expected a text without control characters", where,
                                    agreement_show(text, shown));
    }
    ent_text copy = ent_arena_text(&agreement->arena, text);
    if (copy.data == NULL)
        return no_memory(err);
    *ret = copy;
    return ENT_DONE;
}

/* A number that the schema has bounded; 0 when it is null or absent. */
static uint32_t number(ent_json_value object, const char *key)
{
    uint64_t value = 0;
    return ent_json_unsigned(ent_json_get(object, key), UINT32_MAX, &value) ? (uint32_t)value : 0;
}

static ent_urgency urgency(ent_json_value object, const char *key)
{
    ent_urgency value = ENT_URGENCY_ROUTINE;
    (void)ent_urgency_from_text(ent_json_string(ent_json_get(object, key)), &value);
    return value;
}

static int by_text(const void *a, const void *b)
{
    return ent_text_compare(*(const ent_text *)a, *(const ent_text *)b);
}

/* Copy an array of texts and sort it.
 * @in   kinds   whether each is the name of a kind */
static ent_rc texts(reader *r, ent_json_value array, const char *name, bool kinds, const ent_text **ret,
                    size_t *ret_count)
{
    char where[AGREEMENT_SHOWN_SIZE + WHERE_SIZE];
    size_t at = 0;
    ent_text *copies = agreement_array(r->agreement, ent_json_count(array), sizeof *copies);
    if (copies == NULL)
        return no_memory(r->err);
    for (ent_json_iter i = ent_json_iterate(array); ent_json_next(&i); at++) {
        (void)snprintf(where, sizeof where, "%s[%zu]", name, at);
        if (kinds)
            ENT_TRY(agreement_check_kind(ent_json_string(i.value), where, r->err));
        ENT_TRY(agreement_copy_text(r->agreement, i.value, where, &copies[at], r->err));
    }
    qsort(copies, at, sizeof *copies, by_text);
    *ret = copies;
    *ret_count = at;
    return ENT_DONE;
}

static ent_rc moment(reader *r, ent_json_value object, const char *key, int64_t *ret)
{
    char shown[AGREEMENT_SHOWN_SIZE];
    ent_text text = ent_json_string(ent_json_get(object, key));
    if (ent_time_parse(text, ret))
        return ENT_DONE;
    return agreement_refuse(r->err,
                            "validity.%s: \"%s\" given, expected a UTC time that exists, as 2021-05-30T11:00:00Z, "
                            "without leap seconds",
                            key, agreement_show(text, shown));
}

static ent_rc read_validity(reader *r, ent_json_value validity)
{
    ent_agreement *a = r->agreement;
    ent_json_value extension = ent_json_get(validity, "extension");
    ENT_TRY(moment(r, validity, "from", &a->from_unix_s));
    ENT_TRY(moment(r, validity, "until", &a->until_unix_s));
    a->has_extension = ent_json_type_of(extension) == ENT_JSON_OBJECT;
    a->extension_days = number(extension, "by_days");
    a->decline_days = number(extension, "unless_declined_days_before");
    return ENT_DONE;
}

static int by_kind_and_urgency(const void *a, const void *b)
{
    const ent_deadline_row *x = a;
    const ent_deadline_row *y = b;
    int order = ent_text_compare(x->kind, y->kind);
    return order != 0 ? order : (int)x->urgency - (int)y->urgency;
}

static ent_rc read_deadlines(reader *r, ent_json_value array)
{
    char where[WHERE_SIZE];
    size_t at = 0;
    ent_deadline_row *rows = agreement_array(r->agreement, ent_json_count(array), sizeof *rows);
    if (rows == NULL)
        return no_memory(r->err);
    for (ent_json_iter i = ent_json_iterate(array); ent_json_next(&i); at++) {
        ent_json_value kind = ent_json_get(i.value, "kind");
        (void)snprintf(where, sizeof where, "deadlines[%zu].kind", at);
        ENT_TRY(agreement_check_kind(ent_json_string(kind), where, r->err));
        ENT_TRY(agreement_copy_text(r->agreement, kind, where, &rows[at].kind, r->err));
        rows[at].urgency = urgency(i.value, "urgency");
        rows[at].deadlines = (ent_deadlines){
            .acknowledge_s = number(i.value, "acknowledge_s"),
            .answer_s = number(i.value, "answer_s"),
            .notification_s = number(i.value, "notification_s"),
            .final_s = number(i.value, "final_s"),
            .in_service_hours = ent_json_true(ent_json_get(i.value, "in_service_hours")),
            .found = true,
        };
    }
    qsort(rows, at, sizeof *rows, by_kind_and_urgency);
    r->agreement->deadlines = rows;
    r->agreement->deadline_count = at;
    return ENT_DONE;
}

static int by_id(const void *a, const void *b)
{
    return ent_text_compare(((const ent_protected_system *)a)->id, ((const ent_protected_system *)b)->id);
}

static ent_rc read_protected(reader *r, ent_json_value array)
{
    char where[WHERE_SIZE];
    size_t at = 0;
    ent_protected_system *rows = agreement_array(r->agreement, ent_json_count(array), sizeof *rows);
    if (rows == NULL)
        return no_memory(r->err);
    for (ent_json_iter i = ent_json_iterate(array); ent_json_next(&i); at++) {
        (void)snprintf(where, sizeof where, "protected_systems[%zu].id", at);
        ENT_TRY(agreement_copy_text(r->agreement, ent_json_get(i.value, "id"), where, &rows[at].id, r->err));
        (void)snprintf(where, sizeof where, "protected_systems[%zu].name", at);
        ENT_TRY(agreement_copy_text(r->agreement, ent_json_get(i.value, "name"), where, &rows[at].name, r->err));
        rows[at].urgency_floor = urgency(i.value, "urgency_floor");
    }
    qsort(rows, at, sizeof *rows, by_id);
    r->agreement->protected_systems = rows;
    r->agreement->protected_count = at;
    return ENT_DONE;
}

static ent_rc read_classes(reader *r, ent_json_value array)
{
    char where[WHERE_SIZE];
    size_t at = 0;
    ent_reciprocal_class *rows = agreement_array(r->agreement, ent_json_count(array), sizeof *rows);
    if (rows == NULL)
        return no_memory(r->err);
    for (ent_json_iter i = ent_json_iterate(array); ent_json_next(&i); at++) {
        (void)snprintf(where, sizeof where, "reciprocity[%zu].class", at);
        ENT_TRY(agreement_copy_text(r->agreement, ent_json_get(i.value, "class"), where, &rows[at].name, r->err));
        (void)snprintf(where, sizeof where, "reciprocity[%zu].kinds", at);
        ENT_TRY(texts(r, ent_json_get(i.value, "kinds"), where, true, &rows[at].kinds, &rows[at].kind_count));
        rows[at].hold_back_at_balance = number(i.value, "hold_back_at_balance");
    }
    r->agreement->classes = rows;
    r->agreement->class_count = at;
    return ENT_DONE;
}

static ent_rc read_threat_level(reader *r, ent_json_value threat)
{
    char where[WHERE_SIZE];
    size_t at = 0;
    ent_agreement *a = r->agreement;
    ent_json_value weights = ent_json_get(threat, "severity_weights");
    ent_json_value levels = ent_json_get(threat, "levels");
    ent_threat_level *rows = agreement_array(a, ent_json_count(levels), sizeof *rows);
    if (rows == NULL)
        return no_memory(r->err);
    a->has_threat_level = ent_json_present(threat);
    a->window_s = number(threat, "window_s");
    for (int i = ENT_SEVERITY_LOW; i < ENT_SEVERITY_COUNT; i++)
        a->severity_weights[i] = number(weights, ent_severity_word((ent_severity)i));
    for (ent_json_iter i = ent_json_iterate(levels); ent_json_next(&i); at++) {
        (void)snprintf(where, sizeof where, "threat_level.levels[%zu].name", at);
        ENT_TRY(agreement_copy_text(a, ent_json_get(i.value, "name"), where, &rows[at].name, r->err));
        rows[at].from = number(i.value, "from");
    }
    a->levels = rows;
    a->level_count = at;
    return ENT_DONE;
}

static ent_rc read_members(reader *r, ent_json_value root)
{
    ent_agreement *a = r->agreement;
    ent_json_value retention = ent_json_get(root, "retention");
    ent_json_value freezes = ent_json_get(ent_json_get(root, "suspension"), "freezes_deadlines");
    ent_json_value checks = ent_json_get(root, "comm_checks");
    ENT_TRY(agreement_copy_text(a, ent_json_get(root, "title"), "title", &a->title, r->err));
    ENT_TRY(texts(r, ent_json_get(root, "parties"), "parties", false, &a->parties, &a->party_count));
    ENT_TRY(read_validity(r, ent_json_get(root, "validity")));
    ENT_TRY(read_deadlines(r, ent_json_get(root, "deadlines")));
    ENT_TRY(read_protected(r, ent_json_get(root, "protected_systems")));
    ENT_TRY(read_classes(r, ent_json_get(root, "reciprocity")));
    ENT_TRY(read_threat_level(r, ent_json_get(root, "threat_level")));
    ENT_TRY(
        texts(r, ent_json_get(root, "two_officers"), "two_officers", true, &a->two_officers, &a->two_officer_count));
    ENT_TRY(agreement_read_hours(ent_json_get(root, "service_hours"), a, r->err));
    ENT_TRY(texts(r, ent_json_get(root, "languages"), "languages", false, &a->languages, &a->language_count));
    a->has_retention = ent_json_present(retention);
    a->entries_days = number(retention, "entries_days");
    a->bodies_days = number(retention, "bodies_days");
    a->attachments_days = number(retention, "attachments_days");
    a->freezes_deadlines = !ent_json_present(freezes) || ent_json_true(freezes);
    a->check_every_s = number(checks, "every_s");
    a->check_reply_within_s = number(checks, "reply_within_s");
    return ENT_DONE;
}

static void release_schema(ent_schema **schema)
{
    ent_schema_free(*schema);
}

static ent_rc check_schema(ent_json_value root, ent_err *err)
{
    ENT_CLEANUP(release_schema) ent_schema *schema = NULL;
    ENT_TRY(ent_schema_compile(ent_text_of(ent_schema_agreement), &schema, err));
    ent_rc rc = ent_schema_check(schema, root, "", err);
    if (rc.code == ENT_PEER_INVALID && err != NULL)
        (void)snprintf(err->rule, sizeof err->rule, "%s", ENT_AGREEMENT_RULE);
    return rc;
}

ent_rc ent_agreement_parse(ent_bytes terms, ent_agreement **ret, ent_err *err)
{
    ENT_CLEANUP(ent_json_release) ent_json *json = NULL;
    ENT_CLEANUP(ent_agreement_release) ent_agreement *agreement = NULL;
    ENT_TRY(ent_json_parse(terms, &json, err));
    ENT_TRY(check_schema(ent_json_root(json), err));
    agreement = ent_alloc(sizeof *agreement);
    if (agreement == NULL)
        return no_memory(err);
    reader r = {.agreement = agreement, .err = err};
    ENT_TRY(read_members(&r, ent_json_root(json)));
    ENT_TRY(agreement_check_rules(agreement, err));
    ENT_TRY(agreement_list_unknown(ent_json_root(json), agreement, err));
    *ret = ent_take(agreement);
    return ENT_DONE;
}
