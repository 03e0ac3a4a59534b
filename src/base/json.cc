/* JSON read by simdjson, behind json.h. The only C++ of the project: nothing here throws (SIMDJSON_EXCEPTIONS is off,
 * the standard algorithms used get noexcept callbacks), and no C++ type leaves this file. */
#define SIMDJSON_EXCEPTIONS 0
#include <simdjson.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <stdio.h>
#include <string_view>

/* Our headers are C17 and build views with compound literals, which g++ and clang++ know as an extension. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
extern "C" {
#include "base/alloc.h"
#include "base/json.h"
}
#pragma GCC diagnostic pop

namespace dom = simdjson::dom;

static_assert(sizeof(dom::element) <= sizeof(ent_json_value), "a value carries an element");
static_assert(alignof(dom::element) <= alignof(ent_json_value), "a value carries an element");
static_assert(__is_trivially_copyable(dom::element), "a value is copied as bytes");
static_assert(sizeof(dom::array::iterator) <= sizeof(const void *[2]), "a walk carries two iterators");
static_assert(sizeof(dom::object::iterator) <= sizeof(const void *[2]), "a walk carries two iterators");
static_assert(__is_trivially_copyable(dom::array::iterator), "an iterator is copied as bytes");
static_assert(__is_trivially_copyable(dom::object::iterator), "an iterator is copied as bytes");

/* The parser's tape and strings: values point into it, so that the parser itself can go after the parse. */
struct ent_json {
    dom::document document;
    dom::element root;
};

