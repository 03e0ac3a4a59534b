#include "cli/kinds.h"

#include "cli/api.h"
#include "cli/fields.h"
#include "cli/people.h"
#include "cli/table.h"
#include "cli/verbs.h"

static const ent_cli_option options[] = {
    {"--markdown", NULL, NULL, false, "print docs/kinds.md: every kind, and a picture of every kind of thread"},
    {NULL, NULL, NULL, false, NULL},
};

enum { COLUMNS_DEFAULT = 100, COLUMNS_MOST = 118, FIELD_INDENT = 6, LABEL_INDENT = 16 };

static unsigned columns_of(const ent_cli *cli)
{
    if (cli->width == 0)
        return COLUMNS_DEFAULT;
    return cli->width < COLUMNS_MOST ? cli->width : COLUMNS_MOST;
}

/* ---- the table -------------------------------------------------------------- */

static void put_table_family(ent_cli_table *table, const char *family)
{
    static const ent_text none = {"", 0};
    if (table->cell_count > 0) {
        for (size_t i = 0; i < table->column_count; i++)
            ent_cli_table_cell(table, ENT_CLI_PLAIN, none);
    }
    for (size_t i = 0; i < ent_kind_count(); i++) {
        const ent_kind *kind = ent_kind_at(i);
        ENT_CLEANUP(ent_buf_release) ent_buf flags = {0};
        if (!ent_cli_kind_in(kind, family))
            continue;
        ent_cli_put_kind_flags(&flags, kind);
        ent_cli_table_cell(table, ENT_CLI_BOLD, ent_text_of(kind->name));
        ent_cli_table_cell(table, ENT_CLI_PLAIN, ent_text_of(kind->title));
        ent_cli_table_cell(table, ENT_CLI_PLAIN, ent_buf_text(&flags));
    }
}

static bool is_family(const char *word)
{
    for (const char *const *family = ent_cli_families; *family != NULL; family++) {
        if (strcmp(*family, word) == 0)
            return true;
    }
    return false;
}

/* @in   only   NULL = all families */
static ent_rc put_table(ent_cli *cli, const char *only, ent_err *err)
{
    ENT_CLEANUP(ent_cli_table_release) ent_cli_table table = {0};
    ent_cli_table_column(&table, "KIND", 0, 0);
    ent_cli_table_column(&table, "WHAT IT IS", 20, 0);
    ent_cli_table_column(&table, "PARTICULARS", 24, 1);
    for (const char *const *family = ent_cli_families; *family != NULL; family++) {
        if (only == NULL || strcmp(*family, only) == 0)
            put_table_family(&table, *family);
    }
    ENT_TRY(ent_cli_table_put(&table, &cli->out, cli->width, cli->colour, err));
    ent_buf_put_string(&cli->out, "\n`entente kinds KIND` tells what a kind holds, with an example.\n");
    return ENT_DONE;
}

/* ---- one kind --------------------------------------------------------------- */

static void put_label(ent_cli *cli, const char *label, const char *text)
{
    ent_cli_put_label(&cli->out, label);
    ent_cli_put_wrapped(&cli->out, ent_text_of(text), LABEL_INDENT, columns_of(cli));
    ent_buf_put_u8(&cli->out, '\n');
}

static void put_facts(ent_cli *cli, const ent_kind *kind)
{
    const ent_machine *machine = ent_machine_of(ent_text_of(kind->name));
    put_label(cli, "Said by", ent_cli_kind_said_by(kind));
    put_label(cli, "Replies to", ent_cli_kind_replies(kind));
    if (machine != NULL) {
        ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
        ent_buf_put_format(&text, "%s: %s", machine->name, machine->text);
        put_label(cli, "Begins", ent_buf_string(&text) == NULL ? machine->name : (const char *)text.data);
    }
    if (kind->by_neutral)
        return;
    put_label(cli, "Answer",
              kind->wants_answer && kind->is_answer && kind->starts_thread ? "waits for one when it stands alone"
              : kind->wants_answer ? "waits for one; the agreement may say by when"
                                   : "none is needed");
    put_label(cli, "In words", kind->needs_text ? "needs a text, in one language at least" : "a text may be added");
    put_label(cli, "Suspension",
              kind->while_suspended ? "passes while the channel is suspended"
                                    : "does not pass while the channel is suspended");
}

