/* What the reader takes, the writer writes: the same bytes. In whatever pieces the bytes come, the same is told. */
#include "base/alloc.h"
#include "check.h"
#include "pouch/ustar.h"

#include <stdint.h>

typedef struct {
    ent_buf again; /* the archive written from what was told */
    uint64_t left; /* of the member that was begun last */
    uint64_t size;
    bool begun;
} writing;

static void end_member(writing *w)
{
    CHECK(w->left == 0);
    if (w->begun)
        ent_ustar_put_padding(&w->again, w->size);
}

static ent_rc on_member(void *context, ent_text name, uint64_t size, ent_err *err)
{
    writing *w = context;
    end_member(w);
    w->begun = true;
    w->size = size;
    w->left = size;
    CHECK(ent_ustar_name_valid(name));
    return ent_ustar_put_header(&w->again, name, size, err);
}

static ent_rc on_data(void *context, ent_bytes piece, ent_err *err)
{
    writing *w = context;
    (void)err;
    CHECK(w->begun && piece.size > 0 && piece.size <= w->left);
    w->left -= piece.size;
    ent_buf_put(&w->again, piece);
    return ENT_DONE;
}

static int read_in_pieces(const uint8_t *data, size_t size, size_t step, writing *w)
{
    ent_ustar_reader reader;
    ent_ustar_reader_init(&reader, 1 << 20, (ent_ustar_events){on_member, on_data, w});
    for (size_t at = 0; at < size; at += step) {
        ent_rc rc = ent_ustar_reader_push(&reader, ent_bytes_of(data + at, size - at < step ? size - at : step), NULL);
        if (rc.code != ENT_OK)
            return rc.code;
    }
    return ent_ustar_reader_finish(&reader, NULL).code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1 << 20)
        return 0;
    const size_t steps[] = {1 << 20, 512, 97};
    int codes[3];
    for (size_t i = 0; i < 3; i++) {
        writing w = {0};
        codes[i] = read_in_pieces(data, size, steps[i], &w);
        if (codes[i] == ENT_OK) {
            end_member(&w);
            ent_ustar_put_end(&w.again);
            CHECK(ent_bytes_equal(ent_buf_bytes(&w.again), ent_bytes_of(data, size)));
        }
        ent_buf_release(&w.again);
    }
    CHECK(codes[0] == codes[1] && codes[0] == codes[2]);
    return 0;
}
