#include "cli/api.h"
#include "cli/fields.h"
#include "cli/files.h"
#include "cli/people.h"
#include "cli/progress.h"
#include "cli/say.h"
#include "cli/verbs.h"

static const ent_cli_option options[] = {
    {"--output", "-o", "FILE", false, "write the exact bytes to a file (mode 0600), or - for standard output"},
    {"--attachment", NULL, "N", false, "open this attachment instead, counted from 0 as in `entente show`;\nneeds -o"},
    {NULL, NULL, NULL, false, NULL},
};

enum { INDENT = 2, STIX_OBJECTS_SHOWN = 40 };

/* ---- the body, for people ------------------------------------------------- */

static void put_title(ent_cli *cli, const char *title)
{
    ent_cli_put_style(&cli->out, cli->colour, ENT_CLI_BOLD);
    ent_buf_put_string(&cli->out, title);
    ent_cli_put_style(&cli->out, cli->colour, ENT_CLI_PLAIN);
    ent_buf_put_u8(&cli->out, '\n');
}

static void put_texts(ent_cli *cli, ent_json_value body)
{
    ent_text authentic = ent_cli_text(body, "authentic");
    ent_json_value texts = ent_json_get(body, "text");
    for (ent_json_iter i = ent_json_iterate(texts); ent_json_next(&i);) {
        ent_buf_put_u8(&cli->out, '\n');
        ent_cli_put_style(&cli->out, cli->colour, ENT_CLI_BOLD);
        ent_buf_put_string(&cli->out, "Text (");
        ent_cli_put_line(&cli->out, i.key);
        ent_buf_put_string(&cli->out,
                           ent_text_equal(i.key, authentic) ? ", authentic: this one rules)" : ", a translation)");
        ent_cli_put_style(&cli->out, cli->colour, ENT_CLI_PLAIN);
        ent_buf_put_string(&cli->out, "\n  ");
        ent_cli_put_block(&cli->out, ent_json_string(i.value), INDENT);
        ent_buf_put_u8(&cli->out, '\n');
    }
}

/* What a STIX object is best known by. */
static ent_text stix_label(ent_json_value object)
{
    static const char *const keys[] = {"name", "value", "pattern", "relationship_type", "id"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        ent_text text = ent_cli_text(object, keys[i]);
        if (text.size > 0)
            return text;
    }
    return ENT_TEXT("(no name)");
}

static void put_stix(ent_cli *cli, ent_json_value bundle)
{
    ent_json_value objects = ent_json_get(bundle, "objects");
    size_t count = ent_json_count(objects);
    size_t shown = 0;
    if (ent_json_type_of(bundle) != ENT_JSON_OBJECT)
        return;
    ent_buf_put_u8(&cli->out, '\n');
    ent_cli_put_style(&cli->out, cli->colour, ENT_CLI_BOLD);
    ent_buf_put_format(&cli->out, "STIX bundle of %zu object%s", count, count == 1 ? "" : "s");
    ent_cli_put_style(&cli->out, cli->colour, ENT_CLI_PLAIN);
    ent_buf_put_u8(&cli->out, '\n');
    for (ent_json_iter i = ent_json_iterate(objects); shown < STIX_OBJECTS_SHOWN && ent_json_next(&i); shown++) {
        ENT_CLEANUP(ent_buf_release) ent_buf label = {0};
        ent_buf_put_string(&cli->out, "  ");
        ent_cli_put_line(&cli->out, ent_cli_text(i.value, "type"));
        ent_buf_put_string(&cli->out, ": ");
        ent_cli_put_line(&label, stix_label(i.value));
        (void)ent_cli_put_fitted(&cli->out, ent_buf_text(&label), 200);
        ent_buf_put_u8(&cli->out, '\n');
    }
    if (count > shown)
        ent_buf_put_format(&cli->out, "  and %zu more; -o FILE writes all of it\n", count - shown);
}

static void put_files(ent_cli *cli, const char *message, ent_json_value files)
{
    uint64_t number = 0;
    if (ent_json_count(files) == 0)
        return;
    ent_buf_put_u8(&cli->out, '\n');
    put_title(cli, "Attachments");
    for (ent_json_iter i = ent_json_iterate(files); ent_json_next(&i); number++) {
        ent_text description = ent_cli_text(i.value, "description");
        ent_buf_put_format(&cli->out, "  %" PRIu64 "  ", number);
        ent_cli_put_line(&cli->out, ent_cli_text(i.value, "name"));
        ent_buf_put_string(&cli->out, description.size > 0 ? ": " : "");
        ent_cli_put_line(&cli->out, description);
        ent_buf_put_u8(&cli->out, '\n');
    }
    ent_buf_put_format(&cli->out, "  `entente open %s --attachment N -o FILE` opens one.\n", message);
}

