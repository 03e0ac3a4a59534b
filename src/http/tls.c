#include "http/tls.h"

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "base/name.h"
#include "crypto/crypto.h"
#include "http/tls_internal.h"

enum { SERIAL_SIZE = 16, MAX_CERTIFICATE_BYTES = 64 << 10 };

static void release_key(gnutls_x509_privkey_t *key)
{
    if (*key != NULL)
        gnutls_x509_privkey_deinit(*key);
}

static void release_certificate(gnutls_x509_crt_t *certificate)
{
    if (*certificate != NULL)
        gnutls_x509_crt_deinit(*certificate);
}

static void release_public(gnutls_pubkey_t *key)
{
    if (*key != NULL)
        gnutls_pubkey_deinit(*key);
}

static void release_credentials(gnutls_certificate_credentials_t *credentials)
{
    if (*credentials != NULL)
        gnutls_certificate_free_credentials(*credentials);
}

/* What GnuTLS allocated may be a secret key: wiped always. */
static void release_datum(gnutls_datum_t *datum)
{
    if (datum->data != NULL) {
        ent_wipe(datum->data, datum->size);
        gnutls_free(datum->data);
    }
}

static ent_rc fail_gnutls(ent_err *err, ent_code code, const char *what, int status)
{
    if (status == GNUTLS_E_MEMORY_ERROR)
        code = ENT_NOMEM;
    return ent_fail(err, code, NULL, "%s: %s", what, gnutls_strerror(status));
}

/* Fill the certificate; the first failure is returned. */
static int fill_certificate(gnutls_x509_crt_t certificate, gnutls_x509_privkey_t key, ent_text name)
{
    uint8_t serial[SERIAL_SIZE];
    ent_random(serial, sizeof serial);
    /* RFC 5280, 4.1.2.2: "The serial number MUST be a positive integer". */
    serial[0] = (uint8_t)((serial[0] & 0x7f) | 0x40);
    unsigned int name_size = (unsigned int)name.size;
    int status = gnutls_x509_crt_set_version(certificate, 3);
    if (status >= 0)
        status = gnutls_x509_crt_set_serial(certificate, serial, sizeof serial);
    if (status >= 0)
        status = gnutls_x509_crt_set_activation_time(certificate, 0);
    if (status >= 0)
        status = gnutls_x509_crt_set_expiration_time(certificate, GNUTLS_X509_NO_WELL_DEFINED_EXPIRATION);
    if (status >= 0)
        status = gnutls_x509_crt_set_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, name.data, name_size);
    if (status >= 0)
        status = gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_DNSNAME, name.data, name_size,
                                                      GNUTLS_FSAN_SET);
    if (status >= 0)
        status = gnutls_x509_crt_set_basic_constraints(certificate, 0, -1);
    if (status >= 0)
        status = gnutls_x509_crt_set_key_usage(certificate, GNUTLS_KEY_DIGITAL_SIGNATURE);
    if (status >= 0)
        status = gnutls_x509_crt_set_key_purpose_oid(certificate, GNUTLS_KP_TLS_WWW_SERVER, 0);
    if (status >= 0)
        status = gnutls_x509_crt_set_key_purpose_oid(certificate, GNUTLS_KP_TLS_WWW_CLIENT, 0);
    if (status >= 0)
        status = gnutls_x509_crt_set_key(certificate, key);
    if (status >= 0)
        status = gnutls_x509_crt_sign2(certificate, certificate, key, GNUTLS_DIG_SHA256, 0);
    return status;
}

static int make_pair(ent_text name, gnutls_datum_t *ret_key, gnutls_datum_t *ret_certificate)
{
    ENT_CLEANUP(release_key) gnutls_x509_privkey_t key = NULL;
    ENT_CLEANUP(release_certificate) gnutls_x509_crt_t certificate = NULL;
    int status = gnutls_x509_privkey_init(&key);
    if (status >= 0)
        status =
            gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
    if (status >= 0)
        status = gnutls_x509_crt_init(&certificate);
    if (status >= 0)
        status = fill_certificate(certificate, key, name);
    if (status >= 0)
        status = gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, ret_key);
    if (status >= 0)
        status = gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_PEM, ret_certificate);
    return status;
}

