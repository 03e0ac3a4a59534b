#include "message/stix.h"

#include "message/format.h"

static const char rule[] = "STIX 2.1, section 8 \"Bundle Object\"";

/* Identifiers of the TLP marking definitions: TLP 2.0 as OASIS published them for STIX 2.1, and those of STIX 2.1
 * section 7.2.1.4, which many producers still use. TLP 1.0 WHITE is TLP 2.0 CLEAR. */
static const struct {
    const char *id;
    ent_marking marking;
} tlp_definitions[] = {
    {"marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487", ENT_MARKING_CLEAR},
    {"marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb", ENT_MARKING_GREEN},
    {"marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421", ENT_MARKING_AMBER},
    {"marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003", ENT_MARKING_AMBER_STRICT},
    {"marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1", ENT_MARKING_RED},
    {"marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9", ENT_MARKING_CLEAR},
    {"marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da", ENT_MARKING_GREEN},
    {"marking-definition--f88d31f6-486f-44da-b317-01333bde0b82", ENT_MARKING_AMBER},
    {"marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed", ENT_MARKING_RED},
};

/* Objects that must state spec_version (section 3.2: required for SDOs, SROs and meta objects, optional for
 * cyber-observables, which old producers and custom types follow). */
static const char *const versioned_types[] = {
    "attack-pattern",
    "campaign",
    "course-of-action",
    "extension-definition",
    "grouping",
    "identity",
    "incident",
    "indicator",
    "infrastructure",
    "intrusion-set",
    "location",
    "language-content",
    "malware",
    "marking-definition",
    "malware-analysis",
    "note",
    "observed-data",
    "opinion",
    "relationship",
    "report",
    "sighting",
    "threat-actor",
    "tool",
    "vulnerability",
};

typedef struct {
    const char *path;
    size_t index; /* of the object in objects[] */
    bool marked;
    ent_marking marking;
    ent_err *err;
} walk;

static ent_rc invalid(const walk *w, const char *text)
{
    return ent_fail(w->err, ENT_PEER_INVALID, rule, "%s.objects[%zu]: %s", w->path, w->index, text);
}

static void mark(walk *w, ent_text id)
{
    for (size_t i = 0; i < sizeof tlp_definitions / sizeof tlp_definitions[0]; i++) {
        if (ent_text_is(id, tlp_definitions[i].id)) {
            ent_marking found = tlp_definitions[i].marking;
            w->marking = w->marked ? ent_marking_strictest(w->marking, found) : found;
            w->marked = true;
        }
    }
}

static bool is_marking_id(ent_text id)
{
    ent_text type = {NULL, 0};
    return ent_stix_id_valid(id, &type) && ent_text_is(type, "marking-definition");
}

/* A granular marking covers part of an object only, but a reader who is shown the object is shown that part too. */
static ent_rc check_markings(walk *w, ent_json_value object)
{
    ent_json_value refs = ent_json_get(object, "object_marking_refs");
    ent_json_value granular = ent_json_get(object, "granular_markings");
    if ((ent_json_present(refs) && ent_json_type_of(refs) != ENT_JSON_ARRAY) ||
        (ent_json_present(granular) && ent_json_type_of(granular) != ENT_JSON_ARRAY))
        return invalid(w, "object_marking_refs and granular_markings are arrays");
    for (ent_json_iter i = ent_json_iterate(refs); ent_json_next(&i);) {
        if (!is_marking_id(ent_json_string(i.value)))
            return invalid(w, "object_marking_refs holds something else than ids of marking-definitions");
        mark(w, ent_json_string(i.value));
    }
    for (ent_json_iter i = ent_json_iterate(granular); ent_json_next(&i);) {
        ent_json_value ref = ent_json_get(i.value, "marking_ref");
        if (ent_json_present(ref) && !is_marking_id(ent_json_string(ref)))
            return invalid(w, "granular_markings: marking_ref is no id of a marking-definition");
        mark(w, ent_json_string(ref));
    }
    return ENT_DONE;
}

static bool must_state_version(ent_text type)
{
    for (size_t i = 0; i < sizeof versioned_types / sizeof versioned_types[0]; i++) {
        if (ent_text_is(type, versioned_types[i]))
            return true;
    }
    return false;
}

static ent_rc check_object(walk *w, ent_json_value object)
{
    if (ent_json_type_of(object) != ENT_JSON_OBJECT)
        return invalid(w, "is no object");
    ent_text type = ent_json_string(ent_json_get(object, "type"));
    ent_text id_type = {NULL, 0};
    if (type.size == 0)
        return invalid(w, "type is missing");
    if (ent_text_is(type, "bundle"))
        return invalid(w, "a bundle in a bundle");
    if (!ent_stix_id_valid(ent_json_string(ent_json_get(object, "id")), &id_type))
        return invalid(w, "id is missing or is no STIX identifier, type--UUID");
    if (!ent_text_equal(type, id_type))
        return invalid(w, "id is of another type than the object");
    ent_json_value version = ent_json_get(object, "spec_version");
    if (ent_json_present(version) ? !ent_text_is(ent_json_string(version), "2.1") : must_state_version(type))
        return invalid(w, "spec_version is not \"2.1\"");
    return check_markings(w, object);
}

ent_rc ent_stix_check(ent_json_value bundle, const char *path, ent_marking *ret_marking, ent_err *err)
{
    walk w = {.path = path, .err = err};
    ent_text id_type = {NULL, 0};
    ent_json_value objects = ent_json_get(bundle, "objects");
    if (!ent_text_is(ent_json_string(ent_json_get(bundle, "type")), "bundle"))
        return ent_fail(err, ENT_PEER_INVALID, rule, "%s: type is not \"bundle\"", path);
    if (!ent_stix_id_valid(ent_json_string(ent_json_get(bundle, "id")), &id_type) || !ent_text_is(id_type, "bundle"))
        return ent_fail(err, ENT_PEER_INVALID, rule, "%s: id is not bundle--UUID", path);
    if (ent_json_type_of(objects) != ENT_JSON_ARRAY || ent_json_count(objects) == 0)
        return ent_fail(err, ENT_PEER_INVALID, rule, "%s: objects is no array with at least one object", path);
    for (ent_json_iter i = ent_json_iterate(objects); ent_json_next(&i); w.index++)
        ENT_TRY(check_object(&w, i.value));
    *ret_marking = w.marking;
    return ENT_DONE;
}
