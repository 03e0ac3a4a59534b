#include "node/node.h"

#include "base/clock.h"
#include "base/file.h"
#include "crypto/crypto.h"
#include "node/alerts.h"
#include "node/api.h"
#include "node/blob_worker.h"
#include "node/backup.h"
#include "node/border.h"
#include "node/channel.h"
#include "node/checks.h"
#include "node/courier.h"
#include "node/errands.h"
#include "node/events.h"
#include "node/fork.h"
#include "node/guard.h"
#include "node/key_lost.h"
#include "node/opener.h"
#include "node/peer.h"
#include "node/reach.h"
#include "node/report.h"
#include "node/rotate.h"
#include "node/sequencer.h"
#include "node/turnstile.h"
#include "store/blobs.h"

enum { STOP_GRACE_MS = 5000 };

static ent_rc open_folder(ent_node *node, const char *folder, ent_err *err)
{
    ENT_TRY(ent_crypto_init(err));
    ENT_TRY(ent_paths_make(folder, &node->paths, err));
    ENT_TRY(ent_config_read(node->paths.config, &node->config, err));
    ENT_TRY(ent_own_card_load(node, err));
    ENT_TRY(ent_rotate_have_keys(node, err));
    ENT_TRY(ent_file_make_folder(node->paths.store, 0700, err));
    ENT_TRY(ent_file_make_folder(node->paths.blobs, 0700, err));
    ENT_TRY(ent_file_make_folder(node->paths.spool, 0700, err));
    ent_backup_clean(node);
    ENT_TRY(ent_store_sqlite_open(node->paths.store, &node->store, err));
    ENT_TRY(ent_blobs_clean(node->paths.blobs, err));
    ENT_TRY(ent_blob_parts_open(node->paths.blobs, &node->parts, err));
    ENT_TRY(ent_kinds_new(&node->kinds, err));
    ENT_TRY(ent_peers_load(node, err));
    ENT_TRY(ent_channels_load(node, err));
    return ent_rotate_wait(node, err);
}

/* Without its certificate the node has no border, and goes on by hand. */
static ent_rc read_own_tls(ent_node *node, ent_buf *key, ent_buf *certificate, bool *ret_has_border, ent_err *err)
{
    *ret_has_border = false;
    if (node->config.air_gapped)
        return ENT_DONE;
    ent_rc rc = ent_own_tls_read(node, key, certificate, err);
    if (rc.code == ENT_ABSENT) {
        const ent_card *card = &ent_node_card(node)->card.card;
        node->tls_lost = true;
        node->tls_lost_serial = ent_card_key_serial(card, ENT_KEY_ROLE_TLS, card->former_count);
        ent_key_report_lost(node);
        return ENT_DONE;
    }
    *ret_has_border = rc.code == ENT_OK;
    return rc;
}

/* Each thread starts after what it wakes: the opener after the courier and the checks, the listeners last. */
static ent_rc start_threads(ent_node *node, ent_err *err)
{
    ENT_CLEANUP(ent_buf_wipe) ent_buf key = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf certificate = {0};
    bool has_border = false;
    ENT_TRY(read_own_tls(node, &key, &certificate, &has_border, err));
    ENT_TRY(ent_events_new(&node->events, err));
    ENT_TRY(ent_reaches_new(&node->reaches, err));
    ENT_TRY(ent_turnstile_new(&node->turnstile, err));
    ENT_TRY(ent_sequencer_new(node, &node->sequencer, err));
    ENT_TRY(ent_alerts_new(node, &node->alerts, err)); /* before all that wake it */
    if (has_border) {
        ENT_TRY(ent_tls_client_new(ent_buf_text(&key), ent_buf_text(&certificate), &node->tls, err));
        ENT_TRY(ent_courier_new(node, &node->courier, err));
    }
    ENT_TRY(ent_checks_new(node, &node->checks, err));
    ENT_TRY(ent_blob_worker_new(node, &node->blob_worker, err));
    ENT_TRY(ent_opener_new(node, &node->opener, err));
    if (has_border) {
        ENT_TRY(ent_guard_new(node, &node->guard, err));
        ent_http_peers_options options = {
            .address = node->config.listen,
            .key_pem = ent_buf_text(&key),
            .certificate_pem = ent_buf_text(&certificate),
            .spool_folder = node->paths.spool,
        };
        ENT_TRY(ent_http_server_peers(&options, ent_border_http_handler(node), &node->peers, err));
    }
    return ent_http_server_unix(node->paths.socket, node->paths.spool, ent_api_http_handler(node), &node->local, err);
}

