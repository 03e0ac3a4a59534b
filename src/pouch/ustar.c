#include "pouch/ustar.h"

/* The longest size that eleven octal digits can say. */
#define SIZE_LIMIT (((uint64_t)1 << 33) - 1)

static const char rule[] = "POSIX.1-2017 pax, ustar Interchange Format";

/* POSIX.1-2017 pax, "ustar Interchange Format": the fields of a header, in the order in which a difference is told. The
 * checksum comes last, for it differs whenever another field does. */
enum {
    NAME = 0,
    MODE = 100,
    UID = 108,
    GID = 116,
    SIZE = 124,
    MTIME = 136,
    CHKSUM = 148,
    TYPEFLAG = 156,
    LINKNAME = 157
};
enum {
    MAGIC = 257,
    VERSION = 263,
    UNAME = 265,
    GNAME = 297,
    DEVMAJOR = 329,
    DEVMINOR = 337,
    PREFIX = 345,
    UNUSED = 500
};

static const struct {
    uint16_t offset;
    uint16_t size;
    const char *refusal;
} fields[] = {
    {MAGIC, 6, "the magic is not \"ustar\" and NUL (GNU, old or no tar)"},
    {VERSION, 2, "the version is not \"00\""},
    {TYPEFLAG, 1, "the type is not that of a regular file"},
    {NAME, 100, "there are bytes after the end of the name"},
    {PREFIX, 155, "the prefix field is used"},
    {LINKNAME, 100, "the link name is not empty"},
    {MODE, 8, "the mode is not \"0000644\" and NUL"},
    {UID, 8, "the user id is not \"0000000\" and NUL"},
    {GID, 8, "the group id is not \"0000000\" and NUL"},
    {SIZE, 12, "the size is not eleven octal digits and NUL"},
    {MTIME, 12, "the time is not \"00000000000\" and NUL"},
    {UNAME, 32, "the user name is not empty"},
    {GNAME, 32, "the group name is not empty"},
    {DEVMAJOR, 8, "the device major number is not \"0000000\" and NUL"},
    {DEVMINOR, 8, "the device minor number is not \"0000000\" and NUL"},
    {UNUSED, 12, "the last 12 bytes are not zero"},
    {CHKSUM, 8, "the checksum is wrong, or not six octal digits, NUL and space"},
};

static bool name_character(char character)
{
    return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') ||
           (character >= '0' && character <= '9') || character == '.' || character == '_' || character == '-';
}

bool ent_ustar_name_valid(ent_text name)
{
    if (name.size == 0 || name.size > ENT_USTAR_NAME_MAX)
        return false;
    bool part_begins = true;
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] == '/') {
            if (part_begins)
                return false;
            part_begins = true;
        } else {
            if (!name_character(name.data[i]) || (part_begins && name.data[i] == '.'))
                return false;
            part_begins = false;
        }
    }
    return !part_begins;
}

static void write_octal(uint8_t *field, size_t digits, uint64_t value)
{
    for (size_t i = digits; i > 0; i--) {
        field[i - 1] = (uint8_t)('0' + (value & 7));
        value >>= 3;
    }
}

static void write_text(uint8_t *field, const char *text)
{
    memcpy(field, text, strlen(text));
}

/* The one header there is for a name (at most 100 bytes) and a size (at most SIZE_LIMIT). */
static void header_write(ent_text name, uint64_t size, uint8_t block[ENT_USTAR_BLOCK])
{
    memset(block, 0, ENT_USTAR_BLOCK);
    if (name.size > 0)
        memcpy(block + NAME, name.data, name.size);
    write_octal(block + MODE, 7, 0644);
    write_octal(block + UID, 7, 0);
    write_octal(block + GID, 7, 0);
    write_octal(block + SIZE, 11, size);
    write_octal(block + MTIME, 11, 0);
    block[TYPEFLAG] = '0';
    write_text(block + MAGIC, "ustar");
    write_text(block + VERSION, "00");
    write_octal(block + DEVMAJOR, 7, 0);
    write_octal(block + DEVMINOR, 7, 0);
    /* "When calculating the checksum, the chksum field is treated as if it were all <space> characters." */
    uint32_t sum = 8 * ' ';
    for (size_t i = 0; i < ENT_USTAR_BLOCK; i++)
        sum += block[i];
    write_octal(block + CHKSUM, 6, sum);
    block[CHKSUM + 7] = ' ';
}

static size_t padding_of(uint64_t size)
{
    return (size_t)((ENT_USTAR_BLOCK - size % ENT_USTAR_BLOCK) % ENT_USTAR_BLOCK);
}

