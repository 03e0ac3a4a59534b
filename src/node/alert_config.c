#include "node/alert_config.h"

#include "base/file.h"
#include "base/json.h"
#include "http/webhook.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    CONFIG_MAX_BYTES = 64 * 1024,
    SECRET_MAX_BYTES = 4096,
    MAX_SPAN_S = 366 * 24 * 60 * 60,
    MAX_DAYS = 3660,
    DUE_SOON_S = 3600,
    FLASH_UNREAD_S = 300,
    EXPIRING_DAYS = 30
};

const char ent_alert_how_to[] = "alerts are not configured: write DIR/alerts.json (docs/alerts.md), for example "
                                "{\"email\":{\"url\":\"smtp://localhost\",\"from\":\"entente@north.example\",\"to\":"
                                "[\"duty@north.example\"]}}, then type `entente alerts test`";

/* ---- members ---- */

static ent_rc wrong(ent_err *err, const char *key, const char *must)
{
    return ent_fail(err, ENT_PEER_MALFORMED, "docs/alerts.md", "\"%s\" must be %s", key, must);
}

/* A mistyped name must not be an alert that never comes. */
static ent_rc check_known(ent_json_value object, const char *where, const char *const *known, ent_err *err)
{
    for (ent_json_iter i = ent_json_iterate(object); ent_json_next(&i);) {
        ENT_CLEANUP(ent_buf_release) ent_buf names = {0};
        const char *const *at = known;
        while (*at != NULL && !ent_text_is(i.key, *at))
            at++;
        if (*at != NULL)
            continue;
        for (at = known; *at != NULL; at++)
            ent_buf_put_format(&names, "%s%s", at == known ? "" : ", ", *at);
        ENT_TRY(ent_buf_check(&names, err));
        return ent_fail(err, ENT_PEER_MALFORMED, "docs/alerts.md", "\"%.*s\" is not known %s; known are: %.*s",
                        (int)(i.key.size > 60 ? 60 : i.key.size), i.key.data, where,
                        ENT_TEXT_ARG(ent_buf_text(&names)));
    }
    return ENT_DONE;
}

static ent_rc read_number(ent_json_value root, const char *key, uint32_t maximum, uint32_t *number, ent_err *err)
{
    ent_json_value value = ent_json_get(root, key);
    uint64_t given = 0;
    char must[64];
    if (!ent_json_present(value))
        return ENT_DONE;
    (void)snprintf(must, sizeof must, "a whole number from 0 (off) to %u", (unsigned)maximum);
    if (!ent_json_unsigned(value, maximum, &given))
        return wrong(err, key, must);
    *number = (uint32_t)given;
    return ENT_DONE;
}

static ent_rc read_bool(ent_json_value object, const char *key, bool *ret, ent_err *err)
{
    ent_json_value value = ent_json_get(object, key);
    if (ent_json_present(value) && ent_json_type_of(value) != ENT_JSON_BOOL)
        return wrong(err, key, "true or false");
    *ret = ent_json_true(value);
    return ENT_DONE;
}

