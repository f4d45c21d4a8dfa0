//  config.c - the configuration: every key, its default and its limits
//
//  A file in ZPL (RFC 4/ZPL, read by zconfig) over the defaults in the table below, and
//  KEY=VALUE settings over both. An unknown key or a wrong value is an error with its line.

#include "config.h"
#include "configtext.h"
#include <sys/stat.h>

#define FILE_MOST 1048576    //  bytes

struct rk_config {
    zconfig_t *root;
    char *file;
    char *text;    //  The file's bytes; for finding a line's number
};

const rk_config_key_t rk_config_keys[] = {
    {"server/drain", 'i', "10000", 0, 600000,
     "msec that SIGTERM waits for what is in flight"},
    {"server/restarts", 'i', "5", 0, 1000,
     "restarts of one actor within a minute before giving up"},
    {"server/backoff", 'i', "100", 1, 60000,
     "msec before the first restart; doubles each time, to 10 s"},
    {"server/queues", 'i', "1073741824", 1048576, 1099511627776,
     "bytes in all queues of the process; with more, clients and gateways aren't read"},
    {"server/stuck", 'i', "2000", 100, 600000,
     "msec without an answer until an actor counts as stuck"},

    {"log/level", 'c', "info", 0, 0,
     "debug|info|warn|error: the least that is logged; rookery ctl log changes it"},
    {"log/format", 'c', "text", 0, 0, "text|json: how a line is written"},
    {"log/to", 'c', "stderr", 0, 0, "stderr|syslog: where it goes"},

    {"gateway/enabled", 'b', "1", 0, 1, "run a gateway in this process"},
    {"gateway/id", 's', "gw1", 0, 0,
     "the gateway's name, the first part of each CID; unique in the system"},
    {"gateway/listen", 'a', "127.0.0.1:8080", 0, 0,
     "HTTP and WebSocket; port 0 takes any free one"},
    {"gateway/certificate", 's', "", 0, 0,
     "file of the TLS certificate and its chain, PEM; clients then connect with wss://"},
    {"gateway/key", 's', "", 0, 0, "file of the certificate's private key, PEM"},
    {"gateway/web", 's', "web/chat", 0, 0, "folder of the chat page"},
    {"gateway/message", 'i', "1114112", 1024, 68157440,
     "bytes of one client message with its attachment, so more than chat/attachment"},
    {"gateway/unbound", 'i', "16384", 1024, 67108864,
     "bytes of one message of a client that isn't bound to a user"},
    {"gateway/connections", 'i', "10000", 1, 1000000, "client connections in all"},
    {"gateway/queue", 'i', "1048576", 4096, 1073741824,
     "bytes waiting for one client; with more it is closed as too slow when it takes "
     "nothing for gateway/slow seconds, or when 16 times as many wait"},
    {"gateway/slow", 'i', "10", 1, 3600,
     "seconds that a client for which too much waits may take nothing of it"},
    {"gateway/address", 'i', "1000", 1, 1000000,
     "client connections from one address; behind a proxy all have the proxy's"},
    {"gateway/failures", 'i', "20", 0, 1000000,
     "connections of one address a minute that the application closes before they are "
     "bound; with more new ones are refused for a while, 0 is no limit"},
    {"gateway/rate", 'i', "200", 0, 1000000,
     "messages a second of one connection, which isn't read when it is faster; 0 is no "
     "limit"},
    {"gateway/rate_user", 'i', "400", 0, 1000000,
     "messages a second of one user's connections together; 0 is no limit"},
    {"gateway/overrate", 'i', "60", 1, 3600,
     "seconds that a client may press on faster than its rate before it is closed"},
    {"gateway/origins", 's', "", 0, 0,
     "origins of pages that may connect, with commas; empty: our own, *: all"},
    {"gateway/hosts", 's', "", 0, 0,
     "names of this server, with commas, besides the address it listens to, localhost "
     "and those of the certificate; pages of other names may not connect"},
    {"gateway/ping", 'i', "25", 1, 3600, "seconds of silence before a client is pinged"},
    {"gateway/pong", 'i', "20", 1, 3600, "seconds it then has to answer"},
    {"gateway/app/*/upstream", 's', "", 0, 0,
     "where an app server takes frames from gateways"},
    {"gateway/app/*/downstream", 's', "", 0, 0, "where it sends frames to gateways"},
    {"gateway/app/*/certificate", 's', "", 0, 0,
     "its public certificate; with it we connect with CURVE"},

    {"app/enabled", 'b', "1", 0, 1, "run an app server in this process"},
    {"receiver/upstream", 'e', "tcp://127.0.0.1:7001", 0, 0,
     "gateways of other processes push frames here"},
    {"receiver/queue", 'i', "2000", 16, 10000000, "frames waiting in the receiver"},
    {"receiver/message", 'i', "67108864", 1024, 1073741824,
     "bytes of one part from a gateway; a longer one ends its connection"},
    {"dispatcher/queue", 'i', "1000", 16, 10000000, "frames waiting in the dispatcher"},
    {"worker/count", 'i', "0", 0, 256, "Lua workers; 0 is one a core"},
    {"worker/queue", 'i', "2000", 16, 1000000,
     "messages that one worker holds: credit of the dispatcher"},
    {"worker/waiting", 'i', "1000", 1, 100000,
     "handlers of one worker that may wait for a store at once"},
    {"worker/timeout", 'i', "5000", 10, 600000,
     "msec until a handler's call is answered with a time-out"},
    {"sender/downstream", 'e', "tcp://127.0.0.1:7002", 0, 0,
     "gateways of other processes get their frames here"},
    {"sender/queue", 'i', "10000", 16, 10000000, "frames waiting in the sender"},
    {"sender/backlog", 'i', "20000", 16, 10000000,
     "frames kept for one gateway that is away or slow"},
    {"sender/keep", 'i', "30000", 100, 3600000,
     "msec they are kept before they count as undelivered"},
    {"sender/ping", 'i', "2000", 50, 600000,
     "msec between pings of a gateway; three without an answer and it is away"},

    {"lua/core", 's', "lua/core", 0, 0, "folder of the worker's own Lua files"},
    {"lua/app", 's', "lua/app", 0, 0,
     "folders of handlers, with commas; the first that has a file wins"},
    {"lua/instructions", 'i', "10000000", 1000, 1000000000000,
     "Lua instructions of one message"},
    {"lua/time", 'i', "500", 1, 600000,
     "msec that one message may run, waiting not counted"},
    {"lua/memory", 'i', "134217728", 4194304, 68719476736,
     "bytes of one worker's Lua state"},
    {"lua/message", 'i', "33554432", 65536, 68719476736,
     "bytes that one message may add to it"},
    {"lua/depth", 'i', "32", 2, 200, "nesting of JSON"},
    {"lua/keys", 'i', "10000", 16, 10000000, "keys and elements of one message's JSON"},

    {"chat/durability", 'c', "stored", 0, 0,
     "stored|relayed: a chat is answered when it is committed, or when it is handed on"},
    {"chat/page", 'i', "100", 1, 10000,
     "messages in one answer of history and in one piece of redelivery"},
    {"chat/attachment", 'i', "1048576", 0, 67108864, "bytes of one chat's attachment"},
    {"chat/groups", 'i', "1000", 0, 1000000, "groups that one user may be in"},
    {"chat/members", 'i', "10000", 1, 10000000, "members that one group may have"},
    {"chat/devices", 'i', "100", 1, 1000000, "devices that one user may have"},
    {"chat/talks", 'i', "5000", 1, 10000000, "talks of two that one user may begin"},
    {"store/driver", 'c', "sqlite", 0, 0,
     "sqlite|mysql: engine for messages, groups and cursors"},
    {"store/path", 's', "var/rookery.db", 0, 0, "file of the SQLite database"},
    {"store/pool", 's', "", 0, 0, "the MySQL pool, when the driver is mysql"},
    {"store/queue", 'i', "10000", 16, 10000000, "calls waiting for the store"},
    {"store/batch", 'i', "1000", 1, 100000, "calls that share one commit at the most"},
    {"store/time", 'i', "2000", 10, 600000, "msec that one statement may run"},

    {"redis/*/host", 's', "127.0.0.1", 0, 0, "name or address of the Redis server"},
    {"redis/*/port", 'i', "6379", 1, 65535, "its port"},
    {"redis/*/path", 's', "", 0, 0, "its unix socket, instead of host and port"},
    {"redis/*/user", 's', "", 0, 0, "ACL user; empty for the default one"},
    {"redis/*/password", 'p', "", 0, 0, "sent with AUTH; empty for none"},
    {"redis/*/database", 'i', "0", 0, 1000000, "sent with SELECT"},
    {"redis/*/connections", 'i', "1", 1, 64,
     "connections; a call's hash key says which one it takes"},
    {"redis/*/cluster", 'b', "0", 0, 1,
     "the server is a node of a Redis Cluster: find the others"},
    {"redis/*/timeout", 'i', "5000", 10, 600000, "msec until a call has failed"},
    {"redis/*/queue", 'i', "10000", 16, 10000000, "calls waiting for the pool"},

    {"mysql/*/host", 's', "127.0.0.1", 0, 0, "name or address of the MySQL server"},
    {"mysql/*/port", 'i', "3306", 1, 65535, "its port"},
    {"mysql/*/path", 's', "", 0, 0, "its unix socket, instead of host and port"},
    {"mysql/*/user", 's', "", 0, 0, "whom to log in as"},
    {"mysql/*/password", 'p', "", 0, 0, "that user's password"},
    {"mysql/*/database", 's', "", 0, 0, "the default database"},
    {"mysql/*/connections", 'i', "1", 1, 64,
     "connections, an actor each; a client's calls all take the same one"},
    {"mysql/*/batch", 'i', "1000", 1, 100000,
     "calls of one connection that share a commit at the most"},
    {"mysql/*/timeout", 'i', "5000", 10, 600000, "msec until a call has failed"},
    {"mysql/*/queue", 'i', "10000", 16, 10000000, "calls waiting for a connection"},

    {"link/*/endpoint", 's', "", 0, 0,
     "the service's ZeroMQ endpoint; with @ in front we bind and it connects"},
    {"link/*/type", 'c', "push", 0, 0,
     "push|pub|dealer|req: our socket; dealer and req can also wait for replies"},
    {"link/*/queue", 'i', "1000", 1, 10000000,
     "messages of one worker that wait for the service"},
    {"link/*/overflow", 'c', "refuse", 0, 0,
     "refuse|drop: with a full queue the handler is told, or the message is left out"},
    {"link/*/timeout", 'i', "5000", 10, 600000, "msec until a reply is given up"},

    {"link/*/certificate", 's', "", 0, 0,
     "the service's public certificate: the wire is CURVE; of a bound one any in "
     "curve/known"},

    {"curve/certificate", 's', "", 0, 0,
     "this process's certificate, its secret beside it: gateways must connect with "
     "CURVE"},
    {"curve/known", 's', "", 0, 0,
     "folder with the public certificates of those who may connect"},
    {"curve/required", 'b', "1", 0, 1,
     "0 lets other machines connect without: for a network that is safe by itself"},

    {"console/enabled", 'b', "1", 0, 1,
     "measure, and show it to operators; 0 leaves out all of this section"},
    {"console/listen", 'n', "127.0.0.1:8081", 0, 0,
     "HTTP: /console, /metrics, /healthz; port 0 takes any free one, or none"},
    {"console/hosts", 's', "", 0, 0,
     "names of this server besides the machine's own and localhost, with commas; "
     "requests for other names are refused"},
    {"console/control", 'e', "ipc://var/control", 0, 0,
     "where rookery ctl, top and monitor ask; only whoever may open the file can"},
    {"console/web", 's', "web/console", 0, 0, "folder of the console page"},

    {"auth/mode", 'c', "open", 0, 0,
     "open|token: anybody may bind as anybody, or with a signed token only"},
    {"auth/secret", 'p', "", 0, 0,
     "key of tokens that name none, HS256; at least 32 bytes"},
    {"auth/keys", 's', "", 0, 0,
     "folder of keys that tokens name: KID.secret is HS256, KID.pem a public key of "
     "ES256"},
    {"auth/bind", 'i', "30", 0, 3600,
     "seconds a client has to bind when mode is token; 0 is no limit"},
    {"auth/attempts", 'i', "5", 1, 1000, "refused binds until a connection is closed"},
    {"auth/audience", 's', "", 0, 0, "whom tokens must be for (aud); empty takes all"},
    {NULL, 0, NULL, 0, 0, NULL},
};


