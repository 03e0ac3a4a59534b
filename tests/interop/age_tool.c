/* Seals and opens age files with our library, for judges that compare it with other implementations. Not installed.
 *
 *   age-tool keygen                          prints an identity
 *   age-tool recipient < IDENTITY            prints its recipient
 *   age-tool seal RECIPIENT... < IN > OUT    in one piece
 *   age-tool seal-stream RECIPIENT... < IN > OUT
 *   age-tool open IDENTITY_FILE < IN > OUT   in one piece; nothing is written on failure
 *   age-tool open-stream IDENTITY_FILE < IN > OUT
 *
 * A failure prints "age-tool: <code>: <text>" and exits with the code's status. */

#include "base/file.h"
#include "crypto/crypto.h"
#include "seal/age.h"
#include "seal/bech32.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

enum { READ_BYTES = 100000, WHOLE_FILE_MAX_BYTES = 1 << 30 };

static ent_rc write_out(void *context, ent_bytes bytes, ent_err *err)
{
    (void)context;
    return ent_file_write_all(STDOUT_FILENO, bytes, err);
}

static const ent_age_sink standard_output = {write_out, NULL};

/* Gives up to size bytes of standard input; 0 at its end. */
static ent_rc read_some(void *room, size_t size, size_t *ret_size, ent_err *err)
{
    ssize_t got;
    do
        got = read(STDIN_FILENO, room, size);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return ent_fail(err, ENT_IO, NULL, "cannot read standard input");
    *ret_size = (size_t)got;
    return ENT_DONE;
}

static ent_rc read_all(ent_buf *ret, ent_err *err)
{
    for (;;) {
        size_t got = 0;
        uint8_t *room = ent_buf_reserve(ret, READ_BYTES);
        if (room == NULL)
            return ent_buf_check(ret, err);
        ENT_TRY(read_some(room, READ_BYTES, &got, err));
        if (got == 0)
            return ENT_DONE;
        ret->size += got;
    }
}

static ent_text first_line(const ent_buf *buf)
{
    ent_text text = ent_buf_text(buf);
    const char *end = text.size == 0 ? NULL : memchr(text.data, '\n', text.size);
    if (end != NULL)
        text.size = (size_t)(end - text.data);
    return text;
}

static ent_rc put_line(ent_buf *line, ent_err *err)
{
    ent_buf_put_u8(line, '\n');
    ENT_TRY(ent_buf_check(line, err));
    return write_out(NULL, ent_buf_bytes(line), err);
}

static ent_rc keygen(ent_err *err)
{
    ENT_CLEANUP(ent_buf_wipe) ent_buf line = {0};
    ent_identity identity;
    ent_recipient recipient;
    ent_x25519_generate(&recipient, &identity);
    ent_identity_put(&line, &identity);
    return put_line(&line, err);
}

static ent_rc show_recipient(ent_err *err)
{
    ENT_CLEANUP(ent_buf_wipe) ent_buf input = {0};
    ENT_CLEANUP(ent_buf_wipe) ent_buf line = {0};
    ent_identity identity;
    ent_recipient recipient;
    ENT_TRY(read_all(&input, err));
    ENT_TRY(ent_identity_parse(first_line(&input), &identity, err));
    ent_x25519_recipient(&identity, &recipient);
    ent_recipient_put(&line, &recipient);
    return put_line(&line, err);
}

static ent_rc seal(char **names, size_t count, bool streaming, ent_err *err)
{
    static uint8_t piece[READ_BYTES];
    ent_recipient recipients[ENT_AGE_MAX_RECIPIENTS];
    if (count > ENT_AGE_MAX_RECIPIENTS)
        return ent_fail(err, ENT_USAGE, NULL, "too many recipients");
    for (size_t i = 0; i < count; i++)
        ENT_TRY(ent_recipient_parse(ent_text_of(names[i]), &recipients[i], err));
    if (!streaming) {
        ENT_CLEANUP(ent_buf_wipe) ent_buf input = {0};
        ENT_CLEANUP(ent_buf_release) ent_buf sealed = {0};
        ENT_TRY(read_all(&input, err));
        ENT_TRY(ent_age_seal(ent_buf_bytes(&input), recipients, count, &sealed, err));
        return write_out(NULL, ent_buf_bytes(&sealed), err);
    }
    ENT_CLEANUP(ent_age_sealer_release) ent_age_sealer *sealer = NULL;
    size_t got = 0;
    ENT_TRY(ent_age_sealer_new(recipients, count, standard_output, &sealer, err));
    do {
        ENT_TRY(read_some(piece, sizeof piece, &got, err));
        ENT_TRY(ent_age_sealer_push(sealer, ent_bytes_of(piece, got), err));
    } while (got > 0);
    return ent_age_sealer_finish(sealer, err);
}

static ent_rc open_sealed(const char *identity_path, bool streaming, ent_err *err)
{
    static uint8_t piece[READ_BYTES];
    ENT_CLEANUP(ent_buf_wipe) ent_buf file = {0};
    ent_identity identity;
    ENT_TRY(ent_file_read(identity_path, 4096, &file, err));
    ENT_TRY(ent_identity_parse(first_line(&file), &identity, err));
    if (!streaming) {
        ENT_CLEANUP(ent_buf_release) ent_buf input = {0};
        ENT_CLEANUP(ent_buf_wipe) ent_buf plaintext = {0};
        ENT_TRY(read_all(&input, err));
        ENT_TRY(ent_age_open(ent_buf_bytes(&input), ent_age_identity_unwrapper(&identity), &plaintext, NULL, err));
        return write_out(NULL, ent_buf_bytes(&plaintext), err);
    }
    ENT_CLEANUP(ent_age_opener_release) ent_age_opener *opener = NULL;
    size_t got = 0;
    ENT_TRY(ent_age_opener_new(ent_age_identity_unwrapper(&identity), standard_output, &opener, err));
    do {
        ENT_TRY(read_some(piece, sizeof piece, &got, err));
        ENT_TRY(ent_age_opener_push(opener, ent_bytes_of(piece, got), err));
    } while (got > 0);
    return ent_age_opener_finish(opener, err);
}

static ent_rc run(int count, char **arguments, ent_err *err)
{
    ent_text verb = ent_text_of(count > 1 ? arguments[1] : "");
    bool streaming = ent_text_is(verb, "seal-stream") || ent_text_is(verb, "open-stream");
    ENT_TRY(ent_crypto_init(err));
    if (ent_text_is(verb, "keygen") && count == 2)
        return keygen(err);
    if (ent_text_is(verb, "recipient") && count == 2)
        return show_recipient(err);
    if (ent_text_starts(verb, ENT_TEXT("seal")) && (streaming || verb.size == 4) && count > 2)
        return seal(arguments + 2, (size_t)count - 2, streaming, err);
    if (ent_text_starts(verb, ENT_TEXT("open")) && (streaming || verb.size == 4) && count == 3)
        return open_sealed(arguments[2], streaming, err);
    return ent_fail(err, ENT_USAGE, NULL,
                    "keygen | recipient | seal[-stream] RECIPIENT... | open[-stream] IDENTITY_FILE");
}

int main(int argc, char **argv)
{
    ent_err err = {0};
    ent_rc rc = run(argc, argv, &err);
    if (rc.code != ENT_OK)
        (void)fprintf(stderr, "age-tool: %s: %s\n", ent_code_word(rc.code), err.text);
    return ent_code_exit_status(rc.code);
}
