/* What changes between two agreements, in words: who accepts an amendment reads this. Whatever the parser takes from
 * the terms is compared here, and what it does not know by its digest, so that no change goes unseen. */
#include "ledger/agreement.h"

#include <inttypes.h>
#include <stdio.h>

#include "ledger/agreement_internal.h"

static const ent_agreement empty = {.until_unix_s = ENT_TIME_MAX_UNIX_S, .freezes_deadlines = true};

/* As a JSON string, so that a line stays a line whatever the text is. */
static void quote(ent_buf *out, ent_text text)
{
    ent_json_writer writer = ent_json_writer_of(out);
    ent_json_put_text(&writer, text);
}

/* "86400 s (24 h)"; "none" for 0. */
static void put_seconds(ent_buf *out, uint32_t seconds)
{
    if (seconds == 0) {
        ent_buf_put_string(out, "none");
        return;
    }
    ent_buf_put_format(out, "%" PRIu32 " s", seconds);
    if (seconds % ENT_DAY_S == 0 && seconds > ENT_DAY_S)
        ent_buf_put_format(out, " (%" PRIu32 " days)", seconds / ENT_DAY_S);
    else if (seconds % 3600 == 0)
        ent_buf_put_format(out, " (%" PRIu32 " h)", seconds / 3600);
    else if (seconds % 60 == 0)
        ent_buf_put_format(out, " (%" PRIu32 " min)", seconds / 60);
}

static void put_time(ent_buf *out, const ent_agreement *agreement, int64_t time)
{
    char text[ENT_TIME_TEXT_SIZE + 1];
    ent_time_format(time, text);
    ent_buf_put_string(out, agreement->party_count == 0 ? "none" : text);
}

static const char *yes_no(bool value)
{
    return value ? "yes" : "no";
}

/* "what: 3 -> none": a number that an agreement may do without. */
static void diff_number(ent_buf *out, const char *what, bool had, uint32_t before, bool has, uint32_t after)
{
    if (had == has && (!had || before == after))
        return;
    ent_buf_put_format(out, "%s: ", what);
    if (had)
        ent_buf_put_decimal(out, before);
    else
        ent_buf_put_string(out, "none");
    ent_buf_put_string(out, " -> ");
    if (has)
        ent_buf_put_decimal(out, after);
    else
        ent_buf_put_string(out, "none");
    ent_buf_put_u8(out, '\n');
}

static void diff_seconds(ent_buf *out, const char *what, uint32_t before, uint32_t after)
{
    if (before == after)
        return;
    ent_buf_put_format(out, "%s: ", what);
    put_seconds(out, before);
    ent_buf_put_string(out, " -> ");
    put_seconds(out, after);
    ent_buf_put_u8(out, '\n');
}

static void put_text_line(ent_buf *out, const char *what, ent_text text, const char *change)
{
    ent_buf_put_format(out, "%s ", what);
    quote(out, text);
    ent_buf_put_format(out, ": %s\n", change);
}

/* Two sorted lists of texts. */
static void diff_texts(ent_buf *out, const char *what, const ent_text *before, size_t before_count,
                       const ent_text *after, size_t after_count)
{
    size_t i = 0;
    size_t k = 0;
    while (i < before_count || k < after_count) {
        int order = i == before_count ? 1 : k == after_count ? -1 : ent_text_compare(before[i], after[k]);
        if (order < 0)
            put_text_line(out, what, before[i], "removed");
        else if (order > 0)
            put_text_line(out, what, after[k], "added");
        i += order <= 0;
        k += order >= 0;
    }
}

static void put_extension(ent_buf *out, const ent_agreement *a)
{
    if (a->has_extension)
        ent_buf_put_format(out, "by %" PRIu32 " days, unless declined %" PRIu32 " days before the end",
                           a->extension_days, a->decline_days);
    else
        ent_buf_put_string(out, "none");
}

static void diff_moment(ent_buf *out, const char *what, const ent_agreement *before, int64_t old,
                        const ent_agreement *after, int64_t new)
{
    if (old == new && (before->party_count == 0) == (after->party_count == 0))
        return;
    ent_buf_put_format(out, "%s: ", what);
    put_time(out, before, old);
    ent_buf_put_string(out, " -> ");
    put_time(out, after, new);
    ent_buf_put_u8(out, '\n');
}