//  --------------------------------------------------------------------------
//  Finding a key's row and a value's line

//  True when path fits pattern, where '*' stands for one name.

static bool
s_path_fits (const char *path, const char *pattern)
{
    while (*pattern) {
        if (*pattern == '*') {
            if (!*path || *path == '/')
                return false;
            while (*path && *path != '/')
                path++;
            pattern++;
        }
        else if (*pattern++ != *path++)
            return false;
    }
    return !*path;
}


static const rk_config_key_t *
s_key_find (const char *path)
{
    const rk_config_key_t *key = rk_config_keys;
    while (key->path && !s_path_fits (path, key->path))
        key++;
    return key->path ? key : NULL;
}


//  True when path is a section: some key lies below it.

static bool
s_is_section (const char *path)
{
    for (const rk_config_key_t *key = rk_config_keys; key->path; key++) {
        char *pattern = strdup (key->path);
        for (char *slash = strrchr (pattern, '/'); slash;
             slash = strrchr (pattern, '/')) {
            *slash = 0;
            if (s_path_fits (path, pattern)) {
                free (pattern);
                return true;
            }
        }
        free (pattern);
    }
    return false;
}


//  --------------------------------------------------------------------------
//  Checking values

static char *
s_check_int (const rk_config_key_t *key, const char *value)
{
    char *end;
    errno = 0;
    long long number = strtoll (value, &end, 10);
    if (*value && !*end && errno == 0 && number >= key->least && number <= key->most)
        return NULL;
    return zsys_sprintf ("must be a whole number from %lld to %lld (%s)",
                         (long long) key->least, (long long) key->most, key->help);
}


