#include "http/mail.h"

#include "base/cursor.h"

#include <time.h>

enum {
    HEADER_LINE = 76,        /* RFC 2047, section 2: lines with an encoded-word */
    ENCODED_WORD_BYTES = 39, /* 52 characters of base64; with its frame and "Subject: " a line has 73 */
    BODY_LINE = 76,          /* RFC 2045, section 6.7 (5) */
    PLAIN_LINE = 998         /* RFC 5322, section 2.1.1: "MUST be no more than 998 characters" */
};

static ent_rc not_allowed(ent_err *err, const char *what, ent_text given)
{
    return ent_fail(err, ENT_USAGE, "RFC 5321, section 4.1.2", "%s is not an address that mail can be sent to: %.*s",
                    what, (int)(given.size > 100 ? 100 : given.size), given.data);
}

/* ---- addresses ---- */

static bool is_alphanumeric(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* RFC 5322, section 3.2.3: dot-atom-text = 1*atext *("." 1*atext) */
static bool is_dot_atom(ent_text text, const char *more)
{
    char before = '.';
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        bool dot = c == '.';
        if ((dot && before == '.') || (!dot && !is_alphanumeric(c) && (c == 0 || strchr(more, c) == NULL)))
            return false;
        before = c;
    }
    return text.size > 0 && before != '.';
}

static bool is_domain(ent_text text)
{
    return text.size <= 253 && is_dot_atom(text, "-") && text.data[0] != '-' && text.data[text.size - 1] != '-';
}

bool ent_mail_address_valid(ent_text address)
{
    const char *at = address.size == 0 ? NULL : memchr(address.data, '@', address.size);
    if (at == NULL || address.size > ENT_MAIL_ADDRESS_MAX_BYTES)
        return false;
    ent_text local = {address.data, (size_t)(at - address.data)};
    ent_text domain = {at + 1, address.size - local.size - 1};
    return local.size <= 64 && is_dot_atom(local, "!#$%&'*+-/=?^_`{|}~") && is_domain(domain);
}

/* "[2001:db8::1]" up to the bracket. */
static bool take_literal(ent_text *rest)
{
    const char *end = rest->size > 2 && rest->data[0] == '[' ? memchr(rest->data, ']', rest->size) : NULL;
    if (end == NULL || end == rest->data + 1)
        return false;
    for (const char *c = rest->data + 1; c < end; c++) {
        if (memchr("0123456789abcdefABCDEF:.", *c, 24) == NULL)
            return false;
    }
    *rest = (ent_text){end + 1, rest->size - (size_t)(end + 1 - rest->data)};
    return true;
}

bool ent_mail_url_valid(ent_text url)
{
    uint64_t port = 0;
    ent_text scheme = ent_text_starts(url, ENT_TEXT("smtps://")) ? ENT_TEXT("smtps://") : ENT_TEXT("smtp://");
    if (!ent_text_starts(url, scheme))
        return false;
    ent_text rest = {url.data + scheme.size, url.size - scheme.size};
    if (!take_literal(&rest)) {
        const char *colon = rest.size == 0 ? NULL : memchr(rest.data, ':', rest.size);
        size_t host = colon == NULL ? rest.size : (size_t)(colon - rest.data);
        if (!is_domain((ent_text){rest.data, host}))
            return false;
        rest = (ent_text){rest.data + host, rest.size - host};
    }
    if (rest.size == 0)
        return true;
    return rest.data[0] == ':' && ent_decimal_parse((ent_text){rest.data + 1, rest.size - 1}, 65535, &port) && port > 0;
}

/* ---- headers ---- */

/* RFC 5322, section 3.3; the names are those of the grammar, whatever the locale. */
static ent_rc put_date(ent_buf *buf, int64_t unix_s, ent_err *err)
{
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct tm parts;
    time_t time = (time_t)unix_s;
    if (gmtime_r(&time, &parts) == NULL || parts.tm_year < 0 || parts.tm_year > 8099)
        return ent_fail(err, ENT_USAGE, "RFC 5322, section 3.3", "a message cannot be dated %lld", (long long)unix_s);
    ent_buf_put_format(buf, "Date: %s, %02d %s %04d %02d:%02d:%02d +0000\r\n", days[parts.tm_wday], parts.tm_mday,
                       months[parts.tm_mon], parts.tm_year + 1900, parts.tm_hour, parts.tm_min, parts.tm_sec);
    return ENT_DONE;
}

