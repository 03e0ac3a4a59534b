#include "pouch/members.h"

#include <inttypes.h>
#include <stdio.h>

static const char rule[] = "design 2, Pouch";

static ent_rc items_check(const ent_pouch_item *items, size_t count, size_t most, const char *folder, bool sorted,
                          ent_code code, ent_err *err)
{
    if (count > most)
        return ent_fail(err, ENT_PEER_TOO_LARGE, rule, "%s/: %zu members, at most %zu are allowed", folder, count,
                        most);
    for (size_t i = 0; i < count; i++) {
        if (!ent_name_valid(items[i].party))
            return ent_fail(err, code, rule, "%s/: member %zu does not name a party", folder, i + 1);
        if (items[i].data.size == 0)
            return ent_fail(err, code, rule, "%s/: the member of %.*s is empty", folder, ENT_TEXT_ARG(items[i].party));
        if (sorted && i > 0 && ent_text_compare(items[i - 1].party, items[i].party) >= 0)
            return ent_fail(err, code, rule, "%s/: %.*s comes twice or out of order", folder,
                            ENT_TEXT_ARG(items[i].party));
    }
    return ENT_DONE;
}

static ent_rc bodies_check(const ent_pouch *pouch, ent_code code, ent_err *err)
{
    if (pouch->body_count > ENT_POUCH_MAX_ENTRIES)
        return ent_fail(err, ENT_PEER_TOO_LARGE, rule, "bodies/: %zu members, at most %d are allowed",
                        pouch->body_count, ENT_POUCH_MAX_ENTRIES);
    for (size_t i = 0; i < pouch->body_count; i++) {
        const ent_pouch_body *body = &pouch->bodies[i];
        if (body->index >= ENT_LOG_MAX_SIZE)
            return ent_fail(err, code, rule, "bodies/: index %" PRIu64 " is too large", body->index);
        if (body->sealed.size == 0)
            return ent_fail(err, code, rule, "bodies/%" PRIu64 ".age is empty", body->index);
        if (i > 0 && pouch->bodies[i - 1].index >= body->index)
            return ent_fail(err, code, rule, "bodies/%" PRIu64 ".age comes twice or out of order", body->index);
    }
    return ENT_DONE;
}

ent_rc ent_pouch_parts_check(const ent_pouch *pouch, ent_code code, ent_err *err)
{
    ent_text party = {NULL, 0};
    ent_hash channel;
    if (ent_origin_parse(pouch->origin, &party, &channel, NULL).code != ENT_OK)
        return ent_fail(err, code, rule, "the origin is not <party>/entente/<64 hex digits>");
    if (pouch->size > ENT_LOG_MAX_SIZE || pouch->old_size > pouch->size)
        return ent_fail(err, code, rule, "the sizes %" PRIu64 " to %" PRIu64 " are no range of a log", pouch->old_size,
                        pouch->size);
    if (pouch->size - pouch->old_size > ENT_POUCH_MAX_ENTRIES)
        return ent_fail(err, ENT_PEER_TOO_LARGE, rule, "%" PRIu64 " entries, at most %d are allowed",
                        pouch->size - pouch->old_size, ENT_POUCH_MAX_ENTRIES);
    if (pouch->checkpoint.size == 0)
        return ent_fail(err, code, rule, "the checkpoint is missing");
    ENT_TRY(items_check(pouch->cards, pouch->card_count, ENT_POUCH_MAX_PARTIES, "cards", true, code, err));
    ENT_TRY(items_check(pouch->cutoffs, pouch->cutoff_count, ENT_POUCH_MAX_PARTIES, "cutoffs", true, code, err));
    ENT_TRY(items_check(pouch->heads, pouch->head_count, ENT_POUCH_MAX_PARTIES, "heads", true, code, err));
    ENT_TRY(items_check(pouch->forks, pouch->fork_count, ENT_POUCH_MAX_PARTIES, "forks", true, code, err));
    ENT_TRY(items_check(pouch->receipts, pouch->receipt_count, ENT_POUCH_MAX_RECEIPTS, "receipts", false, code, err));
    return bodies_check(pouch, code, err);
}