static ent_rc put_field(void *context, const ent_cli_field *field, ent_err *err)
{
    ent_cli *cli = context;
    ent_buf *out = &cli->out;
    ENT_CLEANUP(ent_buf_release) ent_buf type = {0};
    ent_text text = ent_cli_text(field->schema, "description");
    unsigned indent = 2 + 2 * field->depth;
    ent_buf_put_format(out, "%*s", (int)indent, "");
    ent_cli_put_style(out, cli->colour, field->required ? ENT_CLI_BOLD : ENT_CLI_PLAIN);
    ent_cli_put_line(out, field->path);
    ent_buf_put_string(out, field->required ? " *" : "");
    ent_cli_put_style(out, cli->colour, ENT_CLI_PLAIN);
    ent_buf_put_string(out, "  ");
    ent_cli_put_type(&type, field->schema);
    ENT_TRY(ent_buf_check(&type, err));
    ent_cli_put_wrapped(out, ent_buf_text(&type), indent + FIELD_INDENT, columns_of(cli) - (unsigned)field->path.size);
    ent_buf_put_u8(out, '\n');
    if (text.size == 0)
        return ENT_DONE;
    ent_buf_put_format(out, "%*s", (int)(indent + FIELD_INDENT - 2), "");
    ent_cli_put_wrapped(out, text, indent + FIELD_INDENT - 2, columns_of(cli));
    ent_buf_put_u8(out, '\n');
    return ENT_DONE;
}

static ent_rc put_fields(ent_cli *cli, const ent_kind *kind, ent_err *err)
{
    ENT_CLEANUP(ent_json_release) ent_json *schema = NULL;
    ENT_TRY(ent_json_parse(ent_text_bytes(ent_kind_schema(kind)), &schema, err));
    ent_cli_put_title(cli, "Fields (* must be given; others may be left out)");
    size_t before = cli->out.size;
    ENT_TRY(ent_cli_fields_walk(ent_json_root(schema), put_field, cli, err));
    if (cli->out.size == before)
        ent_buf_put_string(&cli->out, "  none of its own\n");
    return ENT_DONE;
}

static void put_arrows(ent_cli *cli, const ent_machine *machine, const ent_kind *kind)
{
    ent_buf *out = &cli->out;
    ent_buf_put_format(out, "  %s\n", machine->name);
    for (size_t i = 0; i < machine->arrow_count; i++) {
        const ent_arrow *arrow = &machine->arrows[i];
        if (strcmp(arrow->kind, kind->name) != 0)
            continue;
        if (arrow->from == ENT_STATE_NONE)
            ent_buf_put_format(out, "    begins it: %s", ent_state_word(arrow->to));
        else
            ent_buf_put_format(out, "    %s -> %s, said %s", ent_state_word(arrow->from), ent_state_word(arrow->to),
                               ent_cli_side_words(arrow->by));
        if (arrow->outcome != ENT_OUTCOME_NONE)
            ent_buf_put_format(out, ", when the outcome is %s", ent_outcome_word(arrow->outcome));
        ent_buf_put_u8(out, '\n');
    }
}

static void put_threads(ent_cli *cli, const ent_kind *kind)
{
    ent_text name = ent_text_of(kind->name);
    bool everywhere = ent_kind_passes_everywhere(name);
    bool any = everywhere;
    ent_cli_put_title(cli, "In which threads");
    if (everywhere)
        ent_buf_put_string(&cli->out,
                           "  every thread, in every state; it does not change the state unless listed here\n");
    for (size_t i = 0; i < ent_machine_count(); i++) {
        if (!ent_cli_machine_takes(ent_machine_at(i), name))
            continue;
        put_arrows(cli, ent_machine_at(i), kind);
        any = true;
    }
    if (!any)
        ent_buf_put_string(&cli->out, "  none: it stands alone\n");
}

static ent_rc put_example(ent_cli *cli, const ent_kind *kind, ent_err *err)
{
    ENT_CLEANUP(ent_json_release) ent_json *example = NULL;
    ENT_CLEANUP(ent_buf_release) ent_buf pretty = {0};
    ENT_TRY(ent_json_parse(ent_text_bytes(ent_text_of(ent_kind_example(kind))), &example, err));
    ENT_TRY(ent_cli_put_example(&pretty, ent_json_root(example), 2, err));
    ent_cli_put_title(cli, "Example of a body");
    ent_buf_put_string(&cli->out, "  ");
    ent_cli_put_json(&cli->out, ent_buf_text(&pretty));
    ent_buf_put_u8(&cli->out, '\n');
    if (kind->by_node || kind->by_neutral)
        return ENT_DONE;
    ent_cli_put_title(cli, "Send it");
    ent_buf_put_string(&cli->out, "  ");
    ent_cli_put_kind_command(&cli->out, kind, "--edit        write it in your editor\n  ");
    ent_cli_put_kind_command(&cli->out, kind, "--body FILE   take a body like the one above\n");
    return ENT_DONE;
}

