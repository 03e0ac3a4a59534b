#include "base/config.h"

#include "base/alloc.h"
#include "base/file.h"

enum { CONFIG_MAX_BYTES = 64 * 1024 };

ent_rc ent_paths_make(const char *folder, ent_paths *ret, ent_err *err)
{
    ent_paths paths = {
        .config = ent_file_join(folder, "node.json"),
        .alerts = ent_file_join(folder, "alerts.json"),
        .card = ent_file_join(folder, "card"),
        .card_next = ent_file_join(folder, "store/card.next"),
        .certificate = ent_file_join(folder, "tls.crt"),
        .keys = ent_file_join(folder, "keys"),
        .root = ent_file_join(folder, "root"),
        .marks = ent_file_join(folder, "marks"),
        .store = ent_file_join(folder, "store"),
        .blobs = ent_file_join(folder, "blobs"),
        .spool = ent_file_join(folder, "spool"),
        .set_aside = ent_file_join(folder, "set-aside"),
        .socket = ent_file_join(folder, "socket"),
    };
    if (paths.config == NULL || paths.alerts == NULL || paths.card == NULL || paths.card_next == NULL ||
        paths.certificate == NULL || paths.keys == NULL || paths.root == NULL || paths.marks == NULL ||
        paths.store == NULL || paths.blobs == NULL || paths.spool == NULL || paths.set_aside == NULL ||
        paths.socket == NULL) {
        ent_paths_release(&paths);
        return ent_fail(err, ENT_NOMEM, NULL, "out of memory");
    }
    *ret = paths;
    return ENT_DONE;
}

void ent_paths_release(ent_paths *paths)
{
    ent_free(paths->config);
    ent_free(paths->alerts);
    ent_free(paths->card);
    ent_free(paths->card_next);
    ent_free(paths->certificate);
    ent_free(paths->keys);
    ent_free(paths->root);
    ent_free(paths->marks);
    ent_free(paths->store);
    ent_free(paths->blobs);
    ent_free(paths->spool);
    ent_free(paths->set_aside);
    ent_free(paths->socket);
    *paths = (ent_paths){0};
}

void ent_config_release(ent_config *config)
{
    ent_free(config->name);
    ent_free(config->listen);
    ent_free(config->url);
    *config = (ent_config){0};
}

/* A string member, or NULL when it is null or missing. */
static ent_rc read_string(ent_json_value root, const char *key, char **ret, ent_err *err)
{
    ent_json_value value = ent_json_get(root, key);
    ent_json_type type = ent_json_type_of(value);
    if (type == ENT_JSON_ABSENT || type == ENT_JSON_NULL)
        return ENT_DONE;
    ent_text text = ent_json_string(value);
    if (type != ENT_JSON_STRING || text.size == 0 || memchr(text.data, 0, text.size) != NULL)
        return ent_fail(err, ENT_PEER_MALFORMED, NULL, "\"%s\" must be a text or null", key);
    *ret = ent_text_copy(text);
    return *ret != NULL ? ENT_DONE : ent_fail(err, ENT_NOMEM, NULL, "out of memory");
}

static ent_rc read_forward_delay(ent_json_value root, uint32_t *ret, ent_err *err)
{
    ent_json_value value = ent_json_get(root, "forward_delay_s");
    uint64_t seconds = ENT_FORWARD_DELAY_S;
    if (ent_json_type_of(value) != ENT_JSON_ABSENT &&
        (!ent_json_unsigned(value, ENT_FORWARD_DELAY_MAX_S, &seconds) || seconds == 0))
        return ent_fail(err, ENT_PEER_MALFORMED, NULL, "\"forward_delay_s\" must be a number of seconds, 1 to %d",
                        ENT_FORWARD_DELAY_MAX_S);
    *ret = (uint32_t)seconds;
    return ENT_DONE;
}

static ent_rc read_members(ent_json_value root, ent_config *config, ent_err *err)
{
    ENT_TRY(read_string(root, "name", &config->name, err));
    ENT_TRY(read_string(root, "listen", &config->listen, err));
    ENT_TRY(read_string(root, "url", &config->url, err));
    config->air_gapped = ent_json_true(ent_json_get(root, "air_gapped"));
    ENT_TRY(read_forward_delay(root, &config->forward_delay_s, err));
    if (config->name == NULL || !ent_name_valid(ent_text_of(config->name)))
        return ent_fail(err, ENT_PEER_MALFORMED, "design 1", "\"name\" must be the party's name, like north.example");
    if (!config->air_gapped && config->listen == NULL)
        return ent_fail(err, ENT_PEER_MALFORMED, NULL,
                        "\"listen\" must be an address like 0.0.0.0:8443, or \"air_gapped\" be true");
    return ENT_DONE;
}

ent_rc ent_config_read(const char *path, ent_config *ret, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf bytes = {0};
    ENT_CLEANUP(ent_json_release) ent_json *json = NULL;
    ent_rc rc = ent_file_read(path, CONFIG_MAX_BYTES, &bytes, err);
    if (rc.code == ENT_ABSENT)
        return ent_fail(err, ENT_ABSENT, NULL,
                        "no node lives here: %s does not exist; run `entente init --name NAME --dir DIR` first", path);
    ENT_TRY(rc);
    ent_config config = {0};
    rc = ent_json_parse(ent_buf_bytes(&bytes), &json, err);
    if (rc.code == ENT_OK)
        rc = read_members(ent_json_root(json), &config, err);
    if (rc.code != ENT_OK) {
        ent_config_release(&config);
        return ent_fail_in(err, rc, "%s", path);
    }
    *ret = config;
    return ENT_DONE;
}

ent_rc ent_config_write(const char *path, const ent_config *config, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf text = {0};
    ent_json_writer writer = ent_json_writer_of(&text);
    ent_json_object_begin(&writer);
    ent_json_member_string(&writer, "name", config->name);
    ent_json_member_string(&writer, "listen", config->listen);
    ent_json_member_string(&writer, "url", config->url);
    ent_json_member_bool(&writer, "air_gapped", config->air_gapped);
    if (config->forward_delay_s != 0 && config->forward_delay_s != ENT_FORWARD_DELAY_S)
        ent_json_member_unsigned(&writer, "forward_delay_s", config->forward_delay_s);
    ent_json_object_end(&writer);
    ent_buf_put_u8(&text, '\n');
    ENT_TRY(ent_buf_check(&text, err));
    return ent_file_write(path, 0600, ent_buf_bytes(&text), err);
}