static void diff_head(ent_buf *out, const ent_agreement *before, const ent_agreement *after)
{
    if (!ent_text_equal(before->title, after->title)) {
        ent_buf_put_string(out, "title: ");
        quote(out, before->title);
        ent_buf_put_string(out, " -> ");
        quote(out, after->title);
        ent_buf_put_u8(out, '\n');
    }
    diff_texts(out, "party", before->parties, before->party_count, after->parties, after->party_count);
    diff_moment(out, "in force from", before, before->from_unix_s, after, after->from_unix_s);
    diff_moment(out, "in force until", before, before->until_unix_s, after, after->until_unix_s);
    if (before->has_extension != after->has_extension || before->extension_days != after->extension_days ||
        before->decline_days != after->decline_days) {
        ent_buf_put_string(out, "extension: ");
        put_extension(out, before);
        ent_buf_put_string(out, " -> ");
        put_extension(out, after);
        ent_buf_put_u8(out, '\n');
    }
}

/* One row, or the change of one; the other is all zero when there is none. */
static void diff_row(ent_buf *out, const ent_deadline_row *name, const ent_deadlines *before,
                     const ent_deadlines *after)
{
    const struct {
        const char *word;
        uint32_t before;
        uint32_t after;
    } columns[] = {
        {"acknowledge", before->acknowledge_s, after->acknowledge_s},
        {"answer", before->answer_s, after->answer_s},
        {"notification", before->notification_s, after->notification_s},
        {"final", before->final_s, after->final_s},
    };
    char where[128];
    char line[160];
    (void)snprintf(where, sizeof where, "deadline of %.*s, %s", ENT_TEXT_ARG(name->kind),
                   ent_urgency_word(name->urgency));
    if (before->found != after->found)
        ent_buf_put_format(out, "%s: row %s\n", where, after->found ? "added" : "removed");
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        if (columns[i].before == columns[i].after)
            continue;
        ent_buf_put_format(out, "%s: %s ", where, columns[i].word);
        put_seconds(out, columns[i].before);
        ent_buf_put_string(out, " -> ");
        put_seconds(out, columns[i].after);
        ent_buf_put_u8(out, '\n');
    }
    if (before->in_service_hours != after->in_service_hours) {
        (void)snprintf(line, sizeof line, "%s: counts service hours only: ", where);
        ent_buf_put_format(out, "%s%s -> %s\n", line, yes_no(before->in_service_hours),
                           yes_no(after->in_service_hours));
    }
}

static int compare_rows(const ent_deadline_row *a, const ent_deadline_row *b)
{
    int order = ent_text_compare(a->kind, b->kind);
    return order != 0 ? order : (int)a->urgency - (int)b->urgency;
}

static void diff_deadlines(ent_buf *out, const ent_agreement *before, const ent_agreement *after)
{
    static const ent_deadlines none = {0};
    size_t i = 0;
    size_t k = 0;
    while (i < before->deadline_count || k < after->deadline_count) {
        int order = i == before->deadline_count  ? 1
                    : k == after->deadline_count ? -1
                                                 : compare_rows(&before->deadlines[i], &after->deadlines[k]);
        if (order < 0)
            diff_row(out, &before->deadlines[i], &before->deadlines[i].deadlines, &none);
        else if (order > 0)
            diff_row(out, &after->deadlines[k], &none, &after->deadlines[k].deadlines);
        else
            diff_row(out, &after->deadlines[k], &before->deadlines[i].deadlines, &after->deadlines[k].deadlines);
        i += order <= 0;
        k += order >= 0;
    }
}

static const ent_protected_system *find_system(const ent_agreement *a, ent_text id)
{
    for (size_t i = 0; i < a->protected_count; i++) {
        if (ent_text_equal(a->protected_systems[i].id, id))
            return &a->protected_systems[i];
    }
    return NULL;
}

static void put_system(ent_buf *out, const ent_protected_system *system)
{
    if (system == NULL) {
        ent_buf_put_string(out, "none");
        return;
    }
    quote(out, system->name);
    ent_buf_put_format(out, ", at least %s", ent_urgency_word(system->urgency_floor));
}

static void diff_system(ent_buf *out, ent_text id, const ent_protected_system *old, const ent_protected_system *new)
{
    if (old != NULL && new != NULL && old->urgency_floor == new->urgency_floor &&ent_text_equal(old->name, new->name))
        return;
    ent_buf_put_string(out, "protected system ");
    quote(out, id);
    ent_buf_put_string(out, ": ");
    put_system(out, old);
    ent_buf_put_string(out, " -> ");
    put_system(out, new);
    ent_buf_put_u8(out, '\n');
}

static void diff_protected(ent_buf *out, const ent_agreement *before, const ent_agreement *after)
{
    for (size_t i = 0; i < before->protected_count; i++) {
        ent_text id = before->protected_systems[i].id;
        diff_system(out, id, &before->protected_systems[i], find_system(after, id));
    }
    for (size_t i = 0; i < after->protected_count; i++) {
        ent_text id = after->protected_systems[i].id;
        if (find_system(before, id) == NULL)
            diff_system(out, id, NULL, &after->protected_systems[i]);
    }
}

