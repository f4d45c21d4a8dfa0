//  config.c - fuzz target: a configuration file

#include "fuzz.h"
#include "supervisor/policy.h"

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    static char path[] = "/tmp/rookery-fuzz-XXXXXX";
    static int handle = -1;
    if (handle == -1)
        handle = mkstemp (path);
    bool written =
        ftruncate (handle, 0) == 0 && pwrite (handle, data, size, 0) == (ssize_t) size;
    assert (written);
    char *error = NULL;
    rk_config_t *config = rk_config_new (path, NULL, &error);
    //  Either it is good, or one line says what isn't
    assert (config ? !error : error && !strchr (error, '\n'));
    if (config) {
        error = rk_policy_check (config);
        assert (!error || !strchr (error, '\n'));
    }
    rk_config_destroy (&config);
    zstr_free (&error);
    return 0;
}