/* Members of the envelope that this version does not know are shown as they are. */
static void put_unknown(ent_cli *cli, ent_json_value body)
{
    static const char *const known[] = {"fields", "text", "authentic", "stix", "files"};
    for (ent_json_iter i = ent_json_iterate(body); ent_json_next(&i);) {
        bool is_known = false;
        for (size_t k = 0; k < sizeof known / sizeof known[0]; k++)
            is_known |= ent_text_is(i.key, known[k]);
        if (is_known)
            continue;
        ent_buf_put_string(&cli->out, "\nUnknown to this version: ");
        ent_cli_put_line(&cli->out, i.key);
        ent_cli_put_nested(&cli->out, i.value, 0);
    }
}

/* "Unknown kinds and body fields are kept and shown as unknown" (design 2). */
static ent_rc put_unknown_fields(ent_cli *cli, ent_text name, ent_json_value fields, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf names = {0};
    if (ent_json_count(fields) == 0 || name.size == 0)
        return ENT_DONE;
    const ent_kind *kind = ent_kind_find(name);
    if (kind != NULL)
        ENT_TRY(ent_cli_put_unknown_fields(&names, kind, fields, err));
    if (kind != NULL && names.size == 0)
        return ENT_DONE;
    ent_buf_put_string(&cli->out,
                       kind == NULL ? "\nUnknown to this version: the kind " : "\nUnknown to this version: ");
    if (kind == NULL)
        ent_cli_put_line(&cli->out, name);
    else
        ent_buf_put_text(&cli->out, ent_buf_text(&names));
    ent_buf_put_string(&cli->out, kind == NULL ? ". Its fields are shown as they are, and nothing follows from them.\n"
                                               : ". Shown as said, and nothing follows from it.\n");
    return ENT_DONE;
}

static ent_rc put_body(ent_cli *cli, const char *message, ent_text kind, ent_json_value body, ent_err *err)
{
    ent_json_value fields = ent_json_get(body, "fields");
    size_t before = cli->out.size;
    if (ent_json_count(fields) > 0) {
        put_title(cli, "Fields");
        ent_cli_put_value(&cli->out, fields, INDENT);
    }
    ENT_TRY(put_unknown_fields(cli, kind, fields, err));
    put_texts(cli, body);
    put_stix(cli, ent_json_get(body, "stix"));
    put_files(cli, message, ent_json_get(body, "files"));
    put_unknown(cli, body);
    if (cli->out.size == before)
        ent_buf_put_string(&cli->out, "The body is empty.\n");
    return ENT_DONE;
}

/* What the node knows of the message besides: its kind, and whether it was recalled. Old messages are opened without:
 * that is no reason to keep the body back. */
static ent_rc ask_message(const ent_cli *cli, const char *message, ent_cli_answer *ret, ent_err *err)
{
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("GET", "/messages");
    ent_err reason = {0};
    ent_cli_request_message(&request, message);
    ent_rc rc = ent_cli_ask_parsed(cli, &request, ret, &reason);
    if (rc.code == ENT_OK)
        return ENT_DONE;
    if (ent_code_class(rc.code) == ENT_CLASS_NOMEM) {
        if (err != NULL)
            *err = reason;
        return rc;
    }
    ent_cli_note("whether it was recalled cannot be told: %s", reason.text);
    return ENT_DONE;
}

/* Before the body; beside bytes, which stay as they were said. */
static ent_rc tell_recall(ent_cli *cli, bool is_text, ent_json_value message, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    ent_cli_put_recall(&text, message);
    if (text.size == 0 || ent_buf_string(&text) == NULL)
        return ent_buf_check(&text, err);
    if (!is_text) {
        ent_cli_note("RECALLED by %s", (const char *)text.data);
        return ENT_DONE;
    }
    ent_cli_put_style(&cli->out, cli->colour, ENT_CLI_RED);
    ent_buf_put_format(&cli->out, "RECALLED by %s", (const char *)text.data);
    ent_cli_put_style(&cli->out, cli->colour, ENT_CLI_PLAIN);
    ent_buf_put_string(&cli->out, "\n\n");
    return ENT_DONE;
}