static const ent_reciprocal_class *find_class(const ent_agreement *a, ent_text name)
{
    for (size_t i = 0; i < a->class_count; i++) {
        if (ent_text_equal(a->classes[i].name, name))
            return &a->classes[i];
    }
    return NULL;
}

static void put_balance(ent_buf *out, const ent_reciprocal_class *class)
{
    if (class->hold_back_at_balance == 0)
        ent_buf_put_string(out, "none");
    else
        ent_buf_put_decimal(out, class->hold_back_at_balance);
}

static void diff_class(ent_buf *out, ent_text name, const ent_reciprocal_class *old, const ent_reciprocal_class *new)
{
    static const ent_reciprocal_class none = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf where = {0};
    ent_buf_put_string(&where, "reciprocal class ");
    quote(&where, name);
    const char *words = ent_buf_string(&where);
    if (words == NULL) {
        out->failed = ENT_NOMEM;
        return;
    }
    if (old == NULL || new == NULL)
        ent_buf_put_format(out, "%s: %s\n", words, old == NULL ? "added" : "removed");
    old = old == NULL ? &none : old;
    new = new == NULL ? &none : new;
    if (old->hold_back_at_balance != new->hold_back_at_balance) {
        ent_buf_put_format(out, "%s: hold back at a balance of ", words);
        put_balance(out, old);
        ent_buf_put_string(out, " -> ");
        put_balance(out, new);
        ent_buf_put_u8(out, '\n');
    }
    ent_buf_put_string(&where, ": kind");
    words = ent_buf_string(&where);
    if (words == NULL)
        out->failed = ENT_NOMEM;
    else
        diff_texts(out, words, old->kinds, old->kind_count, new->kinds, new->kind_count);
}

static void diff_classes(ent_buf *out, const ent_agreement *before, const ent_agreement *after)
{
    for (size_t i = 0; i < before->class_count; i++)
        diff_class(out, before->classes[i].name, &before->classes[i], find_class(after, before->classes[i].name));
    for (size_t i = 0; i < after->class_count; i++) {
        if (find_class(before, after->classes[i].name) == NULL)
            diff_class(out, after->classes[i].name, NULL, &after->classes[i]);
    }
}

static bool same_levels(const ent_agreement *before, const ent_agreement *after)
{
    if (before->level_count != after->level_count)
        return false;
    for (size_t i = 0; i < before->level_count; i++) {
        if (before->levels[i].from != after->levels[i].from ||
            !ent_text_equal(before->levels[i].name, after->levels[i].name))
            return false;
    }
    return true;
}

static void put_levels(ent_buf *out, const ent_agreement *a)
{
    for (size_t i = 0; i < a->level_count; i++) {
        ent_buf_put_string(out, i == 0 ? "" : ", ");
        quote(out, a->levels[i].name);
        ent_buf_put_format(out, " from %" PRIu64, a->levels[i].from);
    }
    if (a->level_count == 0)
        ent_buf_put_string(out, "none");
}

static void diff_threat_level(ent_buf *out, const ent_agreement *before, const ent_agreement *after)
{
    char what[64];
    diff_seconds(out, "threat level: window", before->window_s, after->window_s);
    for (int i = ENT_SEVERITY_LOW; i < ENT_SEVERITY_COUNT; i++) {
        (void)snprintf(what, sizeof what, "threat level: weight of %s", ent_severity_word((ent_severity)i));
        diff_number(out, what, before->has_threat_level, before->severity_weights[i], after->has_threat_level,
                    after->severity_weights[i]);
    }
    if (same_levels(before, after))
        return;
    ent_buf_put_string(out, "threat level: levels: ");
    put_levels(out, before);
    ent_buf_put_string(out, " -> ");
    put_levels(out, after);
    ent_buf_put_u8(out, '\n');
}

static bool same_hours(const ent_service_hours *a, const ent_service_hours *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        if (a->intervals[i].from_s != b->intervals[i].from_s || a->intervals[i].until_s != b->intervals[i].until_s)
            return false;
    }
    return true;
}

