/* Private to the alerts: what a source says, and how it leaves. */
#ifndef ENT_NODE_ALERT_H
#define ENT_NODE_ALERT_H

#include "node/alerts.h"
#include "node/sequencer.h"

#include <time.h>

typedef enum {
    ENT_ALERT_DUE_SOON,
    ENT_ALERT_OVERDUE,
    ENT_ALERT_FLASH_UNREAD,
    ENT_ALERT_CHECK_FAILED,
    ENT_ALERT_FORK,
    ENT_ALERT_EXPIRING,
    ENT_ALERT_TEST,
    ENT_ALERT_WHAT_COUNT
} ent_alert_what;
/** "due-soon", … */
const char *ent_alert_what_word(ent_alert_what what);

/** What a source found. Texts borrow. */
typedef struct {
    ent_alert_what what;
    ent_channel *channel; /* nullable */
    bool has_message;
    uint32_t member;
    uint64_t index;
    ent_text detail;    /* what else tells it from others of this sort, channel and message; may be empty */
    ent_text text;      /* the first line is the title */
    int64_t due_unix_s; /* 0 = none */
} ent_alert;

/** Write the key: what/channel id/party/index/detail. */
void ent_alert_put_key(ent_buf *buf, const ent_alert *alert);
/** Write it as it leaves and is stored. */
void ent_alert_put_json(ent_buf *buf, const ent_alert *alert, ent_text key, int64_t now_unix_s);

/* --- words for texts --- */

/** Alias, or the first 12 digits of the id. */
void ent_alert_put_channel(ent_buf *buf, ent_channel *channel);
/** CHANNEL/party/index as a person types it. */
void ent_alert_put_message(ent_buf *buf, ent_channel *channel, uint32_t member, uint64_t index);
void ent_alert_put_time(ent_buf *buf, int64_t unix_s);
/** "2 h 5 min": at least "1 s". */
void ent_alert_put_span(ent_buf *buf, int64_t seconds);
/** "Subject: …" as a line of its own, if the configuration allows and the message has one; what peers wrote cannot move
 * a cursor or reverse a line. */
void ent_alert_put_subject(ent_buf *buf, ent_node *node, const ent_alert_config *config, ent_channel *channel,
                           uint32_t member, uint64_t index);

/* --- one round of the sources --- */

enum {
    ENT_ALERT_FLASH_PENDING = 1024,
    ENT_ALERT_LOOK_BACK_S = 7 * 24 * 60 * 60 /* what happened longer ago when it is first looked at is no news */
};

/** A flash message that an officer still has time to open. */
typedef struct {
    uint32_t member;
    uint64_t index;
    int64_t arrived_unix_s;
} ent_alert_flash;

/** What the sources remember of a channel; the thread's alone. */
typedef struct {
    ent_channel *channel;
    int64_t next_unix_s; /* when something falls due by time alone */
    int64_t day;         /* of the counters */
    uint32_t raised[ENT_ALERT_WHAT_COUNT];
    int64_t duties_after_ms;                 /* monotonic: many open duties are not gone through all the time */
    bool scanning;                           /* scanned is set */
    uint64_t scanned[ENT_ENTRY_MAX_MEMBERS]; /* entries looked at */
    ent_alert_flash *flash;                  /* room for ENT_ALERT_FLASH_PENDING; NULL until needed */
    size_t flash_count;
} ent_alert_channel;

typedef struct {
    ent_alerts *alerts;
    ent_node *node;
    const ent_alert_config *config;
    int64_t now_unix_s;
    ent_alert_channel *channel; /* under watch */
} ent_alert_round;

/** Look at the channel again at this time at the latest. */
void ent_alert_look_again(ent_alert_round *round, int64_t unix_s);
/** Say what was found; found again it costs a look into memory. Stored when the round ends. */
ENT_RC ent_alert_raise(ent_alert_round *round, const ent_alert *alert, ent_err *err);

/** Whether that was stored or found in this round already: saves writing its text again. */
bool ent_alert_is_told(ent_alert_round *round, const ent_alert *alert);