static char *
s_check_choice (const rk_config_key_t *key, const char *value)
{
    size_t length = strcspn (key->help, ":");
    size_t size = strlen (value);
    for (const char *word = key->help; word < key->help + length;) {
        size_t span = strcspn (word, "|:");
        if (size == span && memcmp (word, value, size) == 0)
            return NULL;
        word += span + 1;
    }
    return zsys_sprintf ("must be one of %.*s", (int) length, key->help);
}


static char *
s_check_address (const char *value)
{
    const char *colon = strrchr (value, ':');
    char *end = NULL;
    long port = colon ? strtol (colon + 1, &end, 10) : -1;
    if (colon && colon > value && colon[1] && !*end && port >= 0 && port <= 65535)
        return NULL;
    return strdup ("must be HOST:PORT, for example 127.0.0.1:8080");
}


static char *
s_check_endpoint (const char *value)
{
    if (streq (value, "none"))
        return NULL;
    const char *start = strstr (value, "://");
    bool good = start && start > value && start[3];
    if (good && strncmp (value, "tcp://", 6) == 0) {
        const char *colon = strrchr (start + 3, ':');
        char *end = NULL;
        long port = colon ? strtol (colon + 1, &end, 10) : -1;
        good = colon && (streq (colon + 1, "*") ||
                         (isdigit ((unsigned char) colon[1]) && !*end && port <= 65535));
    }
    return good
               ? NULL
               : strdup (
                     "must be an endpoint such as tcp://127.0.0.1:7001, whose port is at "
                     "most 65535, or none");
}