static ent_rc put_addresses(ent_buf *buf, const ent_mail *mail, ent_err *err)
{
    ent_text from = ent_text_of(mail->from);
    if (!ent_mail_address_valid(from))
        return not_allowed(err, "the sender", from);
    if (mail->to_count == 0 || mail->to_count > ENT_MAIL_MAX_RECIPIENTS)
        return ent_fail(err, ENT_USAGE, NULL, "a message has 1 to %d recipients, not %zu", ENT_MAIL_MAX_RECIPIENTS,
                        mail->to_count);
    ent_buf_put_format(buf, "From: %s\r\nTo: ", mail->from);
    for (size_t i = 0; i < mail->to_count; i++) {
        ent_text to = ent_text_of(mail->to[i]);
        if (!ent_mail_address_valid(to))
            return not_allowed(err, "a recipient", to);
        ent_buf_put_string(buf, i == 0 ? "" : ",\r\n ");
        ent_buf_put_text(buf, to);
    }
    ent_buf_put_string(buf, "\r\n");
    return ENT_DONE;
}

static ent_rc put_id(ent_buf *buf, const ent_mail *mail, ent_err *err)
{
    if (mail->id.size > 64 || !is_dot_atom(mail->id, "-_"))
        return ent_fail(err, ENT_USAGE, "RFC 5322, section 3.6.4", "a message's id is letters, digits, - and _");
    ent_buf_put_format(buf, "Message-ID: <%.*s%s>\r\n", ENT_TEXT_ARG(mail->id), strchr(mail->from, '@'));
    return ENT_DONE;
}

/* "FWS … by which a line is folded before white space" (RFC 5322, section 2.2.3). */
static void put_folded(ent_buf *buf, ent_text text, size_t used)
{
    while (text.size > 0) {
        const char *space = text.size > 1 ? memchr(text.data + 1, ' ', text.size - 1) : NULL;
        size_t word = space == NULL ? text.size : (size_t)(space - text.data);
        if (used + word > HEADER_LINE && text.data[0] == ' ') {
            ent_buf_put_string(buf, "\r\n");
            used = 0;
        }
        ent_buf_put_text(buf, (ent_text){text.data, word});
        used += word;
        text = (ent_text){text.data + word, text.size - word};
    }
}

/* RFC 2047, section 5 (3): each word "MUST consist of an integral number of octets" and "represent an integral number
 * of characters". */
static void put_encoded_words(ent_buf *buf, ent_text text)
{
    while (text.size > 0) {
        size_t piece = text.size < ENCODED_WORD_BYTES ? text.size : ENCODED_WORD_BYTES;
        while (piece < text.size && ((uint8_t)text.data[piece] & 0xc0) == 0x80)
            piece--;
        ent_buf_put_string(buf, "=?utf-8?B?");
        ent_buf_put_base64(buf, ent_bytes_of(text.data, piece));
        ent_buf_put_string(buf, piece < text.size ? "?=\r\n " : "?=");
        text = (ent_text){text.data + piece, text.size - piece};
    }
}

static bool is_printable(ent_text text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < ' ' || text.data[i] > '~')
            return false;
    }
    return true;
}

static bool has_frame(ent_text text)
{
    for (size_t i = 0; i + 1 < text.size; i++) {
        if (text.data[i] == '=' && text.data[i + 1] == '?')
            return true;
    }
    return false;
}

