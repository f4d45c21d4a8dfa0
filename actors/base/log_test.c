//  log_test.c - tests of log.c

#include "logout.h"
#include "rk.h"
#include <signal.h>
#include <syslog.h>


static void
s_test_tell (void *owner, const rk_event_t *event)
{
    char *last = (char *) owner;
    snprintf (last, 200, "%s %c %s %.*s %08x", event->kind, event->level, event->text,
              (int) event->cid.size, event->cid.data, event->number);
}


//  What the lines look like goes to a pipe in the place of stderr.

void
log_test (void)
{
    char last[200] = "", lines[4000];
    int ends[2], saved = dup (STDERR_FILENO);
    rk_check (pipe (ends) == 0 && dup2 (ends[1], STDERR_FILENO) != -1);
    rk_log_begin ('I', false, false);
    rk_log_thread ("test", s_test_tell, last);
    rk_log ('D', "not written");
    rk_log ('I', "no event");
    bool silent = !*last;
    rk_slice_t cid = rk_slice ("gw.1"), content = rk_slice ("{}");
    rk_log_about (cid, content);
    rk_log ('W', "\xc2\x9b"
                 "31m \xe2\x80\xae \xe2\x81\xa6 \xff \xc3\xa9");
    rk_log ('W', "two\nlines\033[31m \"quoted\"");
    char about[200];
    snprintf (about, sizeof (about), "%s", last);
    rk_log_begin ('I', true, false);
    rk_event ("gateway", 'I', "a \"b\" \\ \n c");
    bool is_event = strncmp (last, "gateway I", 9) == 0;
    rk_log_about (rk_slice (""), rk_slice (""));

    //  Followed at level debug, or when it is the one that is traced
    rk_log_begin ('I', false, false);
    rk_log_level (0);
    bool before = rk_follows;
    rk_log_trace ("gw.1");
    bool traces = rk_follows;
    *last = 0;
    rk_follow (rk_slice ("gw.2"), content, "another");
    bool other = !*last;
    rk_follow (cid, content, "passed");
    bool traced = strncmp (last, "trace D passed gw.1", 19) == 0;
    rk_log_trace ("");
    rk_log_level ('D');
    *last = 0;
    rk_follow (cid, content, "debugged");
    bool debugged = !*last;
    rk_log_level (0);

    //  What a stuck thread says
    int where = rk_log_where ();
    char said[400] = "";
    rk_log_about (cid, content);
    rk_log_doing ("handler chat");
    raise (RK_LOG_WHERE);
    rk_check (read (where, said, sizeof (said) - 1) > 0);
    rk_log_thread (NULL, NULL, NULL);

    dup2 (saved, STDERR_FILENO);
    close (saved);
    close (ends[1]);
    ssize_t size = read (ends[0], lines, sizeof (lines) - 1);
    rk_check (size > 0);
    lines[size] = 0;
    close (ends[0]);
    rk_check (silent && is_event && !before && traces && other && traced && debugged);
    rk_check (strstr (said, "test is in handler chat for gw.1\n"));
    rk_check (!strstr (lines, "not written") && strstr (lines, "Z I test: no event\n"));
    rk_check (strstr (lines, "Z W test: two\n    lines?[31m \"quoted\" cid=gw.1 msg="));
    rk_check (strstr (about, "log W two\nlines"));
    rk_check (strstr (lines, "Z W test: ?31m ? ? ? \xc3\xa9 cid="));
    rk_check (strstr (
        lines, "\"level\":\"info\",\"actor\":\"test\",\"cid\":\"gw.1\",\"msg\":\""));
    rk_check (strstr (lines, "\"text\":\"a \\\"b\\\" \\\\ \\u000a c\"}\n"));
    rk_check (strstr (lines, "D test: debugged cid=gw.1 msg=") &&
              !strstr (lines, "another"));
}