static ent_rc put_kind(ent_cli *cli, const ent_kind *kind, ent_err *err)
{
    ent_cli_put_style(&cli->out, cli->colour, ENT_CLI_BOLD);
    ent_buf_put_format(&cli->out, "%s: %s", kind->name, kind->title);
    ent_cli_put_style(&cli->out, cli->colour, ENT_CLI_PLAIN);
    ent_buf_put_u8(&cli->out, '\n');
    ent_cli_put_wrapped(&cli->out, ent_text_of(kind->summary), 0, columns_of(cli));
    ent_buf_put_string(&cli->out, "\n\n");
    put_facts(cli, kind);
    ENT_TRY(put_fields(cli, kind, err));
    put_threads(cli, kind);
    return put_example(cli, kind, err);
}

/* ---- JSON ------------------------------------------------------------------- */

static void put_kind_json(ent_json_writer *writer, const ent_kind *kind, bool whole)
{
    const ent_machine *machine = ent_machine_of(ent_text_of(kind->name));
    ent_json_object_begin(writer);
    ent_json_member_string(writer, "kind", kind->name);
    ent_json_member_string(writer, "title", kind->title);
    ent_json_member_string(writer, "summary", kind->summary);
    ent_json_member_string(writer, "begins", machine == NULL ? NULL : machine->name);
    ent_json_member_bool(writer, "everywhere", ent_kind_passes_everywhere(ent_text_of(kind->name)));
    ent_json_member_bool(writer, "before_open", kind->before_open);
    ent_json_member_bool(writer, "is_answer", kind->is_answer);
    ent_json_member_bool(writer, "wants_answer", kind->wants_answer);
    ent_json_member_bool(writer, "needs_reply_to", kind->needs_reply_to);
    ent_json_member_bool(writer, "starts_thread", kind->starts_thread);
    ent_json_member_bool(writer, "answers_own", kind->answers_own);
    ent_json_member_bool(writer, "needs_text", kind->needs_text);
    ent_json_member_bool(writer, "by_node", kind->by_node);
    ent_json_member_bool(writer, "while_suspended", kind->while_suspended);
    ent_json_member_bool(writer, "needs_neutral", kind->needs_neutral);
    ent_json_member_bool(writer, "by_neutral", kind->by_neutral);
    if (whole) {
        ent_json_key(writer, "schema");
        ent_json_put_raw(writer, ent_kind_schema(kind));
        ent_json_key(writer, "example");
        ent_json_put_raw(writer, ent_text_of(ent_kind_example(kind)));
    }
    ent_json_object_end(writer);
}

static ent_rc put_json(ent_cli *cli, const ent_kind *only, const char *family, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf json = {0};
    ent_json_writer writer = ent_json_writer_of(&json);
    if (only != NULL) {
        put_kind_json(&writer, only, true);
    } else {
        ent_json_object_begin(&writer);
        ent_json_key(&writer, "kinds");
        ent_json_array_begin(&writer);
        for (size_t i = 0; i < ent_kind_count(); i++) {
            if (family == NULL || ent_cli_kind_in(ent_kind_at(i), family))
                put_kind_json(&writer, ent_kind_at(i), false);
        }
        ent_json_array_end(&writer);
        ent_json_object_end(&writer);
    }
    ENT_TRY(ent_buf_check(&json, err));
    ent_cli_put_answer(cli, ent_buf_text(&json));
    return ENT_DONE;
}

/* ---- the verb --------------------------------------------------------------- */

static ent_rc run(ent_cli *cli, ent_err *err)
{
    const char *word = cli->positional_count > 0 ? cli->positional[0] : NULL;
    const char *family = word != NULL && is_family(word) ? word : NULL;
    const ent_kind *kind = word == NULL ? NULL : ent_kind_find(ent_text_of(word));
    if (word != NULL && kind == NULL && family == NULL)
        return ent_fail(err, ENT_USAGE, "design 4",
                        "this version knows no kind \"%s\"; `entente kinds` lists those it knows", word);
    if (!ent_cli_has(cli, "--markdown"))
        return cli->json      ? put_json(cli, kind, family, err)
               : kind != NULL ? put_kind(cli, kind, err)
                              : put_table(cli, family, err);
    if (word != NULL || cli->json)
        return ent_fail(err, ENT_USAGE, NULL, "--markdown prints all kinds at once, as Markdown: give nothing else");
    return ent_cli_put_kinds_markdown(&cli->out, err);
}

const ent_cli_command ent_cli_kinds = {
    .words = "kinds",
    .arguments = "[KIND | FAMILY] [--markdown]",
    .summary = "explain what can be said: kinds of message, their fields, examples",
    .text = "Without KIND: every kind of message, by family. With KIND: what saying it does, who may say it, in which\n"
            "threads, which fields it has and what may stand in each, and an example. Needs no node.",
    .examples = "  entente kinds\n"
                "  entente kinds request\n"
                "  entente kinds request.preservation",
    .options = options,
    .most = 1,
    .run = run,
};
