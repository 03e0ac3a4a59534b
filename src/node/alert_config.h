/* DIR/alerts.json: where alerts go and when they are raised.  Source: docs/alerts.md. */
#ifndef ENT_NODE_ALERT_CONFIG_H
#define ENT_NODE_ALERT_CONFIG_H

#include "base/alloc.h"
#include "http/mail.h"
#include "store/store.h"

#include <stdatomic.h>

/** All texts are in the arena. */
typedef struct {
    atomic_uint holders;
    ent_arena arena;
    bool checks_files;       /* that it names; false where another process has done so */
    uint32_t due_soon_s;     /* how long before a deadline; 0 = not */
    uint32_t flash_unread_s; /* how long a flash message may lie unopened; 0 = not watched */
    uint32_t expiring_days;  /* how long before an agreement's end; 0 = not */
    bool include_subject;
    ent_sink sinks[ENT_SINK_COUNT]; /* those that are configured */
    size_t sink_count;
    struct {
        const char *url;
        const char *from;
        const char *to[ENT_MAIL_MAX_RECIPIENTS];
        size_t to_count;
        const char *user;          /* nullable */
        const char *password_file; /* nullable */
        const char *ca_file;       /* nullable */
        bool require_tls;
    } email;
    struct {
        const char *url;
        const char *secret_file; /* nullable */
        const char *ca_file;     /* nullable */
    } webhook;
    struct {
        const char *path;
    } execute;
} ent_alert_config;

/** Read and check it, the files that it names included.
 *  Errors: ABSENT when there is no such file; PEER_MALFORMED naming the member and what is allowed; IO, NOMEM.
 *  Owns: caller gives it back with ent_alert_config_give. */
ENT_RC ent_alert_config_read(const char *path, ent_alert_config **ret, ent_err *err);
/** The two halves of it: the file's bytes, and what they say.
 *  @in   checks_files   look at the files that it names too */
ENT_RC ent_alert_config_load(const char *path, ent_buf *ret, ent_err *err);
ENT_RC ent_alert_config_make(ent_bytes bytes, const char *path, bool checks_files, ent_alert_config **ret,
                             ent_err *err);
/** Give one hold back; the last frees. NULL is fine. */
void ent_alert_config_give(ent_alert_config *config);
void ent_alert_config_release(ent_alert_config **config); /* for ENT_CLEANUP */
bool ent_alert_config_has(const ent_alert_config *config, ent_sink sink);

/** The first line of a secret's file, which others must not be able to read.
 *  @out  ret   appended; wiped by the caller
 *  Errors: PEER_MALFORMED naming what is wrong with it, NOMEM. */
ENT_RC ent_alert_secret_read(const char *path, ent_buf *ret, ent_err *err);

/** How to make DIR/alerts.json, in one sentence, for those who ask for alerts without it. */
extern const char ent_alert_how_to[];

#endif