static ent_rc keep_text(ent_alert_config *config, ent_json_value value, const char *key, const char *must,
                        const char **ret, ent_err *err)
{
    ent_text text = ent_json_string(value);
    if (ent_json_type_of(value) != ENT_JSON_STRING || text.size == 0 || memchr(text.data, 0, text.size) != NULL)
        return wrong(err, key, must);
    ent_text kept = ent_arena_text(&config->arena, text);
    if (kept.data == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    *ret = kept.data;
    return ENT_DONE;
}

static bool is_there(ent_json_value value)
{
    return ent_json_present(value) && ent_json_type_of(value) != ENT_JSON_NULL;
}

/* NULL when it is null or missing. */
static ent_rc read_optional(ent_alert_config *config, ent_json_value object, const char *key, const char *must,
                            const char **ret, ent_err *err)
{
    ent_json_value value = ent_json_get(object, key);
    return is_there(value) ? keep_text(config, value, key, must, ret, err) : ENT_DONE;
}

/* ---- files that it names ---- */

static ent_rc look_at(const char *path, const char *key, struct stat *ret, ent_err *err)
{
    char reason[128];
    if (path[0] != '/')
        return ent_fail(err, ENT_PEER_MALFORMED, "docs/alerts.md",
                        "\"%s\" must be a path that begins with /, not %.200s", key, path);
    if (stat(path, ret) != 0)
        return ent_fail(err, ENT_PEER_MALFORMED, NULL, "\"%s\": cannot use %.200s: %s", key, path,
                        strerror_r(errno, reason, sizeof reason));
    if (!S_ISREG(ret->st_mode))
        return ent_fail(err, ENT_PEER_MALFORMED, NULL, "\"%s\": %.200s is not a file", key, path);
    return ENT_DONE;
}

ent_rc ent_alert_secret_read(const char *path, ent_buf *ret, ent_err *err)
{
    ENT_CLEANUP(ent_buf_wipe) ent_buf content = {0};
    struct stat status;
    char reason[128];
    if (stat(path, &status) != 0)
        return ent_fail(err, ENT_PEER_MALFORMED, NULL, "cannot read %.200s: %s", path,
                        strerror_r(errno, reason, sizeof reason));
    if ((status.st_mode & (S_IROTH | S_IWOTH)) != 0)
        return ent_fail(err, ENT_PEER_MALFORMED, NULL,
                        "others can read the secret in %.200s: type `chmod o-rwx` and its name", path);
    ent_rc rc = ent_file_read(path, SECRET_MAX_BYTES, &content, err);
    if (rc.code == ENT_NOMEM)
        return rc;
    if (rc.code != ENT_OK)
        return ent_fail(err, ENT_PEER_MALFORMED, NULL, "cannot read a secret of at most %d bytes from %.200s",
                        SECRET_MAX_BYTES, path);
    const uint8_t *end = content.size == 0 ? NULL : memchr(content.data, '\n', content.size);
    size_t size = end == NULL ? content.size : (size_t)(end - content.data);
    if (size > 0 && content.data[size - 1] == '\r')
        size--;
    if (size == 0 || memchr(content.data, 0, size) != NULL)
        return ent_fail(err, ENT_PEER_MALFORMED, NULL, "the first line of %.200s must be the secret", path);
    ent_buf_put(ret, ent_bytes_of(content.data, size));
    return ent_buf_check(ret, err);
}

static ent_rc read_secret_path(ent_alert_config *config, ent_json_value object, const char *key, const char **ret,
                               ent_err *err)
{
    ENT_CLEANUP(ent_buf_wipe) ent_buf secret = {0};
    struct stat status;
    ENT_TRY(read_optional(config, object, key, "the path of a file", ret, err));
    if (*ret == NULL)
        return ENT_DONE;
    if (!config->checks_files)
        return ENT_DONE;
    ENT_TRY(look_at(*ret, key, &status, err));
    return ent_fail_in(err, ent_alert_secret_read(*ret, &secret, err), "\"%s\"", key);
}

static ent_rc read_ca_path(ent_alert_config *config, ent_json_value object, const char **ret, ent_err *err)
{
    struct stat status;
    ENT_TRY(read_optional(config, object, "ca_file", "the path of a PEM file", ret, err));
    return *ret == NULL || !config->checks_files ? ENT_DONE : look_at(*ret, "ca_file", &status, err);
}

/* ---- sinks ---- */

static ent_rc read_recipients(ent_alert_config *config, ent_json_value to, ent_err *err)
{
    static const char must[] = "an array of 1 to 32 e-mail addresses like duty@north.example";
    if (ent_json_type_of(to) != ENT_JSON_ARRAY || ent_json_count(to) == 0 ||
        ent_json_count(to) > ENT_MAIL_MAX_RECIPIENTS)
        return wrong(err, "to", must);
    for (ent_json_iter i = ent_json_iterate(to); ent_json_next(&i);) {
        const char **at = &config->email.to[config->email.to_count++];
        ENT_TRY(keep_text(config, i.value, "to", must, at, err));
        if (!ent_mail_address_valid(ent_text_of(*at)))
            return wrong(err, "to", must);
    }
    return ENT_DONE;
}

static ent_rc read_email(ent_alert_config *config, ent_json_value object, ent_err *err)
{
    static const char *const known[] = {"url", "from", "to", "user", "password_file", "require_tls", "ca_file", NULL};
    static const char url[] = "smtp://host:port or smtps://host:port";
    static const char from[] = "an e-mail address like entente@north.example";
    ENT_TRY(check_known(object, "in \"email\"", known, err));
    ENT_TRY(keep_text(config, ent_json_get(object, "url"), "url", url, &config->email.url, err));
    if (!ent_mail_url_valid(ent_text_of(config->email.url)))
        return wrong(err, "url", url);
    ENT_TRY(keep_text(config, ent_json_get(object, "from"), "from", from, &config->email.from, err));
    if (!ent_mail_address_valid(ent_text_of(config->email.from)))
        return wrong(err, "from", from);
    ENT_TRY(read_recipients(config, ent_json_get(object, "to"), err));
    ENT_TRY(read_optional(config, object, "user", "a text", &config->email.user, err));
    ENT_TRY(read_secret_path(config, object, "password_file", &config->email.password_file, err));
    ENT_TRY(read_ca_path(config, object, &config->email.ca_file, err));
    if ((config->email.user == NULL) != (config->email.password_file == NULL))
        return ent_fail(err, ENT_PEER_MALFORMED, "docs/alerts.md",
                        "\"user\" and \"password_file\" go together: one is missing");
    return read_bool(object, "require_tls", &config->email.require_tls, err);
}

static ent_rc read_webhook(ent_alert_config *config, ent_json_value object, ent_err *err)
{
    static const char *const known[] = {"url", "secret_file", "ca_file", NULL};
    static const char url[] = "an https:// or http:// URL without a password in it";
    ENT_TRY(check_known(object, "in \"webhook\"", known, err));
    ENT_TRY(keep_text(config, ent_json_get(object, "url"), "url", url, &config->webhook.url, err));
    if (!ent_webhook_url_valid(ent_text_of(config->webhook.url)))
        return wrong(err, "url", url);
    ENT_TRY(read_secret_path(config, object, "secret_file", &config->webhook.secret_file, err));
    return read_ca_path(config, object, &config->webhook.ca_file, err);
}

static ent_rc read_execute(ent_alert_config *config, ent_json_value object, ent_err *err)
{
    static const char *const known[] = {"path", NULL};
    struct stat status;
    ENT_TRY(check_known(object, "in \"execute\"", known, err));
    ENT_TRY(
        keep_text(config, ent_json_get(object, "path"), "path", "the path of a program", &config->execute.path, err));
    if (!config->checks_files)
        return ENT_DONE;
    ENT_TRY(look_at(config->execute.path, "path", &status, err));
    if (access(config->execute.path, X_OK) != 0)
        return ent_fail(err, ENT_PEER_MALFORMED, NULL,
                        "\"path\": %.200s cannot be executed: type `chmod +x` and its name", config->execute.path);
    if ((status.st_mode & S_IWOTH) != 0)
        return ent_fail(err, ENT_PEER_MALFORMED, NULL,
                        "\"path\": anybody can write %.200s, and the node would run it: type `chmod o-w` and its name",
                        config->execute.path);
    return ENT_DONE;
}

typedef ENT_RC (*sink_reader)(ent_alert_config *config, ent_json_value object, ent_err *err);

static ent_rc read_sink(ent_alert_config *config, ent_json_value root, ent_sink sink, sink_reader reader, ent_err *err)
{
    ent_json_value value = ent_json_get(root, ent_sink_word(sink));
    if (!is_there(value))
        return ENT_DONE;
    if (ent_json_type_of(value) != ENT_JSON_OBJECT)
        return wrong(err, ent_sink_word(sink), "an object or null");
    config->sinks[config->sink_count++] = sink;
    return ent_fail_in(err, reader(config, value, err), "%s", ent_sink_word(sink));
}

static ent_rc read_members(ent_alert_config *config, ent_json_value root, ent_err *err)
{
    static const char *const known[] = {"due_soon_s", "flash_unread_s", "expiring_days", "include_subject",
                                        "email",      "webhook",        "execute",       NULL};
    if (ent_json_type_of(root) != ENT_JSON_OBJECT)
        return ent_fail(err, ENT_PEER_MALFORMED, "docs/alerts.md", "it must be a JSON object");
    ENT_TRY(check_known(root, "here", known, err));
    ENT_TRY(read_number(root, "due_soon_s", MAX_SPAN_S, &config->due_soon_s, err));
    ENT_TRY(read_number(root, "flash_unread_s", MAX_SPAN_S, &config->flash_unread_s, err));
    ENT_TRY(read_number(root, "expiring_days", MAX_DAYS, &config->expiring_days, err));
    ENT_TRY(read_bool(root, "include_subject", &config->include_subject, err));
    ENT_TRY(read_sink(config, root, ENT_SINK_EMAIL, read_email, err));
    ENT_TRY(read_sink(config, root, ENT_SINK_WEBHOOK, read_webhook, err));
    ENT_TRY(read_sink(config, root, ENT_SINK_EXECUTE, read_execute, err));
    if (config->sink_count == 0)
        return ent_fail(err, ENT_PEER_MALFORMED, "docs/alerts.md",
                        "it names neither \"email\" nor \"webhook\" nor \"execute\": no alert could leave");
    return ENT_DONE;
}

/* ---- the file ---- */

void ent_alert_config_give(ent_alert_config *config)
{
    if (config == NULL || atomic_fetch_sub(&config->holders, 1) > 1)
        return;
    ent_arena_release(&config->arena);
    ent_free(config);
}

void ent_alert_config_release(ent_alert_config **config)
{
    ent_alert_config_give(*config);
    *config = NULL;
}

bool ent_alert_config_has(const ent_alert_config *config, ent_sink sink)
{
    for (size_t i = 0; i < config->sink_count; i++) {
        if (config->sinks[i] == sink)
            return true;
    }
    return false;
}

ent_rc ent_alert_config_load(const char *path, ent_buf *ret, ent_err *err)
{
    ent_rc rc = ent_file_read(path, CONFIG_MAX_BYTES, ret, err);
    return rc.code == ENT_ABSENT ? ent_fail(err, ENT_ABSENT, "docs/alerts.md", "%s", ent_alert_how_to) : rc;
}

ent_rc ent_alert_config_make(ent_bytes bytes, const char *path, bool checks_files, ent_alert_config **ret, ent_err *err)
{
    ENT_CLEANUP(ent_json_release) ent_json *json = NULL;
    ENT_CLEANUP(ent_alert_config_release) ent_alert_config *config = ent_alloc(sizeof *config);
    if (config == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    atomic_init(&config->holders, 1);
    config->checks_files = checks_files;
    config->due_soon_s = DUE_SOON_S;
    config->flash_unread_s = FLASH_UNREAD_S;
    config->expiring_days = EXPIRING_DAYS;
    ent_rc rc = ent_json_parse(bytes, &json, err);
    if (rc.code == ENT_OK)
        rc = read_members(config, ent_json_root(json), err);
    ENT_TRY(ent_fail_in(err, rc, "%s", path));
    *ret = ent_take(config);
    return ENT_DONE;
}

ent_rc ent_alert_config_read(const char *path, ent_alert_config **ret, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf bytes = {0};
    ENT_TRY(ent_alert_config_load(path, &bytes, err));
    return ent_alert_config_make(ent_buf_bytes(&bytes), path, true, ret, err);
}
