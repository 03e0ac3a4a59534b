#include "store/store.h"

const char *ent_channel_state_word(ent_channel_state state)
{
    switch (state) {
    case ENT_CHANNEL_INVITED:
        return "invited";
    case ENT_CHANNEL_OPENING:
        return "opening";
    case ENT_CHANNEL_OPEN:
        return "open";
    case ENT_CHANNEL_REFUSED:
        return "refused";
    }
    return "unknown";
}

const char *ent_sink_word(ent_sink sink)
{
    switch (sink) {
    case ENT_SINK_EMAIL:
        return "email";
    case ENT_SINK_WEBHOOK:
        return "webhook";
    case ENT_SINK_EXECUTE:
        return "execute";
    }
    return "unknown";
}

const char *ent_alert_state_word(ent_alert_state state)
{
    switch (state) {
    case ENT_ALERT_WAITING:
        return "waiting";
    case ENT_ALERT_DELIVERED:
        return "delivered";
    case ENT_ALERT_DROPPED:
        return "dropped";
    }
    return "unknown";
}

void ent_store_close(ent_store *store)
{
    if (store != NULL)
        store->engine->close(store);
}

void ent_store_release(ent_store **store)
{
    ent_store_close(*store);
    *store = NULL;
}

static ent_rc read_tile(void *context, uint8_t level, uint64_t index, uint16_t width, ent_hash *ret_hashes,
                        ent_err *err)
{
    const ent_store_tiles *tiles = context;
    return tiles->store->engine->tile_read(tiles->store, tiles->log, level, index, width, ret_hashes, err);
}

ent_tile_reader ent_store_tile_reader(ent_store_tiles *tiles)
{
    return (ent_tile_reader){.read = read_tile, .context = tiles};
}
