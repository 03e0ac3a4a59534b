#include "cli/kinds.h"

#include "cli/fields.h"
#include "cli/markdown.h"

static void put_intro(ent_buf *buf)
{
    ent_buf_put_string(buf, "# What parties say: every kind of message\n"
                            "\n"
                            "This file is made by `entente kinds --markdown` (`script/docs` writes it), from the "
                            "tables and schemas that the "
                            "programs run.\n"
                            "\n"
                            "A message is a header in its writer's log (who, when, to whom, in answer to what) and a "
                            "sealed body: the JSON\n"
                            "`{\"fields\":{...},\"text\":{\"en\":\"...\"},\"authentic\":\"en\",\"stix\":{...},"
                            "\"files\":[{\"name\":\"...\"}]}`."
                            " `fields` is checked against\n"
                            "the kind's schema; `text` says it in words, in as many languages as wanted, of which "
                            "`authentic` names the one "
                            "that rules.\n"
                            "Kinds and fields that a version does not know are kept and shown as unknown.\n"
                            "\n"
                            "- [All kinds](#all-kinds)\n"
                            "- [Threads](#threads): what may follow what, a picture for each kind of thread\n"
                            "- [Each kind](#each-kind): its fields and an example\n"
                            "\n"
                            "## All kinds\n"
                            "\n");
}

static void put_list(ent_buf *buf)
{
    for (const char *const *family = ent_cli_families; *family != NULL; family++) {
        ent_buf_put_format(buf, "### %s\n\n| kind | what it is | particulars |\n|---|---|---|\n", *family);
        for (size_t i = 0; i < ent_kind_count(); i++) {
            const ent_kind *kind = ent_kind_at(i);
            if (!ent_cli_kind_in(kind, *family))
                continue;
            ent_buf_put_format(buf, "| `%s` | %s | ", kind->name, kind->title);
            ent_cli_put_kind_flags(buf, kind);
            ent_buf_put_string(buf, " |\n");
        }
        ent_buf_put_u8(buf, '\n');
    }
}

/* ---- pictures -------------------------------------------------------------------- */

/* Mermaid takes letters, digits and "_" in the name of a state. */
static void put_state_id(ent_buf *buf, ent_state state)
{
    if (state == ENT_STATE_NONE) {
        ent_buf_put_string(buf, "[*]");
        return;
    }
    for (const char *c = ent_state_word(state); *c != 0; c++)
        ent_buf_put_u8(buf, *c == '-' ? '_' : (uint8_t)*c);
}

static bool is_used(const ent_machine *machine, ent_state state)
{
    for (size_t i = 0; i < machine->arrow_count; i++) {
        if (machine->arrows[i].from == state || machine->arrows[i].to == state)
            return true;
    }
    return false;
}

static bool same_ends(const ent_arrow *a, const ent_arrow *b)
{
    return a->from == b->from && a->to == b->to;
}

static bool same_label(const ent_arrow *a, const ent_arrow *b)
{
    return strcmp(a->kind, b->kind) == 0 && a->by == b->by;
}

/* One line of the label: the kind, its outcomes on this way, and who says it. */
static void put_label(ent_buf *buf, const ent_machine *machine, size_t at)
{
    const ent_arrow *arrow = &machine->arrows[at];
    const char *separator = " ";
    ent_buf_put_string(buf, arrow->kind);
    for (size_t i = at; i < machine->arrow_count; i++) {
        const ent_arrow *other = &machine->arrows[i];
        if (!same_ends(arrow, other) || !same_label(arrow, other) || other->outcome == ENT_OUTCOME_NONE)
            continue;
        ent_buf_put_format(buf, "%s%s", separator, ent_outcome_word(other->outcome));
        separator = ", ";
    }
    if (arrow->from != ENT_STATE_NONE)
        ent_buf_put_format(buf, " (%s)", ent_cli_side_words(arrow->by));
}