namespace
{

struct free_memory {
    void operator()(void *memory) const noexcept
    {
        ent_free(memory);
    }
};

bool element_of(ent_json_value value, dom::element *ret) noexcept
{
    if (value.opaque[0] == nullptr)
        return false;
    std::memcpy(static_cast<void *>(ret), value.opaque, sizeof *ret);
    return true;
}

ent_json_value value_of(const dom::element &element) noexcept
{
    ent_json_value value = {{nullptr, nullptr}};
    std::memcpy(static_cast<void *>(value.opaque), &element, sizeof element);
    return value;
}

std::string_view view_of(ent_text text) noexcept
{
    static const char nothing = 0; /* a view of nothing points somewhere all the same: it goes to memcmp */
    return {text.size > 0 ? text.data : &nothing, text.size};
}

ent_text text_of(std::string_view view) noexcept
{
    return ent_text{view.data(), view.size()};
}

enum { SMALL_OBJECT = 12 };

/* Shorter keys first, so that long common prefixes are compared only between keys of one length. */
bool key_less(std::string_view a, std::string_view b) noexcept
{
    if (a.size() != b.size())
        return a.size() < b.size();
    return std::memcmp(a.data(), b.data(), a.size()) < 0;
}

ent_rc duplicate(std::string_view key, ent_err *err) noexcept
{
    /* Peers' text: cut on a character's border, without control characters. */
    constexpr size_t most = 64;
    char shown[most + 1];
    size_t size = key.size() > most ? most : key.size();
    while (size < key.size() && size > 0 && (static_cast<unsigned char>(key[size]) & 0xc0) == 0x80)
        size--;
    for (size_t i = 0; i < size; i++)
        shown[i] = static_cast<unsigned char>(key[i]) < 0x20 || key[i] == 0x7f ? '?' : key[i];
    shown[size] = 0;
    return ent_fail(err, ENT_PEER_MALFORMED, "RFC 8259, section 4", "an object has the key \"%s\" twice", shown);
}

/* Small objects are compared pair by pair in place; larger ones are sorted, so that a hostile object of 10^5 keys costs
 * n log n. */
ent_rc check_keys(const dom::object &object, ent_err *err) noexcept
{
    size_t count = object.size();
    std::string_view few[SMALL_OBJECT];
    std::string_view *keys = few;
    std::unique_ptr<std::string_view, free_memory> many;
    if (count > SMALL_OBJECT) {
        many.reset(static_cast<std::string_view *>(ent_alloc_array(count, sizeof(std::string_view))));
        if (!many)
            return ent_fail(err, ENT_NOMEM, nullptr, "out of memory for the %zu keys of a JSON object", count);
        keys = many.get();
    }
    size_t at = 0;
    for (auto field : object)
        keys[at++] = field.key;
    if (count <= SMALL_OBJECT) {
        for (size_t i = 1; i < count; i++) {
            for (size_t k = 0; k < i; k++) {
                if (keys[i] == keys[k])
                    return duplicate(keys[i], err);
            }
        }
        return ent_rc{ENT_OK};
    }
    std::sort(keys, keys + count, key_less);
    for (size_t i = 1; i < count; i++) {
        if (keys[i] == keys[i - 1])
            return duplicate(keys[i], err);
    }
    return ent_rc{ENT_OK};
}

ent_rc check_string(std::string_view text, ent_err *err) noexcept
{
    /* The parser checks the bytes of the document; what \u escapes make of them is checked here. */
    if (!ent_utf8_valid(text_of(text)))
        return ent_fail(err, ENT_PEER_MALFORMED, "RFC 8259, section 8.2", "a string escapes half of a surrogate pair");
    return ent_rc{ENT_OK};
}

/* Recursion ends at ENT_JSON_MAX_DEPTH, which the parser has checked before. */
ent_rc check_element(const dom::element &element, ent_err *err) noexcept
{
    dom::array array;
    dom::object object;
    std::string_view text;
    if (element.get(text) == simdjson::SUCCESS)
        return check_string(text, err);
    if (element.get(array) == simdjson::SUCCESS) {
        for (dom::element item : array)
            ENT_TRY(check_element(item, err));
    } else if (element.get(object) == simdjson::SUCCESS) {
        ENT_TRY(check_keys(object, err));
        for (auto field : object) {
            ENT_TRY(check_string(field.key, err));
            ENT_TRY(check_element(field.value, err));
        }
    }
    return ent_rc{ENT_OK};
}

ent_rc parse_failed(simdjson::error_code error, ent_err *err) noexcept
{
    switch (error) {
    case simdjson::MEMALLOC:
        return ent_fail(err, ENT_NOMEM, nullptr, "out of memory for a JSON document");
    case simdjson::CAPACITY:
        return ent_fail(err, ENT_PEER_TOO_LARGE, nullptr, "a JSON document is larger than %d bytes",
                        ENT_JSON_MAX_BYTES);
    case simdjson::DEPTH_ERROR:
        return ent_fail(err, ENT_PEER_MALFORMED, "design.md, section 11", "JSON is nested deeper than %d levels",
                        ENT_JSON_MAX_DEPTH);
    default:
        return ent_fail(err, ENT_PEER_MALFORMED, "RFC 8259", "not valid JSON: %s", simdjson::error_message(error));
    }
}

void put_element(ent_json_writer *writer, const dom::element &element) noexcept;

bool put_scalar(ent_json_writer *writer, const dom::element &element) noexcept
{
    char digits[64];
    bool truth = false;
    int64_t whole = 0;
    uint64_t large = 0;
    double number = 0;
    std::string_view text;
    if (element.get(text) == simdjson::SUCCESS) {
        ent_json_put_text(writer, text_of(text));
    } else if (element.get(truth) == simdjson::SUCCESS) {
        ent_json_put_bool(writer, truth);
    } else if (element.get(whole) == simdjson::SUCCESS) {
        int size = snprintf(digits, sizeof digits, "%lld", static_cast<long long>(whole));
        ent_json_put_raw(writer, ent_text{digits, static_cast<size_t>(size)});
    } else if (element.get(large) == simdjson::SUCCESS) {
        ent_json_put_unsigned(writer, large);
    } else if (element.get(number) == simdjson::SUCCESS) {
        const char *end = simdjson::internal::to_chars(digits, nullptr, number);
        ent_json_put_raw(writer, ent_text{digits, static_cast<size_t>(end - digits)});
    } else if (element.is_null()) {
        ent_json_put_null(writer);
    } else {
        return false;
    }
    return true;
}

void put_element(ent_json_writer *writer, const dom::element &element) noexcept
{
    dom::array array;
    dom::object object;
    if (put_scalar(writer, element))
        return;
    if (element.get(array) == simdjson::SUCCESS) {
        ent_json_array_begin(writer);
        for (dom::element item : array)
            put_element(writer, item);
        ent_json_array_end(writer);
    } else if (element.get(object) == simdjson::SUCCESS) {
        ent_json_object_begin(writer);
        for (auto field : object) {
            ent_json_key_text(writer, text_of(field.key));
            put_element(writer, field.value);
        }
        ent_json_object_end(writer);
    }
}

} // namespace