/* "mon 06:00-16:00, tue 06:00-16:00": a day's part of an interval at a time. */
static void put_hours(ent_buf *out, const ent_service_hours *hours)
{
    static const char *const days[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
    const char *comma = "";
    if (hours == NULL)
        ent_buf_put_string(out, "round the clock");
    for (size_t i = 0; hours != NULL && i < hours->count; i++) {
        for (uint32_t from = hours->intervals[i].from_s; from < hours->intervals[i].until_s;) {
            uint32_t midnight = from / ENT_DAY_S * ENT_DAY_S;
            uint32_t until = midnight + ENT_DAY_S;
            until = until < hours->intervals[i].until_s ? until : hours->intervals[i].until_s;
            ent_buf_put_format(out, "%s%s %02u:%02u-%02u:%02u", comma, days[midnight / ENT_DAY_S],
                               (from - midnight) / 3600, (from - midnight) / 60 % 60, (until - midnight) / 3600,
                               (until - midnight) / 60 % 60);
            comma = ", ";
            from = until;
        }
    }
}

static void diff_party_hours(ent_buf *out, ent_text party, const ent_service_hours *old, const ent_service_hours *new)
{
    if (same_hours(old, new))
        return;
    ent_buf_put_format(out, "service hours of %.*s: ", ENT_TEXT_ARG(party));
    put_hours(out, old);
    ent_buf_put_string(out, " -> ");
    put_hours(out, new);
    ent_buf_put_u8(out, '\n');
}

static void diff_hours(ent_buf *out, const ent_agreement *before, const ent_agreement *after)
{
    for (size_t i = 0; i < before->service_hours_count; i++) {
        ent_text party = before->service_hours[i].party;
        diff_party_hours(out, party, &before->service_hours[i].hours, ent_agreement_service_hours(after, party));
    }
    for (size_t i = 0; i < after->service_hours_count; i++) {
        ent_text party = after->service_hours[i].party;
        if (ent_agreement_service_hours(before, party) == NULL)
            diff_party_hours(out, party, NULL, &after->service_hours[i].hours);
    }
}

static void diff_rest(ent_buf *out, const ent_agreement *before, const ent_agreement *after)
{
    diff_texts(out, "two officers for", before->two_officers, before->two_officer_count, after->two_officers,
               after->two_officer_count);
    diff_number(out, "retention: days of entries", before->has_retention, before->entries_days, after->has_retention,
                after->entries_days);
    diff_number(out, "retention: days of bodies", before->has_retention, before->bodies_days, after->has_retention,
                after->bodies_days);
    diff_number(out, "retention: days of attachments", before->has_retention, before->attachments_days,
                after->has_retention, after->attachments_days);
    diff_hours(out, before, after);
    if (before->freezes_deadlines != after->freezes_deadlines)
        ent_buf_put_format(out, "suspension freezes deadlines: %s -> %s\n", yes_no(before->freezes_deadlines),
                           yes_no(after->freezes_deadlines));
    diff_seconds(out, "comm checks: every", before->check_every_s, after->check_every_s);
    diff_seconds(out, "comm checks: reply within", before->check_reply_within_s, after->check_reply_within_s);
    diff_texts(out, "language", before->languages, before->language_count, after->languages, after->language_count);
}

/* Whether there is a member of that path, and of that digest too if it is given. */
static bool has_unknown(const ent_agreement *a, ent_text path, const ent_hash *digest)
{
    for (size_t i = 0; i < a->unknown_count; i++) {
        if (ent_text_equal(a->unknown[i].path, path) &&
            (digest == NULL || memcmp(a->unknown[i].digest.bytes, digest->bytes, sizeof digest->bytes) == 0))
            return true;
    }
    return false;
}

/* Paths are shortened, so two members may share one: a line is left out only when the very same member stands in both,
 * or when "changed" has told of it. */
static void diff_unknown(ent_buf *out, const ent_agreement *before, const ent_agreement *after)
{
    static const char what[] = "not known to this version:";
    for (size_t i = 0; i < before->unknown_count; i++) {
        const ent_unknown_member *one = &before->unknown[i];
        if (!has_unknown(after, one->path, &one->digest))
            put_text_line(out, what, one->path, has_unknown(after, one->path, NULL) ? "changed" : "removed");
    }
    for (size_t i = 0; i < after->unknown_count; i++) {
        const ent_unknown_member *one = &after->unknown[i];
        bool told = has_unknown(before, one->path, &one->digest);
        for (size_t k = 0; k < before->unknown_count && !told; k++) {
            const ent_unknown_member *old = &before->unknown[k];
            told = ent_text_equal(old->path, one->path) && !has_unknown(after, old->path, &old->digest);
        }
        if (!told)
            put_text_line(out, what, one->path, "added");
    }
}

ent_rc ent_agreement_diff(const ent_agreement *before, const ent_agreement *after, ent_buf *ret, ent_err *err)
{
    before = before == NULL ? &empty : before;
    after = after == NULL ? &empty : after;
    diff_head(ret, before, after);
    diff_deadlines(ret, before, after);
    diff_protected(ret, before, after);
    diff_classes(ret, before, after);
    diff_threat_level(ret, before, after);
    diff_rest(ret, before, after);
    diff_unknown(ret, before, after);
    return ent_buf_check(ret, err);
}