/* ---- the verb --------------------------------------------------------------- */

/* What is written, and how far it is. */
typedef struct {
    ent_cli_output output;
    ent_cli_progress progress;
    uint64_t written;
} saving;

static void release_saving(saving *work)
{
    ent_cli_progress_end(&work->progress);
    ent_cli_output_release(&work->output);
}

static ent_rc write_piece(void *context, ent_bytes piece, ent_err *err)
{
    saving *work = context;
    ENT_TRY(ent_cli_output_write(&work->output, piece, err));
    work->written += piece.size;
    ent_cli_progress_to(&work->progress, work->written);
    return ENT_DONE;
}

static ent_rc save(ent_cli *cli, const ent_cli_request *request, const char *path, ent_err *err)
{
    ENT_CLEANUP(release_saving) saving work = {.output = {.fd = -1}, .progress = ent_cli_progress_of(path, 0)};
    ENT_CLEANUP(ent_buf_wipe) ent_buf none = {0};
    ENT_TRY(ent_cli_output_begin(&work.output, path, 0600, err));
    ent_cli_request into_file = *request; /* the path stays the caller's */
    into_file.sink = write_piece;
    into_file.sink_context = &work;
    ENT_TRY(ent_cli_ask(cli, &into_file, &none, err));
    ENT_TRY(ent_cli_output_finish(&work.output, err));
    if (!cli->json || strcmp(path, "-") == 0)
        return ENT_DONE;
    ENT_CLEANUP(ent_buf_release) ent_buf json = {0};
    ent_json_writer writer = ent_json_writer_of(&json);
    ent_json_object_begin(&writer);
    ent_json_member_string(&writer, "file", path);
    ent_json_object_end(&writer);
    ENT_TRY(ent_buf_check(&json, err));
    ent_cli_put_answer(cli, ent_buf_text(&json));
    return ENT_DONE;
}

static ent_rc run(ent_cli *cli, ent_err *err)
{
    const char *message = cli->positional[0];
    const char *path = ent_cli_value(cli, "--output");
    const char *attachment = ent_cli_value(cli, "--attachment");
    uint64_t number = 0;
    ENT_CLEANUP(ent_cli_request_release)
    ent_cli_request request = ent_cli_request_of("GET", attachment != NULL ? "/attachments" : "/bodies");
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer answer = {0};
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer about = {0};
    ENT_TRY(ent_cli_check_message(message, err));
    ENT_TRY(ent_cli_number(cli, "--attachment", 15, 0, &number, err));
    ent_cli_request_message(&request, message);
    if (attachment != NULL) {
        ent_cli_request_segment(&request, ent_text_of(attachment));
        if (path == NULL)
            return ent_fail(err, ENT_USAGE, NULL,
                            "where to? An attachment is written to a file: -o FILE, or -o - for standard output");
    }
    if (path != NULL)
        ENT_TRY(save(cli, &request, path, err));
    else
        ENT_TRY(ent_cli_ask_json(cli, &request, &answer, err));
    ENT_TRY(ask_message(cli, message, &about, err));
    bool is_text = !cli->json && path == NULL;
    ENT_TRY(tell_recall(cli, is_text, about.root, err));
    return !is_text ? ENT_DONE : put_body(cli, message, ent_cli_text(about.root, "kind"), answer.root, err);
}

const ent_cli_command ent_cli_open = {
    .words = "open",
    .arguments = "MSG [-o FILE] [--attachment N]",
    .summary = "open what a message says, or an attachment",
    .text = "Shows fields, texts (the authentic language is named), a summary of STIX content and the attachments'\n"
            "names. Characters that could act on the terminal are shown escaped; with -o every byte is as it was\n"
            "said. What others attach may be harmful: nothing is run or interpreted here. A recall of the message is "
            "told first,\n"
            "with what is asked to be done; with -o or --json on standard error.",
    .examples = "  entente open north/aurora.example/3 --dir boreal\n"
                "  entente open north/aurora.example/3 -o body.json --dir boreal\n"
                "  entente open north/aurora.example/3 --attachment 0 -o image.dd --dir boreal",
    .options = options,
    .least = 1,
    .most = 1,
    .run = run,
};