/* All arrows between two states are drawn as one. */
static void put_arrow(ent_buf *buf, const ent_machine *machine, size_t at)
{
    const ent_arrow *arrow = &machine->arrows[at];
    bool first = true;
    for (size_t i = 0; i < at; i++) {
        if (same_ends(arrow, &machine->arrows[i]))
            return;
    }
    ent_buf_put_string(buf, "    ");
    put_state_id(buf, arrow->from);
    ent_buf_put_string(buf, " --> ");
    put_state_id(buf, arrow->to);
    ent_buf_put_string(buf, " : ");
    for (size_t i = at; i < machine->arrow_count; i++) {
        bool told = !same_ends(arrow, &machine->arrows[i]);
        for (size_t k = at; k < i && !told; k++)
            told = same_ends(arrow, &machine->arrows[k]) && same_label(&machine->arrows[k], &machine->arrows[i]);
        if (told)
            continue;
        ent_buf_put_string(buf, first ? "" : "<br/>");
        put_label(buf, machine, i);
        first = false;
    }
    ent_buf_put_u8(buf, '\n');
}

static void put_picture(ent_buf *buf, const ent_machine *machine)
{
    ent_buf_put_string(buf, "```mermaid\nstateDiagram-v2\n");
    for (int state = ENT_STATE_NONE + 1; state < ENT_STATE_COUNT; state++) {
        if (!is_used(machine, (ent_state)state) || strchr(ent_state_word((ent_state)state), '-') == NULL)
            continue;
        ent_buf_put_format(buf, "    state \"%s\" as ", ent_state_word((ent_state)state));
        put_state_id(buf, (ent_state)state);
        ent_buf_put_u8(buf, '\n');
    }
    for (size_t i = 0; i < machine->arrow_count; i++)
        put_arrow(buf, machine, i);
    for (int state = ENT_STATE_NONE + 1; state < ENT_STATE_COUNT; state++) {
        if (!is_used(machine, (ent_state)state) || !ent_state_closed((ent_state)state))
            continue;
        ent_buf_put_string(buf, "    ");
        put_state_id(buf, (ent_state)state);
        ent_buf_put_string(buf, " --> [*]\n");
    }
    ent_buf_put_string(buf, "```\n\n");
}

static void put_states(ent_buf *buf, const ent_machine *machine)
{
    ent_buf_put_string(buf, "| state | what it means | |\n|---|---|---|\n");
    for (int state = ENT_STATE_NONE + 1; state < ENT_STATE_COUNT; state++) {
        if (!is_used(machine, (ent_state)state))
            continue;
        ent_buf_put_format(buf, "| %s | ", ent_state_word((ent_state)state));
        ent_cli_put_cell(buf, ent_text_of(ent_state_text((ent_state)state)));
        ent_buf_put_string(buf, ent_state_closed((ent_state)state) ? " | closed |\n" : " | open |\n");
    }
    ent_buf_put_u8(buf, '\n');
}

static void put_threads(ent_buf *buf)
{
    ent_buf_put_string(
        buf,
        "## Threads\n"
        "\n"
        "A thread begins with one message and runs once for each member whom that message is addressed to. What its\n"
        "opener says moves the threads with all whom it addresses; what somebody addressed says moves his own.\n"
        "A message that its thread does not allow is refused when it is to be sent; one that comes in is kept, shown "
        "with\n"
        "the reason, answered by a `channel.notice`, and counted by nothing.\n"
        "\n"
        "Every thread takes these kinds in every state, and stays in it where no arrow is drawn for them: ");
    for (const char *const *kind = ent_kinds_everywhere(); *kind != NULL; kind++)
        ent_buf_put_format(buf, "%s`%s`", kind == ent_kinds_everywhere() ? "" : ", ", *kind);
    ent_buf_put_string(buf, ".\n\n");
    for (size_t i = 0; i < ent_machine_count(); i++) {
        const ent_machine *machine = ent_machine_at(i);
        ent_buf_put_format(buf, "### Thread: %s\n\n%s Begun by ", machine->name, machine->text);
        for (const char *const *kind = machine->kinds; *kind != NULL; kind++)
            ent_buf_put_format(buf, "%s`%s`", kind == machine->kinds ? "" : ", ", *kind);
        ent_buf_put_string(buf, ".\n\n");
        put_picture(buf, machine);
        put_states(buf, machine);
    }
}

