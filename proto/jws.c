//  jws.c - the form and the signature of a token

#include "jws.h"
#include "json.h"
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>

#define NUMBER_SIZE 32    //  bytes of r and of s (RFC 7518, 3.4)

static const rk_json_limits_t s_limits = {8, 200, NULL};


//  The part of that number, from 0; the three have dots between them.

static rk_slice_t
s_part (const char *token, int nbr)
{
    for (; nbr > 0; nbr--) {
        token += strcspn (token, ".");
        token += *token == '.';
    }
    return (rk_slice_t){token, strcspn (token, ".")};
}


//  base64url without padding (RFC 7515, 2). Returns the bytes' number, or -1.

static int
s_decode (rk_slice_t part, unsigned char *bytes)
{
    char text[RK_JWS_MOST + 4];
    size_t size = part.size;
    if (size % 4 == 1)
        return -1;
    for (size_t nbr = 0; nbr < size; nbr++) {
        char byte = part.data[nbr];
        if (!isalnum ((unsigned char) byte) && byte != '-' && byte != '_')
            return -1;
        text[nbr] = (char) (byte == '-' ? '+' : byte == '_' ? '/' : byte);
    }
    int padding = (int) ((4 - size % 4) % 4);
    memcpy (text + size, "===", (size_t) padding);
    int count = EVP_DecodeBlock (bytes, (unsigned char *) text, (int) size + padding);
    return count == -1 ? -1 : count - padding;
}


//  The object in that part. cJSON ends a string at a zero byte, so there must be none: who is "alice\u0000x" isn't alice.

static const cJSON *
s_object (const char *token, int nbr)
{
    size_t offset;
    const cJSON *object = NULL;
    char *bytes = (char *) malloc (RK_JWS_MOST);
    int size = s_decode (s_part (token, nbr), (unsigned char *) bytes);
    if (size > 0 &&
        !rk_json_check ((rk_slice_t){bytes, (size_t) size}, s_limits, &offset) &&
        !memmem (bytes, (size_t) size, "\\u0000", 6))
        object = cJSON_ParseWithLength (bytes, (size_t) size);
    free (bytes);
    return cJSON_IsObject (object) ? object : NULL;
}


static const char *
s_text (const cJSON *object, const char *name)
{
    const char *text =
        cJSON_GetStringValue (cJSON_GetObjectItemCaseSensitive (object, name));
    return text ? text : "";
}


const char *
rk_jws_header (const char *token, rk_jws_header_t *header)
{
    memset (header, 0, sizeof (*header));
    if (strlen (token) > RK_JWS_MOST)
        return "the token is too long";
    rk_slice_t last = s_part (token, 2);
    const cJSON *object = s_object (token, 0);
    if (!object || !last.size || last.data[last.size])
        return "this is no token";
    if (cJSON_HasObjectItem (object, "crit"))
        return "the token needs what this server doesn't know (crit)";
    const char *type = s_text (object, "typ");
    if (*type && strcasecmp (type, "JWT") != 0 && strcasecmp (type, "at+jwt") != 0 &&
        strcasecmp (type, "application/at+jwt") != 0)
        return "the token is of another type than JWT and at+jwt";
    snprintf (header->kid, sizeof (header->kid), "%s", s_text (object, "kid"));
    snprintf (header->algorithm, sizeof (header->algorithm), "%s",
              s_text (object, "alg"));
    return NULL;
}


static bool
s_is_hs256 (rk_slice_t text, const unsigned char *signature, int size,
            const unsigned char *key, size_t key_size)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned int hash_size = 0;
    HMAC (EVP_sha256 (), key, (int) key_size, (const unsigned char *) text.data,
          text.size, hash, &hash_size);
    return size == (int) hash_size && CRYPTO_memcmp (hash, signature, hash_size) == 0;
}


//  A token has the two numbers one after the other, OpenSSL wants them in DER.

static bool
s_is_es256 (rk_slice_t text, const unsigned char *signature, int size,
            const unsigned char *key, size_t key_size)
{
    if (size != 2 * NUMBER_SIZE)
        return false;
    BIO *bio = BIO_new_mem_buf (key, (int) key_size);
    EVP_PKEY *public = PEM_read_bio_PUBKEY (bio, NULL, NULL, NULL);
    BIO_free (bio);
    ECDSA_SIG *numbers = ECDSA_SIG_new ();
    ECDSA_SIG_set0 (numbers, BN_bin2bn (signature, NUMBER_SIZE, NULL),
                    BN_bin2bn (signature + NUMBER_SIZE, NUMBER_SIZE, NULL));
    unsigned char *der = NULL;
    int der_size = i2d_ECDSA_SIG (numbers, &der);
    EVP_MD_CTX *context = EVP_MD_CTX_new ();
    bool good = public && der_size > 0 &&
                EVP_DigestVerifyInit (context, NULL, EVP_sha256 (), NULL, public) == 1 &&
                EVP_DigestVerify (context, der, (size_t) der_size,
                                  (const unsigned char *) text.data, text.size) == 1;
    EVP_MD_CTX_free (context);
    OPENSSL_free (der);
    ECDSA_SIG_free (numbers);
    EVP_PKEY_free (public);
    return good;
}


bool
rk_jws_verify (const char *token, const char *algorithm, const unsigned char *key,
               size_t size)
{
    unsigned char signature[RK_JWS_MOST];
    rk_slice_t last = s_part (token, 2);
    rk_slice_t text = {token, (size_t) (last.data - token) - 1};
    int count = s_decode (last, signature);
    if (streq (algorithm, "HS256"))
        return s_is_hs256 (text, signature, count, key, size);
    return streq (algorithm, "ES256") && s_is_es256 (text, signature, count, key, size);
}


const cJSON *
rk_jws_claims (const char *token)
{
    return s_object (token, 1);
}


int
rk_jws_date (const cJSON *claims, const char *name, double *date)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive (claims, name);
    if (item && !cJSON_IsNumber (item))
        return -1;
    *date = item ? item->valuedouble : 0;
    return item != NULL;
}


bool
rk_jws_is_for (const cJSON *claims, const char *audience)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive (claims, "aud"), *one;
    if (cJSON_IsString (item))
        return streq (item->valuestring, audience);
    cJSON_ArrayForEach (one, item)
    {
        if (cJSON_IsArray (item) && cJSON_IsString (one) &&
            streq (one->valuestring, audience))
            return true;
    }
    return false;
}
