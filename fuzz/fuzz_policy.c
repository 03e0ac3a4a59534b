/* The parts of a policy that parses can be written as a policy again; checking a note against it ends with a verdict.
 */
#include "crypto/crypto.h"
#include "log/policy.h"

#include "check.h"

static const char witnessed_note[] =
    "log.example/first\n1000\n7Vj+IhBXF87t92CkPu37FzpgxE70D9YbbNhr1Ou1m2E=\n\n"
    "\xe2\x80\x94 log.example/first "
    "GjqohdYW2uqq5PV+50C4XK81gntK5K7kyg5Uh706cRjcqMmaH4i+ALanEebTLcta2nVBscStRpYb5u/TafdA4APL3wA=\n"
    "\xe2\x80\x94 witness.example/one "
    "E6NxKgAAAABkGFDLX5x/fld81zBQnBraNDGvg8s1WzvKyukfrFM7dZ09VsHHwFOkoO6FEeYw9WS4Ovqzdammd5Jg1NznTWnjapkgCA==\n";

static void check_written_again(const ent_policy *policy)
{
    ent_policy *reparsed = NULL;
    ent_buf text = {0};
    for (size_t i = 0; i < ent_policy_log_count(policy); i++) {
        const ent_policy_log *log = ent_policy_log_at(policy, i);
        CHECK(log->vkey.type == ENT_KEY_ED25519);
        ent_buf_put_string(&text, "log ");
        ent_vkey_put(&text, &log->vkey);
        ent_buf_put_u8(&text, ' ');
        ent_buf_put_text(&text, log->url);
        ent_buf_put_u8(&text, '\n');
    }
    for (size_t i = 0; i < ent_policy_witness_count(policy); i++) {
        const ent_policy_witness *witness = ent_policy_witness_at(policy, i);
        CHECK(witness->vkey.type == ENT_KEY_COSIGNATURE);
        ent_buf_put_string(&text, "witness ");
        ent_buf_put_text(&text, witness->name);
        ent_buf_put_u8(&text, ' ');
        ent_vkey_put(&text, &witness->vkey);
        ent_buf_put_u8(&text, ' ');
        ent_buf_put_text(&text, witness->url);
        ent_buf_put_u8(&text, '\n');
    }
    ent_buf_put_string(&text, "quorum none\n");
    /* Blanks between the parts are written shortest here, so it cannot become too large. */
    CHECK(text.size > ENT_POLICY_MAX_BYTES || ent_policy_parse(ent_buf_bytes(&text), &reparsed, NULL).code == ENT_OK);
    if (reparsed != NULL) {
        CHECK(ent_policy_log_count(reparsed) == ent_policy_log_count(policy));
        CHECK(ent_policy_witness_count(reparsed) == ent_policy_witness_count(policy));
    }
    ent_policy_free(reparsed);
    ent_buf_release(&text);
}

static void check_result(const ent_policy *policy)
{
    ent_note note;
    ent_policy_result result;
    CHECK(ent_note_parse(ent_text_bytes(ent_text_of(witnessed_note)), &note, NULL).code == ENT_OK);
    CHECK(ent_policy_check(policy, &note, &result, NULL).code == ENT_OK);
    CHECK(result.verdict != ENT_POLICY_NOT_CHECKED);
    CHECK(result.cosigned_count <= ent_policy_witness_count(policy));
    CHECK(result.verdict != ENT_POLICY_SATISFIED || result.log != NULL);
    CHECK(ent_policy_log_count(policy) > 0 || result.verdict == ENT_POLICY_UNKNOWN_LOG);
    ent_note_release(&note);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ent_policy *policy = NULL;
    if (ent_crypto_init(NULL).code != ENT_OK || ent_policy_parse((ent_bytes){data, size}, &policy, NULL).code != ENT_OK)
        return 0;
    check_written_again(policy);
    check_result(policy);
    ent_policy_free(policy);
    return 0;
}