char *
rk_config_check_value (const rk_config_key_t *key, const char *value)
{
    switch (key->kind) {
    case 'i':
    case 'b':
        return s_check_int (key, value);
    case 'c':
        return s_check_choice (key, value);
    case 'n':
        return streq (value, "none") ? NULL : s_check_address (value);
    case 'a':
        return s_check_address (value);
    case 'e':
        return s_check_endpoint (value);
    default:
        return NULL;
    }
}


//  Checks one item of the file and those below it; nbr counts items as they come.

static char *
s_check_item (rk_config_t *self, zconfig_t *item, const char *path, int *nbr)
{
    int line = rk_config_line (self->text, ++*nbr);    //  zconfig has them in their order
    const rk_config_key_t *key = s_key_find (path);
    const char *value = zconfig_value (item);
    char *error = NULL;
    if (!key && !s_is_section (path))
        error = zsys_sprintf ("%s:%d: unknown key %s; config/rookery.cfg lists all keys",
                              self->file, line, path);
    else if (key) {
        char *why = rk_config_check_value (key, value ? value : "");
        if (why)
            error = zsys_sprintf ("%s:%d: %s = %s: %s", self->file, line, path,
                                  value ? value : "", why);
        zstr_free (&why);
    }
    for (zconfig_t *child = zconfig_child (item); child && !error;
         child = zconfig_next (child)) {
        char *below = zsys_sprintf ("%s/%s", path, zconfig_name (child));
        error = s_check_item (self, child, below, nbr);
        zstr_free (&below);
    }
    return error;
}


