#include "seal/bech32.h"

#include "crypto/crypto.h"

static const char charset[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

enum { CHECKSUM_SIZE = 6, MAX_VALUES = (ENT_BECH32_MAX_DATA * 8 + 4) / 5 };

static const char rule[] = "BIP 173, Bech32";
static const char x25519_rule[] = "age, The X25519 recipient type";

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static char to_lower(char c)
{
    return is_upper(c) ? (char)(c - 'A' + 'a') : c;
}

/* "1 to 83 US-ASCII characters, with each character having an ASCII value in the range [33-126]", of one case. */
static bool hrp_valid(ent_text hrp, bool *ret_upper)
{
    bool lower = false;
    bool upper = false;
    for (size_t i = 0; i < hrp.size; i++) {
        if (hrp.data[i] < 33 || hrp.data[i] > 126)
            return false;
        lower = lower || is_lower(hrp.data[i]);
        upper = upper || is_upper(hrp.data[i]);
    }
    *ret_upper = upper;
    return hrp.size > 0 && hrp.size <= 83 && !(lower && upper);
}

static uint32_t polymod_step(uint32_t check, uint32_t value)
{
    static const uint32_t generator[5] = {0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3};
    uint32_t top = check >> 25;
    check = (check & 0x1ffffff) << 5 ^ value;
    for (unsigned i = 0; i < 5; i++)
        check ^= (top >> i & 1) != 0 ? generator[i] : 0;
    return check;
}

/* "the checksum is always computed over the lowercase string" (age). */
static uint32_t polymod(ent_text hrp, const uint8_t *values, size_t count)
{
    uint32_t check = 1;
    for (size_t i = 0; i < hrp.size; i++)
        check = polymod_step(check, (uint32_t)to_lower(hrp.data[i]) >> 5);
    check = polymod_step(check, 0);
    for (size_t i = 0; i < hrp.size; i++)
        check = polymod_step(check, (uint32_t)to_lower(hrp.data[i]) & 31);
    for (size_t i = 0; i < count; i++)
        check = polymod_step(check, values[i]);
    return check;
}

/* Eight bits into five, filled up with zero bits at the end; returns the number of values. */
static size_t to_values(ent_bytes data, uint8_t *values)
{
    uint32_t bits = 0;
    unsigned held = 0;
    size_t count = 0;
    for (size_t i = 0; i < data.size; i++) {
        bits = (bits << 8 | data.data[i]) & 0xfff;
        held += 8;
        while (held >= 5) {
            held -= 5;
            values[count++] = bits >> held & 31;
        }
    }
    if (held > 0)
        values[count++] = bits << (5 - held) & 31;
    return count;
}

/* "Decoding MUST ... discard the incomplete group at the end MUST be 4 bits or less, MUST be all zeroes." */
static bool to_bytes(const uint8_t *values, size_t count, uint8_t *out, size_t *ret_size)
{
    uint32_t bits = 0;
    unsigned held = 0;
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        bits = (bits << 5 | values[i]) & 0xfff;
        held += 5;
        if (held >= 8) {
            held -= 8;
            out[size++] = (uint8_t)(bits >> held);
        }
    }
    *ret_size = size;
    return held <= 4 && (bits & ((1U << held) - 1)) == 0;
}

ent_rc ent_bech32_put(ent_buf *buf, ent_text hrp, ent_bytes data, ent_err *err)
{
    bool upper = false;
    if (!hrp_valid(hrp, &upper))
        return ent_fail(err, ENT_USAGE, rule, "not a human-readable part: 1 to 83 visible characters of one case");
    size_t size = hrp.size + 1 + (data.size * 8 + 4) / 5 + CHECKSUM_SIZE;
    if (data.size > ENT_BECH32_MAX_DATA || size > ENT_BECH32_MAX_TEXT)
        return ent_fail(err, ENT_USAGE, NULL, "%zu bytes are too many for bech32 here (at most %d)", data.size,
                        ENT_BECH32_MAX_DATA);
    uint8_t values[MAX_VALUES + CHECKSUM_SIZE] = {0};
    size_t count = to_values(data, values);
    uint32_t check = polymod(hrp, values, count + CHECKSUM_SIZE) ^ 1;
    for (unsigned i = 0; i < CHECKSUM_SIZE; i++)
        values[count++] = check >> (25 - 5 * i) & 31;
    char *room = (char *)ent_buf_reserve(buf, size);
    if (room != NULL) {
        memcpy(room, hrp.data, hrp.size);
        room[hrp.size] = '1';
        for (size_t i = 0; i < count; i++) {
            char c = charset[values[i]];
            room[hrp.size + 1 + i] = upper && is_lower(c) ? (char)(c - 'a' + 'A') : c;
        }
        buf->size += size;
    }
    ent_wipe(values, sizeof values);
    return ent_buf_check(buf, err);
}

/* The values of the data part; false when a character does not belong there. */
static bool read_values(ent_text data, bool upper, uint8_t *values)
{
    for (size_t i = 0; i < data.size; i++) {
        char c = data.data[i];
        const char *found = NULL;
        if (!(upper ? is_lower(c) : is_upper(c)))
            found = memchr(charset, to_lower(c), sizeof charset - 1);
        if (found == NULL)
            return false;
        values[i] = (uint8_t)(found - charset);
    }
    return true;
}

