/* A report that somebody else made: what verify says of it does not depend on when it is asked, and a report that holds
 * has proofs, lines and figures that were looked at. */
#include "cli/verify.h"

#include "check.h"

static int verify(ent_bytes report, ent_buf *ret_text, ent_err *err)
{
    ent_cli_verifier verifier = {0};
    ent_cli_subject subject = {.path = "report.json", .kind = ENT_CLI_REPORT};
    ent_buf_put(&subject.bytes, report);
    CHECK(subject.bytes.failed == ENT_OK);
    ent_rc rc = ent_cli_verify_report(&verifier, &subject, err);
    if (rc.code == ENT_OK)
        ent_buf_put(ret_text, ent_buf_bytes(&verifier.text));
    ent_buf_release(&verifier.text);
    ent_buf_release(&subject.bytes);
    return rc.code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ent_buf first = {0};
    ent_buf second = {0};
    ent_err err = {0};
    ent_err again = {0};
    int code = verify(ent_bytes_of(data, size), &first, &err);
    CHECK(verify(ent_bytes_of(data, size), &second, &again) == code);
    CHECK(ent_bytes_equal(ent_buf_bytes(&first), ent_buf_bytes(&second)));
    CHECK(code == ENT_OK ? first.size > 0 : err.text[0] != 0 && strcmp(err.text, again.text) == 0);
    ent_buf_release(&first);
    ent_buf_release(&second);
    return 0;
}