/* Left to the node: its own data, and what names and certificates are looked up with. Not the keys; the marks only to
 * read; not alerts.json, by which it could have a program run. */
static ent_rc enter_sandbox(ent_node *node, const char *folder, ent_err *err)
{
    /* For `entente recover`; it could not be made later. */
    ENT_TRY(ent_file_make_folder(node->paths.set_aside, 0700, err));
    const ent_sandbox_path open[] = {
        {folder, ENT_SANDBOX_SOCKETS}, /* DIR/socket */
        {node->paths.store, ENT_SANDBOX_WRITE},
        {node->paths.blobs, ENT_SANDBOX_WRITE},
        {node->paths.spool, ENT_SANDBOX_WRITE},
        {node->paths.set_aside, ENT_SANDBOX_WRITE},
        {node->paths.config, ENT_SANDBOX_READ}, /* these for backups */
        {node->paths.certificate, ENT_SANDBOX_READ},
        {node->paths.marks, ENT_SANDBOX_READ},
        {"/etc", ENT_SANDBOX_READ}, /* resolv.conf, hosts, nsswitch.conf, certificates of authorities */
        {"/run/systemd/resolve", ENT_SANDBOX_READ},
        {"/run/resolvconf", ENT_SANDBOX_READ},
        {"/lib", ENT_SANDBOX_READ}, /* libraries that nsswitch.conf names */
        {"/lib64", ENT_SANDBOX_READ},
        {"/usr/lib", ENT_SANDBOX_READ},
        {"/usr/share", ENT_SANDBOX_READ},
        {"/usr/local/share/ca-certificates", ENT_SANDBOX_READ},
        {"/dev/null", ENT_SANDBOX_WRITE},
        {"/dev/urandom", ENT_SANDBOX_READ},
        {"/proc/self", ENT_SANDBOX_READ},
        {"/proc/sys/kernel", ENT_SANDBOX_READ},
    };
    ENT_TRY(ent_http_unix_clear(node->paths.socket, err)); /* what a killed node left: it could not be removed later */
    return ent_sandbox_enter(ENT_SANDBOX_NODE, open, sizeof open / sizeof *open, &node->sandbox, err);
}

static void report_started(const ent_node *node, size_t channel_count)
{
    ENT_CLEANUP(ent_buf_release) ent_buf sandbox = {0};
    ent_report report = ent_report_begin("node.started");
    ent_report_string(&report, "name", node->config.name);
    ent_report_string(&report, "listen",
                      node->config.listen == NULL ? "nothing (air-gapped)"
                      : node->tls_lost            ? "nothing (no certificate)"
                                                  : node->config.listen);
    if (node->peers != NULL)
        ent_report_number(&report, "port", ent_http_server_port(node->peers));
    ent_report_number(&report, "channels", channel_count);
    ent_report_string(&report, "after", node->before.was_clean ? "a clean stop" : "no clean stop");
    ent_sandbox_describe(&node->sandbox, &sandbox);
    ent_report_text(&report, "sandbox", ent_buf_text(&sandbox));
    ent_report_end(&report);
}