static ent_rc decode_values(ent_text data, ent_text hrp, bool upper, uint8_t *values, uint8_t *bytes, size_t *ret_size,
                            ent_err *err)
{
    if (!read_values(data, upper, values))
        return ent_fail(err, ENT_PEER_MALFORMED, rule,
                        "the part after \"%.*s1\" has a character that does not belong there", ENT_TEXT_ARG(hrp));
    if (polymod(hrp, values, data.size) != 1)
        return ent_fail(err, ENT_PEER_MALFORMED, rule, "the checksum is wrong: a character was mistyped or lost");
    if (!to_bytes(values, data.size - CHECKSUM_SIZE, bytes, ret_size))
        return ent_fail(err, ENT_PEER_MALFORMED, rule, "the unused bits at the end are not zero");
    return ENT_DONE;
}

ent_rc ent_bech32_decode(ent_text text, ent_text hrp, uint8_t ret_data[ENT_BECH32_MAX_DATA], size_t *ret_size,
                         ent_err *err)
{
    uint8_t values[MAX_VALUES + CHECKSUM_SIZE];
    uint8_t bytes[ENT_BECH32_MAX_DATA];
    size_t size = 0;
    bool upper = false;
    if (!hrp_valid(hrp, &upper))
        return ent_fail(err, ENT_USAGE, rule, "not a human-readable part: 1 to 83 visible characters of one case");
    if (!ent_text_starts(text, hrp) || text.size == hrp.size || text.data[hrp.size] != '1')
        return ent_fail(err, ENT_PEER_MALFORMED, rule, "does not start with \"%.*s1\"", ENT_TEXT_ARG(hrp));
    ent_text data = {text.data + hrp.size + 1, text.size - hrp.size - 1};
    if (data.size < CHECKSUM_SIZE || data.size > sizeof values || text.size > ENT_BECH32_MAX_TEXT)
        return ent_fail(err, ENT_PEER_MALFORMED, rule, "%zu characters are too few or too many", text.size);
    ent_rc rc = decode_values(data, hrp, upper, values, bytes, &size, err);
    if (rc.code == ENT_OK) {
        memcpy(ret_data, bytes, size);
        *ret_size = size;
    }
    ent_wipe(values, sizeof values);
    ent_wipe(bytes, sizeof bytes);
    return rc;
}

static ent_rc decode_key(ent_text text, ent_text hrp, uint8_t key[32], ent_err *err)
{
    uint8_t bytes[ENT_BECH32_MAX_DATA];
    size_t size = 0;
    ENT_TRY(ent_bech32_decode(text, hrp, bytes, &size, err));
    if (size == 32)
        memcpy(key, bytes, 32);
    ent_wipe(bytes, sizeof bytes);
    if (size != 32)
        return ent_fail(err, ENT_PEER_MALFORMED, x25519_rule, "holds %zu bytes instead of 32", size);
    return ENT_DONE;
}

/* A recipient is what X25519 gives, so it is a number below 2^255-19 in its shortest form. Another form of the same
 * number would enter the stanza's salt, and the owner's identity could not open it. */
static bool is_reduced(const ent_recipient *recipient)
{
    if (recipient->bytes[31] != 0x7f)
        return recipient->bytes[31] < 0x7f;
    for (size_t i = 1; i < 31; i++) {
        if (recipient->bytes[i] != 0xff)
            return true;
    }
    return recipient->bytes[0] < 0xed;
}

/* On a point of low order every shared secret is zero: nothing could be sealed to it. */
static bool is_low_order(const ent_recipient *recipient)
{
    static const ent_identity any = {{1}};
    uint8_t shared[32];
    bool usable = ent_x25519_shared(&any, recipient, shared);
    return !usable;
}

bool ent_recipient_valid(const ent_recipient *recipient)
{
    return is_reduced(recipient) && !is_low_order(recipient);
}

ent_rc ent_recipient_parse(ent_text text, ent_recipient *ret, ent_err *err)
{
    ent_recipient recipient = {0};
    ENT_TRY(decode_key(text, ENT_TEXT("age"), recipient.bytes, err));
    if (!ent_recipient_valid(&recipient))
        return ent_fail(err, ENT_PEER_MALFORMED, x25519_rule, "no identity can have this recipient");
    *ret = recipient;
    return ENT_DONE;
}

void ent_recipient_put(ent_buf *buf, const ent_recipient *recipient)
{
    /* The hrp and the size are right, so only the buffer can fail, and it remembers. */
    ent_rc rc = ent_bech32_put(buf, ENT_TEXT("age"), ent_bytes_of(recipient->bytes, sizeof recipient->bytes), NULL);
    (void)rc;
}

ent_rc ent_identity_parse(ent_text text, ent_identity *ret, ent_err *err)
{
    ent_identity identity = {0};
    ent_rc rc = decode_key(text, ENT_TEXT("AGE-SECRET-KEY-"), identity.bytes, err);
    if (rc.code == ENT_OK)
        *ret = identity;
    ent_wipe(&identity, sizeof identity);
    return rc;
}

void ent_identity_put(ent_buf *buf, const ent_identity *identity)
{
    ent_rc rc =
        ent_bech32_put(buf, ENT_TEXT("AGE-SECRET-KEY-"), ent_bytes_of(identity->bytes, sizeof identity->bytes), NULL);
    (void)rc;
}
