//  log.c - the log: lines, events, traces, and what a stuck thread does
//
//  Each thread has its own level, name and message in work; nothing here is shared but what
//  rk_log_begin has set before there were threads. A line is one write (2), see logout.h.

#include "logout.h"
#include "rk.h"
#include <signal.h>
#include <syslog.h>

#define LINE_MOST 8192    //  bytes
#define TRACE_MOST 256    //  bytes of a CID

_Thread_local bool rk_follows = false;

//  What this thread is and does.
static _Thread_local struct {
    const char *name;
    const char *doing;
    rk_slice_t cid, content;
    char level;    //  0: the process' own
    char trace[TRACE_MOST];
    rk_event_fn *tell;
    void *owner;
} s_thread;

static struct {
    char level;
    bool json, syslog;
} s_process = {'I', false, false};

static int s_where[2] = {-1, -1};    //  A pipe (2)
static _Thread_local void (*s_act) (void);


//  --------------------------------------------------------------------------
//  Levels

static const struct {
    const char *word;
    char letter;
    int priority;    //  syslog(3)
} s_levels[] = {{"debug", 'D', LOG_DEBUG},
                {"info", 'I', LOG_INFO},
                {"warn", 'W', LOG_WARNING},
                {"error", 'E', LOG_ERR}};

#define LEVELS (sizeof (s_levels) / sizeof (*s_levels))

static size_t
s_rank (char letter)
{
    size_t rank = 0;
    while (rank + 1 < LEVELS && s_levels[rank].letter != letter)
        rank++;
    return rank;
}


char
rk_log_letter (const char *word)
{
    for (size_t nbr = 0; nbr < LEVELS; nbr++)
        if (streq (s_levels[nbr].word, word))
            return s_levels[nbr].letter;
    return 0;
}


static bool
s_wanted (char level)
{
    char lowest = s_thread.level ? s_thread.level : s_process.level;
    return s_rank (level) >= s_rank (lowest);
}


static void
s_set_follows (void)
{
    rk_follows = *s_thread.trace || s_wanted ('D');
}


void
rk_log_level (char level)
{
    s_thread.level = level;
    s_set_follows ();
}


void
rk_log_trace (const char *cid)
{
    snprintf (s_thread.trace, sizeof (s_thread.trace), "%s", cid);
    s_set_follows ();
}


void
rk_log_begin (char level, bool json, bool to_syslog)
{
    s_process.level = level;
    s_process.json = json;
    s_process.syslog = to_syslog;
    rk_logout_begin (to_syslog);
}


void
rk_log_thread (const char *name, rk_event_fn *tell, void *owner)
{
    s_thread.name = name;
    s_thread.tell = tell;
    s_thread.owner = owner;
    rk_log_about ((rk_slice_t){"", 0}, (rk_slice_t){"", 0});
    s_set_follows ();
}


void
rk_log_about (rk_slice_t cid, rk_slice_t content)
{
    s_thread.cid = cid;
    s_thread.content = content;
    s_thread.doing = NULL;
}


void
rk_log_doing (const char *what)
{
    s_thread.doing = what;
}


//  --------------------------------------------------------------------------
//  Lines

typedef struct {
    char data[LINE_MOST];
    size_t size;
} s_line_t;

static void
s_put (s_line_t *line, const char *text, size_t size)
{
    if (size > LINE_MOST - line->size - 2)    //  Room for the ends
        size = LINE_MOST - line->size - 2;
    memcpy (line->data + line->size, text, size);
    line->size += size;
}


static void
s_put_word (s_line_t *line, const char *text)
{
    s_put (line, text, strlen (text));
}


//  So that each byte is harmless on a terminal, and no text begins a line

static void
s_put_plain (s_line_t *line, rk_slice_t text)
{
    const unsigned char *at = (const unsigned char *) text.data, *end = at + text.size;
    while (at < end) {
        size_t length = rk_utf8_length (at, (size_t) (end - at));
        if (*at == '\n')
            s_put_word (line, "\n    ");
        else if (length == 0 || rk_utf8_steers (at, length))
            s_put (line, "?", 1);
        else
            s_put (line, (const char *) at, length);
        at += length ? length : 1;
    }
}


//  A string of RFC 8259; bytes that aren't UTF-8 become '?'.