//  --------------------------------------------------------------------------
//  Reading

static char *
s_read_file (rk_config_t *self, const char *file)
{
    struct stat about;
    self->file = strdup (file);
    if (stat (file, &about) == 0 && S_ISDIR (about.st_mode))
        return zsys_sprintf ("%s: is a folder; name the file in it, as -c %s/rookery.cfg",
                             file, file);
    zchunk_t *chunk = zchunk_slurp (file, FILE_MOST + 1);
    if (!chunk)
        return zsys_sprintf ("%s: can't be read: %s", file, strerror (errno));
    bool too_long = zchunk_size (chunk) > FILE_MOST;
    self->text = zchunk_strdup (chunk);
    zchunk_destroy (&chunk);
    if (too_long)
        return zsys_sprintf ("%s: has more than %d bytes, is it another file?", file,
                             FILE_MOST);
    char *wrong = rk_config_check_text (file, self->text);
    if (wrong)
        return wrong;
    zconfig_destroy (&self->root);
    self->root = zconfig_str_load (self->text);
    if (!self->root)
        return zsys_sprintf (
            "%s: not a ZPL file; config/rookery-minimal.cfg shows the form", file);

    int nbr = 0;
    char *error = NULL;
    for (zconfig_t *item = zconfig_child (self->root); item && !error;
         item = zconfig_next (item))
        error = s_check_item (self, item, zconfig_name (item), &nbr);
    return error;
}


static char *
s_put_setting (rk_config_t *self, const char *setting)
{
    const char *equals = strchr (setting, '=');
    if (!equals)
        return zsys_sprintf ("-s %s: must be KEY=VALUE", setting);
    char *path = rk_slice_dup ((rk_slice_t){setting, (size_t) (equals - setting)});
    const rk_config_key_t *key = s_key_find (path);
    char *why = key ? rk_config_check_value (key, equals + 1)
                    : strdup ("unknown key; config/rookery.cfg lists all keys");
    char *error = why ? zsys_sprintf ("-s %s: %s", setting, why) : NULL;
    if (!why)
        zconfig_put (self->root, path, equals + 1);
    zstr_free (&why);
    free (path);
    return error;
}


//  What no single value shows.

static bool
s_is_loopback (const char *address)
{
    return strncmp (address, "127.", 4) == 0 ||
           strncmp (address, "localhost:", 10) == 0 ||
           strncmp (address, "[::1]:", 6) == 0;
}


//  What a service needs besides its name

static char *
s_check_services (rk_config_t *self)
{
    const char *pool = rk_config_str (self, "store/pool");
    bool mysql = streq (rk_config_str (self, "store/driver"), "mysql"), found = false;
    zlist_t *pools = rk_config_names (self, "mysql");
    for (char *name = (char *) zlist_first (pools); name;
         name = (char *) zlist_next (pools))
        found = found || streq (name, pool);
    zlist_destroy (&pools);
    if (mysql && !found)
        return zsys_sprintf ("store/pool = %s: with store/driver = mysql this must name "
                             "a pool, as main with mysql/main/host and so on",
                             pool);
    char *error = NULL;
    zlist_t *links = rk_config_names (self, "link");
    for (char *name = (char *) zlist_first (links); name && !error;
         name = (char *) zlist_next (links)) {
        char *path = zsys_sprintf ("link/%s/endpoint", name);
        if (!strstr (rk_config_str (self, path), "://"))
            error = zsys_sprintf ("%s = %s: must be an endpoint such as "
                                  "tcp://127.0.0.1:7100",
                                  path, rk_config_str (self, path));
        zstr_free (&path);
    }
    zlist_destroy (&links);
    return error;
}


//  Where nobody may bind as anybody else, no other user of the machine may speak for everybody: instead of a port
//  of loopback, which all of them reach, endpoints that aren't given are files beside that of console/control, in
//  a folder for us alone.