ent_rc ent_ustar_put_header(ent_buf *buf, ent_text name, uint64_t size, ent_err *err)
{
    if (!ent_ustar_name_valid(name))
        return ent_fail(err, ENT_USAGE, "design 2, Pouch", "\"%.*s\" is not a name that may stand in a pouch",
                        ENT_TEXT_ARG(name));
    if (size > SIZE_LIMIT)
        return ent_fail(err, ENT_PEER_TOO_LARGE, rule, "%.*s: %llu bytes are more than eleven octal digits can say",
                        ENT_TEXT_ARG(name), (unsigned long long)size);
    uint8_t block[ENT_USTAR_BLOCK];
    header_write(name, size, block);
    ent_buf_put(buf, ent_bytes_of(block, sizeof block));
    return ent_buf_check(buf, err);
}

enum { END_BYTES = 2 * ENT_USTAR_BLOCK };
static const uint8_t zeros[END_BYTES];

void ent_ustar_put_padding(ent_buf *buf, uint64_t size)
{
    ent_buf_put(buf, ent_bytes_of(zeros, padding_of(size)));
}

void ent_ustar_put_end(ent_buf *buf)
{
    ent_buf_put(buf, ent_bytes_of(zeros, sizeof zeros));
}

ent_rc ent_ustar_put(ent_buf *buf, ent_text name, ent_bytes data, ent_err *err)
{
    ENT_TRY(ent_ustar_put_header(buf, name, data.size, err));
    ent_buf_put(buf, data);
    ent_ustar_put_padding(buf, data.size);
    return ent_buf_check(buf, err);
}

void ent_ustar_reader_init(ent_ustar_reader *reader, uint64_t limit, ent_ustar_events events)
{
    *reader = (ent_ustar_reader){.limit = limit, .events = events};
}

static bool read_octal(const uint8_t *field, size_t digits, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (size_t i = 0; i < digits; i++) {
        if (field[i] < '0' || field[i] > '7')
            return false;
        value = value << 3 | (uint64_t)(field[i] - '0');
    }
    *ret_value = value;
    return true;
}

/* What a type means, for the error: people will try pouches made with a tar program. */
static const char *type_refusal(uint8_t typeflag)
{
    switch (typeflag) {
    case 0:
        return "an old-style regular file (type NUL) is not taken, only type '0'";
    case '1':
        return "a hard link is not taken";
    case '2':
        return "a symbolic link is not taken";
    case '3':
    case '4':
        return "a device is not taken";
    case '5':
        return "a directory is not taken";
    case '6':
        return "a FIFO is not taken";
    case 'x':
    case 'g':
        return "a pax extended header is not taken";
    case 'L':
    case 'K':
    case 'S':
    case 'D':
    case 'M':
    case 'V':
        return "a GNU extension header is not taken";
    default:
        return "the type is not that of a regular file";
    }
}

/* Takes the header in reader->block apart: "a header is accepted only if writing it again gives the same bytes" (design
 * 2, Pouch). */
static ent_rc header_read(const ent_ustar_reader *reader, ent_text *ret_name, uint64_t *ret_size, ent_err *err)
{
    const uint8_t *block = reader->block;
    const unsigned long long offset = reader->offset - ENT_USTAR_BLOCK;
    const uint8_t *name_end = memchr(block + NAME, 0, ENT_USTAR_NAME_MAX);
    ent_text name = {(const char *)block + NAME,
                     name_end == NULL ? (size_t)ENT_USTAR_NAME_MAX : (size_t)(name_end - block)};
    uint64_t size = 0;
    (void)read_octal(block + SIZE, 11, &size); /* a size spelled otherwise stays 0 and so differs below */

    uint8_t again[ENT_USTAR_BLOCK];
    header_write(name, size, again);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (memcmp(block + fields[i].offset, again + fields[i].offset, fields[i].size) == 0)
            continue;
        const char *refusal = fields[i].offset == TYPEFLAG ? type_refusal(block[TYPEFLAG]) : fields[i].refusal;
        return ent_fail(err, ENT_PEER_MALFORMED, rule, "header at offset %llu: %s", offset, refusal);
    }
    if (!ent_ustar_name_valid(name))
        return ent_fail(
            err, ENT_PEER_MALFORMED, "design 2, Pouch",
            "header at offset %llu: the name is not allowed (empty, absolute, a part that begins with a dot, or "
            "another character than A-Z a-z 0-9 . _ -)",
            offset);
    if (reader->limit != 0 && size > reader->limit - reader->offset)
        return ent_fail(err, ENT_PEER_TOO_LARGE, "design 2, Pouch",
                        "%.*s: its %llu bytes go beyond the limit of %llu for the whole file", ENT_TEXT_ARG(name),
                        (unsigned long long)size, (unsigned long long)reader->limit);
    *ret_name = name;
    *ret_size = size;
    return ENT_DONE;
}