extern "C" {

ent_rc ent_json_parse(ent_bytes bytes, ent_json **ret, ent_err *err)
{
    if (bytes.size > ENT_JSON_MAX_BYTES)
        return parse_failed(simdjson::CAPACITY, err);
    std::unique_ptr<uint8_t, free_memory> padded(
        static_cast<uint8_t *>(ent_alloc(bytes.size + simdjson::SIMDJSON_PADDING)));
    std::unique_ptr<ent_json> json(new (std::nothrow) ent_json);
    if (!padded || !json)
        return parse_failed(simdjson::MEMALLOC, err);
    if (bytes.size > 0)
        std::memcpy(padded.get(), bytes.data, bytes.size);

    dom::parser parser(ENT_JSON_MAX_BYTES + 1);
    size_t capacity = bytes.size < dom::MINIMAL_DOCUMENT_CAPACITY ? dom::MINIMAL_DOCUMENT_CAPACITY : bytes.size;
    /* The parser counts the level below the innermost container as one more. */
    simdjson::error_code error = parser.allocate(capacity, ENT_JSON_MAX_DEPTH + 1);
    if (error == simdjson::SUCCESS)
        error = parser.parse_into_document(json->document, padded.get(), bytes.size, false).get(json->root);
    if (error != simdjson::SUCCESS)
        return parse_failed(error, err);
    ENT_TRY(check_element(json->root, err));
    *ret = json.release();
    return ent_rc{ENT_OK};
}

void ent_json_free(ent_json *json)
{
    delete json;
}

void ent_json_release(ent_json **json)
{
    ent_json_free(*json);
    *json = nullptr;
}

ent_json_value ent_json_root(const ent_json *json)
{
    return value_of(json->root);
}

ent_json_type ent_json_type_of(ent_json_value value)
{
    dom::element element;
    if (!element_of(value, &element))
        return ENT_JSON_ABSENT;
    switch (element.type()) {
    case dom::element_type::NULL_VALUE:
        return ENT_JSON_NULL;
    case dom::element_type::BOOL:
        return ENT_JSON_BOOL;
    case dom::element_type::INT64:
    case dom::element_type::UINT64:
        return ENT_JSON_INTEGER;
    case dom::element_type::DOUBLE:
        return ENT_JSON_NUMBER;
    case dom::element_type::STRING:
        return ENT_JSON_STRING;
    case dom::element_type::ARRAY:
        return ENT_JSON_ARRAY;
    case dom::element_type::OBJECT:
        return ENT_JSON_OBJECT;
    }
    return ENT_JSON_ABSENT;
}

bool ent_json_present(ent_json_value value)
{
    return value.opaque[0] != nullptr;
}

ent_json_value ent_json_get(ent_json_value object, const char *key)
{
    return ent_json_get_text(object, ent_text{key, std::strlen(key)});
}

ent_json_value ent_json_get_text(ent_json_value object, ent_text key)
{
    dom::element element;
    dom::element member;
    dom::object members;
    if (!element_of(object, &element) || element.get(members) != simdjson::SUCCESS ||
        members.at_key(view_of(key)).get(member) != simdjson::SUCCESS)
        return ent_json_value{{nullptr, nullptr}};
    return value_of(member);
}

size_t ent_json_count(ent_json_value value)
{
    dom::element element;
    dom::array array;
    dom::object object;
    if (!element_of(value, &element))
        return 0;
    if (element.get(array) == simdjson::SUCCESS)
        return array.size();
    return element.get(object) == simdjson::SUCCESS ? object.size() : 0;
}

/* opaque: [0..1] where the walk stands, [2..3] its end, [4] not NULL for an object, [5] not NULL while there is a walk.
 */
ent_json_iter ent_json_iterate(ent_json_value value)
{
    static const char yes = 1;
    ent_json_iter iter = {};
    dom::element element;
    dom::array array;
    dom::object object;
    if (!element_of(value, &element))
        return iter;
    if (element.get(array) == simdjson::SUCCESS) {
        dom::array::iterator range[2] = {array.begin(), array.end()};
        std::memcpy(static_cast<void *>(iter.opaque), range, sizeof range);
        iter.opaque[5] = &yes;
    } else if (element.get(object) == simdjson::SUCCESS) {
        dom::object::iterator range[2] = {object.begin(), object.end()};
        std::memcpy(static_cast<void *>(iter.opaque), range, sizeof range);
        iter.opaque[4] = &yes;
        iter.opaque[5] = &yes;
    }
    return iter;
}

bool ent_json_next(ent_json_iter *iter)
{
    if (iter->opaque[5] == nullptr)
        return false;
    if (iter->opaque[4] != nullptr) {
        dom::object::iterator at;
        dom::object::iterator end;
        std::memcpy(static_cast<void *>(&at), &iter->opaque[0], sizeof at);
        std::memcpy(static_cast<void *>(&end), &iter->opaque[2], sizeof end);
        if (at == end)
            return false;
        iter->key = text_of(at.key());
        iter->value = value_of(at.value());
        ++at;
        std::memcpy(static_cast<void *>(&iter->opaque[0]), &at, sizeof at);
        return true;
    }
    dom::array::iterator at;
    dom::array::iterator end;
    std::memcpy(static_cast<void *>(&at), &iter->opaque[0], sizeof at);
    std::memcpy(static_cast<void *>(&end), &iter->opaque[2], sizeof end);
    if (at == end)
        return false;
    iter->value = value_of(*at);
    ++at;
    std::memcpy(static_cast<void *>(&iter->opaque[0]), &at, sizeof at);
    return true;
}

ent_text ent_json_string(ent_json_value value)
{
    dom::element element;
    std::string_view text;
    if (!element_of(value, &element) || element.get(text) != simdjson::SUCCESS)
        return ent_text{nullptr, 0};
    return text_of(text);
}

bool ent_json_true(ent_json_value value)
{
    dom::element element;
    bool truth = false;
    return element_of(value, &element) && element.get(truth) == simdjson::SUCCESS && truth;
}

bool ent_json_unsigned(ent_json_value value, uint64_t maximum, uint64_t *ret_value)
{
    dom::element element;
    uint64_t number = 0;
    /* A number with a fraction or exponent is no integer here, even when it equals one. */
    if (!element_of(value, &element) || element.get(number) != simdjson::SUCCESS || number > maximum)
        return false;
    *ret_value = number;
    return true;
}

bool ent_json_double(ent_json_value value, double *ret_value)
{
    dom::element element;
    double number = 0;
    if (!element_of(value, &element) || element.get(number) != simdjson::SUCCESS)
        return false;
    *ret_value = number;
    return true;
}

void ent_json_put_value(ent_buf *buf, ent_json_value value)
{
    dom::element element;
    ent_json_writer writer = ent_json_writer_of(buf);
    if (element_of(value, &element))
        put_element(&writer, element);
}

} // extern "C"