static void
s_put_json (s_line_t *line, const char *key, rk_slice_t text)
{
    s_put_word (line, *key == '{' ? "{\"" : ",\"");
    s_put_word (line, *key == '{' ? key + 1 : key);
    s_put_word (line, "\":\"");
    const unsigned char *at = (const unsigned char *) text.data, *end = at + text.size;
    while (at < end &&
           line->size < LINE_MOST - 16) {    //  Room for an escape and the ends
        char escaped[8];
        size_t length = rk_utf8_length (at, (size_t) (end - at));
        if (*at == '"' || *at == '\\')
            snprintf (escaped, sizeof (escaped), "\\%c", *at);
        else if (*at < 32)
            snprintf (escaped, sizeof (escaped), "\\u%04x", *at);
        else if (length && rk_utf8_steers (at, length))
            snprintf (escaped, sizeof (escaped), "?");
        else
            snprintf (escaped, sizeof (escaped), "%.*s", length ? (int) length : 1,
                      length ? (const char *) at : "?");
        s_put_word (line, escaped);
        at += length ? length : 1;
    }
    s_put (line, "\"", 1);
}


//  FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/), eight bytes at a time: all processes must find the
//  same number, and who makes two messages meet has two messages of one number.

static uint32_t
s_number (rk_slice_t content)
{
    uint64_t hash = 0xcbf29ce484222325ULL, piece;
    for (size_t at = 0; at < content.size; at += sizeof (piece)) {
        size_t left = content.size - at;
        piece = 0;
        memcpy (&piece, content.data + at, left < sizeof (piece) ? left : sizeof (piece));
        hash = (hash ^ piece) * 0x100000001b3ULL;
        hash ^= hash >> 32;
    }
    return content.size ? (uint32_t) hash : 0;
}


