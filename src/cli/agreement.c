#include "cli/fields.h"
#include "cli/files.h"
#include "cli/kinds.h"
#include "cli/people.h"
#include "cli/terms.h"
#include "cli/verbs.h"

/* ---- new ------------------------------------------------------------------------- */

static const ent_cli_option new_options[] = {
    {"--output", "-o", "FILE", false, "write them to a file"},
    {"--parties", NULL, "A,B", false, "names of the parties, with commas between"},
    {NULL, NULL, NULL, false, NULL},
};

/* Names that the list holds; the texts lie in one block with NULs between. */
static ent_rc read_parties(const char *list, char **ret_memory, const char **parties, size_t *ret_count, ent_err *err)
{
    ENT_CLEANUP(ent_free_pointer) char *memory = ent_text_copy(ent_text_of(list));
    char *rest = memory;
    size_t count = 0;
    if (memory == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    for (char *name = NULL; (name = strsep(&rest, ",")) != NULL; count++) {
        if (count == ENT_ENTRY_MAX_MEMBERS)
            return ent_fail(err, ENT_USAGE, "design 11", "a channel has at most %d members", ENT_ENTRY_MAX_MEMBERS);
        ENT_TRY(ent_cli_check_party(name, err));
        for (size_t i = 0; i < count; i++) {
            if (strcmp(parties[i], name) == 0)
                return ent_fail(err, ENT_USAGE, NULL, "--parties names %s twice", name);
        }
        parties[count] = name;
    }
    if (count < 2)
        return ent_fail(err, ENT_USAGE, NULL, "an agreement is between two parties at least: --parties A,B");
    *ret_memory = ent_take(memory);
    *ret_count = count;
    return ENT_DONE;
}

static ent_rc run_new(ent_cli *cli, ent_err *err)
{
    const char *list = ent_cli_value(cli, "--parties");
    const char *path = ent_cli_value(cli, "--output");
    const char *parties[ENT_ENTRY_MAX_MEMBERS];
    ENT_CLEANUP(ent_free_pointer) char *memory = NULL;
    ENT_CLEANUP(ent_buf_release) ent_buf terms = {0};
    size_t count = 0;
    int64_t now = ent_clock_unix_s();
    ENT_TRY(read_parties(list == NULL ? "north.example,south.example" : list, &memory, parties, &count, err));
    ent_cli_put_new_terms(&terms, parties, count, now - now % ENT_DAY_S);
    ENT_TRY(ent_buf_check(&terms, err));
    if (path == NULL) {
        ent_buf_put(&cli->out, ent_buf_bytes(&terms));
        return ENT_DONE;
    }
    ENT_TRY(ent_cli_write(path, 0644, ent_buf_bytes(&terms), err));
    if (!cli->json) {
        ent_cli_note("change what does not fit, then `entente agreement check %s`", path);
        return ENT_DONE;
    }
    ent_json_writer writer = ent_json_writer_of(&cli->out);
    ent_json_object_begin(&writer);
    ent_json_member_string(&writer, "file", path);
    ent_json_object_end(&writer);
    ent_buf_put_u8(&cli->out, '\n');
    return ENT_DONE;
}

const ent_cli_command ent_cli_agreement_new = {
    .words = "agreement new",
    .arguments = "[-o FILE] [--parties A,B]",
    .summary = "write terms to start from",
    .text =
        "Writes a whole agreement, valid as it stands from today on for five years: deadlines per kind and urgency,\n"
        "protected systems, reciprocal classes, threat level, retention, service hours, comm checks. Change it to\n"
        "what was agreed; `entente agreement fields` tells what each member means. Needs no node.",
    .examples = "  entente agreement new -o terms.json --parties aurora.example,boreal.example\n"
                "  entente agreement check terms.json",
    .options = new_options,
    .run = run_new,
};

/* ---- check ----------------------------------------------------------------------- */

/* A party that stands twice leaves another out, and the rows of that one look wrong: name the cause. */
static ent_rc check_parties(ent_bytes terms, ent_err *err)
{
    ENT_CLEANUP(ent_json_release) ent_json *json = NULL;
    if (ent_json_parse(terms, &json, NULL).code != ENT_OK)
        return ENT_DONE; /* told by whoever reads the whole */
    ent_json_value parties = ent_json_get(ent_json_root(json), "parties");
    size_t at = 0;
    for (ent_json_iter i = ent_json_iterate(parties); ent_json_next(&i) && at < ENT_ENTRY_MAX_MEMBERS; at++) {
        size_t before = 0;
        for (ent_json_iter k = ent_json_iterate(parties); before < at && ent_json_next(&k); before++) {
            ent_text name = ent_json_string(i.value);
            if (name.size > 0 && ent_text_equal(ent_json_string(k.value), name))
                return ent_fail(err, ENT_PEER_INVALID, "design 5", "parties: \"%.*s\" stands twice",
                                ENT_TEXT_ARG(name));
        }
    }
    return ENT_DONE;
}

static ent_rc read_agreement(const char *path, ent_agreement **ret, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf bytes = {0};
    ENT_TRY(ent_cli_read(path, ENT_CLI_TERMS_MAX_BYTES, &bytes, err));
    ent_rc rc = check_parties(ent_buf_bytes(&bytes), err);
    if (rc.code == ENT_OK)
        rc = ent_agreement_parse(ent_buf_bytes(&bytes), ret, err);
    return rc.code == ENT_OK
               ? rc
               : ent_fail_in(err, rc, "%s is no agreement", strcmp(path, "-") == 0 ? "standard input" : path);
}

/* Lines of a text as a JSON array. */
static void put_lines(ent_json_writer *writer, const char *key, ent_text lines)
{
    ent_json_key(writer, key);
    ent_json_array_begin(writer);
    while (lines.size > 0) {
        const char *newline = memchr(lines.data, '\n', lines.size);
        ent_text line = {lines.data, newline == NULL ? lines.size : (size_t)(newline - lines.data)};
        ent_json_put_text(writer, line);
        lines.data += line.size + (newline != NULL);
        lines.size -= line.size + (newline != NULL);
    }
    ent_json_array_end(writer);
}

static void put_agreement_json(ent_json_writer *writer, const ent_agreement *agreement)
{
    char time[ENT_TIME_TEXT_SIZE + 1];
    ent_json_member_text(writer, "title", agreement->title);
    ent_json_key(writer, "parties");
    ent_json_array_begin(writer);
    for (size_t i = 0; i < agreement->party_count; i++)
        ent_json_put_text(writer, agreement->parties[i]);
    ent_json_array_end(writer);
    ent_time_format(agreement->from_unix_s, time);
    ent_json_member_string(writer, "from", time);
    ent_time_format(agreement->until_unix_s, time);
    ent_json_member_string(writer, "until", time);
}

static ent_rc run_check(ent_cli *cli, ent_err *err)
{
    ENT_CLEANUP(ent_agreement_release) ent_agreement *agreement = NULL;
    ENT_CLEANUP(ent_buf_release) ent_buf warnings = {0};
    ENT_TRY(read_agreement(cli->positional[0], &agreement, err));
    ent_cli_put_terms_warnings(&warnings, agreement, ent_clock_unix_s());
    ENT_TRY(ent_buf_check(&warnings, err));
    if (cli->json) {
        ENT_CLEANUP(ent_buf_release) ent_buf json = {0};
        ent_json_writer writer = ent_json_writer_of(&json);
        ent_json_object_begin(&writer);
        ent_json_member_bool(&writer, "valid", true);
        put_agreement_json(&writer, agreement);
        put_lines(&writer, "warnings", ent_buf_text(&warnings));
        ent_json_object_end(&writer);
        ENT_TRY(ent_buf_check(&json, err));
        ent_cli_put_answer(cli, ent_buf_text(&json));
        return ENT_DONE;
    }
    ENT_TRY(ent_cli_put_terms(cli, agreement, err));
    ent_buf_put_u8(&cli->out, '\n');
    if (warnings.size > 0) {
        ent_cli_put_style(&cli->out, cli->colour, ENT_CLI_YELLOW);
        ent_buf_put_string(&cli->out, "Valid, with warnings");
        ent_cli_put_style(&cli->out, cli->colour, ENT_CLI_PLAIN);
        ent_buf_put_string(&cli->out, "\n  ");
        ent_cli_put_block(&cli->out, ent_buf_text(&warnings), 2);
        return ENT_DONE;
    }
    ent_cli_put_style(&cli->out, cli->colour, ENT_CLI_GREEN);
    ent_buf_put_string(&cli->out, "Valid");
    ent_cli_put_style(&cli->out, cli->colour, ENT_CLI_PLAIN);
    ent_buf_put_u8(&cli->out, '\n');
    return ENT_DONE;
}

const ent_cli_command ent_cli_agreement_check = {
    .words = "agreement check",
    .arguments = "FILE",
    .summary = "check terms and show what they say",
    .text = "Refuses (exit status 1, with the reason) terms that cannot be read as an agreement or contradict\n"
            "themselves; else shows them in words, with warnings: members that this version does not know, requests\n"
            "without a deadline, an end that has passed. Needs no node.",
    .examples = "  entente agreement check terms.json",
    .options = ent_cli_no_options,
    .least = 1,
    .most = 1,
    .run = run_check,
};

/* ---- diff ------------------------------------------------------------------------ */

static ent_rc run_diff(ent_cli *cli, ent_err *err)
{
    ENT_CLEANUP(ent_agreement_release) ent_agreement *before = NULL;
    ENT_CLEANUP(ent_agreement_release) ent_agreement *after = NULL;
    ENT_CLEANUP(ent_buf_release) ent_buf lines = {0};
    ENT_TRY(read_agreement(cli->positional[0], &before, err));
    ENT_TRY(read_agreement(cli->positional[1], &after, err));
    ENT_TRY(ent_agreement_diff(before, after, &lines, err));
    if (cli->json) {
        ENT_CLEANUP(ent_buf_release) ent_buf json = {0};
        ent_json_writer writer = ent_json_writer_of(&json);
        ent_json_object_begin(&writer);
        ent_json_member_bool(&writer, "same", lines.size == 0);
        put_lines(&writer, "changes", ent_buf_text(&lines));
        ent_json_object_end(&writer);
        ENT_TRY(ent_buf_check(&json, err));
        ent_cli_put_answer(cli, ent_buf_text(&json));
        return ENT_DONE;
    }
    if (lines.size == 0)
        ent_buf_put_string(&cli->out, "They say the same.\n");
    ent_cli_put_block(&cli->out, ent_buf_text(&lines), 0);
    return ENT_DONE;
}

const ent_cli_command ent_cli_agreement_diff = {
    .words = "agreement diff",
    .arguments = "OLD NEW",
    .summary = "tell what changes from one agreement to another",
    .text = "One line for each change, however the files are laid out. Needs no node.",
    .examples = "  entente agreement show --channel north -o old.json --dir aurora\n"
                "  entente agreement diff old.json new.json",
    .options = ent_cli_no_options,
    .least = 2,
    .most = 2,
    .run = run_diff,
};

/* ---- fields ------------------------------------------------------------------------ */

static const ent_cli_option fields_options[] = {
    {"--markdown", NULL, NULL, false, "print docs/agreement.md"},
    {NULL, NULL, NULL, false, NULL},
};

static ent_rc put_field(void *context, const ent_cli_field *field, ent_err *err)
{
    ent_cli *cli = context;
    unsigned indent = 2 + 2 * field->depth;
    unsigned columns = cli->width == 0 || cli->width > 100 ? 100 : cli->width;
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    ent_cli_put_type(&text, field->schema);
    if (ent_cli_text(field->schema, "description").size > 0)
        ent_buf_put_string(&text, ". ");
    ent_buf_put_text(&text, ent_cli_text(field->schema, "description"));
    ENT_TRY(ent_buf_check(&text, err));
    ent_buf_put_format(&cli->out, "%*s", (int)indent, "");
    ent_cli_put_style(&cli->out, cli->colour, field->required ? ENT_CLI_BOLD : ENT_CLI_PLAIN);
    ent_cli_put_line(&cli->out, field->path);
    ent_cli_put_style(&cli->out, cli->colour, ENT_CLI_PLAIN);
    ent_buf_put_format(&cli->out, "%s\n%*s", field->required ? " *" : "", (int)indent + 4, "");
    ent_cli_put_wrapped(&cli->out, ent_buf_text(&text), indent + 4, columns);
    ent_buf_put_u8(&cli->out, '\n');
    return ENT_DONE;
}

static void put_markdown_intro(ent_buf *buf, ent_json_value schema)
{
    ent_buf_put_string(buf, "# The agreement: the terms of a channel\n\nThis file is made by `entente agreement fields "
                            "--markdown` (`script/docs` writes it), from the schema that the programs run.\n\n");
    ent_buf_put_text(buf, ent_cli_text(schema, "description"));
    ent_buf_put_string(
        buf, "\n`entente agreement new` writes one to start from, `check` tells whether it is valid and what it says,\n"
             "`diff` what changes. A member is *needed* in the object that it belongs to. `*` stands for the name of a "
             "party.\n\n");
}

static void put_markdown_example(ent_buf *buf)
{
    static const char *const parties[] = {"north.example", "south.example"};
    ent_buf_put_string(buf, "\n## An example\n\nWhat `entente agreement new` writes:\n\n```json\n");
    ent_cli_put_new_terms(buf, parties, 2, 1609459200); /* 2021-01-01 */
    ent_buf_put_string(buf, "```\n");
}

static ent_rc run_fields(ent_cli *cli, ent_err *err)
{
    ENT_CLEANUP(ent_json_release) ent_json *schema = NULL;
    const char *json = ent_agreement_schema();
    ENT_TRY(ent_json_parse(ent_text_bytes(ent_text_of(json)), &schema, err));
    if (cli->json) {
        ent_cli_put_answer(cli, ent_text_of(json));
        return ENT_DONE;
    }
    if (ent_cli_has(cli, "--markdown")) {
        put_markdown_intro(&cli->out, ent_json_root(schema));
        ENT_TRY(ent_cli_put_fields_markdown(&cli->out, ent_json_root(schema), err));
        put_markdown_example(&cli->out);
        return ENT_DONE;
    }
    ent_buf_put_string(&cli->out, "Members of the terms (* must be given in the object they belong to)\n");
    return ent_cli_fields_walk(ent_json_root(schema), put_field, cli, err);
}

const ent_cli_command ent_cli_agreement_fields = {
    .words = "agreement fields",
    .arguments = "[--markdown]",
    .summary = "explain what an agreement may say",
    .text = "Every member of the terms: what may stand there and what it means. With --json the JSON Schema itself.\n"
            "Needs no node.",
    .examples = "  entente agreement fields",
    .options = fields_options,
    .run = run_fields,
};