static ent_rc put_subject(ent_buf *buf, ent_text subject, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf line = {0};
    if (!ent_utf8_valid(subject))
        return ent_fail(err, ENT_USAGE, "RFC 2047", "a subject is UTF-8");
    for (size_t i = 0; i < subject.size; i++) {
        uint8_t c = (uint8_t)subject.data[i];
        ent_buf_put_u8(&line, c < ' ' || c == 0x7f ? ' ' : c);
    }
    ENT_TRY(ent_buf_check(&line, err));
    ent_text text = ent_buf_text(&line);
    ent_buf_put_string(buf, "Subject: ");
    /* A word longer than a line cannot be folded, only encoded. */
    bool plain = is_printable(text) && !has_frame(text);
    for (size_t i = 0, word = 0; plain && i < text.size; i++) {
        word = text.data[i] == ' ' ? 0 : word + 1;
        plain = word <= HEADER_LINE - sizeof "Subject: ";
    }
    if (plain)
        put_folded(buf, text, sizeof "Subject: " - 1);
    else
        put_encoded_words(buf, text);
    ent_buf_put_string(buf, "\r\n");
    return ENT_DONE;
}

/* ---- body ---- */

/* RFC 2045, section 2.7: "7bit": lines of US-ASCII. Left as they are wherever they may be: what passes alerts on to a
 * pager seldom decodes anything. */
static bool is_seven_bit(ent_text text)
{
    size_t line = 0;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        line = c == '\n' ? 0 : line + 1;
        if (line > PLAIN_LINE || (c != '\n' && c != '\t' && (c < ' ' || c > '~')))
            return false;
    }
    return true;
}

static void put_lines(ent_buf *buf, ent_text text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '\n')
            ent_buf_put_string(buf, "\r\n");
        else
            ent_buf_put_u8(buf, (uint8_t)text.data[i]);
    }
}

/* RFC 2045, section 6.7: whatever is not printable is "=" and two upper-case digits, white space at the end of a line
 * too; a line is broken by "=" at its end. */
static void put_quoted_printable(ent_buf *buf, ent_text text)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t used = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = (uint8_t)text.data[i];
        if (c == '\n') {
            ent_buf_put_string(buf, "\r\n");
            used = 0;
            continue;
        }
        bool last = i + 1 == text.size || text.data[i + 1] == '\n';
        bool blank = c == ' ' || c == '\t';
        bool literal = (c > ' ' && c <= '~' && c != '=') || (blank && !last);
        size_t size = literal ? 1 : 3;
        if (used + size > BODY_LINE - 1) {
            ent_buf_put_string(buf, "=\r\n");
            used = 0;
        }
        if (literal)
            ent_buf_put_u8(buf, c);
        else
            ent_buf_put_format(buf, "=%c%c", digits[c >> 4], digits[c & 15]);
        used += size;
    }
}

static ent_rc put_body(ent_buf *buf, ent_text text, ent_err *err)
{
    if (text.size > ENT_MAIL_TEXT_MAX_BYTES || !ent_utf8_valid(text))
        return ent_fail(err, ENT_USAGE, NULL, "a message's text is UTF-8 of at most %d bytes", ENT_MAIL_TEXT_MAX_BYTES);
    bool seven_bit = is_seven_bit(text);
    ent_buf_put_format(buf,
                       "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
                       "Content-Transfer-Encoding: %s\r\n\r\n",
                       seven_bit ? "7bit" : "quoted-printable");
    if (seven_bit)
        put_lines(buf, text);
    else
        put_quoted_printable(buf, text);
    if (text.size > 0 && text.data[text.size - 1] != '\n')
        ent_buf_put_string(buf, "\r\n");
    return ENT_DONE;
}

ent_rc ent_mail_put(const ent_mail *mail, ent_buf *ret, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf message = {0};
    ENT_TRY(put_date(&message, mail->time_unix_s, err));
    ENT_TRY(put_addresses(&message, mail, err));
    ENT_TRY(put_id(&message, mail, err));
    ENT_TRY(put_subject(&message, mail->subject, err));
    /* RFC 3834, section 5: keeps holiday answers away. */
    ent_buf_put_string(&message, "Auto-Submitted: auto-generated\r\n");
    ENT_TRY(put_body(&message, mail->text, err));
    ENT_TRY(ent_buf_check(&message, err));
    ent_buf_put(ret, ent_buf_bytes(&message));
    return ent_buf_check(ret, err);
}