static char *
s_close_wires (rk_config_t *self, const char *key)
{
    const char *given = zconfig_get (self->root, key, NULL),
               *name = strchr (key, '/') + 1;
    if (given && strncmp (given, "tcp://", 6) != 0)
        return NULL;
    if (given)
        return zsys_sprintf (
            "%s = %s: with auth/mode = token every user of this machine could read and "
            "say everything there; give ipc://FILE, curve/certificate (rookery cert "
            "makes "
            "one), or curve/required = 0 where all of them may",
            key, given);
    const char *control = rk_config_str (self, "console/control");
    bool file = strncmp (control, "ipc://", 6) == 0;
    int size = file ? (int) (strrchr (control, '/') - control) : 0;
    char *endpoint = file && size > 6 ? zsys_sprintf ("%.*s/%s", size, control, name)
                                      : zsys_sprintf ("ipc://var/%s", name);
    zconfig_put (self->root, key, endpoint);
    zstr_free (&endpoint);
    return NULL;
}


//  Who else may connect to an endpoint of ours may say anything in anybody's name.

static char *
s_check_wires (rk_config_t *self)
{
    bool curve = *rk_config_str (self, "curve/certificate"),
         known = *rk_config_str (self, "curve/known"),
         required = rk_config_int (self, "curve/required");
    const char *endpoints[] = {"receiver/upstream", "sender/downstream", NULL};
    bool token = streq (rk_config_str (self, "auth/mode"), "token");
    for (size_t nbr = 0; endpoints[nbr] && rk_config_int (self, "app/enabled"); nbr++) {
        char *why =
            token && !curve && required ? s_close_wires (self, endpoints[nbr]) : NULL;
        if (why)
            return why;
        const char *endpoint = rk_config_str (self, endpoints[nbr]);
        bool open = strncmp (endpoint, "tcp://", 6) == 0 && !s_is_loopback (endpoint + 6);
        if (open && !curve && required)
            return zsys_sprintf (
                "%s = %s: without curve/certificate only a loopback address is allowed; "
                "rookery cert makes one, or set curve/required = 0 where the network is "
                "safe",
                endpoints[nbr], endpoint);
        if (curve && !known && strneq (endpoint, "none"))
            return zsys_sprintf (
                "curve/known: must name the folder with the certificates "
                "of those who may connect to %s",
                endpoints[nbr]);
    }
    zlist_t *apps = rk_config_names (self, "gateway/app");
    char *error = NULL;
    for (char *name = (char *) zlist_first (apps); name && !error;
         name = (char *) zlist_next (apps)) {
        char *path = zsys_sprintf ("gateway/app/%s/certificate", name);
        if (*rk_config_str (self, path) && !curve)
            error = zsys_sprintf ("%s: needs a certificate of our own, curve/certificate",
                                  path);
        zstr_free (&path);
    }
    zlist_destroy (&apps);
    return error;
}


//  What is given must leave room for what is within it; what isn't given gives way.

static bool
s_is_given (rk_config_t *self, const char *path)
{
    return zconfig_locate (self->root, path) != NULL;
}


#define JSON_ROOM 4096    //  bytes of a chat besides its attachment, at the least

static char *
s_check_sizes (rk_config_t *self)
{
    long long attachment = rk_config_int (self, "chat/attachment"),
              message = rk_config_int (self, "gateway/message"),
              part = rk_config_int (self, "receiver/message");
    if (!rk_config_int (self, "app/enabled"))
        return NULL;
    if (s_is_given (self, "chat/attachment") && attachment > part)
        return zsys_sprintf (
            "chat/attachment = %lld: receiver/message = %lld leaves no room "
            "for it",
            attachment, part);
    if (s_is_given (self, "chat/attachment") && rk_config_int (self, "gateway/enabled") &&
        attachment + JSON_ROOM > message)
        return zsys_sprintf (
            "chat/attachment = %lld: gateway/message = %lld leaves no room "
            "for it; make that %lld or more",
            attachment, message, attachment + 16 * JSON_ROOM);
    return NULL;
}