size_t ent_pouch_member_count(const ent_pouch *pouch)
{
    return (pouch->genesis.size > 0) + pouch->card_count + pouch->cutoff_count + 1 + pouch->head_count +
           pouch->fork_count + pouch->receipt_count + (pouch->entries.size > 0) + pouch->body_count;
}

/* Counts at down by the length of a group; true when the wanted member is in that group, at *at. */
static bool in_group(size_t *at, size_t group)
{
    if (*at < group)
        return true;
    *at -= group;
    return false;
}

static ent_text party_name(const char *folder, ent_text party, char name_memory[ENT_USTAR_NAME_MAX + 1])
{
    (void)snprintf(name_memory, ENT_USTAR_NAME_MAX + 1, "%s/%.*s", folder, ENT_TEXT_ARG(party));
    return ent_text_of(name_memory);
}

void ent_pouch_member_at(const ent_pouch *pouch, size_t at, char name_memory[ENT_USTAR_NAME_MAX + 1],
                         ent_text *ret_name, ent_bytes *ret_data)
{
    if (in_group(&at, pouch->genesis.size > 0)) {
        *ret_name = ENT_TEXT("genesis");
        *ret_data = pouch->genesis;
    } else if (in_group(&at, pouch->card_count)) {
        *ret_name = party_name("cards", pouch->cards[at].party, name_memory);
        *ret_data = pouch->cards[at].data;
    } else if (in_group(&at, pouch->cutoff_count)) {
        *ret_name = party_name("cutoffs", pouch->cutoffs[at].party, name_memory);
        *ret_data = pouch->cutoffs[at].data;
    } else if (in_group(&at, 1)) {
        *ret_name = ENT_TEXT("checkpoint");
        *ret_data = pouch->checkpoint;
    } else if (in_group(&at, pouch->head_count)) {
        *ret_name = party_name("heads", pouch->heads[at].party, name_memory);
        *ret_data = pouch->heads[at].data;
    } else if (in_group(&at, pouch->fork_count)) {
        *ret_name = party_name("forks", pouch->forks[at].party, name_memory);
        *ret_data = pouch->forks[at].data;
    } else if (in_group(&at, pouch->receipt_count)) {
        (void)snprintf(name_memory, ENT_USTAR_NAME_MAX + 1, "receipts/%04zu-%.*s", at,
                       ENT_TEXT_ARG(pouch->receipts[at].party));
        *ret_name = ent_text_of(name_memory);
        *ret_data = pouch->receipts[at].data;
    } else if (in_group(&at, pouch->entries.size > 0)) {
        *ret_name = ENT_TEXT("entries");
        *ret_data = pouch->entries;
    } else {
        (void)snprintf(name_memory, ENT_USTAR_NAME_MAX + 1, "bodies/%" PRIu64 ".age", pouch->bodies[at].index);
        *ret_name = ent_text_of(name_memory);
        *ret_data = pouch->bodies[at].sealed;
    }
}

bool ent_pouch_head_next(ent_bytes *rest, ent_bytes *ret)
{
    static const char signature[] = "\xe2\x80\x94 "; /* "—" U+2014 and a space: begins a signature line */
    ent_text text = ent_bytes_text(*rest);
    if (text.size == 0)
        return false;
    size_t end = 0;
    while (end + 1 < text.size && !(text.data[end] == '\n' && text.data[end + 1] == '\n'))
        end++;
    end += 2;
    while (end < text.size && text.size - end >= sizeof signature - 1 &&
           memcmp(text.data + end, signature, sizeof signature - 1) == 0) {
        const char *line_end = memchr(text.data + end, '\n', text.size - end);
        end = line_end == NULL ? text.size : (size_t)(line_end - text.data) + 1;
    }
    if (end > text.size)
        end = text.size;
    *ret = (ent_bytes){rest->data, end};
    *rest = (ent_bytes){rest->data + end, rest->size - end};
    return true;
}
