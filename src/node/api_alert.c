#include "node/alert.h"
#include "node/api.h"

#include "base/clock.h"

enum { LIST_LIMIT = 1000 };

/* ---- list ---- */

static void put_sink(ent_json_writer *writer, const ent_store_alert_sink *sink)
{
    ent_json_object_begin(writer);
    ent_json_member_string(writer, "sink", ent_sink_word(sink->sink));
    ent_json_member_string(writer, "state", ent_alert_state_word(sink->state));
    ent_json_member_unsigned(writer, "attempts", sink->attempts);
    ent_json_member_string(writer, "last_error", sink->last_error[0] == 0 ? NULL : sink->last_error);
    ent_json_object_end(writer);
}

static ent_rc put_alert(void *context, const ent_store_alert *alert, ent_err *err)
{
    ent_json_writer *writer = context;
    ENT_CLEANUP(ent_json_release) ent_json *json = NULL;
    ENT_TRY(ent_json_parse(ent_text_bytes(alert->json), &json, err));
    ent_json_object_begin(writer);
    for (ent_json_iter i = ent_json_iterate(ent_json_root(json)); ent_json_next(&i);) {
        ent_json_key_text(writer, i.key);
        ent_json_put_copy(writer, i.value);
    }
    ent_api_time(writer, "created", alert->created_unix_s);
    ent_json_key(writer, "sinks");
    ent_json_array_begin(writer);
    for (size_t i = 0; i < alert->sink_count; i++)
        put_sink(writer, &alert->sinks[i]);
    ent_json_array_end(writer);
    ent_json_object_end(writer);
    return ENT_DONE;
}

static void put_configured(ent_json_writer *writer, const ent_alert_config *config)
{
    ent_json_key(writer, "configured");
    ent_json_array_begin(writer);
    for (size_t i = 0; config != NULL && i < config->sink_count; i++)
        ent_json_put_string(writer, ent_sink_word(config->sinks[i]));
    ent_json_array_end(writer);
    ent_json_member_string(writer, "how_to", config == NULL ? ent_alert_how_to : NULL);
}

ent_rc ent_api_alert_list(ent_api_call *call, ent_err *err)
{
    ent_node *node = call->node;
    ENT_CLEANUP(ent_buf_release) ent_buf body = {0};
    ENT_CLEANUP(ent_alert_config_release) ent_alert_config *config = ent_alerts_config_take(node->alerts);
    ent_json_writer writer = ent_json_writer_of(&body);
    ent_text all = ent_http_query(call->request, "all");
    ent_json_object_begin(&writer);
    put_configured(&writer, config);
    ent_json_key(&writer, "alerts");
    ent_json_array_begin(&writer);
    ENT_TRY(node->store->engine->alert_walk(node->store, !ent_text_is(all, "1"), INT64_MAX, LIST_LIMIT, put_alert,
                                            &writer, err));
    ent_json_array_end(&writer);
    ent_json_object_end(&writer);
    return ent_api_answer(call, &body, err);
}

/* ---- test ---- */

static ent_rc write_test(const ent_node *node, ent_buf *ret, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf key = {0};
    int64_t now = ent_clock_unix_s();
    char time[ENT_TIME_TEXT_SIZE + 1];
    ent_time_format(now, time);
    ent_buf_put_format(&text, "TEST: alerts of %s reach you\nSomebody typed `entente alerts test` at ",
                       node->config.name);
    ent_alert_put_time(&text, now);
    ent_buf_put_string(&text, ". Nothing is wrong.\nNext: nothing to do");
    ENT_TRY(ent_buf_check(&text, err));
    ent_alert alert = {.what = ENT_ALERT_TEST, .detail = ent_text_of(time), .text = ent_buf_text(&text)};
    ent_alert_put_key(&key, &alert);
    ENT_TRY(ent_buf_check(&key, err));
    ent_alert_put_json(ret, &alert, ent_buf_text(&key), now);
    return ent_buf_check(ret, err);
}

/* The configuration is read anew first, so that one who mends it needs no restart. */
ent_rc ent_api_alert_test(ent_api_call *call, ent_err *err)
{
    ent_node *node = call->node;
    ENT_CLEANUP(ent_buf_release) ent_buf body = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf json = {0};
    ENT_CLEANUP(ent_alert_config_release) ent_alert_config *config = NULL;
    ent_json_writer writer = ent_json_writer_of(&body);
    ENT_TRY(ent_alerts_config_reload(node->alerts, &config, err));
    ENT_TRY(write_test(node, &json, err));
    ent_json_object_begin(&writer);
    ent_json_key(&writer, "results");
    ent_json_array_begin(&writer);
    for (size_t i = 0; i < config->sink_count; i++) {
        ent_err why = {0};
        ent_rc rc = ent_alert_deliver(node, config, config->sinks[i], ent_buf_text(&json), true, &why);
        ent_json_object_begin(&writer);
        ent_json_member_string(&writer, "sink", ent_sink_word(config->sinks[i]));
        ent_json_member_bool(&writer, "delivered", rc.code == ENT_OK);
        ent_json_member_string(&writer, "error", rc.code == ENT_OK ? NULL : why.text);
        ent_json_object_end(&writer);
    }
    ent_json_array_end(&writer);
    ent_json_object_end(&writer);
    return ent_api_answer(call, &body, err);
}