/* ---- each kind ---------------------------------------------------------------------- */

static ent_rc put_field(void *context, const ent_cli_field *field, ent_err *err)
{
    ent_buf *buf = context;
    ENT_CLEANUP(ent_buf_release) ent_buf type = {0};
    ent_cli_put_type(&type, field->schema);
    ENT_TRY(ent_buf_check(&type, err));
    ent_buf_put_string(buf, "| `");
    ent_cli_put_cell(buf, field->path);
    ent_buf_put_string(buf, field->required ? "` | yes | " : "` | | ");
    ent_cli_put_cell(buf, ent_buf_text(&type));
    ent_buf_put_string(buf, " | ");
    ent_cli_put_cell(buf, ent_json_string(ent_json_get(field->schema, "description")));
    ent_buf_put_string(buf, " |\n");
    return ENT_DONE;
}

ent_rc ent_cli_put_fields_markdown(ent_buf *buf, ent_json_value schema, ent_err *err)
{
    if (ent_json_count(ent_json_get(schema, "properties")) == 0) {
        ent_buf_put_string(buf, "No fields of its own.\n");
        return ENT_DONE;
    }
    ent_buf_put_string(buf, "| field | needed | what may stand there | what it means |\n|---|---|---|---|\n");
    ENT_TRY(ent_cli_fields_walk(schema, put_field, buf, err));
    return ent_buf_check(buf, err);
}

static ent_rc put_kind(ent_buf *buf, const ent_kind *kind, ent_err *err)
{
    ENT_CLEANUP(ent_json_release) ent_json *schema = NULL;
    ENT_CLEANUP(ent_json_release) ent_json *example = NULL;
    ENT_CLEANUP(ent_buf_release) ent_buf flags = {0};
    const ent_machine *machine = ent_machine_of(ent_text_of(kind->name));
    ENT_TRY(ent_fail_in(err, ent_json_parse(ent_text_bytes(ent_kind_schema(kind)), &schema, err), "%s", kind->name));
    ENT_TRY(ent_fail_in(err, ent_json_parse(ent_text_bytes(ent_text_of(ent_kind_example(kind))), &example, err), "%s",
                        kind->name));
    ent_buf_put_format(buf, "### %s\n\n**%s.** %s Said by %s. Replies to %s.", kind->name, kind->title, kind->summary,
                       ent_cli_kind_said_by(kind), ent_cli_kind_replies(kind));
    if (machine != NULL)
        ent_buf_put_format(buf, " Begins a thread of the kind [%s](#thread-%s).", machine->name, machine->name);
    ent_cli_put_kind_flags(&flags, kind);
    if (flags.size > 0) {
        ent_buf_put_string(buf, " In short: ");
        ent_buf_put(buf, ent_buf_bytes(&flags));
        ent_buf_put_u8(buf, '.');
    }
    ent_buf_put_string(buf, "\n\n");
    ENT_TRY(ent_cli_put_fields_markdown(buf, ent_json_root(schema), err));
    ent_buf_put_string(buf, "\n```json\n");
    ENT_TRY(ent_cli_put_example(buf, ent_json_root(example), 0, err));
    ent_buf_put_string(buf, "\n```\n");
    return ent_buf_check(buf, err);
}

ent_rc ent_cli_put_kinds_markdown(ent_buf *buf, ent_err *err)
{
    put_intro(buf);
    put_list(buf);
    put_threads(buf);
    ent_buf_put_string(buf, "## Each kind\n");
    for (const char *const *family = ent_cli_families; *family != NULL; family++) {
        for (size_t i = 0; i < ent_kind_count(); i++) {
            if (!ent_cli_kind_in(ent_kind_at(i), *family))
                continue;
            ent_buf_put_u8(buf, '\n');
            ENT_TRY(put_kind(buf, ent_kind_at(i), err));
        }
    }
    return ent_buf_check(buf, err);
}
