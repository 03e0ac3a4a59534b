#include "node/alert.h"

#include "base/clock.h"
#include "base/file.h"
#include "crypto/crypto.h"
#include "http/webhook.h"
#include "node/errands.h"

#include <stdio.h>
#include <sys/mman.h>

/* What an e-mail takes from the stored JSON. */
typedef struct {
    ent_buf subject;
    ent_buf text;
    char id[33];
} letter;

static void release_letter(letter *made)
{
    ent_buf_release(&made->subject);
    ent_buf_release(&made->text);
}

/* The same alert has the same Message-ID: sent twice after a crash, mail programs show it once. */
static ent_rc write_letter(const ent_node *node, ent_json_value alert, int64_t now, letter *made, ent_err *err)
{
    ent_text text = ent_json_string(ent_json_get(alert, "text"));
    ent_text key = ent_json_string(ent_json_get(alert, "key"));
    const char *end = text.size == 0 ? NULL : memchr(text.data, '\n', text.size);
    ent_hash digest;
    ent_sha256(ent_text_bytes(key), &digest);
    if (ent_text_is(ent_json_string(ent_json_get(alert, "what")), ent_alert_what_word(ENT_ALERT_TEST)))
        ent_random(digest.bytes, 16); /* but each test is a message of its own */
    ent_hex_encode(ent_bytes_of(digest.bytes, 16), made->id);
    ent_buf_put_format(&made->subject, "[Entente %s] ", node->config.name);
    ent_buf_put_text(&made->subject, (ent_text){text.data, end == NULL ? text.size : (size_t)(end - text.data)});
    ent_buf_put_text(&made->text, text);
    ent_buf_put_format(&made->text, "\n\n-- \nThe node of %s raised this at ", node->config.name);
    ent_buf_put_text(&made->text, ent_json_string(ent_json_get(alert, "time")));
    ent_buf_put_string(&made->text, "\nand sent it at ");
    char time[ENT_TIME_TEXT_SIZE + 1];
    ent_time_format(now, time);
    ent_buf_put_format(&made->text, "%s.\nAll alerts: entente alerts list --all\n", time);
    ENT_TRY(ent_buf_check(&made->subject, err));
    return ent_buf_check(&made->text, err);
}

/* A secret's first line, or a file of authorities as a path that the node may open. */
typedef struct {
    ent_buf bytes; /* wiped */
    int memory;    /* file in memory: the node in its sandbox cannot open the one that is named */
    char path[48];
} fetched;

static void release_fetched(fetched *file)
{
    ent_file_close(&file->memory);
    ent_buf_wipe(&file->bytes);
}

static ent_rc fetch_secret(const ent_node *node, ent_errand errand, const char *path, fetched *ret, ent_err *err)
{
    if (path == NULL)
        return ENT_DONE;
    return node->errands == NULL ? ent_alert_secret_read(path, &ret->bytes, err)
                                 : ent_errands_read(node->errands, errand, &ret->bytes, err);
}

/* NULL when none is named. */
static ent_rc fetch_authorities(const ent_node *node, ent_errand errand, const char *path, fetched *ret,
                                const char **ret_path, ent_err *err)
{
    *ret_path = path;
    if (path == NULL || node->errands == NULL)
        return ENT_DONE;
    ENT_TRY(ent_errands_read(node->errands, errand, &ret->bytes, err));
    ret->memory = memfd_create("authorities", MFD_CLOEXEC);
    if (ret->memory < 0)
        return ent_fail(err, ENT_IO, NULL, "cannot make a memory file");
    ENT_TRY(ent_file_write_all(ret->memory, ent_buf_bytes(&ret->bytes), err));
    (void)snprintf(ret->path, sizeof ret->path, "/proc/self/fd/%d", ret->memory);
    *ret_path = ret->path;
    return ENT_DONE;
}

static ent_rc send_mail(const ent_node *node, const ent_alert_config *config, ent_json_value alert, bool every,
                        ent_err *err)
{
    ENT_CLEANUP(release_letter) letter made = {0};
    ENT_CLEANUP(release_fetched) fetched password = {.memory = -1};
    ENT_CLEANUP(release_fetched) fetched authorities = {.memory = -1};
    const char *ca_file = NULL;
    int64_t now = ent_clock_unix_s();
    ENT_TRY(write_letter(node, alert, now, &made, err));
    ENT_TRY(fetch_secret(node, ENT_ERRAND_PASSWORD, config->email.password_file, &password, err));
    ENT_TRY(fetch_authorities(node, ENT_ERRAND_EMAIL_CA, config->email.ca_file, &authorities, &ca_file, err));
    const char *secret = config->email.password_file == NULL ? NULL : ent_buf_string(&password.bytes);
    ENT_TRY(ent_buf_check(&password.bytes, err));
    ent_mail mail = {
        .from = config->email.from,
        .to = config->email.to,
        .to_count = config->email.to_count,
        .id = ent_text_of(made.id),
        .time_unix_s = now,
        .subject = ent_buf_text(&made.subject),
        .text = ent_buf_text(&made.text),
    };
    ent_mail_server server = {
        .url = config->email.url,
        .user = config->email.user,
        .password = secret,
        .ca_file = ca_file,
        .require_tls = config->email.require_tls,
        .every_recipient = every,
        .stop = &node->stopping,
    };
    return ent_mail_send(&server, &mail, err);
}

static ent_rc post(const ent_node *node, const ent_alert_config *config, ent_text json, ent_err *err)
{
    ENT_CLEANUP(release_fetched) fetched secret = {.memory = -1};
    ENT_CLEANUP(release_fetched) fetched authorities = {.memory = -1};
    const char *ca_file = NULL;
    ENT_TRY(fetch_secret(node, ENT_ERRAND_WEBHOOK_SECRET, config->webhook.secret_file, &secret, err));
    ENT_TRY(fetch_authorities(node, ENT_ERRAND_WEBHOOK_CA, config->webhook.ca_file, &authorities, &ca_file, err));
    ent_webhook hook = {
        .url = config->webhook.url,
        .secret = ent_buf_bytes(&secret.bytes),
        .ca_file = ca_file,
        .stop = &node->stopping,
    };
    return ent_webhook_post(&hook, json, err);
}

static ent_rc execute(const ent_node *node, const ent_alert_config *config, ent_json_value alert, ent_text json,
                      ent_err *err)
{
    ent_text word = ent_json_string(ent_json_get(alert, "what"));
    if (node->errands != NULL)
        return ent_errands_execute(node->errands, word.size == 0 ? ENT_TEXT("unknown") : word, json, &node->stopping,
                                   err);
    ENT_CLEANUP(ent_free_pointer) char *what = ent_text_copy(word.size == 0 ? ENT_TEXT("unknown") : word);
    if (what == NULL)
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    return ent_alert_execute(config->execute.path, what, json, ENT_ALERT_EXECUTE_MS, &node->stopping, err);
}

ent_rc ent_alert_deliver(ent_node *node, const ent_alert_config *config, ent_sink sink, ent_text json, bool every,
                         ent_err *err)
{
    ENT_CLEANUP(ent_json_release) ent_json *document = NULL;
    ENT_TRY(ent_json_parse(ent_text_bytes(json), &document, err));
    ent_json_value alert = ent_json_root(document);
    switch (sink) {
    case ENT_SINK_EMAIL:
        return send_mail(node, config, alert, every, err);
    case ENT_SINK_WEBHOOK:
        return post(node, config, json, err);
    case ENT_SINK_EXECUTE:
        return execute(node, config, alert, json, err);
    }
    return ent_fail(err, ENT_BUG, NULL, "there is no such sink");
}