ent_rc ent_node_start(const ent_node_options *options, ent_node **ret, ent_err *err)
{
    ent_node *node = ent_alloc(sizeof *node);
    if (node == NULL) {
        ent_keeper_free(options->keeper);
        ent_errands_free(options->errands);
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    }
    node->keeper = options->keeper;
    node->errands = options->errands;
    (void)pthread_rwlock_init(&node->channels_lock, NULL);
    (void)pthread_rwlock_init(&node->peers_lock, NULL);
    node->started_unix_s = ent_clock_unix_s();
    node->started_ms = ent_clock_monotonic_ms();
    node->before = options->before;
    ent_rc rc = open_folder(node, options->folder, err);
    if (rc.code == ENT_OK && options->sandbox)
        rc = enter_sandbox(node, options->folder, err);
    size_t channel_count = node->channel_count;
    if (rc.code == ENT_OK)
        rc = start_threads(node, err);
    if (rc.code != ENT_OK) {
        ent_node_stop(node);
        return rc;
    }
    node->is_started = true;
    report_started(node, channel_count);
    ent_fork_find_own(node);
    ent_rotate_go_on(node);
    *ret = node;
    return ENT_DONE;
}

/* Whether the next start needs to ask nobody: this one had nothing to ask, or has its answers. A start that failed
 * leaves things as they were. */
static bool stops_clean(ent_node *node)
{
    ent_channel *channel;
    for (size_t i = 0; (channel = ent_channel_at(node, i)) != NULL; i++) {
        if (ent_channel_hold_now(channel) == ENT_HOLD_ASKING)
            return false;
    }
    return node->is_started || node->before.was_clean;
}

/* The last act: everything that signs has ended. */
static void leave_marker(const ent_node *node)
{
    ent_err err = {0};
    ent_rc rc = node->errands == NULL ? ent_clean_stop_write(node->paths.marks, node->before.boot_id, &err)
                                      : ent_errands_stopped_clean(node->errands, &err);
    if (rc.code == ENT_OK)
        return;
    ent_report report = ent_report_begin("node.no-clean-marker");
    ent_report_error(&report, &err);
    ent_report_end(&report);
}

void ent_node_stop(ent_node *node)
{
    if (node == NULL)
        return;
    atomic_store(&node->stopping, true);
    if (node->events != NULL)
        ent_events_close(node->events);
    bool has_socket = node->local != NULL;
    ent_http_server_stop(node->local, STOP_GRACE_MS);
    if (has_socket && node->errands != NULL) /* in the sandbox the server could not */
        (void)ent_errands_remove_socket(node->errands, NULL).code;
    ent_http_server_stop(node->peers, STOP_GRACE_MS);
    ent_guard_free(node->guard);
    ent_opener_stop(node->opener);
    ent_blob_worker_stop(node->blob_worker);
    ent_checks_stop(node->checks);
    ent_courier_free(node->courier);
    ent_alerts_stop(node->alerts);
    ent_sequencer_free(node->sequencer);
    ent_opener_free(node->opener); /* after the last that could wake them */
    ent_blob_worker_free(node->blob_worker);
    ent_checks_free(node->checks);
    ent_alerts_free(node->alerts); /* after the last that could wake it */
    ent_events_free(node->events);
    ent_reaches_free(node->reaches);
    ent_turnstile_free(node->turnstile);
    bool is_clean = stops_clean(node);
    ent_channels_free(node);
    ent_peers_free(node);
    ent_kinds_free(node->kinds);
    ent_blob_parts_free(node->parts);
    ent_store_close(node->store);
    ent_tls_client_free(node->tls);
    ent_own_card_free(node);
    ent_keeper_free(node->keeper);
    if (is_clean && node->paths.marks != NULL)
        leave_marker(node);
    ent_errands_free(node->errands);
    ent_config_release(&node->config);
    ent_paths_release(&node->paths);
    (void)pthread_rwlock_destroy(&node->channels_lock);
    (void)pthread_rwlock_destroy(&node->peers_lock);
    ent_free(node);
}