ent_rc ent_tls_generate(ent_text name, ent_buf *ret_key_pem, ent_buf *ret_certificate_pem, ent_err *err)
{
    if (!ent_name_valid(name))
        return ent_fail(err, ENT_USAGE, "design, section 1", "\"%.*s\" is not a party's name",
                        (int)(name.size > ENT_NAME_MAX_BYTES ? ENT_NAME_MAX_BYTES : name.size),
                        name.data == NULL ? "" : name.data);
    ENT_CLEANUP(release_datum) gnutls_datum_t key = {NULL, 0};
    ENT_CLEANUP(release_datum) gnutls_datum_t certificate = {NULL, 0};
    int status = make_pair(name, &key, &certificate);
    if (status < 0)
        return fail_gnutls(err, ENT_IO, "cannot make a TLS identity", status);
    ENT_CLEANUP(ent_buf_wipe) ent_buf key_copy = {0};
    ENT_CLEANUP(ent_buf_release) ent_buf certificate_copy = {0};
    ent_buf_put(&key_copy, ent_bytes_of(key.data, key.size));
    ent_buf_put(&certificate_copy, ent_bytes_of(certificate.data, certificate.size));
    ENT_TRY(ent_buf_check(&key_copy, err));
    ENT_TRY(ent_buf_check(&certificate_copy, err));
    *ret_key_pem = key_copy;
    *ret_certificate_pem = certificate_copy;
    key_copy = (ent_buf){0};
    certificate_copy = (ent_buf){0};
    return ENT_DONE;
}

static int pin_of(gnutls_x509_crt_t certificate, ent_hash *ret)
{
    ENT_CLEANUP(release_public) gnutls_pubkey_t key = NULL;
    ENT_CLEANUP(release_datum) gnutls_datum_t der = {NULL, 0};
    int status = gnutls_pubkey_init(&key);
    if (status >= 0)
        status = gnutls_pubkey_import_x509(key, certificate, 0);
    if (status >= 0)
        status = gnutls_pubkey_export2(key, GNUTLS_X509_FMT_DER, &der);
    if (status >= 0)
        ent_sha256(ent_bytes_of(der.data, der.size), ret);
    return status;
}

static int pin_of_encoded(const gnutls_datum_t *encoded, gnutls_x509_crt_fmt_t format, ent_hash *ret)
{
    ENT_CLEANUP(release_certificate) gnutls_x509_crt_t certificate = NULL;
    int status = gnutls_x509_crt_init(&certificate);
    if (status >= 0)
        status = gnutls_x509_crt_import(certificate, encoded, format);
    if (status >= 0)
        status = pin_of(certificate, ret);
    return status;
}

ent_rc ent_tls_pin(ent_bytes certificate_pem, ent_hash *ret, ent_err *err)
{
    if (certificate_pem.size == 0 || certificate_pem.size > MAX_CERTIFICATE_BYTES)
        return ent_fail(err, ENT_PEER_MALFORMED, "RFC 7468, section 5", "a certificate of %zu bytes",
                        certificate_pem.size);
    /* GnuTLS takes a pointer to bytes it does not change. */
    gnutls_datum_t encoded = {(unsigned char *)(uintptr_t)certificate_pem.data, (unsigned int)certificate_pem.size};
    int status = pin_of_encoded(&encoded, GNUTLS_X509_FMT_PEM, ret);
    if (status < 0)
        return fail_gnutls(err, ENT_PEER_MALFORMED, "cannot read the TLS certificate", status);
    return ENT_DONE;
}

/* GnuTLS takes pointers to bytes it does not change. */
static gnutls_datum_t datum_of(ent_text text)
{
    return (gnutls_datum_t){(unsigned char *)(uintptr_t)text.data, (unsigned int)text.size};
}

ent_rc ent_tls_check_pair(ent_text key_pem, ent_text certificate_pem, ent_err *err)
{
    if (key_pem.size > MAX_CERTIFICATE_BYTES || certificate_pem.size > MAX_CERTIFICATE_BYTES)
        return ent_fail(err, ENT_USAGE, NULL, "the TLS key or certificate is too large");
    ENT_CLEANUP(release_credentials) gnutls_certificate_credentials_t credentials = NULL;
    gnutls_datum_t key = datum_of(key_pem);
    gnutls_datum_t certificate = datum_of(certificate_pem);
    int status = gnutls_certificate_allocate_credentials(&credentials);
    if (status >= 0)
        status = gnutls_certificate_set_x509_key_mem(credentials, &certificate, &key, GNUTLS_X509_FMT_PEM);
    if (status < 0)
        return fail_gnutls(err, ENT_USAGE, "the TLS key and certificate cannot be used", status);
    return ENT_DONE;
}

bool ent_tls_session_pin(void *session, ent_hash *ret)
{
    unsigned int count = 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &count);
    ent_hash pin;
    if (chain == NULL || count == 0 || gnutls_certificate_type_get(session) != GNUTLS_CRT_X509 ||
        pin_of_encoded(&chain[0], GNUTLS_X509_FMT_DER, &pin) < 0)
        return false;
    *ret = pin;
    return true;
}

void ent_tls_session_prepare(void *session)
{
    gnutls_certificate_send_x509_rdn_sequence(session, 1);
}
