#include "cli/api.h"
#include "cli/files.h"
#include "cli/people.h"
#include "cli/verbs.h"

static const ent_cli_option options[] = {
    {"--output", "-o", "NAME", false, "write NAME.entry, NAME.tlog-proof and NAME.policy"},
    {NULL, NULL, NULL, false, NULL},
};

/* Write NAME[.PARTY].EXTENSION and list it. */
static ent_rc write_part(const char *name, ent_text party, const char *extension, ent_text text, ent_json_writer *files,
                         ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf path = {0};
    ent_buf_put_string(&path, name);
    if (party.size > 0) {
        ent_buf_put_u8(&path, '.');
        ent_buf_put_text(&path, party);
    }
    ent_buf_put_format(&path, ".%s", extension);
    const char *string = ent_buf_string(&path);
    ENT_TRY(ent_buf_check(&path, err));
    ENT_TRY(ent_cli_write(string, 0644, ent_text_bytes(text), err));
    ent_json_put_string(files, string);
    return ENT_DONE;
}

/* The party that a proof is named after; a peer's name becomes part of a path, so it must be nothing else. */
static ent_rc name_of(ent_json_value proof, size_t count, ent_text *ret, ent_err *err)
{
    ENT_CLEANUP(ent_free_pointer) char *name = NULL;
    *ret = (ent_text){NULL, 0};
    if (count < 2)
        return ENT_DONE;
    ent_json_iter receipts = ent_json_iterate(ent_json_get(proof, "receipts"));
    ent_text first = ent_json_next(&receipts) ? ent_json_string(receipts.value) : (ent_text){NULL, 0};
    name = ent_text_copy(first);
    if (name == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    ENT_TRY(ent_fail_in(err, ent_cli_check_party(name, err), "one of several proofs"));
    *ret = first;
    return ENT_DONE;
}

static ent_rc write_all(const char *name, ent_json_value answer, ent_json_writer *files, ent_err *err)
{
    ent_json_value proofs = ent_json_get(answer, "proofs");
    size_t count = ent_json_count(proofs);
    if (count == 0)
        return ent_fail(err, ENT_WAITING, "design 3",
                        "there is no proof yet: the head that covers this message is not signed or not "
                        "receipted; try again later");
    for (ent_json_iter i = ent_json_iterate(proofs); ent_json_next(&i);) {
        ent_text party = {NULL, 0};
        ENT_TRY(name_of(i.value, count, &party, err));
        ENT_TRY(write_part(name, party, "tlog-proof", ent_cli_text(i.value, "proof"), files, err));
        ENT_TRY(write_part(name, party, "policy", ent_cli_text(i.value, "policy"), files, err));
    }
    return write_part(name, (ent_text){NULL, 0}, "entry", ent_cli_text(answer, "entry"), files, err);
}

static void put_result(ent_cli *cli, const char *name, ent_json_value answer, ent_json_value files)
{
    ent_buf *out = &cli->out;
    ent_json_value proofs = ent_json_get(answer, "proofs");
    for (ent_json_iter i = ent_json_iterate(files); ent_json_next(&i);) {
        ent_cli_put_line(out, ent_json_string(i.value));
        ent_buf_put_u8(out, '\n');
    }
    for (ent_json_iter i = ent_json_iterate(proofs); ent_json_next(&i);) {
        ent_json_value receipts = ent_json_get(i.value, "receipts");
        if (ent_json_count(receipts) == 0) {
            ent_buf_put_string(out, "Nobody has receipted it yet: this proves only that its writer said it.\n");
        } else {
            ent_buf_put_string(out, "Receipted by ");
            ent_cli_put_names(out, receipts);
            ent_buf_put_string(out, ".\n");
        }
    }
    ent_buf_put_format(out, "Check it anywhere, without a node: entente verify %s%s --card FILE\n", name,
                       ent_json_count(proofs) > 1 ? ".PARTY.tlog-proof" : ".tlog-proof");
}

static ent_rc run(ent_cli *cli, ent_err *err)
{
    const char *name = ent_cli_value(cli, "--output");
    ENT_CLEANUP(ent_cli_request_release) ent_cli_request request = ent_cli_request_of("GET", "/proofs");
    ENT_CLEANUP(ent_cli_answer_release) ent_cli_answer answer = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf json = {0};
    ENT_CLEANUP(ent_json_release) ent_json *written = NULL;
    ENT_TRY(ent_cli_check_message(cli->positional[0], err));
    if (name == NULL)
        return ent_fail(err, ENT_USAGE, NULL,
                        "where to? entente prove %s -o NAME writes NAME.entry, NAME.tlog-proof and NAME.policy",
                        cli->positional[0]);
    ent_cli_request_message(&request, cli->positional[0]);
    ENT_TRY(ent_cli_ask(cli, &request, &answer.bytes, err));
    ENT_TRY(ent_fail_in(err, ent_json_parse(ent_buf_bytes(&answer.bytes), &answer.json, err), "the node's answer"));
    answer.root = ent_json_root(answer.json);
    ent_json_writer writer = ent_json_writer_of(&json);
    ent_json_object_begin(&writer);
    ent_json_key(&writer, "files");
    ent_json_array_begin(&writer);
    ENT_TRY(write_all(name, answer.root, &writer, err));
    ent_json_array_end(&writer);
    ent_json_object_end(&writer);
    ENT_TRY(ent_buf_check(&json, err));
    if (cli->json) {
        ent_cli_put_answer(cli, ent_buf_text(&json));
        return ENT_DONE;
    }
    ENT_TRY(ent_json_parse(ent_buf_bytes(&json), &written, err));
    put_result(cli, name, answer.root, ent_json_get(ent_json_root(written), "files"));
    return ENT_DONE;
}

const ent_cli_command ent_cli_prove = {
    .words = "prove",
    .arguments = "MSG -o NAME",
    .summary = "write proof of a message, for anybody to verify",
    .text =
        "NAME.entry is the log entry (who, when, what kind, the digests of what was said); NAME.tlog-proof shows that\n"
        "it stands in its writer's signed log, with the receipts; NAME.policy names the keys. Any verifier of the\n"
        "C2SP tlog formats accepts them. When no single head carries all receipts, each receiver gets a proof of its\n"
        "own: NAME.PARTY.tlog-proof and NAME.PARTY.policy. The proof shows neither the body nor other messages.",
    .examples = "  entente prove north/aurora.example/3 -o attack --dir aurora\n"
                "  entente verify attack.tlog-proof --card aurora.card --card boreal.card",
    .options = options,
    .least = 1,
    .most = 1,
    .run = run,
};
