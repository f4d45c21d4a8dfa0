//  ticket.c - leave to send a file, to get one, and the receipt of one that was sent

#include "ticket.h"
#include "json.h"
#include "jws.h"
#include <jwt.h>
#include <sys/random.h>


char *
rk_ticket_sign (const char *secret, const char *claims)
{
    jwt_t *jwt = NULL;
    char *ticket = NULL;
    if (jwt_new (&jwt) == 0 && jwt_add_grants_json (jwt, claims) == 0 &&
        jwt_set_alg (jwt, JWT_ALG_HS256, (const unsigned char *) secret,
                     (int) strlen (secret)) == 0)
        ticket = jwt_encode_str (jwt);
    jwt_free (jwt);
    return ticket;
}


const cJSON *
rk_ticket_read (const char *secret, const char *ticket, const char *use, const char **why)
{
    rk_jws_header_t header;
    *why = rk_jws_header (ticket, &header);
    if (*why)
        return NULL;
    if (!rk_jws_verify (ticket, "HS256", (const unsigned char *) secret,
                        strlen (secret))) {
        *why = "the ticket isn't of this server";
        return NULL;
    }
    const cJSON *claims = rk_jws_claims (ticket);
    double until;
    if (!claims || strneq (rk_ticket_text (claims, "use"), use))
        *why = "the ticket is for something else";
    else if (rk_jws_date (claims, "exp", &until) != 1 ||
             until * 1000 < (double) zclock_time ())
        *why = "the ticket's time is over; ask for another one";
    return *why ? NULL : claims;
}


const char *
rk_ticket_text (const cJSON *claims, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive (claims, name);
    return cJSON_IsString (item) ? item->valuestring : "";
}


int64_t
rk_ticket_number (const cJSON *claims, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive (claims, name);
    return cJSON_IsNumber (item) ? (int64_t) item->valuedouble : -1;
}


bool
rk_ticket_is_hex (const char *text, size_t digits)
{
    return strlen (text) == digits && strspn (text, "0123456789abcdef") == digits;
}


void
rk_ticket_id (char *id)
{
    unsigned char bytes[RK_FILE_ID / 2];
    int rc = getentropy (bytes, sizeof (bytes));
    assert (rc == 0);
    for (size_t nbr = 0; nbr < sizeof (bytes); nbr++)
        snprintf (id + 2 * nbr, 3, "%02x", bytes[nbr]);
}


//  --------------------------------------------------------------------------
//  Selftest

void
ticket_test (void)
{
    const char *secret = "0123456789abcdef0123456789abcdef", *why = NULL;
    char *claims = zsys_sprintf ("{\"use\":\"put\",\"id\":\"a\",\"size\":5,\"exp\":%lld}",
                                 (long long) zclock_time () / 1000 + 60);
    char *ticket = rk_ticket_sign (secret, claims);
    const cJSON *read = rk_ticket_read (secret, ticket, "put", &why);
    rk_check (read && !why && streq (rk_ticket_text (read, "id"), "a") &&
              rk_ticket_number (read, "size") == 5);
    rk_check (streq (rk_ticket_text (read, "size"), "") &&
              rk_ticket_number (read, "id") == -1);
    rk_check (!rk_ticket_read (secret, ticket, "get", &why) && strstr (why, "else"));
    rk_check (!rk_ticket_read ("another secret of enough bytes !", ticket, "put", &why));
    rk_check (!rk_ticket_read (secret, "", "put", &why) && why);
    rk_check (!rk_ticket_read (secret, "a.b.c", "put", &why) && why);
    ticket[strlen (ticket) - 5] ^= 1;
    rk_check (!rk_ticket_read (secret, ticket, "put", &why));
    free (ticket);
    zstr_free (&claims);
    ticket = rk_ticket_sign (secret, "{\"use\":\"put\",\"exp\":1}");
    rk_check (!rk_ticket_read (secret, ticket, "put", &why) && strstr (why, "over"));
    free (ticket);
    rk_check (!rk_ticket_sign (secret, "no object"));
    char id[RK_FILE_ID + 1], other[RK_FILE_ID + 1];
    rk_ticket_id (id);
    rk_ticket_id (other);
    rk_check (rk_ticket_is_hex (id, RK_FILE_ID) && strneq (id, other));
    rk_check (!rk_ticket_is_hex ("../../../etc/passwd", 19) &&
              !rk_ticket_is_hex ("AB", 2));
    rk_json_end ();
}
