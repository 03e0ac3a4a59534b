#include "node/alert.h"

#include "node/channel.h"

/* ---- forks ---- */

static ent_rc keep_seen(void *context, const ent_store_fork *fork, ent_err *err)
{
    int64_t *seen = context;
    (void)err;
    if (*seen == 0)
        *seen = fork->seen_unix_s;
    return ENT_DONE;
}

ent_rc ent_alert_watch_forks(ent_alert_round *round, ent_err *err)
{
    ent_channel *channel = round->channel->channel;
    for (uint32_t m = 0; m < channel->genesis.member_count; m++) {
        ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
        ent_text name = channel->genesis.members[m].name;
        ent_store_log log;
        int64_t seen = 0;
        ent_channel_log(channel, m, &log);
        if (!log.frozen) /* a log freezes in the transaction that keeps the proof */
            continue;
        ENT_TRY(round->node->store->engine->fork_walk(round->node->store, log.number, keep_seen, &seen, err));
        if (seen == 0)
            continue;
        ent_buf_put_string(&text, "FORK: the log of ");
        ent_buf_put_text(&text, name);
        ent_buf_put_string(&text, " in channel ");
        ent_alert_put_channel(&text, channel);
        ent_buf_put_string(&text, "\nTwo different histories were signed with its key.\n"
                                  "The proof is kept, and that log is frozen.\n"
                                  "Seen ");
        ent_alert_put_time(&text, seen);
        ent_buf_put_string(&text, ", ");
        ent_alert_put_span(&text, round->now_unix_s - seen);
        ent_buf_put_string(&text, log.own ? " ago.\nIt is our own log: a restored copy of this node, or a stolen key."
                                          : " ago.\nCall its contact over another line.");
        if (!log.own) {
            ent_buf_put_string(&text, "\nNext: entente peer show ");
            ent_buf_put_text(&text, name);
        } else {
            ent_buf_put_string(&text, "\nNext: entente status");
        }
        ENT_TRY(ent_buf_check(&text, err));
        ent_alert alert = {.what = ENT_ALERT_FORK, .channel = channel, .detail = name, .text = ent_buf_text(&text)};
        ENT_TRY(ent_alert_raise(round, &alert, err));
    }
    return ENT_DONE;
}
