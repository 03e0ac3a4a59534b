#include "fixture.h"

#include "base/alloc.h"
#include "crypto/crypto.h"

static void test_tls_generate__name_given_key_certificate_and_pin_belong_together(void **state)
{
    (void)state;
    identity a;
    identity b;
    ent_hash again;
    identity_make(&a, "aurora.example");
    identity_make(&b, "aurora.example");
    assert_true(ent_text_starts(ent_buf_text(&a.key), ENT_TEXT("-----BEGIN PRIVATE KEY-----\n")));
    assert_true(ent_text_starts(ent_buf_text(&a.certificate), ENT_TEXT("-----BEGIN CERTIFICATE-----\n")));
    assert_int_equal(ent_tls_pin(ent_buf_bytes(&a.certificate), &again, NULL).code, ENT_OK);
    assert_true(ent_hash_equal(&a.pin, &again));
    assert_false(ent_hash_equal(&a.pin, &b.pin));
    identity_release(&a);
    identity_release(&b);
}

static void test_tls_generate__not_a_party_name_refused(void **state)
{
    (void)state;
    ent_buf key = {0};
    ent_buf certificate = {0};
    ent_err err = {0};
    const char *const names[] = {"", "localhost", "A.example", "a..example", "a.example\n", "*.example"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_int_equal(ent_tls_generate(ent_text_of(names[i]), &key, &certificate, &err).code, ENT_USAGE);
    assert_null(key.data);
    assert_null(certificate.data);
}

static void test_tls_generate__any_allocation_fails_outputs_untouched(void **state)
{
    (void)state;
    ent_err err = {0};
    for (unsigned long n = 1;; n++) {
        ent_buf key = {0};
        ent_buf certificate = {0};
        ent_alloc_fail_at(n);
        ent_rc rc = ent_tls_generate(ENT_TEXT("aurora.example"), &key, &certificate, &err);
        bool reached = ent_alloc_count() >= n;
        ent_alloc_fail_at(0);
        if (rc.code == ENT_OK) {
            assert_false(reached);
            ent_buf_wipe(&key);
            ent_buf_release(&certificate);
            break;
        }
        assert_int_equal(rc.code, ENT_NOMEM);
        assert_null(key.data);
        assert_null(certificate.data);
    }
}

/* From a certificate made by another library:
 * openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=vector.example; the pin by
 * openssl x509 -pubkey -noout | openssl pkey -pubin -outform DER | sha256sum */
static const char vector_pem[] = "-----BEGIN CERTIFICATE-----\n"
                                 "MIIBiTCCAS+gAwIBAgIUL1MJJ0I0+U+WtGznGF9VwSkdp4QwCgYIKoZIzj0EAwIw\n"
                                 "GTEXMBUGA1UEAwwOdmVjdG9yLmV4YW1wbGUwIBcNMjYxMTIyMTEwMjE4WhgPMjEy\n"
                                 "NjEwMjkxMTAyMThaMBkxFzAVBgNVBAMMDnZlY3Rvci5leGFtcGxlMFkwEwYHKoZI\n"
                                 "zj0CAQYIKoZIzj0DAQcDQgAERrN4WqSL6ySYrUI7mnVCyCmQ8Jc8bngjs6dDm4VH\n"
                                 "+7NlqCWeQ19C/bBfZ5CWzv+9/WSoO1MUvl67jPEieLYWKKNTMFEwHQYDVR0OBBYE\n"
                                 "FKPeIpqnppWvez+djjPxeR5TxWfrMB8GA1UdIwQYMBaAFKPeIpqnppWvez+djjPx\n"
                                 "eR5TxWfrMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIhAJGETRQU\n"
                                 "M7YDu0m6gx9sro/yDgCOe2sKNcgDbUcoQZ3rAiBvvbzobvVyp+SMxilrm0Kl4Jwj\n"
                                 "s7oDXRqAo3CMkOiT2A==\n"
                                 "-----END CERTIFICATE-----\n";
static const char vector_pin[] = "c181c5dda7916956be1f87f317eabd5df26c19c75ecc4f687d3f95b07a5d6364";

static void test_tls_pin__certificate_of_openssl_same_pin(void **state)
{
    (void)state;
    ent_hash pin;
    char hex[65];
    assert_int_equal(ent_tls_pin(ent_bytes_of(vector_pem, strlen(vector_pem)), &pin, NULL).code, ENT_OK);
    ent_hex_encode(ent_hash_bytes(&pin), hex);
    assert_string_equal(hex, vector_pin);
}

static void test_tls_pin__not_a_certificate_refused_and_output_untouched(void **state)
{
    (void)state;
    identity a;
    ent_err err = {0};
    ent_hash pin;
    identity_make(&a, "aurora.example");
    memset(&pin, 7, sizeof pin);
    assert_int_equal(ent_tls_pin(ent_bytes_of(NULL, 0), &pin, &err).code, ENT_PEER_MALFORMED);
    assert_int_equal(ent_tls_pin(ent_bytes_of("x", 1), &pin, &err).code, ENT_PEER_MALFORMED);
    assert_int_equal(ent_tls_pin(ent_buf_bytes(&a.key), &pin, &err).code, ENT_PEER_MALFORMED);
    assert_true(err.text[0] != 0);
    for (size_t size = 1; size + 30 < a.certificate.size; size += 7)
        assert_int_equal(ent_tls_pin(ent_bytes_of(a.certificate.data, size), &pin, &err).code, ENT_PEER_MALFORMED);
    for (size_t i = 0; i < sizeof pin.bytes; i++)
        assert_int_equal(pin.bytes[i], 7);
    identity_release(&a);
}

static void test_tls_client__any_allocation_fails_nothing_leaks(void **state)
{
    (void)state;
    identity a;
    ent_tls_client *client = NULL;
    identity_make(&a, "aurora.example");
    ent_alloc_fail_at(1);
    assert_int_equal(ent_tls_client_new(ent_buf_text(&a.key), ent_buf_text(&a.certificate), &client, NULL).code,
                     ENT_NOMEM);
    ent_alloc_fail_at(0);
    assert_null(client);
    ent_tls_client_free(NULL);
    identity_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tls_generate__name_given_key_certificate_and_pin_belong_together),
        cmocka_unit_test(test_tls_generate__not_a_party_name_refused),
        cmocka_unit_test(test_tls_generate__any_allocation_fails_outputs_untouched),
        cmocka_unit_test(test_tls_pin__certificate_of_openssl_same_pin),
        cmocka_unit_test(test_tls_pin__not_a_certificate_refused_and_output_untouched),
        cmocka_unit_test(test_tls_client__any_allocation_fails_nothing_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
