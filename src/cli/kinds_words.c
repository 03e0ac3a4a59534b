#include "cli/kinds.h"

const char *const ent_cli_families[] = {"contact",      "incident",    "request",  "answer",     "proposal",
                                        "consultation", "attribution", "evidence", "commitment", "exchange",
                                        "correction",   "channel",     "neutral",  "feed",       NULL};

bool ent_cli_kind_in(const ent_kind *kind, const char *family)
{
    size_t size = strlen(family);
    return strncmp(kind->name, family, size) == 0 && kind->name[size] == '.';
}

void ent_cli_put_kind_flags(ent_buf *buf, const ent_kind *kind)
{
    const struct {
        bool set;
        const char *words;
    } flags[] = {
        {kind->by_neutral, "in the neutral's log alone"},
        {kind->by_node, "said by the node itself"},
        {kind->wants_answer, "waits for an answer"},
        {kind->is_answer, kind->needs_reply_to ? "answers a message" : "may answer a message"},
        {kind->needs_reply_to && !kind->is_answer, "refers to a message"},
        {kind->needs_text, "says it in words too"},
        {kind->while_suspended, "passes while suspended"},
        {kind->before_open, "passes before the channel is open"},
        {kind->needs_neutral && !kind->by_neutral, "needs a neutral"},
    };
    bool first = true;
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        if (!flags[i].set)
            continue;
        ent_buf_put_format(buf, "%s%s", first ? "" : "; ", flags[i].words);
        first = false;
    }
}

const char *ent_cli_kind_said_by(const ent_kind *kind)
{
    if (kind->by_neutral)
        return "the channel's neutral, in its own log";
    if (kind->by_node)
        return "the node itself, when there is occasion";
    if (kind->needs_neutral)
        return "any member, in a channel with a neutral";
    return "any member";
}

/* Whether it may be said where a thread has begun. */
static bool may_follow(const ent_kind *kind)
{
    if (ent_kind_passes_everywhere(ent_text_of(kind->name)))
        return true;
    for (size_t i = 0; i < ent_machine_count(); i++) {
        const ent_machine *machine = ent_machine_at(i);
        for (size_t k = 0; k < machine->arrow_count; k++) {
            if (machine->arrows[k].from != ENT_STATE_NONE && strcmp(machine->arrows[k].kind, kind->name) == 0)
                return true;
        }
    }
    return false;
}

const char *ent_cli_kind_replies(const ent_kind *kind)
{
    if (kind->by_neutral)
        return "nothing: it names what it is about by its digest";
    if (kind->needs_reply_to)
        return kind->answers_own ? "a message, its writer's own or another's: it must name one"
                                 : "a message of another member: it must name one";
    if (!may_follow(kind))
        return "nothing: it begins a thread";
    return kind->answers_own ? "nothing when it begins a thread, else a message, its writer's own or another's"
                             : "nothing when it begins a thread, else a message of another member";
}

bool ent_cli_machine_takes(const ent_machine *machine, ent_text kind)
{
    for (size_t i = 0; i < machine->arrow_count; i++) {
        if (ent_text_is(kind, machine->arrows[i].kind))
            return true;
    }
    return false;
}

const char *ent_cli_side_words(ent_side side)
{
    switch (side) {
    case ENT_SIDE_OPENER:
        return "by its opener";
    case ENT_SIDE_ADDRESSEE:
        return "by who is addressed";
    case ENT_SIDE_OTHER:
        return "by the other side";
    default:
        return "by either side";
    }
}

void ent_cli_put_kind_command(ent_buf *buf, const ent_kind *kind, const char *option)
{
    ent_buf_put_format(buf, "entente send %s %s %s", kind->name,
                       kind->needs_reply_to ? "--reply-to MSG" : "--channel CHANNEL", option);
}
