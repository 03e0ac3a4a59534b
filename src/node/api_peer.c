#include "node/api.h"
#include "node/peer.h"

static ent_rc put_card_parts(ent_node *node, ent_json_writer *writer, const char *name, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf bytes = {0};
    ENT_CLEANUP(ent_card_release) ent_card_opened card = {0};
    char fingerprint[ENT_FINGERPRINT_TEXT_SIZE + 1];
    ENT_TRY(ent_peer_card(node, ent_text_of(name), &bytes, &card, err));
    ENT_TRY(ent_card_fingerprint(&card.card, fingerprint, err));
    ent_json_member_string(writer, "fingerprint", fingerprint);
    ent_json_member_text(writer, "issued", card.card.issued);
    ent_json_key(writer, "contacts");
    ent_json_array_begin(writer);
    for (size_t i = 0; i < card.card.contact_count; i++) {
        const ent_card_contact *contact = &card.card.contacts[i];
        ent_json_object_begin(writer);
        ent_json_member_text(writer, "role", contact->role);
        ent_json_member_text(writer, "name", contact->name);
        ent_json_member_text(writer, "position", contact->position);
        ent_json_member_text(writer, "phone", contact->phone);
        ent_json_member_text(writer, "email", contact->email);
        ent_json_key(writer, "languages");
        ent_json_array_begin(writer);
        for (size_t k = 0; k < contact->language_count; k++)
            ent_json_put_text(writer, contact->languages[k]);
        ent_json_array_end(writer);
        ent_json_member_text(writer, "hours", contact->hours);
        ent_json_object_end(writer);
    }
    ent_json_array_end(writer);
    return ENT_DONE;
}

static ent_rc put_peer(ent_node *node, ent_json_writer *writer, const ent_peer *peer, ent_err *err)
{
    ent_json_object_begin(writer);
    ent_json_member_string(writer, "name", peer->name);
    ent_json_member_unsigned(writer, "serial", peer->serial);
    ent_json_member_string(writer, "url", peer->url[0] == 0 ? NULL : peer->url);
    ent_api_time(writer, "added", peer->added_unix_s);
    ENT_TRY(put_card_parts(node, writer, peer->name, err));
    ent_json_object_end(writer);
    return ENT_DONE;
}

ent_rc ent_api_peer_list(ent_api_call *call, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf body = {0};
    ent_json_writer writer = ent_json_writer_of(&body);
    ent_peer peer;
    ent_json_object_begin(&writer);
    ent_json_key(&writer, "peers");
    ent_json_array_begin(&writer);
    for (size_t i = 0; ent_peer_at(call->node, i, &peer); i++)
        ENT_TRY(put_peer(call->node, &writer, &peer, err));
    ent_json_array_end(&writer);
    ent_json_object_end(&writer);
    return ent_api_answer(call, &body, err);
}

static ent_rc answer_peer(ent_api_call *call, const ent_peer *peer, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf body = {0};
    ent_json_writer writer = ent_json_writer_of(&body);
    ENT_TRY(put_peer(call->node, &writer, peer, err));
    return ent_api_answer(call, &body, err);
}

ent_rc ent_api_peer_add(ent_api_call *call, ent_err *err)
{
    ent_peer peer;
    ent_text fingerprint = ent_http_query(call->request, "fingerprint");
    ENT_TRY(ent_peer_add(call->node, ent_http_body(call->request), fingerprint.data == NULL ? NULL : &fingerprint,
                         &peer, err));
    return answer_peer(call, &peer, err);
}

ent_rc ent_api_peer_show(ent_api_call *call, ent_err *err)
{
    ent_peer peer;
    ENT_TRY(ent_peer_get(call->node, call->parts[1], &peer, err));
    return answer_peer(call, &peer, err);
}

ent_rc ent_api_peer_card(ent_api_call *call, ent_err *err)
{
    ent_store_peer peer;
    ENT_CLEANUP(ent_buf_release) ent_buf card = {0};
    ENT_TRY(call->node->store->engine->peer_get(call->node->store, call->parts[1], &peer, &card, err));
    call->response->status = 200;
    call->response->content_type = "text/plain; charset=utf-8";
    call->response->body = card;
    card = (ent_buf){0};
    return ENT_DONE;
}

ent_rc ent_api_peer_remove(ent_api_call *call, ent_err *err)
{
    ENT_CLEANUP(ent_buf_release) ent_buf body = {0};
    ENT_TRY(ent_peer_remove(call->node, call->parts[1], err));
    ent_buf_put_string(&body, "{}");
    return ent_api_answer(call, &body, err);
}