/* the sources, one file each */
ENT_RC ent_alert_watch_flash(ent_alert_round *round, ent_err *err);
/** Duties that are due soon or overdue, and comm checks of ours that failed. */
ENT_RC ent_alert_watch_duties(ent_alert_round *round, ent_err *err);
/** The agreement's end. */
ENT_RC ent_alert_watch_agreement(ent_alert_round *round, ent_err *err);
ENT_RC ent_alert_watch_forks(ent_alert_round *round, ent_err *err);

/** Look at every channel in which something happened, or something fell due by time, and store what was found.
 *  @out  ret_next_unix_s   when to look again though nothing happens
 *  Errors: the first failure of a source or of the store; everything is looked at anew then.  Blocks: yes. */
ENT_RC ent_alert_run_round(ent_alerts *alerts, const ent_alert_config *config, int64_t *ret_next_unix_s, ent_err *err);
void ent_alert_rounds_release(ent_alerts *alerts);

/* --- how it leaves --- */

enum { ENT_ALERT_EXECUTE_MS = 30000 };

/** Send one alert by one sink and wait.
 *  @in   json    as stored
 *  @in   every   e-mail: fail when one address is refused
 *  Errors: class RETRY when the sink cannot be reached now, else what it refuses or what is wrong here.  Blocks: yes.
 */
ENT_RC ent_alert_deliver(ent_node *node, const ent_alert_config *config, ent_sink sink, ent_text json, bool every,
                         ent_err *err);
/** Run a program with the JSON on its standard input, in a process group of its own, which is killed when it takes
 * longer. Exit status 0 is success.
 *  Errors: REFUSED with its exit status and the beginning of its standard error, UNREACHABLE when it had to be killed,
 *  RETRY when stopped, IO, NOMEM.  Blocks: yes. */
ENT_RC ent_alert_execute(const char *path, const char *what, ent_text json, uint32_t timeout_ms,
                         const atomic_bool *stop, ent_err *err);

/* --- threads --- */

enum { ENT_ALERT_OPENED_PENDING = 256, ENT_ALERT_KNOWN = 4096, ENT_ALERT_KNOWN_SIZE = 16 };

/** Sends what waits for one sink. */
typedef struct {
    ent_alerts *alerts;
    ent_sink sink;
    pthread_t thread;
    bool started;
    bool work;             /* something may wait */
    bool anew;             /* the configuration changed: try at once */
    unsigned failures;     /* in a row to reach the sink at all */
    int64_t not_before_ms; /* monotonic */
} ent_alert_sender;

/** A message that an officer opened. */
typedef struct {
    ent_channel *channel;
    uint32_t member;
    uint64_t index;
} ent_alert_opened;

/** An alert found in this round. */
typedef struct {
    ent_buf key;
    ent_buf json;
} ent_alert_draft;

struct ent_alerts {
    ent_node *node;
    atomic_bool configured;

    pthread_mutex_t lock;   /* over what follows */
    pthread_cond_t woken;   /* the watcher */
    pthread_cond_t sending; /* the senders */
    bool stopping;
    bool work;                /* something happened */
    bool reconfigured;        /* the configuration is new to the watcher */
    ent_alert_config *config; /* nullable */
    ent_alert_opened opened[ENT_ALERT_OPENED_PENDING];
    size_t opened_count;
    pthread_t watcher;
    bool watching;
    ent_alert_sender senders[ENT_SINK_COUNT];

    /* the watcher's alone */
    ent_alert_channel *channels; /* in the node's order */
    size_t channel_count;
    size_t channel_capacity;
    uint8_t (*known)[ENT_ALERT_KNOWN_SIZE]; /* keys known to be stored, by their digest; forgotten each day */
    int64_t known_day;
    ent_alert_draft *batch;
    size_t batch_count;
    size_t batch_capacity;
};

/** Start the threads of the configured sinks that do not run yet. With the lock held.  Errors: IO. */
ENT_RC ent_alert_senders_start(ent_alerts *alerts, ent_err *err);
/** Tell all that something may wait. */
void ent_alert_senders_wake(ent_alerts *alerts);
/** Mark what waits for sinks that are no longer configured.  Errors: those of the store. */
ENT_RC ent_alert_senders_drop(ent_alerts *alerts, const ent_alert_config *config, ent_err *err);
/** Monotonic deadline so many milliseconds from now, for conditions with that clock. */
struct timespec ent_alert_deadline(int64_t ms);

#endif