static bool all_zero(const uint8_t *bytes, size_t size)
{
    return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

/* Counts bytes as taken and cuts them off the piece. */
static ent_bytes take(ent_ustar_reader *reader, ent_bytes *piece, uint64_t wanted)
{
    ent_bytes taken = {piece->data, wanted < piece->size ? (size_t)wanted : piece->size};
    piece->data += taken.size;
    piece->size -= taken.size;
    reader->offset += taken.size;
    return taken;
}

static ent_rc take_block(ent_ustar_reader *reader, ent_bytes *piece, ent_err *err)
{
    if (reader->zero_blocks == 2)
        return ent_fail(err, ENT_PEER_MALFORMED, "design 2, Pouch", "there is data after the end, at offset %llu",
                        (unsigned long long)reader->offset);
    ent_bytes taken = take(reader, piece, ENT_USTAR_BLOCK - reader->block_used);
    memcpy(reader->block + reader->block_used, taken.data, taken.size);
    reader->block_used += taken.size;
    if (reader->block_used < ENT_USTAR_BLOCK)
        return ENT_DONE;
    reader->block_used = 0;

    if (all_zero(reader->block, ENT_USTAR_BLOCK)) {
        reader->zero_blocks++;
        return ENT_DONE;
    }
    /* "At the end of the archive file there shall be two 512-octet logical records filled with binary zeros,
     * interpreted as an end-of-archive indicator." */
    if (reader->zero_blocks == 1)
        return ent_fail(err, ENT_PEER_MALFORMED, rule, "one zero block alone, before offset %llu",
                        (unsigned long long)(reader->offset - ENT_USTAR_BLOCK));
    ent_text name = {NULL, 0};
    uint64_t size = 0;
    ENT_TRY(header_read(reader, &name, &size, err));
    reader->data_left = size;
    reader->padding_left = (uint32_t)padding_of(size);
    return reader->events.member(reader->events.context, name, size, err);
}

static ent_rc take_padding(ent_ustar_reader *reader, ent_bytes *piece, ent_err *err)
{
    ent_bytes taken = take(reader, piece, reader->padding_left);
    reader->padding_left -= (uint32_t)taken.size;
    if (!all_zero(taken.data, taken.size))
        return ent_fail(err, ENT_PEER_MALFORMED, "design 2, Pouch", "the padding before offset %llu is not zero",
                        (unsigned long long)reader->offset);
    return ENT_DONE;
}

static ent_rc push(ent_ustar_reader *reader, ent_bytes bytes, ent_err *err)
{
    if (reader->limit != 0 && bytes.size > reader->limit - reader->offset)
        return ent_fail(err, ENT_PEER_TOO_LARGE, "design 2, Pouch", "larger than the limit of %llu bytes",
                        (unsigned long long)reader->limit);
    while (bytes.size > 0) {
        if (reader->data_left > 0) {
            ent_bytes taken = take(reader, &bytes, reader->data_left);
            reader->data_left -= taken.size;
            ENT_TRY(reader->events.data(reader->events.context, taken, err));
        } else if (reader->padding_left > 0) {
            ENT_TRY(take_padding(reader, &bytes, err));
        } else {
            ENT_TRY(take_block(reader, &bytes, err));
        }
    }
    return ENT_DONE;
}

ent_rc ent_ustar_reader_push(ent_ustar_reader *reader, ent_bytes bytes, ent_err *err)
{
    if (reader->failed)
        return ent_fail(err, ENT_PEER_MALFORMED, NULL, "the file was already refused before offset %llu",
                        (unsigned long long)reader->offset);
    ent_rc rc = push(reader, bytes, err);
    reader->failed = rc.code != ENT_OK;
    return rc;
}

ent_rc ent_ustar_reader_finish(ent_ustar_reader *reader, ent_err *err)
{
    const unsigned long long offset = reader->offset;
    if (reader->failed)
        return ent_fail(err, ENT_PEER_MALFORMED, NULL, "the file was already refused before offset %llu", offset);
    if (reader->data_left > 0)
        return ent_fail(err, ENT_PEER_MALFORMED, rule, "cut at offset %llu: %llu bytes of a member are missing", offset,
                        (unsigned long long)reader->data_left);
    if (reader->padding_left > 0 || reader->block_used > 0)
        return ent_fail(err, ENT_PEER_MALFORMED, rule, "cut at offset %llu, inside a block of %d bytes", offset,
                        ENT_USTAR_BLOCK);
    if (reader->zero_blocks != 2)
        return ent_fail(err, ENT_PEER_MALFORMED, rule,
                        "cut at offset %llu: %d of the two zero blocks at the end are there", offset,
                        reader->zero_blocks);
    return ENT_DONE;
}