static char *
s_check_together (rk_config_t *self)
{
    const char *listen = rk_config_str (self, "gateway/listen");
    const char *id = rk_config_str (self, "gateway/id");
    const char *secret = rk_config_str (self, "auth/secret");
    if (*secret && strlen (secret) < 32)
        return strdup ("auth/secret: must have at least 32 bytes");
    if (streq (rk_config_str (self, "auth/mode"), "token")) {
        if (rk_config_int (self, "app/enabled") && !*secret &&
            !*rk_config_str (self, "auth/keys"))
            return strdup ("auth/keys: must name a folder with keys when auth/mode is "
                           "token and there is no auth/secret");
    }
    else if (!s_is_loopback (listen))
        return zsys_sprintf ("gateway/listen = %s: with auth/mode = open only a loopback "
                             "address is allowed; set auth/mode = token and auth/keys",
                             listen);
    const char *console = rk_config_str (self, "console/listen");
    if (strneq (console, "none") && !s_is_loopback (console))
        return zsys_sprintf (
            "console/listen = %s: only a loopback address is allowed: the "
            "console has no password; let a proxy with one stand before it",
            console);
    char *error = s_check_wires (self);
    if (!error)
        error = s_check_services (self);
    if (!error)
        error = s_check_sizes (self);
    if (error)
        return error;
    if (!*rk_config_str (self, "gateway/certificate") !=
        !*rk_config_str (self, "gateway/key"))
        return strdup ("gateway/certificate and gateway/key: give both, or neither");
    const char *control = rk_config_str (self, "console/control");
    if (strneq (control, "none") && strncmp (control, "ipc://", 6) != 0)
        return zsys_sprintf (
            "console/control = %s: must be ipc://FILE or none: whoever "
            "reaches it may do everything, so a file's owner must say who",
            control);
    if (!*id || strlen (id) > 32 || strpbrk (id, ". ,"))
        return strdup (
            "gateway/id: must have 1 to 32 bytes without dot, comma and space");
    if (!rk_config_int (self, "gateway/enabled") && !rk_config_int (self, "app/enabled"))
        return strdup (
            "gateway/enabled and app/enabled are both 0: there is nothing to run");
    return NULL;
}


rk_config_t *
rk_config_new (const char *file, char **settings, char **error)
{
    rk_config_t *self = (rk_config_t *) zmalloc (sizeof (rk_config_t));
    self->root = zconfig_new ("root", NULL);
    *error = file ? s_read_file (self, file) : NULL;
    for (size_t nbr = 0; settings && settings[nbr] && !*error; nbr++)
        *error = s_put_setting (self, settings[nbr]);
    if (!*error)
        *error = s_check_together (self);
    if (*error)
        rk_config_destroy (&self);
    return self;
}


void
rk_config_destroy (rk_config_t **self_p)
{
    assert (self_p);
    rk_config_t *self = *self_p;
    if (!self)
        return;
    zconfig_destroy (&self->root);
    zstr_free (&self->file);
    zstr_free (&self->text);
    free (self);
    *self_p = NULL;
}


//  --------------------------------------------------------------------------
//  Asking

const char *
rk_config_peek (rk_config_t *self, const char *path)
{
    const rk_config_key_t *key = s_key_find (path);
    return key ? zconfig_get (self->root, path, key->initial) : NULL;
}


const char *
rk_config_str (rk_config_t *self, const char *path)
{
    const char *value = rk_config_peek (self, path);
    assert (value);
    return value;
}


bool
rk_config_is_secret (const char *path)
{
    const rk_config_key_t *key = s_key_find (path);
    return key && key->kind == 'p';
}


char *
rk_config_hide (char *setting)
{
    char *copy = strdup (setting), *value = strchr (setting, '=');
    char *path = rk_slice_dup ((rk_slice_t){setting, strcspn (setting, "=")});
    if (value && rk_config_is_secret (path))
        memset (value + 1, 'x', strlen (value + 1));
    free (path);
    return copy;
}


int64_t
rk_config_int (rk_config_t *self, const char *path)
{
    return atoll (rk_config_str (self, path));
}


zlist_t *
rk_config_names (rk_config_t *self, const char *path)
{
    zlist_t *names = zlist_new ();
    zlist_autofree (names);
    zconfig_t *section = zconfig_locate (self->root, path);
    zconfig_t *item = section ? zconfig_child (section) : NULL;
    for (; item; item = zconfig_next (item))
        zlist_append (names, zconfig_name (item));
    return names;
}