static void
s_time (char *text, size_t room, int64_t msec)
{
    time_t seconds = (time_t) (msec / 1000);
    struct tm utc;
    gmtime_r (&seconds, &utc);
    size_t size = strftime (text, room, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf (text + size, room - size, ".%03dZ", (int) (msec % 1000));
}


static void
s_format_text (s_line_t *line, const rk_event_t *event, const char *time)
{
    const char *name = s_thread.name ? s_thread.name : "rookery";
    char head[200];
    snprintf (head, sizeof (head), "%s%s%c %s: ", time, *time ? " " : "", event->level,
              name);
    s_put_word (line, head);
    s_put_plain (line, rk_slice (event->text));
    if (!event->cid.size)
        return;
    s_put_word (line, " cid=");
    s_put_plain (line, event->cid);
    snprintf (head, sizeof (head), " msg=%08x", event->number);
    s_put_word (line, event->number ? head : "");
}


static void
s_format_json (s_line_t *line, const rk_event_t *event, const char *time)
{
    char number[16];
    snprintf (number, sizeof (number), "%08x", event->number);
    s_put_json (line, "{time", rk_slice (time));
    s_put_json (line, "level", rk_slice (s_levels[s_rank (event->level)].word));
    s_put_json (line, "actor", rk_slice (s_thread.name ? s_thread.name : "rookery"));
    if (event->cid.size)
        s_put_json (line, "cid", event->cid);
    if (event->number)
        s_put_json (line, "msg", rk_slice (number));
    s_put_json (line, "text", rk_slice (event->text));
    s_put (line, "}", 1);
}


static void
s_write (const rk_event_t *event)
{
    char time[40];
    s_line_t line;
    line.size = 0;
    s_time (time, sizeof (time), event->at);
    if (s_process.json)
        s_format_json (&line, event, time);
    else
        s_format_text (&line, event, s_process.syslog ? "" : time);
    line.data[line.size++] = '\n';
    rk_logout_write (s_levels[s_rank (event->level)].priority, line.data, line.size);
}


//  --------------------------------------------------------------------------
//  Events

static rk_event_t
s_event (const char *kind, char level, const char *text, rk_slice_t cid,
         rk_slice_t content)
{
    return (rk_event_t){zclock_time (),     kind,     level, text, cid,
                        s_number (content), rk_now ()};
}


void
rk_event_pack (rk_frames_t *frames, const char *actor, const rk_event_t *event)
{
    char numbers[80];
    snprintf (numbers, sizeof (numbers), "%" PRId64 " %" PRId64 " %c %" PRIu32, event->at,
              event->nsec, event->level, event->number);
    rk_frames_addstr (frames, "EVENT");
    rk_frames_addstr (frames, actor);
    rk_frames_addstr (frames, event->kind);
    rk_frames_addstr (frames, numbers);
    rk_frames_addstr (frames, event->text);
    rk_frames_add (frames, event->cid.data, event->cid.size);
}


static void
s_say (const rk_event_t *event, bool is_event)
{
    if (s_wanted (event->level))
        s_write (event);
    if (is_event && s_thread.tell)
        s_thread.tell (s_thread.owner, event);
}


//  Warnings and errors of one kind in this second: so many are written, the others counted, and their number is
//  said before the next one of that kind. A kind's place is shared by few others; then they count as one.

#define KINDS 64
#define KIND_MOST 10

static _Thread_local struct {
    int64_t second;
    unsigned count;
} s_kinds[KINDS];

static bool
s_may_write (uint64_t kind, char level)
{
    int64_t second = zclock_mono () / 1000;
    size_t nbr = (kind ^ kind >> 17 ^ kind >> 7) % KINDS;
    unsigned count = s_kinds[nbr].count;
    if (s_kinds[nbr].second != second) {
        s_kinds[nbr].second = second;
        s_kinds[nbr].count = 0;
        if (count > KIND_MOST) {
            char text[80];
            snprintf (text, sizeof (text),
                      "and %u more lines like the next one, not written",
                      count - KIND_MOST);
            rk_event_t event = s_event ("log", level, text, rk_slice (""), rk_slice (""));
            s_say (&event, true);
        }
    }
    return ++s_kinds[nbr].count <= KIND_MOST;
}


static void
s_log (char level, uint64_t kind, const char *text)
{
    bool grave = level == 'W' || level == 'E';
    if (grave && !s_may_write (kind, level))
        return;
    rk_event_t event = s_event ("log", level, text, s_thread.cid, s_thread.content);
    s_say (&event, grave);
}


void
rk_log_kind (char level, rk_slice_t kind, const char *text)
{
    s_log (level, s_number (kind), text);
}


void
rk_log (char level, const char *format, ...)
{
    bool grave = level == 'W' || level == 'E';
    if (!grave && !s_wanted (level))
        return;
    va_list argptr;
    va_start (argptr, format);
    char *text = zsys_vprintf (format, argptr);
    va_end (argptr);
    s_log (level, (uint64_t) (uintptr_t) format, text);
    zstr_free (&text);
}


void
rk_event (const char *kind, char level, const char *format, ...)
{
    va_list argptr;
    va_start (argptr, format);
    char *text = zsys_vprintf (format, argptr);
    va_end (argptr);
    rk_event_t event = s_event (kind, level, text, s_thread.cid, s_thread.content);
    s_say (&event, true);
    zstr_free (&text);
}


void
rk_follow (rk_slice_t cid, rk_slice_t content, const char *format, ...)
{
    bool traced = *s_thread.trace && rk_slice_is (cid, s_thread.trace);
    if (!traced && !s_wanted ('D'))
        return;
    va_list argptr;
    va_start (argptr, format);
    char *text = zsys_vprintf (format, argptr);
    va_end (argptr);
    rk_event_t event = s_event ("trace", 'D', text, cid, content);
    s_say (&event, traced);
    zstr_free (&text);
}


//  --------------------------------------------------------------------------
//  A stuck thread. The handler runs in that very thread, which reads its own variables; only
//  functions that are safe in a handler are called (signal-safety(7)).

static size_t
s_where_put (char *line, size_t size, size_t room, const char *text, size_t more)
{
    more = more < room - size ? more : room - size;
    memcpy (line + size, text, more);
    return size + more;
}


static void
s_on_where (int number)
{
    (void) number;
    int error = errno;
    char line[400];
    size_t size = 0, room = sizeof (line) - 1;
    const char *name = s_thread.name ? s_thread.name : "a thread";
    const char *doing = s_thread.doing ? s_thread.doing : "what has no name";
    rk_slice_t cid = s_thread.cid;
    size = s_where_put (line, size, room, name, strlen (name));
    size = s_where_put (line, size, room, " is in ", 7);
    size = s_where_put (line, size, room, doing, strlen (doing));
    if (cid.size) {
        size = s_where_put (line, size, room, " for ", 5);
        size = s_where_put (line, size, room, cid.data, cid.size);
    }
    line[size++] = '\n';
    ssize_t written = write (s_where[1], line, size);
    (void) written;    //  When nobody reads, there is nowhere to say so
    errno = error;
    if (s_act)
        s_act ();    //  It may not come back
}


void
rk_log_stuck (void (*act) (void))
{
    s_act = act;
}


int
rk_log_where (void)
{
    if (s_where[0] == -1) {
        if (pipe2 (s_where, O_NONBLOCK | O_CLOEXEC) == -1)
            return -1;
        struct sigaction action = {.sa_handler = s_on_where, .sa_flags = SA_RESTART};
        sigaction (RK_LOG_WHERE, &action, NULL);
    }
    return s_where[0];
}
